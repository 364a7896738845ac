//! One message of every kind, and of every variant within.

use tern_shared::command::control::{ControlReport, ControlState, SetPoint};
use tern_shared::command::mavlink::{MavlinkCommand, Verb};
use tern_shared::command::{
    Action, Answer, Cancel, CancelReason, Command, CommandId, CommandReport, DeviceCommand, Order, Reason,
    State, Step,
};
use tern_shared::datagram::coding::Symbols;
use tern_shared::datagram::loss::LossReport;
use tern_shared::id::{Epoch, SchemaId, Token};
use tern_shared::mavlink::dialect;
use tern_shared::message::{
    Acknowledgement, BacklogPacket, ClockEstimate, Feedback, FrameMessage, Gap, GapReason, Hello, Lack, Lane,
    LivePacket, Object, ObjectPart, PacketHeader, ParityPacket, Payload, Probe, ProbeReply, Refusal,
    RefusalReason, SchemaAnnouncement, SchemaBody, Start, ToGround, ToVehicle, Wanted, Welcome,
};
use tern_shared::range::SequenceRange;
use tern_shared::schema::{Class, Field, FieldKind, LINK_STATE_LAYOUT, MavlinkOrigin, Origin, Schema};
use tern_shared::time::Timestamp;

/// 2020-09-13 12:26:40 UTC.
const TIME: Timestamp = Timestamp(1_600_000_000_000_000);

/// ATTITUDE of system 1, component 1.
pub(crate) const ATTITUDE: MavlinkOrigin = MavlinkOrigin { system: 1, component: 1, message: 30 };

/// All that the vehicle says, with its bytes.
pub(crate) fn to_ground() -> Vec<(ToGround, &'static str)> {
    let hello = Hello {
        protocol: 1,
        vehicle: "alpha".parse().unwrap(),
        epoch: Epoch(0x0123_4567_89ab_cdef),
        base: 300,
        token: Token("secret".into()),
        agent: "tern-edge 0.1.0".into(),
        finds_rate: false,
    };
    let estimate = ClockEstimate { offset_micros: -50_000, uncertainty_micros: 350_000 };
    let header = PacketHeader { number: 300, sent_millis: 1000 };
    let payload = |start| Payload { start, frame: vec![0xde, 0xad] }.encode();
    let symbols = Symbols { window: 6, combinations: vec![[0xbe; 14], [0xef; 14]] };
    let live = LivePacket { header, unit_number: 2000, payload: payload(Start::At(-2)), symbols };
    let bytes = object(1000, vec![0, 300]).encode();
    let backlog = BacklogPacket { header, part: ObjectPart { number: 7, index: 1, count: 2, bytes } };
    let parity = ParityPacket { header, covered: 0b101, bytes: vec![3, 0, 0, 1, 0, 3, 0x60, 0xad] };
    let gap = |offset, count, reason| ToGround::Gap(Gap { offset, count, reason });
    vec![
        (
            ToGround::Hello(hello),
            "000105616c706861ef9bafcdf8acd19101ac02067365637265740f7465726e2d6564676520302e312e3000",
        ),
        (
            full_schema(every_kind()),
            "0101070003616c6c00010d0161000000000162010000000163020000000164030000000165040000000166\
              050000000167060564656745370000016807000000016908000000016a0903726164010400016b0a0000\
              01016c0b000000016d0c000000",
        ),
        (full_schema(sensor(Origin::Mavlink(ATTITUDE), Class::Critical)), "0101070001730101011e0000"),
        (full_schema(sensor(Origin::MavlinkOpaque, Class::Bulk)), "010107000173020200"),
        (dialect_schema(Class::Live, false), "0101c8010101011e0100aba791c501"),
        (dialect_schema(Class::Critical, true), "0101c8010101011e0001aba791c501"),
        (link_state_schema(), "0101070201"),
        (frame(Lane::Live, 0), "0200000004deadbeef"),
        (frame(Lane::Backlog, -300), "0201d7040004deadbeef"),
        (gap(-300, 100, GapReason::Evicted), "03d7046400"),
        (gap(2, 1, GapReason::NotStored), "03040101"),
        (gap(-1, 1 << 40, GapReason::Absent), "030180808080802002"),
        (ToGround::Probe(Probe { sent: TIME, estimate: None }), "048080a0faa0ccd70500"),
        (ToGround::Probe(Probe { sent: TIME, estimate: Some(estimate) }), "048080a0faa0ccd705019f8d06b0ae15"),
        (ToGround::Goodbye, "05"),
        (
            ToGround::Live(live.clone()),
            "06ac02e803d007040003dead05bebebebebebebebebebebebebebeefefefefefefefefefefefefefef",
        ),
        (
            ToGround::Live(LivePacket { payload: payload(Start::NextAt(-2)), ..live.clone() }),
            "06ac02e803d007040103dead05bebebebebebebebebebebebebebeefefefefefefefefefefefefefef",
        ),
        (
            ToGround::Live(LivePacket { payload: payload(Start::Next), ..live.clone() }),
            "06ac02e803d00702dead05bebebebebebebebebebebebebebeefefefefefefefefefefefefefef",
        ),
        (
            ToGround::Live(LivePacket {
                payload: payload(Start::Next),
                symbols: Symbols::default(),
                ..live.clone()
            }),
            "06ac02e803d00702dead",
        ),
        (
            ToGround::Live(LivePacket { payload: Vec::new(), ..live }),
            "06ac02e803d0070005bebebebebebebebebebebebebebeefefefefefefefefefefefefefef",
        ),
        (ToGround::Backlog(backlog), "07ac02e8030701020bd00f0200ac0204deadbeef"),
        (ToGround::Parity(parity), "09ac02e803050803000001000360ad"),
        (answer(Answer::Report(CommandReport { id: CommandId(300), steps: Vec::new() })), "0800ac0200"),
        (
            answer(Answer::Report(CommandReport { id: CommandId(300), steps: every_step() })),
            "0800ac021c00020000000102000000020200000003020000000402000000050200000006020000000702000000\
             08020000000501000100026e6f0501000101026e6f0501000102026e6f0501000103026e6f0501000104026e6f\
             0501000105026e6f0501000106026e6f0501000107026e6f0501000108026e6f0501000109026e6f050100010a\
             026e6f050100010b026e6f050100010c026e6f050100010d026e6f050100010e026e6f050100010f026e6f0501\
             000110026e6f0501000111026e6f038080a0faa0ccd70501320000",
        ),
        (answer(control_report(ControlState::Active, None)), "0801056472697665008080a0faa0ccd70500"),
        (
            answer(control_report(ControlState::Stopped, Some(Reason::Ceased))),
            "0801056472697665018080a0faa0ccd7050111",
        ),
        (
            answer(control_report(ControlState::Refused, Some(Reason::UnknownTarget))),
            "0801056472697665028080a0faa0ccd7050101",
        ),
    ]
}

