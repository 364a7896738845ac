use mavlink::dialects::ardupilotmega::MavMessage;
use mavlink::{MavlinkReader, Message as _, calculate_crc};
use proptest::prelude::*;

use super::*;
use crate::mavlink::dialect::message_named;

/// A frame as a parser handed it over, owned.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    raw: Vec<u8>,
    typed: bool,
}

fn parse(pieces: &[&[u8]]) -> (Vec<Seen>, Counts) {
    let mut parser = Parser::new();
    let mut seen = Vec::new();
    for piece in pieces {
        parser.push(piece, |frame| seen.push(own(frame)));
    }
    parser.finish(|frame| seen.push(own(frame)));
    (seen, parser.counts())
}

fn own(frame: Frame<'_>) -> Seen {
    Seen { raw: frame.raw.to_owned(), typed: frame.layout.is_some() }
}

fn v1(message: u8, crc_extra: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![V1_START, payload.len() as u8, 7, 1, 1, message];
    frame.extend(payload);
    frame.extend(calculate_crc(&frame[1..], crc_extra).to_le_bytes());
    frame
}

fn v2(flags: u8, message: u32, crc_extra: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![V2_START, payload.len() as u8, flags, 0, 7, 1, 1];
    frame.extend(&message.to_le_bytes()[..3]);
    frame.extend(payload);
    frame.extend(calculate_crc(&frame[1..], crc_extra).to_le_bytes());
    if flags & SIGNED != 0 {
        frame.extend([0x55; SIGNATURE_BYTES]);
    }
    frame
}

fn heartbeat() -> Vec<u8> {
    encode_v2(7, 1, 1, message_named("HEARTBEAT").unwrap(), &[1, 0, 0, 0, 2, 3, 81, 4, 3])
}

fn unknown() -> Vec<u8> {
    v2(0, 0x0f_ff_f0, 99, b"opaque")
}

proptest! {
    #[test]
    fn the_checksum_is_the_mavlink_crates(bytes in prop::collection::vec(any::<u8>(), 0..64), extra: u8) {
        prop_assert_eq!(crc_accumulate(crc16_mcrf4xx(&bytes), extra), calculate_crc(&bytes, extra));
    }

    #[test]
    fn frames_come_whole_however_the_bytes_are_cut(cuts in prop::collection::vec(1..40usize, 1..40)) {
        let frames = [heartbeat(), unknown(), v1(0, 50, &[0; 9]), v2(SIGNED, 0, 50, &[1; 9]), heartbeat(), unknown()];
        let stream = frames.concat();
        let mut pieces = Vec::new();
        let mut rest = stream.as_slice();
        for cut in cuts {
            let (piece, after) = rest.split_at(cut.min(rest.len()));
            pieces.push(piece);
            rest = after;
        }
        pieces.push(rest);
        let (seen, counts) = parse(&pieces);
        prop_assert_eq!(seen.iter().map(|s| s.raw.clone()).collect::<Vec<_>>(), frames);
        prop_assert_eq!(counts, Counts { frames: 6, opaque: 2, ..Counts::default() });
    }

    #[test]
    fn garbage_never_swallows_frames(garbage in prop::collection::vec(prop::sample::select(vec![0xfe, 0xfd, 0, 1, 9, 30, 77]), 0..300)) {
        let start = garbage.len();
        let stream = [garbage, heartbeat(), heartbeat()].concat();
        // One false start in 65,536 has a right checksum by chance: no parser can tell.
        prop_assume!((0..start).all(|at| !matches!(inspect(&stream[at..]), Candidate::Certain(_))));
        let (seen, counts) = parse(&[&stream]);
        let intact = Seen { raw: heartbeat(), typed: true };
        let ends_intact = seen.ends_with(&[intact.clone(), intact]);
        prop_assert!(ends_intact, "{:?}", seen);
        let passed: usize = seen.iter().map(|s| s.raw.len()).sum();
        prop_assert_eq!(passed + counts.skipped_bytes as usize, stream.len());
    }

    #[test]
    fn any_bytes_are_taken_and_accounted_for(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..600), 0..8)) {
        let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
        let (seen, counts) = parse(&pieces);
        let passed: usize = seen.iter().map(|s| s.raw.len()).sum();
        prop_assert_eq!(passed + counts.skipped_bytes as usize, pieces.concat().len());
    }
}

#[test]
fn the_mavlink_crate_reads_what_we_write() {
    let frame = heartbeat();
    let (header, message) = MavlinkReader::new(frame.as_slice()).read_any_message::<MavMessage>().unwrap();
    assert_eq!((header.system_id, header.component_id, header.sequence), (1, 1, 7));
    assert_eq!(message.message_name(), "HEARTBEAT");
}

