//! A host between vehicle and ground: forwards UDP, remembers it, and changes addresses as a NAT does.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Packets that went to the ground are kept up to here.
const MAX_KEPT: usize = 10_000;

/// Forwards between whoever sends to it and the ground. Ends when dropped.
pub(crate) struct Middlebox {
    ground: SocketAddr,
    /// Where vehicles send to.
    pub(crate) address: SocketAddr,
    to_ground: watch::Sender<Arc<UdpSocket>>,
    kept: Arc<Mutex<Vec<Vec<u8>>>>,
    _tasks: JoinSet<()>,
}

impl Middlebox {
    /// `answers`: whether what the ground sends is forwarded, too.
    pub(crate) async fn start(ground: SocketAddr, answers: bool) -> Middlebox {
        let front = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
        let address = front.local_addr().unwrap();
        let (to_ground, mut socket) = watch::channel(outside(ground).await);
        let kept = Arc::new(Mutex::new(Vec::new()));
        let (vehicle_seen, vehicle) = watch::channel(None);
        let mut tasks = JoinSet::new();
        let (receiving, sending, keeping) = (front.clone(), socket.clone(), kept.clone());
        tasks.spawn(async move {
            let mut buffer = [0; 2048];
            loop {
                let Ok((length, from)) = receiving.recv_from(&mut buffer).await else { continue };
                vehicle_seen.send_replace(Some(from));
                let packet = &buffer[..length];
                {
                    let mut kept = keeping.lock().unwrap();
                    if kept.len() < MAX_KEPT {
                        kept.push(packet.to_vec());
                    }
                }
                let socket = sending.borrow().clone();
                let _ = socket.send(packet).await;
            }
        });
        if answers {
            tasks.spawn(async move {
                let mut buffer = [0; 2048];
                loop {
                    let current = socket.borrow_and_update().clone();
                    let length = tokio::select! {
                        length = current.recv(&mut buffer) => length,
                        _ = socket.changed() => continue,
                    };
                    let (Ok(length), Some(vehicle)) = (length, *vehicle.borrow()) else { continue };
                    let _ = front.send_to(&buffer[..length], vehicle).await;
                }
            });
        }
        Middlebox { ground, address, to_ground, kept, _tasks: tasks }
    }

    /// From here on the ground sees another address of the vehicle.
    pub(crate) async fn change_address(&self) {
        self.to_ground.send_replace(outside(self.ground).await);
    }

    /// Sends all that went to the ground again, from the same address and from another.
    pub(crate) async fn replay(&self) {
        let packets = self.kept.lock().unwrap().clone();
        let same = self.to_ground.borrow().clone();
        for socket in [same, outside(self.ground).await] {
            for packet in &packets {
                let _ = socket.send(packet).await;
            }
        }
    }
}

async fn outside(ground: SocketAddr) -> Arc<UdpSocket> {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(ground).await.unwrap();
    Arc::new(socket)
}
