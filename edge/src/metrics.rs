//! `/metrics` for Prometheus: the numbers of the status line, by HTTP on an address of this computer.

mod text;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;
use tracing::debug;

use self::text::text;

/// Connections at a time; those beyond it wait to be accepted.
const MAX_CONNECTIONS: usize = 4;
/// How long a connection may take.
const LIMIT: Duration = Duration::from_secs(5);

/// Somebody who wants the status line.
pub type Scrape = oneshot::Sender<String>;

/// Listens on an address.
pub async fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Answers with what `scrapes` brings, for as long as somebody takes them.
pub async fn serve(listener: TcpListener, scrapes: mpsc::Sender<Scrape>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    while let Ok(place) = places.clone().acquire_owned().await {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                debug!(%error, "cannot accept a connection to /metrics");
                tokio::time::sleep(Duration::from_millis(500)).await;
                continue;
            }
        };
        let scrapes = scrapes.clone();
        tokio::spawn(async move {
            let _place = place;
            match timeout(LIMIT, connection(stream, scrapes)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => debug!(%error, "connection to /metrics failed"),
                Err(_) => debug!("connection to /metrics took too long"),
            }
        });
    }
}

async fn connection(stream: TcpStream, scrapes: mpsc::Sender<Scrape>) -> Result<(), hyper::Error> {
    let service = service_fn(move |request: Request<Incoming>| {
        let scrapes = scrapes.clone();
        async move { Ok::<_, Infallible>(answer(request.uri().path(), &scrapes).await) }
    });
    http1::Builder::new()
        .max_buf_size(8 * 1024)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

async fn answer(path: &str, scrapes: &mpsc::Sender<Scrape>) -> Response<String> {
    let (status, text) = match path {
        "/metrics" => match scrape(scrapes).await {
            Some(line) => (StatusCode::OK, text(&line)),
            None => (StatusCode::SERVICE_UNAVAILABLE, "the edge is ending\n".to_owned()),
        },
        _ => (StatusCode::NOT_FOUND, "there is /metrics only\n".to_owned()),
    };
    let mut response = Response::new(text);
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

async fn scrape(scrapes: &mpsc::Sender<Scrape>) -> Option<String> {
    let (reply, line) = oneshot::channel();
    scrapes.send(reply).await.ok()?;
    line.await.ok()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn they_are_served_over_http() {
        let listener = listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, mut scrapes) = mpsc::channel::<Scrape>(1);
        tokio::spawn(serve(listener, sender));
        tokio::spawn(async move {
            while let Some(scrape) = scrapes.recv().await {
                let _ = scrape.send(r#"{"connected":true}"#.to_owned());
            }
        });
        for (path, status) in [("/metrics", "200"), ("/", "404")] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
            assert_eq!(answer.contains("tern_edge_connected 1"), path == "/metrics");
        }
    }
}
