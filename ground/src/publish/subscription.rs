//! What one client is yet to be sent.
//!
//! A client is behind when updates were dropped from its queue, or have waited for it for over 2 s: sending them would
//! show the past as if it were live, so it starts again from the newest values.

use std::time::Duration;

use axum::extract::ws::Utf8Bytes;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::hub::Piece;
use super::{Filter, Hub};

/// The longest that an update waits for its client.
const MAX_WAIT: Duration = Duration::from_secs(2);

/// A client's place in the stream of updates.
#[derive(Debug)]
pub struct Subscription {
    filter: Filter,
    updates: broadcast::Receiver<Piece>,
}

/// What comes next for a client.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Messages to send.
    Messages(Vec<Utf8Bytes>),
    /// The client is behind: so many pieces were skipped, and the newest values are to be sent in their place.
    Behind {
        /// How many.
        missed: u64,
        /// The newest values.
        snapshot: Vec<Utf8Bytes>,
    },
    /// Nothing will come any more.
    Closed,
}

impl Subscription {
    /// Subscribes to what `filter` wants; returns the newest of it, too.
    pub fn new(hub: &Hub, filter: Filter) -> (Subscription, Vec<Utf8Bytes>) {
        let (snapshot, updates) = hub.subscribe(&filter);
        (Subscription { filter, updates }, snapshot)
    }

    /// Waits for what comes next. May be dropped while it waits.
    pub async fn next(&mut self, hub: &Hub) -> Next {
        let missed = match self.updates.recv().await {
            Ok(piece) if piece.published.elapsed() <= MAX_WAIT => {
                let wanted = piece.updates.iter().filter(|update| update.is_wanted(&self.filter));
                return Next::Messages(wanted.map(|update| update.text.clone()).collect());
            }
            Ok(_) => 1,
            Err(RecvError::Lagged(missed)) => missed,
            Err(RecvError::Closed) => return Next::Closed,
        };
        let missed = missed + self.updates.len() as u64;
        let (snapshot, updates) = hub.subscribe(&self.filter);
        self.updates = updates;
        Next::Behind { missed, snapshot }
    }
}

#[cfg(test)]
mod tests {
    use tern_shared::id::VehicleId;

    use super::*;

    fn subscribe(hub: &Hub) -> Subscription {
        let any = ["*".to_owned()];
        Subscription::new(hub, Filter::new(&any, &any).unwrap()).0
    }

    fn publish(hub: &Hub, text: &str) {
        let vehicle: VehicleId = "alpha".parse().unwrap();
        hub.publish_vehicle(&vehicle, text.to_owned());
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_waited_too_long_gives_way_to_the_newest() {
        let hub = Hub::new(broadcast::channel(16).0);
        let mut client = subscribe(&hub);
        publish(&hub, "1");
        tokio::time::advance(Duration::from_secs(1)).await;
        publish(&hub, "2");
        assert_eq!(client.next(&hub).await, Next::Messages(vec!["1".into()]));
        tokio::time::advance(Duration::from_secs(3)).await;
        publish(&hub, "3");
        assert_eq!(client.next(&hub).await, Next::Behind { missed: 2, snapshot: vec!["3".into()] });
        publish(&hub, "4");
        assert_eq!(client.next(&hub).await, Next::Messages(vec!["4".into()]));
    }

    #[tokio::test]
    async fn a_client_whose_queue_overflows_starts_from_the_newest() {
        let hub = Hub::new(broadcast::channel(4).0);
        let mut client = subscribe(&hub);
        for n in 0..10 {
            publish(&hub, &n.to_string());
        }
        assert_eq!(client.next(&hub).await, Next::Behind { missed: 10, snapshot: vec!["9".into()] });
    }
}
