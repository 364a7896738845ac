//! Who sees what.

use tern_ground::access::ClientToken;
use tern_shared::pattern::Pattern;

use super::*;

async fn guarded() -> Ground {
    start(|config| {
        let view = vec![Pattern::new("al*").unwrap()];
        let ops = ClientToken { token: Token("ops".to_owned()), view, command: Vec::new() };
        config.clients.insert("ops".to_owned(), ops);
        config.origins = vec!["https://ops.example".to_owned()];
    })
    .await
}

async fn beta(ground: &Ground) {
    let mut vehicle = ground.connect("/vehicle").await;
    let ToGround::Hello(mut hello) = hello("") else { unreachable!() };
    hello.vehicle = "beta".parse().unwrap();
    vehicle.tell(&ToGround::Hello(hello)).await;
    vehicle.welcomed().await;
    vehicle.tell(&schema_message()).await;
    vehicle.tell(&frame(Lane::Live, 0, 1)).await;
    vehicle.acknowledged_up_to(1).await;
}

#[tokio::test]
async fn a_token_shows_its_own_vehicles_only() {
    let ground = guarded().await;
    beta(&ground).await;
    let mut vehicle = announced(&ground).await;
    let mut client = ground.try_connect("/ws", Some(("authorization", "Bearer ops"))).await.unwrap();
    let access = client.json_of("access").await;
    assert_eq!(
        (&access["name"], &access["view"], &access["command"]),
        (&json!("ops"), &json!(["al*"]), &json!([]))
    );
    for (refused, code) in [
        (json!({"type": "subscribe", "id": "b", "vehicles": ["beta"]}), "forbidden"),
        (json!({"type": "history", "id": "b", "vehicle": "beta"}), "forbidden"),
        (json!({"type": "unsubscribe", "id": "b"}), "unknown-id"),
    ] {
        client.say(refused).await;
        let error = client.json_of("error").await;
        assert_eq!((&error["code"], &error["id"]), (&json!(code), &json!("b")));
    }
    client.say(json!({"type": "subscribe"})).await;
    let snapshot = until_kind(&mut client, "ready").await;
    assert!(snapshot.iter().all(|message| message["vehicle"] != "beta"), "{snapshot:?}");
    vehicle.tell(&frame(Lane::Live, 0, 1)).await;
    assert_eq!(client.json_of("record").await["vehicle"], "alpha");
    // A resumed subscription sees no more.
    client.say(json!({"type": "resume", "id": "r", "cursor": snapshot.last().unwrap()["cursor"]})).await;
    let told = until_kind(&mut client, "filled").await;
    assert!(told.iter().all(|message| message["vehicle"] != "beta"));
}

#[tokio::test]
async fn http_answers_by_token_and_origin() {
    let ground = guarded().await;
    beta(&ground).await;
    let status = async |path: &str, headers: &str| {
        let answer = ground.get_with(path, headers).await;
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    let ops = "authorization: Bearer ops\r\n";
    assert_eq!(status("/api/vehicles", "").await, "401");
    assert_eq!(status("/api/vehicles", "authorization: Bearer wrong\r\n").await, "401");
    assert_eq!(status("/api/vehicles", ops).await, "200");
    assert_eq!(status("/metrics", "").await, "401");
    assert_eq!(status("/api/events", "").await, "401");
    for path in ["latest", "history", "export?format=csv"] {
        assert_eq!(status(&format!("/api/vehicles/beta/{path}"), ops).await, "403", "{path}");
        assert_eq!(status(&format!("/api/vehicles/alps/{path}"), ops).await, "404", "{path}");
    }
    assert!(!ground.get_with("/api/vehicles", ops).await.contains("beta"));
    assert!(!ground.get_with("/metrics", ops).await.contains("beta"));
    // A token in a URL gives nothing.
    assert_eq!(status("/api/vehicles?token=ops", "").await, "401");
    assert_eq!(status("/api/vehicles", &format!("{ops}origin: https://evil.example\r\n")).await, "403");
    let allowed = ground.get_with("/api/vehicles", &format!("{ops}origin: https://ops.example\r\n")).await;
    assert!(allowed.contains("access-control-allow-origin: https://ops.example"), "{allowed}");
    assert!(ground.try_connect("/ws", Some(("origin", "https://evil.example"))).await.is_err());
    assert!(ground.try_connect("/ws", Some(("origin", "https://ops.example"))).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_connection_ends_with_its_token_unless_that_is_renewed() {
    let secret = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY";
    let dir = tempfile::tempdir().unwrap();
    let keys = dir.path().join("keys.json");
    std::fs::write(&keys, json!({"keys": [{"kty": "oct", "k": secret}]}).to_string()).unwrap();
    let ground = start(|config| {
        config.jwt = Some(tern_ground::config::JwtConfig { keys, issuer: None, audience: None });
        config.client_threads = 0;
    })
    .await;
    let now = tern_ground::clock::wall_now().0 / 1_000_000;
    let token = |seconds: i64| {
        let base64url = |bytes: &[u8]| {
            use std::io::Write as _;
            let mut child = std::process::Command::new("base64")
                .args(["-w0"])
                .stdin(std::process::Stdio::piped())
                .stdout(std::process::Stdio::piped())
                .spawn()
                .unwrap();
            child.stdin.take().unwrap().write_all(bytes).unwrap();
            let text = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
            text.trim_end_matches('=').replace('+', "-").replace('/', "_")
        };
        let claims = json!({"exp": now + seconds, "tern": {"view": ["*"]}});
        let signed =
            format!("{}.{}", base64url(b"{\"alg\":\"HS256\"}"), base64url(claims.to_string().as_bytes()));
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"0123456789abcdef0123456789abcdef");
        let signature = ring::hmac::sign(&key, signed.as_bytes());
        format!("{signed}.{}", base64url(signature.as_ref()))
    };
    let mut client = ground.connect("/ws").await;
    client.say(json!({"type": "authenticate", "token": token(100)})).await;
    assert!(client.json_of("access").await["expires"].as_f64().unwrap() > now as f64);
    client.say(json!({"type": "authenticate", "token": token(10_000)})).await;
    client.json_of("access").await;
    let (start, mut times) = (tokio::time::Instant::now(), 0);
    let error = loop {
        let message = client.json().await;
        match message["type"].as_str().unwrap() {
            "time" => times += 1,
            _ => break message,
        }
    };
    assert_eq!(error["code"], "expired");
    assert!(start.elapsed() > Duration::from_secs(9000) && times > 1000);
    assert_eq!(client.next().await, None);

    let mut silent = ground.connect("/ws").await;
    assert_eq!(silent.json_of("error").await["code"], "not-authorized");
}
