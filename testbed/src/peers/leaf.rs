//! Core NATS: a leaf node on the vehicle. What is published while it is not connected is gone.

use super::PeersError;
use super::broker::{SUBJECT, carry};
use super::nats;
use super::seat::{Parts, Seat};

pub(super) async fn start(seat: Seat<'_>) -> Result<Parts, PeersError> {
    let mut servers = nats::start(&seat, |_| String::new()).await?;
    servers.ground.subscribe(SUBJECT).await?;
    carry(seat, servers.brokers, servers.edge, servers.ground).await
}
