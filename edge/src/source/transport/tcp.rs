//! A TCP port of ours, to which several peers connect.

use std::io;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time;

use super::connection::{notice_dead_peers, pump};
use super::{RETRY_AFTER, udp};
use crate::source::SourceError;
use crate::source::decoder::NewDecoder;
use crate::source::output::{Closed, Counts, Output, WhenFull};

/// The most peers at once; one more is turned away.
const MAX_PEERS: usize = 32;

/// Takes peers in until nobody takes their samples any more.
pub(super) async fn listen(
    address: &str,
    new_decoder: &Arc<NewDecoder>,
    output: &Output,
) -> Result<(), SourceError> {
    let listener = udp::bind_patiently(address, || TcpListener::bind(address)).await?;
    tracing::info!(address, "source listening");
    let mut peers: JoinSet<Result<(), Closed>> = JoinSet::new();
    let mut first = true;
    loop {
        let accepted = tokio::select! {
            biased;
            Some(ended) = peers.join_next() => {
                if let Ok(Err(Closed)) = ended {
                    return Ok(());
                }
                continue;
            }
            accepted = listener.accept() => accepted,
        };
        match accepted.and_then(|(stream, peer)| notice_dead_peers(&stream).map(|()| (stream, peer))) {
            Ok((_, peer)) if peers.len() >= MAX_PEERS => {
                tracing::warn!(address, %peer, MAX_PEERS, "peer turned away: too many");
            }
            Ok((stream, peer)) => {
                tracing::info!(address, %peer, "peer connected");
                output.counters().add(Counts { reconnects: (!first).into(), ..Counts::default() });
                first = false;
                peers.spawn(serve(stream, peer.to_string(), new_decoder.clone(), output.clone()));
            }
            Err(error) => {
                // Out of file descriptors, most likely: at once it would only fail again.
                tracing::warn!(address, %error, "peer not accepted");
                time::sleep(RETRY_AFTER).await;
            }
        }
    }
}

async fn serve(
    stream: TcpStream,
    peer: String,
    new_decoder: Arc<NewDecoder>,
    output: Output,
) -> Result<(), Closed> {
    let error: io::Error = pump(stream, new_decoder().as_mut(), WhenFull::Wait, &output).await?;
    tracing::info!(peer, %error, "peer gone");
    Ok(())
}
