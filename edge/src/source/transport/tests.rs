use std::net::SocketAddr;
use std::sync::Arc;

use tern_shared::mavlink::dialect;
use tern_shared::mavlink::frame::{Parser, encode_v2};
use tern_shared::record::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_serial::SerialPort;

use crate::source::{Counters, Sample, SourceError, SourceUrl};

/// A source that runs.
struct Running {
    samples: mpsc::Receiver<Sample>,
    counters: Arc<Counters>,
    source: JoinHandle<Result<(), SourceError>>,
}

impl Running {
    fn start(url: &str, capacity: usize) -> Self {
        let (sender, samples) = mpsc::channel(capacity);
        let counters = Arc::new(Counters::default());
        let url: SourceUrl = url.parse().unwrap();
        let source = tokio::spawn({
            let counters = counters.clone();
            async move { crate::source::run(&url, sender, counters, crate::source::Port::new()).await }
        });
        Running { samples, counters, source }
    }

    async fn stream(&mut self) -> String {
        self.samples.recv().await.unwrap().schema.stream.clone()
    }
}

fn heartbeat() -> Vec<u8> {
    encode_v2(0, 3, 1, dialect::message_named("HEARTBEAT").unwrap(), &[1])
}

/// An address that nobody has.
async fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// Connects as soon as somebody listens.
async fn connect(address: SocketAddr) -> TcpStream {
    loop {
        match TcpStream::connect(address).await {
            Ok(stream) => return stream,
            Err(_) => tokio::task::yield_now().await,
        }
    }
}

/// System, component and name of the messages in some bytes.
fn messages(bytes: &[u8]) -> Vec<(u8, u8, &'static str)> {
    let mut seen = Vec::new();
    Parser::new().push(bytes, |frame| seen.push((frame.system, frame.component, frame.layout.unwrap().name)));
    seen
}

#[tokio::test]
async fn several_tcp_peers_are_taken_in_at_once() {
    let address = free_address().await;
    let mut running = Running::start(&format!("tcpin:{address}"), 10);
    let (mut first, mut second) = (connect(address).await, connect(address).await);
    first.write_all(&heartbeat()[..7]).await.unwrap();
    second.write_all(&heartbeat()).await.unwrap();
    assert_eq!(running.stream().await, "mavlink/3/1/HEARTBEAT");
    first.write_all(&heartbeat()[7..]).await.unwrap();
    assert_eq!(running.stream().await, "mavlink/3/1/HEARTBEAT");
    assert_eq!(running.counters.snapshot().bytes, 2 * heartbeat().len() as u64);
}

#[tokio::test]
async fn an_address_that_is_taken_is_an_error() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let running = Running::start(&format!("tcpin:{}", taken.local_addr().unwrap()), 1);
    assert!(matches!(running.source.await.unwrap(), Err(SourceError::Listen { .. })));
}

#[tokio::test]
async fn a_lost_tcp_peer_is_connected_to_again_and_greeted() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut running = Running::start(&format!("tcpout:{}?rate=4", listener.local_addr().unwrap()), 10);
    for reconnects in 0..2 {
        let (mut peer, _) = listener.accept().await.unwrap();
        let mut greeting = [0; 200];
        let mut length = 0;
        while messages(&greeting[..length]).len() < 2 {
            length += peer.read(&mut greeting[length..]).await.unwrap();
        }
        assert_eq!(messages(&greeting[..length]), [(1, 191, "HEARTBEAT"), (1, 191, "REQUEST_DATA_STREAM")]);
        peer.write_all(&heartbeat()).await.unwrap();
        assert_eq!(running.stream().await, "mavlink/3/1/HEARTBEAT");
        assert_eq!(running.counters.snapshot().reconnects, reconnects);
    }
}

