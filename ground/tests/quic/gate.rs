//! Between a vehicle and a ground: what the ground answers waits while the gate is shut.

use std::net::SocketAddr;

use tokio::net::UdpSocket;
use tokio::sync::watch;

pub(super) struct Gate {
    /// Where vehicles find the ground.
    pub(super) address: SocketAddr,
    pub(super) open: watch::Sender<bool>,
}

impl Gate {
    /// One that is open.
    pub(super) async fn start(ground: SocketAddr) -> Gate {
        let (outer, inner) = (socket().await, socket().await);
        inner.connect(ground).await.unwrap();
        let address = outer.local_addr().unwrap();
        let (open, is_open) = watch::channel(true);
        tokio::spawn(carry(outer, inner, is_open));
        Gate { address, open }
    }
}

async fn socket() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").await.unwrap()
}

async fn carry(outer: UdpSocket, inner: UdpSocket, mut is_open: watch::Receiver<bool>) {
    let mut vehicle = None;
    let (mut up, mut down) = ([0; 2048], [0; 2048]);
    loop {
        let answer = async {
            is_open.wait_for(|open| *open).await.ok()?;
            inner.recv(&mut down).await.ok()
        };
        tokio::select! {
            Ok((length, from)) = outer.recv_from(&mut up) => {
                vehicle = Some(from);
                // As on any network, a packet may be lost.
                let _ = inner.send(&up[..length]).await;
            }
            Some(length) = answer => {
                if let Some(vehicle) = vehicle {
                    let _ = outer.send_to(&down[..length], vehicle).await;
                }
            }
            else => return,
        }
    }
}
