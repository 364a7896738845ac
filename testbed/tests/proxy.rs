//! The proxy between real sockets.

#![allow(clippy::unwrap_used)] // Helpers of tests fail as tests do.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tern_testbed::link::{Fate, Link, LinkProfile, Loss, OutageSchedule, PathProfile, PathSeeds};
use tern_testbed::proxy::{Proxy, ProxyOptions, ProxyStatus};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::watch;

/// 10 Mbit/s, 20 ms each way, some loss.
fn profile() -> PathProfile {
    let direction = LinkProfile {
        loss: Loss::Random { percent: 2.0 },
        ..LinkProfile::ideal(10_000_000.try_into().unwrap(), Duration::from_millis(20))
    };
    PathProfile {
        name: "test".to_owned(),
        to_ground: direction.clone(),
        to_vehicle: direction,
        outages: OutageSchedule::default(),
    }
}

fn start(
    forward_to: SocketAddr,
    profile: PathProfile,
    cut_every: Option<Duration>,
) -> (SocketAddr, watch::Receiver<ProxyStatus>) {
    let listen = "127.0.0.1:0".parse().unwrap();
    let proxy = Proxy::bind(ProxyOptions { listen, forward_to, profile, cut_every, seed: 1 }).unwrap();
    let address = proxy.local_addr().unwrap();
    let status = proxy.status();
    tokio::spawn(proxy.run());
    (address, status)
}

/// Sends every connection's bytes back to it.
async fn echo_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut reader, mut writer) = socket.split();
                tokio::io::copy(&mut reader, &mut writer).await.unwrap();
                writer.shutdown().await.unwrap();
            });
        }
    });
    address
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n * 31 % 251) as u8).collect()
}

#[tokio::test]
async fn bytes_cross_both_ways_whole_and_in_order_despite_loss() {
    let (address, status) = start(echo_server().await, profile(), None);
    let sent = pattern(300_000);
    let (mut reader, mut writer) = TcpStream::connect(address).await.unwrap().into_split();
    let to_send = sent.clone();
    let sender = tokio::spawn(async move {
        writer.write_all(&to_send).await.unwrap();
        writer.shutdown().await.unwrap();
    });
    let mut received = Vec::new();
    reader.read_to_end(&mut received).await.unwrap();
    sender.await.unwrap();
    assert!(received == sent, "{} bytes came back of {}", received.len(), sent.len());
    let status = *status.borrow();
    assert_eq!((status.to_ground.delivered_bytes, status.to_vehicle.delivered_bytes), (300_000, 300_000));
    assert!(status.to_ground.lost_segments > 0);
}

#[tokio::test]
async fn a_byte_takes_the_delay_of_the_link_both_ways() {
    let mut profile = profile();
    profile.to_ground.loss = Loss::None;
    profile.to_vehicle.loss = Loss::None;
    let (address, _status) = start(echo_server().await, profile, None);
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.set_nodelay(true).unwrap();
    let start = Instant::now();
    socket.write_all(b"x").await.unwrap();
    socket.read_exact(&mut [0]).await.unwrap();
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(40) && took < Duration::from_millis(140), "{took:?}");
}

#[tokio::test]
async fn a_sender_is_held_to_the_rate() {
    let mut profile = profile();
    profile.to_ground.rate_bits_per_second = 800_000.try_into().unwrap();
    profile.to_ground.queue_bytes = 5_000;
    let (address, status) = start(echo_server().await, profile, None);
    let mut socket = TcpStream::connect(address).await.unwrap();
    let sent = tokio::time::timeout(Duration::from_millis(500), async {
        loop {
            socket.write_all(&[0; 1000]).await.unwrap();
        }
    });
    assert!(sent.await.is_err());
    let status = *status.borrow();
    // 0.5 s at 100 kB/s, and the queue.
    assert!((40_000..60_000).contains(&status.to_ground.wire_bytes), "{status:?}");
}

#[tokio::test]
async fn cut_connections_end_and_new_ones_work() {
    let (address, status) = start(echo_server().await, profile(), Some(Duration::from_millis(200)));
    for _ in 0..2 {
        let mut socket = TcpStream::connect(address).await.unwrap();
        let end = tokio::time::timeout(Duration::from_secs(5), async {
            loop {
                if socket.write_all(b"x").await.is_err()
                    || !matches!(socket.read(&mut [0; 16]).await, Ok(1..))
                {
                    return;
                }
            }
        });
        end.await.expect("the connection is cut");
    }
    assert_eq!(status.borrow().cut_connections, 2);
}

#[tokio::test]
async fn a_ground_that_is_down_closes_the_connection() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let (address, _status) = start(nobody, profile(), None);
    let mut socket = TcpStream::connect(address).await.unwrap();
    assert_eq!(socket.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn datagrams_are_lost_as_in_the_simulation() {
    let mut profile = profile();
    profile.to_ground.loss = Loss::burst(5.0, 30.0);
    let ground = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let (address, _status) = start(ground.local_addr().unwrap(), profile.clone(), None);
    let vehicle = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    vehicle.connect(address).await.unwrap();

    let mut model = Link::new(profile.to_ground, OutageSchedule::default(), PathSeeds::of(1).to_ground);
    let mut expected = Vec::new();
    for number in 0..200u16 {
        let at = tern_shared::time::Instant(Duration::from_millis(number.into()));
        if matches!(model.send(at, vec![0; 30]), Fate::Arrives(_)) {
            expected.push(number);
        }
        vehicle.send(&number.to_be_bytes()).await.unwrap();
        // So that no kernel buffer between here and the link overflows.
        tokio::task::yield_now().await;
    }
    assert!(expected.len() < 190, "{}", expected.len());
    let mut arrived = Vec::new();
    while arrived.len() < expected.len() {
        arrived.push(u16::from_be_bytes(receive(&ground).await.0.try_into().unwrap()));
    }
    assert_eq!(arrived, expected);
}

#[tokio::test]
async fn answers_find_the_client_that_asked() {
    let mut profile = profile();
    profile.to_ground.loss = Loss::None;
    profile.to_vehicle.loss = Loss::None;
    let ground = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let (address, status) = start(ground.local_addr().unwrap(), profile, None);
    let mut clients = Vec::new();
    for number in 0..5u8 {
        let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        client.connect(address).await.unwrap();
        client.send(&[number]).await.unwrap();
        clients.push(client);
    }
    let start = Instant::now();
    for _ in &clients {
        let (mut datagram, client) = receive(&ground).await;
        datagram.push(100);
        ground.send_to(&datagram, client).await.unwrap();
    }
    for (number, client) in (0..).zip(&clients) {
        let (datagram, from) = receive(client).await;
        assert_eq!((datagram, from), (vec![number, 100], address));
    }
    assert!(start.elapsed() >= Duration::from_millis(35), "{:?}", start.elapsed());
    // Numbers of what was carried are kept a moment after it was handed on.
    let status =
        status.clone().wait_for(|status| status.to_vehicle.delivered_bytes == 10).await.unwrap().to_owned();
    assert_eq!((status.flows, status.connections, status.to_ground.wire_bytes), (5, 0, 5 * 29));
}

async fn receive(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = [0; 2000];
    let received = tokio::time::timeout(Duration::from_secs(10), socket.recv_from(&mut buffer));
    let (bytes, from) = received.await.expect("a datagram within 10 s").unwrap();
    (buffer[..bytes].to_vec(), from)
}
