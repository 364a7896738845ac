//! Cursors: nothing is lost and nothing repeated, whatever the connection or the ground did.

use super::*;

async fn resume(ground: &Ground, cursor: &Json, live: Option<&Json>) -> Socket<TcpStream> {
    let mut client = ground.connect("/ws").await;
    let mut message = json!({"type": "resume", "cursor": cursor});
    if let Some(live) = live {
        message["live"] = live.clone();
    }
    client.say(message).await;
    client
}

/// Live records, up to this sequence number; returns the last.
async fn live_up_to(client: &mut Socket<TcpStream>, sequence: u64) -> Json {
    let told = until(client, |message| message["seq"] == sequence && message["phase"] == Json::Null).await;
    told.last().unwrap().clone()
}

#[tokio::test]
async fn a_dropped_connection_is_resumed_without_loss_or_repetition() {
    let ground = start(|_| ()).await;
    let mut vehicle = announced(&ground).await;
    let (mut client, _) = ground.browser().await;
    vehicle.tell(&frame(Lane::Live, 0, 4)).await;
    // In the middle of a frame.
    let cursor = live_up_to(&mut client, 1).await["cursor"].clone();
    drop(client);
    vehicle.tell(&frame(Lane::Backlog, 4, 300)).await;
    vehicle.tell(&frame(Lane::Live, 304, 1)).await;
    vehicle.acknowledged_up_to(305).await;

    let mut client = resume(&ground, &cursor, None).await;
    let told = until_kind(&mut client, "filled").await;
    let kinds: Vec<&Json> = told.iter().map(|message| &message["type"]).collect();
    assert_eq!(kinds[..6], ["hello", "access", "vehicle", "stream", "record", "ready"]);
    assert_eq!(sequences(&told, &json!("snapshot")), [304]);
    assert_eq!(sequences(&told, &json!("fill")), (2..305).collect::<Vec<u64>>());
    assert_eq!(told.last().unwrap()["records"], 303);
    let first = told.iter().find(|message| message["phase"] == "fill").unwrap();
    assert_eq!((&first["lane"], &first["fields"]["percent"]), (&json!("live"), &json!(2.0)));

    // And from the end of the fill there is nothing to fill.
    let mut client = resume(&ground, &told.last().unwrap()["cursor"], None).await;
    assert_eq!(until_kind(&mut client, "filled").await.last().unwrap()["records"], 0);
    vehicle.tell(&frame(Lane::Live, 305, 1)).await;
    assert_eq!(live_up_to(&mut client, 305).await["phase"], Json::Null);
}

#[tokio::test]
async fn a_cursor_outlives_the_ground() {
    let dir = tempfile::tempdir().unwrap();
    let ground = start_in(dir.path(), |_| ()).await;
    let mut vehicle = announced(&ground).await;
    let (mut client, _) = ground.browser().await;
    vehicle.tell(&frame(Lane::Live, 0, 5)).await;
    let cursor = live_up_to(&mut client, 2).await["cursor"].clone();
    vehicle.acknowledged_up_to(5).await;
    drop((client, vehicle));
    ground.relay.shutdown().await;

    let ground = start_in(dir.path(), |_| ()).await;
    let mut vehicle = ground.vehicle().await;
    assert_eq!(vehicle.welcomed().await, 5);
    vehicle.tell(&frame(Lane::Live, 5, 2)).await;
    vehicle.acknowledged_up_to(7).await;
    let mut client = resume(&ground, &cursor, None).await;
    let told = until_kind(&mut client, "filled").await;
    assert_eq!(sequences(&told, &json!("fill")), [3, 4, 5, 6]);
}

#[tokio::test]
async fn a_fill_that_was_interrupted_goes_on_where_it_was() {
    let ground = start(|_| ()).await;
    let mut vehicle = announced(&ground).await;
    let (client, _) = ground.browser().await;
    drop(client);
    let mut client = ground.connect("/ws").await;
    client.say(json!({"type": "subscribe"})).await;
    let mut cursor = until_kind(&mut client, "ready").await.last().unwrap()["cursor"].clone();
    drop(client);
    // More than a page of frames.
    for n in 0..150 {
        vehicle.tell(&frame(Lane::Live, n * 10, 10)).await;
    }
    vehicle.acknowledged_up_to(1500).await;

    let (mut seen, mut next_live) = (Vec::new(), 1500);
    let mut live: Option<Json> = None;
    for connection in 0..4 {
        let mut client = resume(&ground, &cursor, live.as_ref()).await;
        let ready = until_kind(&mut client, "ready").await.pop().unwrap();
        (cursor, live) = (ready["cursor"].clone(), None);
        vehicle.tell(&frame(Lane::Live, next_live, 2)).await;
        next_live += 2;
        let (mut filled, mut live_seen) = (0, 0);
        loop {
            let message = client.json().await;
            if message["type"] == "filled" {
                assert_eq!(connection, 3, "the fill is longer than a connection's share");
                break;
            }
            let Some(sequence) = message["seq"].as_u64() else { continue };
            seen.push(sequence);
            if message["phase"] == "fill" {
                cursor = message["cursor"].clone();
                filled += 1;
            } else {
                live = Some(message["cursor"].clone());
                live_seen += 1;
            }
            if connection < 3 && filled >= 100 && live_seen == 2 {
                break;
            }
        }
        while live_seen < 2 {
            let message = client.json().await;
            if let Some(sequence) = message["seq"].as_u64() {
                seen.push(sequence);
                live_seen += 1;
            }
        }
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..1508).collect::<Vec<u64>>());
}

