//! How the process logs, as it is written.

use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use super::{Args, ConfigError, LogConfig, LogFormat};

/// The file's section about the log.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileLog {
    format: Option<LogFormat>,
    level: Option<String>,
}

impl FileLog {
    pub(super) fn of(log: &LogConfig) -> Self {
        FileLog { format: Some(log.format), level: Some(log.level.clone()) }
    }

    pub(super) fn resolve(self, args: &Args) -> Result<LogConfig, ConfigError> {
        let level = args.log_level.clone().or(self.level).unwrap_or_else(|| "info".to_owned());
        if !is_filter(&level) {
            let expected =
                "error, warn, info, debug, trace, or a tracing filter such as tern_edge=debug,info";
            return Err(ConfigError::Value { key: "log.level", value: level, expected });
        }
        Ok(LogConfig { format: args.log_format.or(self.format).unwrap_or_default(), level })
    }
}

/// A word alone has to be a level: `tracing` takes any other for a part of the program, of which alone it then logs, so
/// that a misspelt level would log nothing.
fn is_filter(text: &str) -> bool {
    let is_plain = |part: &&str| !part.contains(['=', '[']);
    text.split(',').filter(is_plain).all(|word| word.parse::<LevelFilter>().is_ok())
        && EnvFilter::try_new(text).is_ok()
}
