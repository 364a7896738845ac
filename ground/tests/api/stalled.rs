//! A client that stops reading: it costs its bounded queue, nobody else anything, and learns what it missed.

use tokio::net::TcpSocket;

use super::*;

/// Records of a frame. Together with the number of frames far more than a client's share of the ground's memory (4 MB) and
/// what the kernel keeps for its connection (4 MB and a little).
const RECORDS: u64 = 10;
const FRAMES: u64 = 110;
const TEXT_BYTES: usize = 12_000;

fn words() -> Schema {
    let fields = vec![Field::new("n", FieldKind::I64), Field::new("words", FieldKind::Text)];
    Schema { stream: "words".to_owned(), origin: Origin::Sensor, class: Class::Live, fields }
}

fn long_frame(first: u64) -> ToGround {
    let record = |n: u64| Record {
        schema: SchemaId(0),
        time: Timestamp::from_millis(n as i64),
        values: vec![Value::Int(n as i64), Value::Text("x".repeat(TEXT_BYTES))],
    };
    let records = (first..first + RECORDS).map(record).collect();
    let frame = codec::encode(&Batch::new(records), &SchemaTable::from([(SchemaId(0), Arc::new(words()))]));
    ToGround::Frame(FrameMessage {
        lane: Lane::Live,
        object: Object { offset: first as i64, skips: Vec::new(), frame },
    })
}

/// A client that has subscribed, of which the kernel keeps little.
async fn with_small_buffer(ground: &Ground) -> Socket<TcpStream> {
    let address = ground.relay.address();
    let socket = TcpSocket::new_v4().unwrap();
    // The less the kernel keeps for it, the sooner it is behind.
    socket.set_recv_buffer_size(4096).unwrap();
    let stream = socket.connect(address).await.unwrap();
    let (socket, _) = tokio_tungstenite::client_async(format!("ws://{address}/ws"), stream).await.unwrap();
    let mut client = Socket(socket);
    client.say(json!({"type": "subscribe"})).await;
    until_kind(&mut client, "ready").await;
    client
}

#[tokio::test]
async fn a_client_that_stops_reading_costs_others_nothing_and_is_told_what_it_missed() {
    let ground = start(|_| ()).await;
    let mut vehicle = ground.vehicle().await;
    vehicle.welcomed().await;
    let announcement = SchemaAnnouncement { id: SchemaId(0), body: SchemaBody::Full(words()) };
    vehicle.tell(&ToGround::Schemas(vec![announcement])).await;
    let (mut reader, _) = ground.browser().await;

    let mut stalled = with_small_buffer(&ground).await;

    let all = RECORDS * FRAMES;
    let mut read = 0;
    for first in (0..all).step_by(RECORDS as usize) {
        vehicle.tell(&long_frame(first)).await;
        while read < first + RECORDS {
            let record = reader.json_of("record").await;
            assert_eq!(record["seq"], read, "the one that reads misses nothing");
            read += 1;
        }
    }

    let is_newest = |message: &Json| message["type"] == "record" && message["seq"] == all - 1;
    let told = until(&mut stalled, is_newest).await;
    let live = sequences(&told, &Json::Null);
    assert_eq!(live, (0..live.len() as u64).collect::<Vec<_>>(), "what came before it was behind is whole");
    let missed = told.iter().find(|message| message["type"] == "missed").expect("it is told");
    assert_eq!(missed["count"].as_u64().unwrap(), all - live.len() as u64);
    assert_eq!(sequences(&told, &json!("snapshot")), [all - 1], "and goes on with the newest");
    vehicle.tell(&long_frame(all)).await;
    until(&mut stalled, |message| message["seq"] == all + RECORDS - 1).await;

    // What it missed is in the history, from the cursor that it was given.
    let mut resumed = ground.connect("/ws").await;
    resumed.say(json!({"type": "resume", "cursor": missed["from"]})).await;
    let filled = until_kind(&mut resumed, "filled").await;
    assert_eq!(sequences(&filled, &json!("fill")), (live.len() as u64..all + RECORDS).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_is_published_and_what_is_asked_for_keep_apart() {
    let ground = start(|_| ()).await;
    let mut vehicle = ground.vehicle().await;
    vehicle.welcomed().await;
    let announcement = SchemaAnnouncement { id: SchemaId(0), body: SchemaBody::Full(words()) };
    vehicle.tell(&ToGround::Schemas(vec![announcement])).await;
    let mut client = with_small_buffer(&ground).await;
    let mut told = Vec::new();
    for (number, first) in (0..RECORDS * 40).step_by(RECORDS as usize).enumerate() {
        // Both go at once. The connection takes neither as a whole.
        vehicle.tell(&long_frame(first)).await;
        let id = format!("none-{number}");
        client.say(json!({"type": "unsubscribe", "id": id})).await;
        let (mut is_answered, mut is_newest) = (false, false);
        while !(is_answered && is_newest) {
            let message = client.json().await;
            is_answered |= message["id"] == *id;
            is_newest |= message["seq"] == first + RECORDS - 1;
            told.push(message);
        }
    }
    assert_eq!(sequences(&told, &Json::Null), (0..RECORDS * 40).collect::<Vec<_>>());
}