#[tokio::test]
async fn cursors_of_another_history_and_none_at_all_are_told() {
    let ground = start(|_| ()).await;
    let mut client = resume(&ground, &json!("1-5"), None).await;
    let missing = until_kind(&mut client, "missing").await.pop().unwrap();
    assert_eq!((&missing["reason"], &missing["from"]), (&json!("unknown-cursor"), &Json::Null));
    client.json_of("ready").await;
    let mut client = resume(&ground, &json!("yesterday"), None).await;
    assert_eq!(client.json_of("error").await["code"], "bad-cursor");
}

#[tokio::test]
async fn more_than_a_fill_brings_is_said_to_be_missing() {
    let ground = start(|_| ()).await;
    let mut vehicle = announced(&ground).await;
    let mut client = ground.connect("/ws").await;
    client.say(json!({"type": "subscribe", "streams": ["nothing"]})).await;
    let cursor = until_kind(&mut client, "ready").await.pop().unwrap()["cursor"].clone();
    for n in 0..26 {
        vehicle.tell(&frame(Lane::Live, n * 4000, 4000)).await;
        vehicle.acknowledged_up_to((n + 1) * 4000).await;
    }
    let mut client = resume(&ground, &cursor, None).await;
    let missing = client.json_of("missing").await;
    assert_eq!(missing["reason"], "too-old");
    assert!(missing["from"].as_f64().unwrap() < missing["to"].as_f64().unwrap(), "{missing}");
    let told = until_kind(&mut client, "filled").await;
    assert_eq!(sequences(&told, &json!("fill")), (4000..104_000).collect::<Vec<u64>>());

    // History has them all, so many a request.
    client.say(json!({"type": "history", "id": "h", "vehicle": "alpha"})).await;
    let end = until_kind(&mut client, "history-end").await.pop().unwrap();
    assert_eq!(end["records"], 100_000);
    client.say(json!({"type": "history", "id": "h", "vehicle": "alpha", "after": end["next"]})).await;
    let rest = until_kind(&mut client, "history-end").await;
    let first = rest.iter().find(|message| message["type"] == "records").unwrap();
    assert_eq!((&first["records"][0]["seq"], &rest.last().unwrap()["next"]), (&json!(100_000), &Json::Null));
}

#[tokio::test]
async fn the_newest_values_are_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let ground = start_in(dir.path(), |_| ()).await;
    let mut vehicle = announced(&ground).await;
    vehicle.tell(&frame(Lane::Live, 0, 3)).await;
    // A stream that nothing more comes of.
    let (_, mut rare) = humidity();
    rare.stream = "rare".to_owned();
    let schemas = SchemaTable::from([(SchemaId(1), Arc::new(rare.clone()))]);
    vehicle
        .tell(&ToGround::Schemas(vec![SchemaAnnouncement { id: SchemaId(1), body: SchemaBody::Full(rare) }]))
        .await;
    let record = Record { schema: SchemaId(1), time: Timestamp(5), values: vec![Value::F32(9.0)] };
    let bytes = codec::encode(&Batch::new(vec![record]), &schemas);
    vehicle
        .tell(&ToGround::Frame(FrameMessage {
            lane: Lane::Live,
            object: Object { offset: 3, skips: Vec::new(), frame: bytes },
        }))
        .await;
    for n in 4..104 {
        vehicle.tell(&frame(Lane::Live, n, 1)).await;
    }
    vehicle.acknowledged_up_to(104).await;
    ground.relay.shutdown().await;

    let ground = start_in(dir.path(), |_| ()).await;
    let (_client, snapshot) = ground.browser().await;
    let records: Vec<(&Json, &Json)> = snapshot
        .iter()
        .filter(|message| message["type"] == "record")
        .map(|record| (&record["stream"], &record["seq"]))
        .collect();
    assert_eq!(records, [(&json!("humidity"), &json!(103)), (&json!("rare"), &json!(3))]);
}
