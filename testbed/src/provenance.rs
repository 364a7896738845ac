//! Where a result comes from.

use std::fmt;

use chrono::{SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

/// What made a result, when and on what. Results of earlier releases do not say.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Provenance {
    /// The testbed's version.
    pub version: String,
    /// When measuring began, of a run the moment of the first sample: UTC, RFC 3339.
    pub started: String,
    /// The kernel and its release.
    pub kernel: String,
    /// Processors that the testbed may use.
    pub cpus: usize,
}

impl Provenance {
    /// That of a result which begins now.
    pub(crate) fn now() -> Self {
        let kernel = |name: &str| std::fs::read_to_string(format!("/proc/sys/kernel/{name}"));
        let [name, release] = ["ostype", "osrelease"].map(|name| kernel(name).unwrap_or_default());
        Provenance {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true),
            kernel: format!("{} {}", name.trim(), release.trim()),
            cpus: std::thread::available_parallelism().map_or(0, usize::from),
        }
    }
}

impl fmt::Display for Provenance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Provenance { version, started, kernel, cpus } = self;
        write!(f, "version {version}, begun {started}, on {kernel} with {cpus} CPUs")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_told() {
        let now = Provenance::now();
        assert!(now.kernel.starts_with("Linux ") && now.cpus > 0 && now.started.ends_with('Z'), "{now}");
    }
}
