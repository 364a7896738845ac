//! A vehicle as the ground sees it: a session over a WebSocket, without spool or satellite.

use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use tern_shared::batch::Batch;
use tern_shared::codec::{self, SchemaTable};
use tern_shared::id::{Epoch, SchemaId, Token, VehicleId};
use tern_shared::message::{
    FrameMessage, Hello, Lane, Object, PROTOCOL_VERSION, SchemaAnnouncement, SchemaBody, ToGround, ToVehicle,
};
use tern_shared::record::{Record, Value};
use tern_shared::schema::{Class, Field, FieldKind, Origin, Schema};
use tern_shared::time::Timestamp;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::LoadError;
use crate::client::epoch_seconds;

/// What a connection holds to read into: grounds say little.
const READ_BUFFER_BYTES: usize = 1024;

pub(super) struct Vehicle {
    socket: WebSocketStream<TcpStream>,
    schemas: SchemaTable,
    next: u64,
    /// Everything below is committed.
    pub(super) acknowledged: u64,
}

impl Vehicle {
    /// Connects and announces its one stream: a number, the time of sending, and a few readings.
    pub(super) async fn connect(ground: SocketAddr, name: VehicleId) -> Result<Vehicle, LoadError> {
        let stream = TcpStream::connect(ground).await?;
        stream.set_nodelay(true)?;
        let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER_BYTES).write_buffer_size(0);
        let url = format!("ws://{ground}/vehicle");
        let (mut socket, _) = tokio_tungstenite::client_async_with_config(url, stream, Some(config)).await?;
        let fields = vec![
            Field::new("n", FieldKind::I64),
            Field::new("sent", FieldKind::F64),
            Field::new("roll", FieldKind::F32).with_unit("rad"),
            Field::new("pitch", FieldKind::F32).with_unit("rad"),
        ];
        let schema = Schema { stream: "load".to_owned(), origin: Origin::Sensor, class: Class::Live, fields };
        let hello = ToGround::Hello(Hello {
            protocol: PROTOCOL_VERSION,
            vehicle: name,
            epoch: Epoch(rand::random()),
            base: 0,
            token: Token(String::new()),
            agent: "load".to_owned(),
            finds_rate: false,
        });
        let announcement = SchemaAnnouncement { id: SchemaId(0), body: SchemaBody::Full(schema.clone()) };
        for message in [hello, ToGround::Schemas(vec![announcement])] {
            socket.send(Message::Binary(message.encode().into())).await?;
        }
        let schemas = SchemaTable::from([(SchemaId(0), Arc::new(schema))]);
        Ok(Vehicle { socket, schemas, next: 0, acknowledged: 0 })
    }

    /// Sends a frame of so many records, taken and sent just now.
    pub(super) async fn send(&mut self, records: u64) -> Result<(), LoadError> {
        let sent = epoch_seconds();
        let record = |n: u64| Record {
            schema: SchemaId(0),
            time: Timestamp((sent * 1e6) as i64),
            values: vec![
                Value::Int(n.cast_signed()),
                Value::F64(sent),
                Value::F32((n as f32 / 50.0).sin()),
                Value::F32((n as f32 / 70.0).cos()),
            ],
        };
        let batch = Batch::new((self.next..self.next + records).map(record).collect());
        let frame = codec::encode(&batch, &self.schemas);
        let message = ToGround::Frame(FrameMessage {
            lane: Lane::Live,
            object: Object { offset: self.next.cast_signed(), skips: Vec::new(), frame },
        });
        self.next += records;
        self.socket.send(Message::Binary(message.encode().into())).await?;
        Ok(())
    }

    /// Records sent.
    pub(super) fn sent(&self) -> u64 {
        self.next
    }

    /// Reads what the ground says next.
    pub(super) async fn receive(&mut self) -> Result<(), LoadError> {
        let Some(message) = self.socket.next().await else { return Err(LoadError::Nothing) };
        if let Ok(ToVehicle::Acknowledge(acknowledgement)) = ToVehicle::decode(&message?.into_data()) {
            self.acknowledged = self.acknowledged.max(acknowledgement.floor);
        }
        Ok(())
    }
}