#[test]
fn a_false_start_mark_does_not_delay_the_frames_behind_it_for_good() {
    // Claims 255 bytes of payload, of which two whole frames are a part.
    let stream = [vec![V1_START, 255], heartbeat(), heartbeat()].concat();
    let (seen, counts) = parse(&[&stream]);
    assert_eq!((seen.len(), counts.skipped_bytes), (2, 2));
}

#[test]
fn a_frame_with_a_bad_checksum_is_counted_and_dropped() {
    let mut bad = heartbeat();
    bad[12] ^= 0x40;
    let (seen, counts) = parse(&[&[heartbeat(), bad.clone(), bad.clone(), heartbeat()].concat()]);
    assert_eq!(seen.len(), 2);
    assert_eq!((counts.bad_checksums, counts.skipped_bytes), (2, 2 * bad.len() as u64));
}

#[test]
fn an_unknown_message_waits_for_what_follows_it() {
    let mut parser = Parser::new();
    let mut seen = Vec::new();
    parser.push(&unknown(), |frame| seen.push(own(frame)));
    assert_eq!(seen, []);
    parser.idle(|frame| seen.push(own(frame)));
    assert_eq!(seen, [Seen { raw: unknown(), typed: false }]);

    parser.push(&[unknown(), vec![0x11], heartbeat()].concat(), |frame| seen.push(own(frame)));
    assert_eq!(seen[1..], [Seen { raw: heartbeat(), typed: true }]);
}

#[test]
fn a_plausible_frame_in_garbage_does_not_swallow_a_certain_one() {
    let around = v1(254, 3, &heartbeat());
    let (seen, _) = parse(&[&[vec![0], around.clone(), heartbeat()].concat()]);
    assert_eq!(seen, [Seen { raw: heartbeat(), typed: true }, Seen { raw: heartbeat(), typed: true }]);
    let (seen, _) = parse(&[&[heartbeat(), around.clone(), heartbeat()].concat()]);
    assert_eq!(seen[1], Seen { raw: around, typed: false });
}

#[test]
fn a_plausible_frame_in_garbage_is_no_reason_to_believe_the_next_one() {
    let around = v1(254, 3, &heartbeat());
    let (seen, _) = parse(&[&[vec![0], unknown(), around].concat()]);
    assert_eq!(seen, [Seen { raw: unknown(), typed: false }, Seen { raw: heartbeat(), typed: true }]);
}

#[test]
fn an_idle_stream_keeps_a_frame_that_is_not_whole() {
    let mut parser = Parser::new();
    let mut seen = Vec::new();
    let frame = heartbeat();
    parser.push(&frame[..15], |frame| seen.push(own(frame)));
    parser.idle(|frame| seen.push(own(frame)));
    parser.push(&frame[15..], |frame| seen.push(own(frame)));
    assert_eq!((seen.len(), parser.counts().skipped_bytes), (1, 0));
}

#[test]
fn what_the_dialect_cannot_type_passes_whole() {
    let opaque = [
        v2(0x02, 0, 50, &[1; 9]), // a flag that nobody has defined
        v2(0, 0, 50, &[1; 10]),   // longer than the dialect's HEARTBEAT
        v1(0, 50, &[1; 8]),       // shorter than MAVLink 1 allows
        v1(142, 113, &[0xff; 5]), // known to the dialect with another layout
        v1(254, 3, &[0xff; 5]),   // unknown
    ];
    let (seen, counts) = parse(&[&opaque.concat()]);
    assert_eq!(seen, opaque.map(|raw| Seen { raw, typed: false }));
    assert_eq!(counts, Counts { frames: 5, opaque: 5, ..Counts::default() });
}

#[test]
fn a_signed_frame_is_typed_and_keeps_its_signature() {
    let signed = v2(SIGNED, 0, 50, &[1; 9]);
    let Candidate::Certain(frame) = inspect(&signed) else { panic!("not certain") };
    assert_eq!((frame.payload, frame.raw.len(), frame.layout.unwrap().name), (&[1; 9][..], 34, "HEARTBEAT"));
}

#[test]
fn memory_stays_bounded_on_any_stream() {
    let mut parser = Parser::new();
    for _ in 0..100 {
        parser.push(&[V1_START; 10_000], |_| {});
        assert!(parser.pending.len() <= MAX_FRAME_BYTES);
    }
    assert!(parser.pending.capacity() <= 16 * 1024);
}
