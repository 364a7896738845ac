//! The part of the configuration file about commands. It has no flags: a list of what may pass belongs in a file that
//! somebody can review.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tern_shared::command::check_name;

use super::ConfigError;
use crate::command::config::{
    CommandConfig, ControlConfig, DeviceConfig, DeviceTarget, GROUND_STATION, MavlinkConfig,
    MavlinkPermission, RESULT_LIMIT, speaks,
};
use crate::source::{Format, SourceUrl};

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileCommands {
    journal: Option<PathBuf>,
    mavlink: Option<FileMavlink>,
    #[serde(default)]
    devices: BTreeMap<String, FileDevice>,
    #[serde(default)]
    controls: BTreeMap<String, FileControl>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileMavlink {
    source: Option<String>,
    #[serde(default)]
    allow: Vec<String>,
    system: Option<u8>,
    component: Option<u8>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileDevice {
    source: Option<String>,
    program: Option<Vec<String>>,
    #[serde(default)]
    allow: Vec<String>,
    result_limit_seconds: Option<u64>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileControl {
    source: String,
    axes: Vec<String>,
    stop: Option<Vec<i16>>,
}

impl FileCommands {
    /// Sources that commands name and telemetry does not are added to `sources`.
    pub(super) fn resolve(
        self,
        sources: &mut Vec<SourceUrl>,
        spool: &Path,
    ) -> Result<CommandConfig, ConfigError> {
        let mavlink = self.mavlink.map(|mavlink| mavlink.resolve(sources)).transpose()?;
        let devices = self.devices.into_iter().map(|(name, device)| {
            check_name("a device's name", &name)
                .map_err(|error| invalid("commands.devices", error.to_string()))?;
            Ok((name, device.resolve()?))
        });
        let controls = self.controls.into_iter().map(|(name, control)| {
            check_name("a control's name", &name)
                .map_err(|error| invalid("commands.controls", error.to_string()))?;
            Ok((name, control.resolve()?))
        });
        let config = CommandConfig {
            mavlink,
            devices: devices.collect::<Result<_, ConfigError>>()?,
            controls: controls.collect::<Result<_, ConfigError>>()?,
            journal: self.journal.unwrap_or_else(|| beside(spool)),
        };
        for source in config.sources() {
            if !sources.contains(source) {
                sources.push(source.clone());
            }
        }
        Ok(config)
    }

    pub(super) fn print(config: &CommandConfig) -> FileCommands {
        let mavlink = config.mavlink.as_ref().map(|mavlink| FileMavlink {
            source: Some(mavlink.source.to_string()),
            allow: mavlink
                .allow
                .iter()
                .map(|permission| match permission {
                    MavlinkPermission::Name(name) => (*name).to_owned(),
                    MavlinkPermission::Number(number) => number.to_string(),
                })
                .collect(),
            system: Some(mavlink.system),
            component: Some(mavlink.component),
        });
        let devices = config.devices.iter().map(|(name, device)| {
            let (source, program) = match &device.target {
                DeviceTarget::Source(source) => (Some(source.to_string()), None),
                DeviceTarget::Program(argv) => (None, Some(argv.clone())),
            };
            let result_limit_seconds = Some(device.result_limit.as_secs());
            (name.clone(), FileDevice { source, program, allow: device.allow.clone(), result_limit_seconds })
        });
        let controls = config.controls.iter().map(|(name, control)| {
            let ControlConfig { source, axes, stop } = control;
            let (source, axes, stop) = (source.to_string(), axes.clone(), Some(stop.clone()));
            (name.clone(), FileControl { source, axes, stop })
        });
        FileCommands {
            journal: config.is_enabled().then(|| config.journal.clone()),
            mavlink,
            devices: devices.collect(),
            controls: controls.collect(),
        }
    }
}

impl FileMavlink {
    fn resolve(self, sources: &[SourceUrl]) -> Result<MavlinkConfig, ConfigError> {
        let key = "commands.mavlink.source";
        let is_mavlink = |source: &SourceUrl| matches!(speaks(source), Some(Format::Mavlink { .. }));
        let source = match self.source {
            Some(text) => parse(key, &text)?,
            None => sources.iter().find(|source| is_mavlink(source)).cloned().ok_or_else(|| {
                invalid(key, "there is no MAVLink source among `sources`: name one".to_owned())
            })?,
        };
        if !is_mavlink(&source) {
            return Err(invalid(key, format!("{source} is no MAVLink source")));
        }
        let allow = self.allow.iter().map(|text| MavlinkPermission::parse(text));
        Ok(MavlinkConfig {
            source,
            allow: allow
                .collect::<Result<_, _>>()
                .map_err(|error| invalid("commands.mavlink.allow", error))?,
            system: self.system.unwrap_or(GROUND_STATION.0),
            component: self.component.unwrap_or(GROUND_STATION.1),
        })
    }
}

impl FileDevice {
    fn resolve(self) -> Result<DeviceConfig, ConfigError> {
        let key = "commands.devices";
        let target = match (self.source, self.program) {
            (Some(source), None) => {
                let source = parse(key, &source)?;
                if speaks(&source) != Some(Format::JsonLines) {
                    return Err(invalid(key, format!("{source} is no source of JSON lines")));
                }
                DeviceTarget::Source(source)
            }
            (None, Some(argv)) if !argv.is_empty() => DeviceTarget::Program(argv),
            _ => return Err(invalid(key, "a device needs either source or program".to_owned())),
        };
        let result_limit = self.result_limit_seconds.map_or(RESULT_LIMIT, Duration::from_secs);
        if !(Duration::from_secs(1)..=Duration::from_secs(24 * 3600)).contains(&result_limit) {
            return Err(invalid(key, "result_limit_seconds: expected 1 to 86400".to_owned()));
        }
        Ok(DeviceConfig { target, allow: self.allow, result_limit })
    }
}

impl FileControl {
    fn resolve(self) -> Result<ControlConfig, ConfigError> {
        let key = "commands.controls";
        let source = parse(key, &self.source)?;
        let stop = self.stop.unwrap_or_else(|| vec![0; self.axes.len()]);
        let config = ControlConfig { source, axes: self.axes, stop };
        config.validate().map_err(|error| invalid(key, error))?;
        Ok(config)
    }
}

fn parse(key: &'static str, text: &str) -> Result<SourceUrl, ConfigError> {
    text.parse().map_err(|error: crate::source::InvalidSourceUrl| invalid(key, error.to_string()))
}

fn invalid(key: &'static str, error: String) -> ConfigError {
    ConfigError::Invalid { key, error }
}

/// `edge.sqlite` -> `edge-commands.sqlite`.
fn beside(spool: &Path) -> PathBuf {
    let mut name = spool.file_stem().unwrap_or_default().to_owned();
    name.push("-commands.sqlite");
    spool.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(text: &str) -> Result<(CommandConfig, Vec<SourceUrl>), String> {
        let file: FileCommands = toml::from_str(text).map_err(|error| error.to_string())?;
        let mut sources = vec!["simulated:".parse().unwrap()];
        let config =
            file.resolve(&mut sources, Path::new("/var/edge.sqlite")).map_err(|error| error.to_string())?;
        Ok((config, sources))
    }

    const ALL: &str = r#"
        [mavlink]
        source = "udpin:127.0.0.1:14550"
        allow = ["rtl", "181"]
        [devices.lamp]
        source = "jsonl+tcpout:127.0.0.1:7100"
        allow = ["switch"]
        [devices.power]
        program = ["/usr/bin/power", "cycle"]
        result_limit_seconds = 5
        [controls.drive]
        source = "jsonl+tcpout:127.0.0.1:7100"
        axes = ["steering", "throttle"]
    "#;

    #[test]
    fn what_commands_reach_becomes_a_source_and_is_printed_as_it_was_read() {
        let (config, sources) = resolve(ALL).unwrap();
        let names: Vec<_> = sources.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["simulated:", "udpin:127.0.0.1:14550", "jsonl+tcpout:127.0.0.1:7100"]);
        assert_eq!(config.journal, Path::new("/var/edge-commands.sqlite"));
        assert_eq!(config.controls["drive"].stop, [0, 0]);
        let printed = toml::to_string(&FileCommands::print(&config)).unwrap();
        assert_eq!(resolve(&printed).unwrap().0, config);
        assert!(!resolve("").unwrap().0.is_enabled());
    }

    #[test]
    fn what_cannot_be_is_told() {
        let error = |text: &str| resolve(text).unwrap_err();
        assert!(error("[mavlink]\nallow = [\"rtl\"]").contains("no MAVLink source"));
        assert!(error("[mavlink]\nsource = \"simulated:\"").contains("no MAVLink source"));
        assert!(error("[mavlink]\nsource = \"udpin:0.0.0.0:1\"\nallow = [\"rlt\"]").contains("rlt"));
        assert!(error("[devices.lamp]\nallow = [\"a\"]").contains("either source or program"));
        assert!(error("[devices.lamp]\nsource = \"udpin:0.0.0.0:1\"").contains("JSON lines"));
        assert!(error("[devices.\"a\\nb\"]\nprogram = [\"x\"]").contains("name"));
        assert!(error("[controls.drive]\nsource = \"udpin:0.0.0.0:1\"\naxes = [\"left\"]").contains("rc1"));
        assert!(error("[controls.drive]\nsource = \"simulated:\"\naxes = [\"x\"]").contains("neither"));
        let stop = "[controls.drive]\nsource = \"udpin:0.0.0.0:1\"\naxes = [\"x\", \"y\"]\nstop = [0]";
        assert!(error(stop).contains("every axis"));
    }
}
