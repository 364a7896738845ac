//! The store against a model of it that keeps everything in plain collections.

use proptest::prelude::*;
use tern_shared::message::GapReason;
use tern_shared::range::{RangeSet, SequenceRange};
use tern_shared::session::Frame;

use super::super::store::{Changes, Counts, Held, ROW_BYTES, RUN_NUMBERS, Store};
use super::super::{Opened, SpoolConfig};
use super::{at, config, crash, frame, range};

const MAX_BYTES: u64 = 3000;
const MAX_AGE_SECONDS: u64 = 50;

#[derive(Clone, Debug)]
enum Step {
    /// Frames of so many records and bytes, in one commit, after leaving out so many numbers.
    Append(Vec<(u64, usize)>, u64),
    /// Numbers, counted back from the newest.
    Acknowledge(u64, u64),
    /// Seconds.
    Wait(u64),
    Fetch(u64, u64, usize),
    Close,
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (prop::collection::vec((1u64..8, 0usize..400), 1..6), 0u64..3).prop_map(|(f, s)| Step::Append(f, s)),
        4 => (0u64..90, 1u64..40).prop_map(|(back, len)| Step::Acknowledge(back, len)),
        2 => (1u64..40).prop_map(Step::Wait),
        3 => (0u64..90, 1u64..90, 0usize..900).prop_map(|(back, len, max)| Step::Fetch(back, len, max)),
        1 => Just(Step::Close),
        1 => Just(Step::Crash),
    ]
}

#[derive(Default)]
struct Model {
    /// With the running time at which each was appended.
    frames: Vec<(Frame, u64)>,
    acknowledged: RangeSet,
    evicted: RangeSet,
    running_seconds: u64,
    saved_seconds: u64,
    counts: Counts,
}

impl Model {
    fn bytes(&self) -> u64 {
        self.frames.iter().map(|(frame, _)| frame.bytes.len() as u64 + ROW_BYTES).sum()
    }

    fn append(&mut self, frames: &[Frame]) {
        self.frames.extend(frames.iter().cloned().map(|frame| (frame, self.running_seconds)));
        self.counts.committed_records += frames.iter().map(|frame| frame.range.len()).sum::<u64>();
        self.saved_seconds = self.running_seconds;
    }

    fn acknowledge(&mut self, acknowledged: SequenceRange) {
        self.acknowledged.insert(acknowledged);
        self.evicted.remove(acknowledged);
        self.frames.retain(|(frame, _)| !self.acknowledged.covers(frame.range));
        self.saved_seconds = self.running_seconds;
    }

    fn evict(&mut self) {
        while let Some((oldest, stored)) = self.frames.first()
            && (self.bytes() > MAX_BYTES || self.running_seconds - stored > MAX_AGE_SECONDS)
        {
            for lost in self.acknowledged.missing_in(oldest.range) {
                self.evicted.insert(lost);
                self.counts.evicted_records += lost.len();
            }
            self.frames.remove(0);
            self.saved_seconds = self.running_seconds;
        }
    }

    fn held(&self) -> Held {
        Held {
            frames: self.frames.len() as u64,
            records: self.frames.iter().map(|(frame, _)| frame.range.len()).sum(),
            bytes: self.bytes(),
        }
    }

    fn reason(&self, number: u64) -> Option<GapReason> {
        if self.frames.iter().any(|(frame, _)| (frame.range.start..frame.range.end).contains(&number)) {
            None
        } else if self.evicted.contains(number) {
            Some(GapReason::Evicted)
        } else {
            Some(GapReason::Absent)
        }
    }
}

