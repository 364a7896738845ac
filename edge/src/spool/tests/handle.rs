//! The handle and its thread.

use tern_shared::id::SchemaId;
use tern_shared::message::GapReason;
use tokio::sync::mpsc;

use super::super::{Fetched, SpoolEvent, SpoolHandle, SpoolState, SpoolStatus};
use super::*;

fn start(folder: &Path, capacity: usize) -> (SpoolHandle, Opened, mpsc::Receiver<SpoolEvent>) {
    let (sender, events) = mpsc::channel(capacity);
    let config = SpoolConfig { commit_interval: Duration::from_millis(5), ..config(folder) };
    let (handle, opened) = SpoolHandle::open(&config, WALL, sender).unwrap();
    (handle, opened, events)
}

fn next_status(events: &mut mpsc::Receiver<SpoolEvent>) -> SpoolStatus {
    loop {
        if let SpoolEvent::Spooled(status) = events.blocking_recv().unwrap() {
            return status;
        }
    }
}

fn next_answer(events: &mut mpsc::Receiver<SpoolEvent>) -> Fetched {
    loop {
        if let SpoolEvent::Fetched(fetched) = events.blocking_recv().unwrap() {
            return fetched;
        }
    }
}

#[test]
fn what_is_appended_is_reported_as_spooled_and_there_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let (handle, _, mut events) = start(folder.path(), 8);
    handle.put_schema(SchemaId(0), schema());
    for i in 0..100 {
        handle.append(frame(10 * i, 10 * i + 10, 300)).unwrap();
    }
    while next_status(&mut events).counts.committed_records < 1000 {}
    handle.acknowledge(&[range(0, 500)]);
    while next_status(&mut events).held.records != 500 {}
    let last = handle.close();
    assert_eq!((last.state, last.up_to), (SpoolState::Ok, 1000));
    let (_, opened, _) = start(folder.path(), 8);
    assert_eq!((opened.held.records, opened.schemas.len()), (500, 1));
}

#[test]
fn a_fetch_sees_every_append_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let (handle, _, mut events) = start(folder.path(), 8);
    for i in 0..50 {
        handle.append(frame(i, i + 1, 100)).unwrap();
        handle.fetch(range(i, i + 1), 1);
        let answer = next_answer(&mut events);
        assert_eq!((answer.covered, answer.frames.len()), (range(i, i + 1), 1));
    }
}

#[test]
fn closing_commits_what_waits_although_nobody_takes_the_events() {
    let folder = tempfile::tempdir().unwrap();
    let (handle, _, events) = start(folder.path(), 1);
    for i in 0..20 {
        handle.append(frame(i, i + 1, 100)).unwrap();
        handle.fetch(range(0, i), 1000);
    }
    assert_eq!(handle.close().counts.committed_records, 20);
    drop(events);
    let (handle, opened, events) = start(folder.path(), 1);
    assert_eq!(opened.held.records, 20);
    drop(events);
    handle.append(frame(opened.base, opened.base + 1, 100)).unwrap();
    assert_eq!(handle.close().held.records, 21);
}

#[test]
fn what_a_full_queue_refuses_is_returned_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let (handle, _, mut events) = start(folder.path(), 8);
    // More than the queue takes, whether or not the thread takes some meanwhile.
    let large: Arc<[u8]> = vec![0; 3 << 20].into();
    let frame = |start| Frame { range: range(start, start + 1), newest: WALL, bytes: large.clone() };
    let refused = (0..20).filter(|&start| handle.append(frame(start)).is_err()).count() as u64;
    assert!(refused > 0);
    handle.fetch(range(0, 20), 1);
    next_answer(&mut events);
    let last = handle.close();
    assert_eq!((last.counts.not_stored_records, last.counts.committed_records), (refused, 20 - refused));
}

#[test]
fn without_a_spool_every_fetch_is_answered_as_not_stored_and_the_state_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let (_held, _) = open(folder.path());
    let error = try_open(folder.path()).unwrap_err();
    let (sender, mut events) = mpsc::channel(8);
    let (handle, opened) = SpoolHandle::unavailable(&error, sender).unwrap();
    assert_eq!(opened.base, 0);
    handle.append(frame(0, 30, 100)).unwrap();
    handle.fetch(range(0, 30), 1000);
    let answer = next_answer(&mut events);
    assert_eq!((answer.covered, answer.absent), (range(0, 30), vec![(range(0, 30), GapReason::NotStored)]));
    assert!(events.try_recv().is_err(), "whoever opened it was told already");
    let status = handle.close();
    assert_eq!(status.counts.not_stored_records, 30);
    assert_eq!(status.state, SpoolState::Failed(error.to_string()));
}
