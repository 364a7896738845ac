//! A mosquitto with a WebSocket listener; MQTT 3.1.1 with QoS 0.

use std::net::SocketAddr;

use bytes::BytesMut;
use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v4::{Connect, Packet, Subscribe};
use tempfile::TempDir;
use tokio_tungstenite::tungstenite::Message;

use super::LoadError;
use super::client::{Dialect, Seen};
use super::sample::Samples;
use super::service::{Service, connect, free_address};
use crate::peers::broker::SUBJECT;
use crate::peers::mqtt::{MqttClient, PACKET_BYTES_MAX};
use crate::peers::tool;
use crate::process::Process;

pub(super) struct Mosquitto {
    address: SocketAddr,
    process: Process,
    publisher: MqttClient,
    samples: Samples,
    _folder: TempDir,
}

/// A packet a binary message, in what is sent here.
#[derive(Debug, Default)]
pub(super) struct Mqtt(BytesMut);

impl Service for Mosquitto {
    const NAME: &'static str = "mosquitto";
    type Dialect = Mqtt;

    async fn start(_clients: usize) -> Result<Self, LoadError> {
        let program = tool::MOSQUITTO.path()?;
        let folder = tempfile::tempdir()?;
        let (direct, address) = (free_address()?, free_address()?);
        let file = folder.path().join("mosquitto.conf");
        let listeners = [direct, address].map(|at| format!("listener {} {}\n", at.port(), at.ip()));
        let settings =
            format!("user root\nallow_anonymous true\n{}protocol websockets\n", listeners.concat());
        std::fs::write(&file, settings)?;
        let process = Process::spawn("mosquitto", &program, ["-c".into(), file.into_os_string()])?;
        let publisher = MqttClient::new(connect(direct, &process).await?, "publisher").await?;
        connect(address, &process).await?;
        Ok(Mosquitto { address, process, publisher, samples: Samples::default(), _folder: folder })
    }

    fn address(&self) -> SocketAddr {
        self.address
    }

    fn process(&self) -> &Process {
        &self.process
    }

    async fn publish(&mut self) -> Result<(), LoadError> {
        Ok(self.publisher.publish_unacknowledged(&self.samples.next()).await?)
    }
}

impl Dialect for Mqtt {
    const SUBPROTOCOL: Option<&str> = Some("mqtt");
    const PATH: &str = "/mqtt";

    fn opening(&self) -> Vec<Message> {
        let mut connect = Connect::new(format!("web-{:016x}", rand::random::<u64>()));
        connect.keep_alive = 0;
        let mut subscribe = Subscribe::new(SUBJECT, QoS::AtMostOnce);
        subscribe.pkid = 1;
        let packets = [Packet::Connect(connect), Packet::Subscribe(subscribe)];
        let messages = packets.into_iter().filter_map(|packet| {
            let mut bytes = BytesMut::new();
            packet.write(&mut bytes, PACKET_BYTES_MAX).ok()?;
            Some(Message::binary(bytes.freeze()))
        });
        messages.collect()
    }

    fn take(&mut self, message: &Message, seen: &mut Seen) -> Option<Message> {
        let Message::Binary(bytes) = message else { return None };
        self.0.extend_from_slice(bytes);
        while let Ok(packet) = Packet::read(&mut self.0, PACKET_BYTES_MAX) {
            match packet {
                Packet::Publish(publish) => seen.note(&publish.payload),
                Packet::SubAck(_) => seen.ready += 1,
                _ => {}
            }
        }
        None
    }
}