#[tokio::test]
async fn a_udp_peer_is_greeted_and_answers() {
    let peer = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut running = Running::start(&format!("udpout:{}", peer.local_addr().unwrap()), 10);
    let mut greeting = [0; 100];
    let (length, from) = peer.recv_from(&mut greeting).await.unwrap();
    assert_eq!(messages(&greeting[..length]), [(1, 191, "HEARTBEAT")]);
    peer.send_to(&heartbeat(), from).await.unwrap();
    assert_eq!(running.stream().await, "mavlink/3/1/HEARTBEAT");
}

#[tokio::test]
async fn datagrams_that_nobody_takes_are_dropped_and_counted() {
    let address = free_address().await;
    let mut running = Running::start(&format!("jsonl+udpin:{address}"), 1);
    let sensor = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let line = b"{\"stream\":\"s\",\"x\":1}\n{\"stream\":\"s\",\"x\":2}";
    while running.counters.snapshot().dropped < 3 {
        // Refused until the source has bound its port.
        let _ = sensor.send_to(line, address).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(running.samples.recv().await.unwrap().values, [Value::Int(1)]);
    assert_eq!(running.counters.snapshot().records, 1);
}

#[tokio::test]
async fn an_opaque_frame_does_not_wait_for_ever_behind_a_silent_stream() {
    let address = free_address().await;
    let mut running = Running::start(&format!("tcpin:{address}"), 10);
    let mut foreign = heartbeat();
    let end = foreign.len() - 2;
    // HEARTBEAT by the layout of another dialect.
    let crc = mavlink_crc(&foreign[1..end], 99);
    foreign[end..].copy_from_slice(&crc.to_le_bytes());
    let mut peer = connect(address).await;
    peer.write_all(&foreign).await.unwrap();
    assert_eq!(running.samples.recv().await.unwrap().values, [Value::Bytes(foreign)]);
}

/// CRC-16/MCRF4XX bit by bit, as its definition has it.
fn mavlink_crc(bytes: &[u8], crc_extra: u8) -> u16 {
    bytes.iter().chain(&[crc_extra]).fold(0xffff, |crc, &byte| {
        (0..8).fold(crc ^ u16::from(byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0x8408 } else { crc >> 1 })
    })
}

#[tokio::test]
async fn a_serial_port_is_read_and_waited_for_when_unplugged() {
    let (mut sensor, port) = tokio_serial::SerialStream::pair().unwrap();
    let name = port.name().unwrap();
    // Kept open under another name, so that the pair lives when the source closes its end.
    drop(port);
    let mut running = Running::start(&format!("nmea+serial:{name}:9600"), 10);
    let sentence = b"$GPGSV,1,1,00*79\r\n";
    while running.counters.snapshot().bytes == 0 {
        // Lost until the source has opened its end.
        let _ = sensor.write_all(sentence).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(running.stream().await, "nmea/other");

    let absent = Running::start("nmea+serial:/dev/no-such-port:9600", 10);
    tokio::task::yield_now().await;
    assert!(!absent.source.is_finished());
}

#[tokio::test]
async fn a_silent_source_ends_when_nobody_listens() {
    let running = Running::start(&format!("tcpin:{}", free_address().await), 1);
    tokio::task::yield_now().await;
    drop(running.samples);
    assert!(running.source.await.unwrap().is_ok());
}

#[tokio::test]
async fn a_file_is_read_to_its_end() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut file, b"{\"stream\":\"s\",\"x\":1}\nbad\n{\"stream\":\"s\",\"x\":2}")
        .unwrap();
    let mut running = Running::start(&format!("jsonl+file:{}", file.path().display()), 1);
    for expected in 1..3 {
        assert_eq!(running.samples.recv().await.unwrap().values, [Value::Int(expected)]);
    }
    assert!(running.samples.recv().await.is_none());
    assert!(running.source.await.unwrap().is_ok());
    assert_eq!((running.counters.snapshot().records, running.counters.snapshot().malformed_lines), (2, 1));

    let missing = Running::start("jsonl+file:no/such/file", 1);
    assert!(matches!(missing.source.await.unwrap(), Err(SourceError::File { .. })));
}
