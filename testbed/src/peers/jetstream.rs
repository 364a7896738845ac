//! NATS JetStream: a stream on the vehicle (on disk), and one on the ground that has it as its source.

use serde_json::json;

use super::PeersError;
use super::broker::{SUBJECT, carry};
use super::nats::{self, stream};
use super::seat::{Parts, Seat};
use crate::run::Role;

/// Where the ground's consumer delivers.
const DELIVERY: &str = "delivery";
const EDGE_STREAM: &str = "EDGE";
const GROUND_STREAM: &str = "GROUND";

pub(super) async fn start(seat: Seat<'_>) -> Result<Parts, PeersError> {
    let settings = |role| {
        let domain = match role {
            Role::Edge => "edge",
            Role::Ground => "ground",
        };
        let store = seat.folder.join(domain);
        format!("server_name: {domain}\njetstream {{ domain: {domain}, store_dir: \"{}\" }}", store.display())
    };
    let mut servers = nats::start(&seat, settings).await?;
    let mut edge_stream = stream(EDGE_STREAM);
    edge_stream["subjects"] = json!([SUBJECT]);
    servers.edge.request(&format!("$JS.API.STREAM.CREATE.{EDGE_STREAM}"), edge_stream).await?;
    let mut ground_stream = stream(GROUND_STREAM);
    ground_stream["sources"] = json!([{ "name": EDGE_STREAM, "external": { "api": "$JS.edge.API" } }]);
    servers.ground.request(&format!("$JS.API.STREAM.CREATE.{GROUND_STREAM}"), ground_stream).await?;
    servers.ground.subscribe(DELIVERY).await?;
    let consumer = json!({
        "stream_name": GROUND_STREAM,
        "config": { "deliver_subject": DELIVERY, "deliver_policy": "all", "ack_policy": "none" },
    });
    servers.ground.request(&format!("$JS.API.CONSUMER.CREATE.{GROUND_STREAM}"), consumer).await?;
    carry(seat, servers.brokers, servers.edge, servers.ground).await
}
