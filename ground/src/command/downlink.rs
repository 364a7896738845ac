//! From the center and whoever steers to a vehicle's connection.

use std::collections::BTreeMap;

use tern_shared::command::Order;
use tern_shared::command::control::SetPoint;
use tern_shared::time::Timestamp;
use tokio::sync::{mpsc, watch};

/// Orders that a connection may be behind.
const ORDERS: usize = 256;

/// The newest set-point of each control.
pub(super) type SetPoints = BTreeMap<String, SetPoint>;

/// What a connection is to send to its vehicle, beside what its session says.
#[derive(Debug)]
pub struct Downlink {
    orders: mpsc::Receiver<Order>,
    set_points: watch::Receiver<SetPoints>,
    /// The newest that was sent of each control.
    sent: BTreeMap<String, Timestamp>,
}

pub(super) fn channel() -> (mpsc::Sender<Order>, watch::Sender<SetPoints>, Downlink) {
    let (orders_sender, orders) = mpsc::channel(ORDERS);
    let (set_points_sender, set_points) = watch::channel(SetPoints::new());
    (orders_sender, set_points_sender, Downlink { orders, set_points, sent: BTreeMap::new() })
}

impl Downlink {
    /// The next order; pends for ever when there will be none. Of set-points only the newest. Cancel safe.
    pub async fn next(&mut self) -> Order {
        loop {
            if let Some(set_point) = self.newest() {
                return Order::SetPoint(set_point);
            }
            tokio::select! {
                biased;
                // Priority 1: what is waited for with the hand on the stick.
                Ok(()) = self.set_points.changed() => {}
                // Priority 2: commands.
                Some(order) = self.orders.recv() => return order,
                else => std::future::pending().await,
            }
        }
    }

    /// A set-point that has not been sent, and is the newest of its control.
    fn newest(&mut self) -> Option<SetPoint> {
        let set_points = self.set_points.borrow_and_update();
        let unsent = |set_point: &&SetPoint| self.sent.get(&set_point.control) != Some(&set_point.issued);
        let newest = set_points.values().find(unsent).cloned();
        drop(set_points);
        let set_point = newest?;
        self.sent.insert(set_point.control.clone(), set_point.issued);
        Some(set_point)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn of_set_points_that_wait_only_the_newest_leaves() {
        let (orders, set_points, mut downlink) = channel();
        let set_point = |control: &str, issued| SetPoint {
            control: control.to_owned(),
            issued: Timestamp(issued),
            life_ms: 500,
            values: vec![],
        };
        for issued in 1..=100 {
            set_points.send_modify(|map| _ = map.insert("drive".to_owned(), set_point("drive", issued)));
        }
        set_points.send_modify(|map| _ = map.insert("camera".to_owned(), set_point("camera", 7)));
        assert_eq!(downlink.next().await, Order::SetPoint(set_point("camera", 7)));
        assert_eq!(downlink.next().await, Order::SetPoint(set_point("drive", 100)));
        drop((orders, set_points));
        let nothing = tokio::time::timeout(std::time::Duration::from_millis(20), downlink.next());
        assert!(nothing.await.is_err());
    }
}