/// All that the ground says, with its bytes.
pub(crate) fn to_vehicle() -> Vec<(ToVehicle, &'static str)> {
    let ranges = [SequenceRange::new(310, 340), SequenceRange::new(500, 501)];
    let committed = Acknowledgement::new(300, ranges);
    let welcome =
        Welcome { protocol: 1, agent: "tern-ground 0.1.0".into(), committed: Acknowledgement::default() };
    let feedback = Feedback {
        committed: committed.clone(),
        largest: 1000,
        missing: vec![(3, 2), (400, 1)],
        arrived_millis: 1000,
        held_millis: 700,
        loss: LossReport { loss_per_mille: 17, burst_tenths: 25 },
        lack: Lack::KeyFrame,
        wanted: Some(Wanted { symbols: 3, window: 12 }),
    };
    let refused = |reason| ToVehicle::Refused(Refusal::new(reason, "no"));
    vec![
        (ToVehicle::Welcome(welcome.clone()), "0001117465726e2d67726f756e6420302e312e300000"),
        (
            ToVehicle::Welcome(Welcome { committed: committed.clone(), ..welcome }),
            "0001117465726e2d67726f756e6420302e312e30ac02020a1ea00101",
        ),
        (refused(RefusalReason::ProtocolVersion), "0100026e6f"),
        (refused(RefusalReason::NotAuthorized), "0101026e6f"),
        (refused(RefusalReason::TooLarge), "0102026e6f"),
        (refused(RefusalReason::Malformed), "0103026e6f"),
        (refused(RefusalReason::Dialect), "0104026e6f"),
        (refused(RefusalReason::Superseded), "0105026e6f"),
        (refused(RefusalReason::Unavailable), "0106026e6f"),
        (ToVehicle::Acknowledge(committed), "02ac02020a1ea00101"),
        (
            ToVehicle::ProbeReply(ProbeReply { sent: TIME, ground: Timestamp(TIME.0 + 300_000) }),
            "038080a0faa0ccd705c0cfc4faa0ccd705",
        ),
        (ToVehicle::Goodbye, "04"),
        (ToVehicle::Feedback(feedback.clone()), "05ac02020a1ea00101e807020302900301e803bc0511190101030c"),
        (
            ToVehicle::Feedback(Feedback { lack: Lack::Schema(SchemaId(200)), wanted: None, ..feedback }),
            "05ac02020a1ea00101e807020302900301e803bc05111902c80100",
        ),
        (ToVehicle::Goodbye, "04"),
        (
            order(Order::Command(switch(None))),
            "0600ac028080a0faa0ccd705904e0003616e6e01046c616d70067377697463680b7b226f6e223a747275657d",
        ),
        (
            order(Order::Command(switch(Some("light")))),
            "0600ac028080a0faa0ccd705904e01056c6967687403616e6e01046c616d70067377697463680b7b226f6e223a747275657d",
        ),
        (
            order(Order::Command(mavlink(Verb::ReturnToLaunch))),
            "0600ac028080a0faa0ccd705904e0003616e6e000001140000",
        ),
        (
            order(Order::Command(mavlink(Verb::Reposition {
                latitude_e7: 473_977_420,
                longitude_e7: -85_455_940,
                altitude_m: 20.0,
            }))),
            "0600ac028080a0faa0ccd705904e0003616e6e000001c00105000080bf0000803f000000000000803f0000a041010698c982c40387d1bf51",
        ),
        (cancel(CancelReason::Asked), "0601ac0200"),
        (cancel(CancelReason::Superseded), "0601ac0201"),
        (cancel(CancelReason::Overdue), "0601ac0202"),
        (
            order(Order::SetPoint(SetPoint {
                control: "drive".into(),
                issued: TIME,
                life_ms: 1000,
                values: vec![-1000, 0, 250],
            })),
            "06020564726976658080a0faa0ccd705e80703cf0f00f403",
        ),
    ]
}

