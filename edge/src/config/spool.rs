//! Where the spool lies and what bounds it, as it is written.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::file::millis;
use super::{Args, ConfigError};
use crate::spool::{SpoolConfig, Synchronous};

const MAX_BYTES_MIN: u64 = 1 << 20;

/// The file's section about the spool.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileSpool {
    path: Option<PathBuf>,
    max_bytes: Option<u64>,
    max_age_seconds: Option<u64>,
    synchronous: Option<Synchronous>,
    commit_interval_ms: Option<u64>,
}

impl FileSpool {
    pub(super) fn of(spool: &SpoolConfig) -> Self {
        FileSpool {
            path: Some(spool.path.clone()),
            max_bytes: Some(spool.max_bytes),
            max_age_seconds: Some(spool.max_age.map_or(0, |age| age.as_secs())),
            synchronous: Some(spool.synchronous),
            commit_interval_ms: Some(spool.commit_interval.as_millis() as u64),
        }
    }

    pub(super) fn resolve(self, args: &Args) -> Result<SpoolConfig, ConfigError> {
        let path = args.spool.clone().or(self.path).unwrap_or_else(|| "tern-edge.sqlite".into());
        let default = SpoolConfig::new(path);
        let max_bytes = args.spool_max_bytes.or(self.max_bytes).unwrap_or(default.max_bytes);
        if max_bytes < MAX_BYTES_MIN {
            return Err(ConfigError::Value {
                key: "spool.max_bytes",
                value: max_bytes.to_string(),
                expected: "at least 1048576: with less than two minutes of telemetry at 64 kbit/s, a short outage \
                           already loses records",
            });
        }
        let max_age = args.spool_max_age_seconds.or(self.max_age_seconds).unwrap_or(0);
        Ok(SpoolConfig {
            max_bytes,
            max_age: (max_age > 0).then(|| Duration::from_secs(max_age)),
            synchronous: args.synchronous.or(self.synchronous).unwrap_or_default(),
            commit_interval: millis(
                "spool.commit_interval_ms",
                args.commit_interval_ms.or(self.commit_interval_ms),
                default.commit_interval,
                1..=10_000,
                "1 to 10000 ms",
            )?,
            ..default
        })
    }
}
