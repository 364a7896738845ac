//! What clients get wrong, on purpose or not: each is told, and nobody else notices.

use super::*;

/// A ground, a client that must not notice anything, and one that may.
async fn pair() -> (Ground, Socket<TcpStream>, Socket<TcpStream>, Socket<TcpStream>) {
    let ground = start(|_| ()).await;
    let vehicle = announced(&ground).await;
    let (witness, _) = ground.browser().await;
    let (client, _) = ground.browser().await;
    (ground, vehicle, witness, client)
}

async fn sees(vehicle: &mut Socket<TcpStream>, client: &mut Socket<TcpStream>, sequence: u64) {
    vehicle.tell(&frame(Lane::Live, sequence, 1)).await;
    assert_eq!(client.json_of("record").await["seq"], sequence);
}

#[tokio::test]
async fn messages_that_cannot_be_read_are_refused_and_the_connection_stays() {
    let (_ground, mut vehicle, mut witness, mut client) = pair().await;
    let deep = "[".repeat(30_000);
    for text in [
        "",
        "{",
        "null",
        "{}",
        r#"{"type":7}"#,
        r#"{"type":"subscribe","id":5}"#,
        r#"{"type":"subscribe","colour":"red"}"#,
        r#"{"type":"subscribe","max_rate_hz":"fast"}"#,
        &deep,
        &format!(r#"{{"type":"subscribe","vehicles":{deep}"#),
        &format!(r#"{{"type":"dance","with":{deep}"#),
    ] {
        client.0.send(Message::text(text)).await.unwrap();
        let error = client.json_of("error").await;
        assert_eq!(error["code"], "malformed", "{}", &text[..text.len().min(60)]);
    }
    for bytes in [vec![], vec![0xc1], vec![0x91; 30_000], vec![0xdf, 0xff, 0xff, 0xff, 0xff], vec![0x7b; 100]]
    {
        client.0.send(Message::Binary(bytes.into())).await.unwrap();
        assert_eq!(client.json_of("error").await["code"], "malformed");
    }
    for (message, code) in [
        (json!({"type": "subscribe", "id": "x".repeat(33)}), "limit"),
        (json!({"type": "subscribe", "max_rate_hz": 0}), "limit"),
        (json!({"type": "subscribe", "vehicles": vec!["x"; 65]}), "limit"),
        (json!({"type": "resume", "cursor": "1-1".to_owned() + &"+1.2".repeat(100)}), "bad-cursor"),
        (json!({"type": "cancel", "id": "none"}), "unknown-id"),
        (json!({"type": "launch"}), "unknown-operation"),
    ] {
        client.say(message.clone()).await;
        assert_eq!(client.json_of("error").await["code"], code, "{message}");
    }
    // The subscription that it had goes on.
    sees(&mut vehicle, &mut client, 0).await;
    assert_eq!(witness.json_of("record").await["seq"], 0);
}

#[tokio::test]
async fn a_flood_of_subscriptions_ends_at_its_bound() {
    let (_ground, mut vehicle, mut witness, mut client) = pair().await;
    for n in 0..20 {
        client.say(json!({"type": "subscribe", "id": format!("s{n}")})).await;
    }
    for n in 15..20 {
        let error = client.json_of("error").await;
        assert_eq!((&error["code"], &error["id"]), (&json!("limit"), &json!(format!("s{n}"))));
    }
    client.say(json!({"type": "unsubscribe", "id": "s0"})).await;
    client.json_of("unsubscribed").await;
    client.say(json!({"type": "subscribe", "id": "again"})).await;
    until(&mut client, |message| message["type"] == "ready" && message["sub"] == "again").await;
    sees(&mut vehicle, &mut witness, 0).await;
    let mut subs = std::collections::BTreeSet::new();
    while subs.len() < 16 {
        subs.insert(client.json_of("record").await["sub"].as_str().unwrap_or_default().to_owned());
    }
    assert!(subs.contains("again") && !subs.contains("s0"));
}

#[tokio::test]
async fn a_flood_of_messages_ends_the_connection_with_a_reason() {
    let (_ground, mut vehicle, mut witness, mut client) = pair().await;
    for _ in 0..1000 {
        let unsubscribe = Message::text(r#"{"type":"unsubscribe","id":"x"}"#);
        if client.0.send(unsubscribe).await.is_err() {
            break;
        }
    }
    let mut last = None;
    while let Some(message) = client.next().await {
        last = Some(serde_json::from_str::<Json>(message.to_text().unwrap()).unwrap()["code"].clone());
    }
    // Where the reset overtakes it, the reason is lost.
    assert!(last == Some(json!("too-fast")) || last == Some(json!("unknown-id")), "{last:?}");
    sees(&mut vehicle, &mut witness, 0).await;
}

#[tokio::test]
async fn what_is_too_large_or_no_websocket_ends_the_connection() {
    let (ground, mut vehicle, mut witness, mut client) = pair().await;
    client.0.send(Message::text("x".repeat(33 * 1024))).await.unwrap();
    assert_eq!(client.json_of("error").await["code"], "too-large");
    assert_eq!(client.next().await, None);
    let (client, _) = ground.browser().await;
    let mut stream = client.0.into_inner();
    // A text frame that is not masked.
    stream.write_all(&[0x81, 0x02, b'{', b'}']).await.unwrap();
    let mut told = Vec::new();
    let _ = tokio::time::timeout(LIMIT, stream.read_to_end(&mut told)).await.expect("the connection stays");
    sees(&mut vehicle, &mut witness, 0).await;
}

#[tokio::test]
async fn clients_that_ask_for_it_get_message_pack() {
    let ground = start(|_| ()).await;
    let mut vehicle = announced(&ground).await;
    let mut client =
        ground.try_connect("/ws", Some(("sec-websocket-protocol", "tern.msgpack"))).await.unwrap();
    let unpack = |message: Option<Message>| match message {
        Some(Message::Binary(bytes)) => rmp_serde::from_slice::<Json>(&bytes).unwrap(),
        other => panic!("no MessagePack but {other:?}"),
    };
    assert_eq!(unpack(client.next().await)["type"], "hello");
    let subscribe = rmp_serde::to_vec_named(&json!({"type": "subscribe", "id": "m"})).unwrap();
    client.0.send(Message::Binary(subscribe.into())).await.unwrap();
    while unpack(client.next().await)["type"] != "ready" {}
    vehicle.tell(&frame(Lane::Live, 0, 1)).await;
    loop {
        let message = unpack(client.next().await);
        if message["type"] == "record" {
            assert_eq!((&message["sub"], &message["fields"]), (&json!("m"), &json!({"percent": 0.0})));
            break;
        }
    }
}
