//! The API as docs/API.md describes it, against a whole ground.

mod access;
mod bad_input;
mod commands;
mod history;
mod http;
mod resume;
mod stalled;

use super::*;

/// What a client was told, as far as one message.
async fn until(client: &mut Socket<TcpStream>, is_last: impl Fn(&Json) -> bool) -> Vec<Json> {
    let mut told = Vec::new();
    loop {
        let message = client.json().await;
        let last = is_last(&message);
        told.push(message);
        if last {
            return told;
        }
    }
}

async fn until_kind(client: &mut Socket<TcpStream>, kind: &str) -> Vec<Json> {
    until(client, |message| message["type"] == kind).await
}

/// The sequence numbers of records of a phase.
fn sequences(told: &[Json], phase: &Json) -> Vec<u64> {
    let records = told.iter().filter(|message| message["type"] == "record" && message["phase"] == *phase);
    records.map(|record| record["seq"].as_u64().unwrap()).collect()
}

/// A vehicle that is welcome and has told its schema.
async fn announced(ground: &Ground) -> Socket<TcpStream> {
    let mut vehicle = ground.vehicle().await;
    vehicle.welcomed().await;
    vehicle.tell(&schema_message()).await;
    vehicle
}