fn answer(answer: Answer) -> ToGround {
    ToGround::Answer(answer)
}

fn order(order: Order) -> ToVehicle {
    ToVehicle::Order(order)
}

fn cancel(why: CancelReason) -> ToVehicle {
    order(Order::Cancel(Cancel { id: CommandId(300), why }))
}

fn control_report(state: ControlState, reason: Option<Reason>) -> Answer {
    Answer::Control(ControlReport { control: "drive".into(), state, at: TIME, reason })
}

fn command(action: Action) -> Command {
    Command { id: CommandId(300), issued: TIME, ttl_ms: 10_000, key: None, issuer: "ann".into(), action }
}

fn switch(key: Option<&str>) -> Command {
    let device =
        DeviceCommand { device: "lamp".into(), command: "switch".into(), arguments: "{\"on\":true}".into() };
    Command { key: key.map(str::to_owned), ..command(Action::Device(device)) }
}

fn mavlink(verb: Verb) -> Command {
    let mut mavlink = MavlinkCommand::of(verb);
    // NaN, which stands for no change, equals nothing.
    mavlink.params.iter_mut().filter(|param| param.is_nan()).for_each(|param| *param = 1.0);
    command(Action::Mavlink(mavlink))
}

/// A step of every state, with every reason.
fn every_step() -> Vec<Step> {
    use Reason as R;
    use State as S;
    let states = [
        S::Queued,
        S::Sent,
        S::AtVehicle,
        S::Accepted,
        S::Rejected,
        S::Failed,
        S::Done,
        S::Expired,
        S::Cancelled,
    ];
    let reasons = [
        R::NotAllowed,
        R::UnknownTarget,
        R::Malformed,
        R::Busy,
        R::Unavailable,
        R::Denied,
        R::TemporarilyDenied,
        R::Unsupported,
        R::TargetFailed,
        R::NoAnswer,
        R::NoResult,
        R::Unreachable,
        R::Interrupted,
        R::TooLate,
        R::NotDelivered,
        R::Superseded,
        R::Asked,
        R::Ceased,
    ];
    let plain = states.map(|state| Step::new(state, Timestamp(1)));
    let because = reasons.map(|reason| Step::new(S::Failed, Timestamp(-1)).because(reason).saying("no"));
    let progress = Step { progress: Some(50), ..Step::new(S::Accepted, TIME) };
    plain.into_iter().chain(because).chain([progress]).collect()
}

/// A schema with a field of every kind, with and without unit, decimals and absence.
fn every_kind() -> Schema {
    Schema {
        stream: "all".into(),
        origin: Origin::Sensor,
        class: Class::Live,
        fields: vec![
            Field::new("a", FieldKind::Bool),
            Field::new("b", FieldKind::U8),
            Field::new("c", FieldKind::I8),
            Field::new("d", FieldKind::U16),
            Field::new("e", FieldKind::I16),
            Field::new("f", FieldKind::U32),
            Field::new("g", FieldKind::I32).with_unit("degE7"),
            Field::new("h", FieldKind::U64),
            Field::new("i", FieldKind::I64),
            Field::new("j", FieldKind::F32).with_unit("rad").with_decimals(4),
            Field::new("k", FieldKind::F64).optional(),
            Field::new("l", FieldKind::Text),
            Field::new("m", FieldKind::Bytes),
        ],
    }
}

fn sensor(origin: Origin, class: Class) -> Schema {
    Schema { stream: "s".into(), origin, class, fields: vec![] }
}

fn full_schema(schema: Schema) -> ToGround {
    ToGround::Schemas(vec![SchemaAnnouncement { id: SchemaId(7), body: SchemaBody::Full(schema) }])
}

fn dialect_schema(class: Class, exact: bool) -> ToGround {
    let layout_hash = dialect::message(ATTITUDE.message).unwrap().hash();
    let body = SchemaBody::Dialect { origin: ATTITUDE, class, exact, layout_hash };
    ToGround::Schemas(vec![SchemaAnnouncement { id: SchemaId(200), body }])
}

fn link_state_schema() -> ToGround {
    let body = SchemaBody::LinkState { layout: LINK_STATE_LAYOUT };
    ToGround::Schemas(vec![SchemaAnnouncement { id: SchemaId(7), body }])
}

fn frame(lane: Lane, offset: i64) -> ToGround {
    ToGround::Frame(FrameMessage { lane, object: object(offset, vec![]) })
}

fn object(offset: i64, skips: Vec<u64>) -> Object {
    Object { offset, skips, frame: vec![0xde, 0xad, 0xbe, 0xef] }
}