fn check_fetch(
    store: &Store,
    model: &Model,
    asked: SequenceRange,
    max_bytes: usize,
) -> Result<(), TestCaseError> {
    let fetched = store.fetch(asked, max_bytes).unwrap();
    let mut bytes = 0;
    let mut covered_from = asked.start;
    let mut expected = Vec::new();
    for (frame, _) in model.frames.iter().rev() {
        if frame.range.intersect(&asked).is_empty() {
            continue;
        }
        if bytes >= max_bytes && !expected.is_empty() {
            covered_from =
                expected.last().map_or(asked.start, |last: &Frame| last.range.start.max(asked.start));
            break;
        }
        bytes += frame.bytes.len();
        expected.push(frame.clone());
    }
    prop_assert_eq!(&fetched.frames, &expected);
    prop_assert_eq!(fetched.covered, range(covered_from, asked.end));
    for (gap, reason) in &fetched.absent {
        prop_assert!(!gap.is_empty() && gap.start >= covered_from && gap.end <= asked.end);
        // The unused end of a run is too long to be looked at number by number.
        for number in (gap.start..gap.end).take(500).chain(gap.end.saturating_sub(5).max(gap.start)..gap.end)
        {
            prop_assert_eq!(model.reason(number), Some(*reason), "number {}", number);
        }
    }
    let held: RangeSet = model.frames.iter().map(|(frame, _)| frame.range).collect();
    let absent: Vec<SequenceRange> =
        fetched.absent.iter().map(|(gap, _)| *gap).collect::<RangeSet>().iter().collect();
    prop_assert_eq!(absent, held.missing_in(fetched.covered));
    Ok(())
}

fn bounded(folder: &std::path::Path) -> SpoolConfig {
    SpoolConfig {
        max_bytes: MAX_BYTES,
        max_age: Some(std::time::Duration::from_secs(MAX_AGE_SECONDS)),
        ..config(folder)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn the_store_does_what_its_model_does(steps in prop::collection::vec(step(), 1..40)) {
        let mut folder = tempfile::tempdir().unwrap();
        let (mut store, Opened { epoch, mut base, .. }) = Store::open(&bounded(folder.path()), at(0)).unwrap();
        let mut model = Model::default();
        let mut next = base;
        let mut seconds = 0;
        for step in steps {
            match step {
                Step::Append(sizes, skipped) => {
                    next += skipped;
                    let mut frames = Vec::new();
                    for (records, size) in sizes {
                        frames.push(frame(next, next + records, size));
                        next += records;
                    }
                    model.append(&frames);
                    let changes = Changes { frames, ..Changes::default() };
                    store.commit(at(seconds).instant, changes).unwrap();
                }
                Step::Acknowledge(back, len) => {
                    let start = next.saturating_sub(back);
                    let acknowledged = range(start, (start + len).min(next));
                    if acknowledged.is_empty() {
                        continue;
                    }
                    model.acknowledge(acknowledged);
                    let changes = Changes { acknowledged: [acknowledged].into_iter().collect(), ..Changes::default() };
                    store.commit(at(seconds).instant, changes).unwrap();
                }
                Step::Wait(wait) => {
                    seconds += wait;
                    model.running_seconds += wait;
                    store.commit(at(seconds).instant, Changes::default()).unwrap();
                }
                Step::Fetch(back, len, max_bytes) => {
                    let start = next.saturating_sub(back);
                    check_fetch(&store, &model, range(start, start + len), max_bytes)?;
                }
                Step::Close | Step::Crash => {
                    if matches!(step, Step::Crash) {
                        folder = crash(store, folder.path());
                    } else {
                        drop(store);
                    }
                    let opened;
                    (store, opened) = Store::open(&bounded(folder.path()), at(0)).unwrap();
                    prop_assert_eq!(opened.epoch, epoch);
                    prop_assert_eq!(opened.moved_aside, None);
                    prop_assert_eq!(opened.base, base + RUN_NUMBERS);
                    base = opened.base;
                    next = base;
                    seconds = 0;
                    model.running_seconds = model.saved_seconds;
                    model.counts = Counts::default();
                }
            }
            model.evict();
            prop_assert_eq!(store.held(), model.held());
            prop_assert_eq!(store.counts(), model.counts);
        }
        check_fetch(&store, &model, range(0, next), usize::MAX)?;
    }
}
