//! The key set's file is read again when it changes, so that keys can be rotated without a restart.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tracing::{error, info};

use super::JwtKeys;

/// How often the file is looked at.
const INTERVAL: Duration = Duration::from_secs(2);

/// What tells that a file is another one: device, inode, size and time of modification.
type Mark = Option<(u64, u64, u64, i64, i64)>;

impl JwtKeys {
    /// Reads the file again whenever it changes. What cannot be used is logged once, and the keys from before stay.
    pub async fn follow(self: Arc<Self>) {
        // The first look reads it once more, as it may have changed since it was read.
        let mut seen = None;
        loop {
            let keys = self.clone();
            // The file may be on a slow disk.
            let looked = tokio::task::spawn_blocking(move || {
                let mark = mark(&keys.path);
                // Before it is read: what is written meanwhile is read the next time.
                let is_news = seen != Some(mark);
                (mark, is_news.then(|| keys.reload()))
            });
            let Ok((mark, reloaded)) = looked.await else { return };
            match reloaded {
                Some(Ok(keys)) if seen.is_some() => {
                    info!(keys, file = %self.path.display(), "read jwt.keys again");
                }
                Some(Err(error)) => {
                    error!(%error, "jwt.keys has changed and cannot be used: the keys from before stay");
                }
                _ => {}
            }
            seen = Some(mark);
            sleep(INTERVAL).await;
        }
    }
}

/// `None` of a file that is not there.
fn mark(path: &Path) -> Mark {
    let file = std::fs::metadata(path).ok()?;
    Some((file.dev(), file.ino(), file.size(), file.mtime(), file.mtime_nsec()))
}
