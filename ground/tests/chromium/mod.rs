//! One page in a headless Chromium, driven over its DevTools protocol.

use std::io::{BufRead as _, BufReader, ErrorKind};
use std::process::{Child, Command, Stdio};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value as Json, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::http::Uri;

pub(crate) struct Page {
    _browser: Browser,
    socket: WebSocketStream<TcpStream>,
    session: Option<Json>,
    requests: u64,
    /// What the page and the browser had to say about it: errors, warnings, exceptions.
    pub(crate) console: Vec<Json>,
}

struct Browser {
    process: Child,
    _profile: tempfile::TempDir,
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Page {
    /// Opens a page; `None` on a computer without Chromium.
    pub(crate) async fn open(url: &str) -> Option<Page> {
        let profile = tempfile::tempdir().unwrap();
        let mut command = Command::new("chromium");
        command
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
            ])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
            .args(["--remote-debugging-port=0", "about:blank"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut process = match command.spawn() {
            Err(error) if error.kind() == ErrorKind::NotFound => return None,
            process => process.unwrap(),
        };
        let log = BufReader::new(process.stderr.take().unwrap());
        let browser = Browser { process, _profile: profile };
        let (told, endpoint) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let mut told = Some(told);
            // To its end, or the browser would block on a full pipe.
            for line in log.lines().map_while(Result::ok) {
                if let Some(url) = line.strip_prefix("DevTools listening on ")
                    && let Some(told) = told.take()
                {
                    let _ = told.send(url.to_owned());
                }
            }
        });
        let endpoint: Uri = endpoint.await.expect("the browser starts").parse().unwrap();
        let stream = TcpStream::connect(endpoint.authority().unwrap().as_str()).await.unwrap();
        let (socket, _) = tokio_tungstenite::client_async(endpoint, stream).await.unwrap();
        let mut page = Page { _browser: browser, socket, session: None, requests: 0, console: Vec::new() };
        let target = page.ask("Target.createTarget", json!({"url": "about:blank"})).await;
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        page.session = Some(page.ask("Target.attachToTarget", attach).await["sessionId"].clone());
        for domain in ["Runtime.enable", "Log.enable"] {
            page.ask(domain, json!({})).await;
        }
        page.ask("Page.navigate", json!({"url": url})).await;
        Some(page)
    }

    /// Waits until the page shows each of `texts`, case-sensitive.
    pub(crate) async fn shows(&mut self, texts: &[&str]) {
        let condition = json!(texts).to_string() + ".every((text) => document.body.innerText.includes(text))";
        let wait = format!(
            "new Promise((done) => {{ const look = () => {condition} ? done() : setTimeout(look, 20); look(); }})"
        );
        let limit = std::time::Duration::from_secs(20);
        let evaluate = json!({"expression": wait, "awaitPromise": true});
        if tokio::time::timeout(limit, self.ask("Runtime.evaluate", evaluate)).await.is_err() {
            let shown = self.ask("Runtime.evaluate", json!({"expression": "document.body.innerText"})).await;
            panic!("the page does not show {texts:?} but {shown}, console {:?}", self.console);
        }
    }

    async fn ask(&mut self, method: &str, params: Json) -> Json {
        self.requests += 1;
        let id = self.requests;
        let mut request = json!({"id": id, "method": method, "params": params});
        if let Some(session) = &self.session {
            request["sessionId"] = session.clone();
        }
        self.socket.send(Message::text(request.to_string())).await.unwrap();
        loop {
            let message = self.socket.next().await.expect("the browser is alive").unwrap();
            let Ok(text) = message.to_text() else { continue };
            let mut message: Json = serde_json::from_str(text).unwrap();
            if message["id"] == id {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].take();
            }
            let reports = ["Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"];
            if reports.iter().any(|report| message["method"] == *report) {
                self.console.push(message["params"].take());
            }
        }
    }
}
