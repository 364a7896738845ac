//! MQTT 3.1.1 with QoS 1 from end to end: a mosquitto on the vehicle bridges to one on the ground.
//!
//! Mosquitto's defaults but for two limits: of messages in flight (20, of which 50 samples a second over a second of
//! round trip have more) and of messages that wait (1000, of which an outage has more).

use std::io;

use bytes::BytesMut;
use rumqttc::mqttbytes::v4::{Connect, Packet, PubAck, Publish, Subscribe};
use rumqttc::mqttbytes::{Error, QoS};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::broker::{Client, SUBJECT, carry, connect};
use super::seat::{Parts, Seat, free_address};
use super::{PeersError, tool};
use crate::run::Role;

/// Larger than any sample with its headers.
pub(crate) const PACKET_BYTES_MAX: usize = 8192;

pub(super) async fn start(seat: Seat<'_>) -> Result<Parts, PeersError> {
    let mosquitto = tool::MOSQUITTO.find(seat.peer)?;
    let (vehicle, ground) = (seat.path.vehicle(), seat.path.ground());
    let (edge_address, ground_address) = (free_address(vehicle)?, free_address(ground)?);
    let common = "user root\nallow_anonymous true\nmax_inflight_messages 0\nmax_queued_messages 0\n";
    let ground_settings = format!(
        "{common}listener {} {}\nlistener {} {}\n",
        ground_address.port(),
        ground_address.ip(),
        seat.path.ground_address().port(),
        seat.path.ground_address().ip(),
    );
    let edge_settings = format!(
        "{common}listener {} {}\nconnection ground\naddress {}\ntopic {SUBJECT} out 1\ncleansession false\n",
        edge_address.port(),
        edge_address.ip(),
        seat.path.address_across_link(),
    );
    let run = |place: &crate::path::Place, name: &'static str, settings: &str| {
        let file = seat.folder.join(name);
        std::fs::write(&file, settings)?;
        Result::<_, PeersError>::Ok(place.spawn_program(
            name,
            &mosquitto,
            ["-c".into(), file.into_os_string()],
        )?)
    };
    let ground_broker = run(ground, "mosquitto-ground.conf", &ground_settings)?;
    let subscriber = connect(ground, ground_address, &ground_broker).await?;
    let edge_broker = run(vehicle, "mosquitto-edge.conf", &edge_settings)?;
    let publisher = connect(vehicle, edge_address, &edge_broker).await?;

    let mut subscriber = MqttClient::new(subscriber, "subscriber").await?;
    subscriber.subscribe().await?;
    let publisher = MqttClient::new(publisher, "publisher").await?;
    carry(seat, [(Role::Edge, edge_broker), (Role::Ground, ground_broker)], publisher, subscriber).await
}

pub(crate) struct MqttClient {
    socket: TcpStream,
    received: BytesMut,
    last_packet_id: u16,
}

impl MqttClient {
    /// Without keep-alive: it is beside its broker.
    pub(crate) async fn new(socket: TcpStream, name: &str) -> io::Result<Self> {
        let mut client = MqttClient { socket, received: BytesMut::new(), last_packet_id: 0 };
        let mut connect = Connect::new(name);
        connect.keep_alive = 0;
        client.send(Packet::Connect(connect)).await?;
        match client.receive().await? {
            Packet::ConnAck(_) => Ok(client),
            other => Err(unexpected(&other)),
        }
    }

    /// Publishes to [`SUBJECT`] with QoS 0.
    pub(crate) async fn publish_unacknowledged(&mut self, content: &[u8]) -> io::Result<()> {
        self.send(Packet::Publish(Publish::new(SUBJECT, QoS::AtMostOnce, content))).await
    }

    async fn subscribe(&mut self) -> io::Result<()> {
        let mut subscribe = Subscribe::new(SUBJECT, QoS::AtLeastOnce);
        subscribe.pkid = self.next_packet_id();
        self.send(Packet::Subscribe(subscribe)).await?;
        match self.receive().await? {
            Packet::SubAck(_) => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    /// From 1 on, around 0.
    fn next_packet_id(&mut self) -> u16 {
        self.last_packet_id = self.last_packet_id.checked_add(1).unwrap_or(1);
        self.last_packet_id
    }

    async fn send(&mut self, packet: Packet) -> io::Result<()> {
        let mut bytes = BytesMut::new();
        packet.write(&mut bytes, PACKET_BYTES_MAX).map_err(io::Error::other)?;
        self.socket.write_all(&bytes).await
    }

    async fn receive(&mut self) -> io::Result<Packet> {
        loop {
            match Packet::read(&mut self.received, PACKET_BYTES_MAX) {
                Ok(packet) => return Ok(packet),
                Err(Error::InsufficientBytes(_)) => {}
                Err(error) => return Err(io::Error::other(error)),
            }
            if self.socket.read_buf(&mut self.received).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

impl Client for MqttClient {
    async fn publish(&mut self, content: &[u8]) -> io::Result<()> {
        let mut publish = Publish::new(SUBJECT, QoS::AtLeastOnce, content);
        publish.pkid = self.next_packet_id();
        self.send(Packet::Publish(publish)).await
    }

    async fn next(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Packet::Publish(publish) = self.receive().await? {
                // A few bytes to a broker on the same machine are taken at once.
                self.send(Packet::PubAck(PubAck::new(publish.pkid))).await?;
                return Ok(publish.payload.to_vec());
            }
        }
    }
}

fn unexpected(packet: &Packet) -> io::Error {
    io::Error::other(format!("an unexpected answer of the broker: {packet:?}"))
}
