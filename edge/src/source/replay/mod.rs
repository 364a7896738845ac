//! A recorded flight, played again.

mod tlog;

use std::path::Path;
use std::time::Duration;

use tern_shared::time::Timestamp;
use tokio::fs::File;
use tokio::io::AsyncReadExt;
use tokio::time::{self, Instant};

use self::tlog::Entries;
use super::mavlink::Samples;
use super::output::{Closed, Counts, Output, WhenFull};
use super::url::{ReplayClock, Speed};
use super::{SourceError, wall_clock};

/// Bytes read at once.
const READ_BYTES: usize = 64 * 1024;
/// A longer step between two entries is a clock that was set, not a pause of the flight, and is not waited for.
const MAX_PAUSE: Duration = Duration::from_secs(3600);

/// Plays a tlog to its end, or for ever when `looped`.
pub(super) async fn run(
    path: &Path,
    speed: Speed,
    looped: bool,
    clock: ReplayClock,
    output: &Output,
) -> Result<(), SourceError> {
    let file_error = |error| SourceError::File { path: path.to_owned(), error };
    let mut samples = Samples::new();
    loop {
        let file = File::open(path).await.map_err(file_error)?;
        let mut playback = Playback { pace: Pace::new(speed), clock, samples: &mut samples, output };
        let frames = match playback.play(file).await.map_err(file_error)? {
            Ended::NobodyListens => return Ok(()),
            Ended::AfterFrames(0) => return Err(SourceError::NoFrames { path: path.to_owned() }),
            Ended::AfterFrames(frames) => frames,
        };
        tracing::info!(path = %path.display(), frames, looped, "recording played");
        if !looped {
            return Ok(());
        }
        // Without it, a short recording at full speed would keep other tasks from running.
        tokio::task::yield_now().await;
    }
}

enum Ended {
    AfterFrames(u64),
    NobodyListens,
}

/// One run through the file.
struct Playback<'a> {
    pace: Pace,
    clock: ReplayClock,
    samples: &'a mut Samples,
    output: &'a Output,
}

impl Playback<'_> {
    async fn play(&mut self, mut file: File) -> std::io::Result<Ended> {
        let mut entries = Entries::default();
        let mut buffer = vec![0; READ_BYTES];
        let mut frames = 0;
        loop {
            let length = file.read(&mut buffer).await?;
            entries.push(&buffer[..length]);
            if length == 0 {
                entries.finish();
            }
            match self.play_entries(&mut entries).await {
                Ok(played) => frames += played,
                Err(Closed) => return Ok(Ended::NobodyListens),
            }
            self.output.counters().add(Counts {
                bytes: length as u64,
                bad_checksums: std::mem::take(&mut entries.bad_checksums),
                skipped_bytes: std::mem::take(&mut entries.skipped_bytes),
                ..Counts::default()
            });
            if length == 0 {
                return Ok(Ended::AfterFrames(frames));
            }
        }
    }

    async fn play_entries(&mut self, entries: &mut Entries) -> Result<u64, Closed> {
        let mut played = 0;
        let mut due = Vec::with_capacity(1);
        while let Some(entry) = entries.next_entry() {
            let mut sample = self.samples.sample(&entry.frame, entry.time);
            if let Some(at) = self.pace.due(entry.time) {
                time::sleep_until(at).await;
            }
            if self.clock == ReplayClock::Now {
                sample.time = wall_clock();
            }
            due.push(sample);
            self.output.send(&mut due, WhenFull::Wait).await?;
            played += 1;
        }
        Ok(played)
    }
}

/// When entries are due.
struct Pace {
    speed: Speed,
    /// The newest entry so far, and when it was due.
    last: Option<(Timestamp, Instant)>,
}

impl Pace {
    fn new(speed: Speed) -> Self {
        Pace { speed, last: None }
    }

    /// When an entry is due; `None` when it is at once. Steps add up from the start, so that waiting a little long for
    /// one entry does not delay all that follow.
    fn due(&mut self, recorded: Timestamp) -> Option<Instant> {
        let Speed::Times(speed) = self.speed else { return None };
        let Some((last, due)) = self.last else {
            self.last = Some((recorded, Instant::now()));
            return None;
        };
        let pause = Duration::from_micros(recorded.micros_since(last).try_into().unwrap_or(0));
        let pause = if pause > MAX_PAUSE { Duration::ZERO } else { pause };
        // Slow enough a speed makes a pause of years; it is cut where an instant can no longer hold it.
        let pause = Duration::try_from_secs_f64(pause.as_secs_f64() / speed).unwrap_or(MAX_PAUSE);
        let due = due.checked_add(pause).unwrap_or(due);
        self.last = Some((recorded, due));
        Some(due)
    }
}

#[cfg(test)]
mod tests;
