//! What may pass: the edge's allow-lists, which no message from the ground can change.

use std::collections::BTreeSet;

use tern_shared::command::{Action, Command, Reason};

use super::config::{CommandConfig, MavlinkPermission};

/// The allow-lists.
#[derive(Debug)]
pub(super) struct Policy {
    mavlink: Option<Vec<MavlinkPermission>>,
    /// Devices, and commands of devices.
    devices: BTreeSet<String>,
    commands: BTreeSet<(String, String)>,
}

impl Policy {
    pub(super) fn new(config: &CommandConfig) -> Self {
        let commands = config
            .devices
            .iter()
            .flat_map(|(name, device)| device.allow.iter().map(|command| (name.clone(), command.clone())));
        Policy {
            mavlink: config.mavlink.as_ref().map(|mavlink| mavlink.allow.clone()),
            devices: config.devices.keys().cloned().collect(),
            commands: commands.collect(),
        }
    }

    /// Why a command may not pass; `None` when it may.
    pub(super) fn refusal(&self, command: &Command) -> Option<(Reason, String)> {
        match &command.action {
            Action::Mavlink(action) => {
                let Some(allow) = &self.mavlink else {
                    return Some((Reason::UnknownTarget, "no MAVLink commands here".to_owned()));
                };
                let name = action.name();
                let allowed = allow.iter().any(|permission| match permission {
                    MavlinkPermission::Name(allowed) => name == Some(*allowed),
                    MavlinkPermission::Number(number) => *number == action.command,
                });
                let what = name.map_or_else(|| format!("MAV_CMD {}", action.command), str::to_owned);
                (!allowed).then(|| (Reason::NotAllowed, format!("{what} is not on the vehicle's list")))
            }
            Action::Device(action) => {
                if !self.devices.contains(&action.device) {
                    return Some((Reason::UnknownTarget, format!("there is no device {:?}", action.device)));
                }
                let wanted = (action.device.clone(), action.command.clone());
                (!self.commands.contains(&wanted)).then(|| {
                    let (device, command) = wanted;
                    (Reason::NotAllowed, format!("{command:?} of {device} is not on the vehicle's list"))
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tern_shared::command::mavlink::{MavlinkCommand, Verb};
    use tern_shared::command::{CommandId, DeviceCommand};
    use tern_shared::time::Timestamp;

    use super::*;
    use crate::command::config::{DeviceConfig, DeviceTarget, MavlinkConfig, RESULT_LIMIT};

    fn policy(allow: &[&str]) -> Policy {
        let mavlink = MavlinkConfig {
            source: "udpin:127.0.0.1:0".parse().unwrap(),
            allow: allow.iter().map(|text| MavlinkPermission::parse(text).unwrap()).collect(),
            system: 255,
            component: 190,
        };
        let lamp = DeviceConfig {
            target: DeviceTarget::Program(vec!["true".to_owned()]),
            allow: vec!["switch".to_owned()],
            result_limit: RESULT_LIMIT,
        };
        Policy::new(&CommandConfig {
            mavlink: Some(mavlink),
            devices: BTreeMap::from([("lamp".to_owned(), lamp)]),
            ..CommandConfig::default()
        })
    }

    fn refused(policy: &Policy, action: Action) -> Option<Reason> {
        let command = Command {
            id: CommandId(1),
            issued: Timestamp(0),
            ttl_ms: 1,
            key: None,
            issuer: "ann".to_owned(),
            action,
        };
        policy.refusal(&command).map(|(reason, _)| reason)
    }

    fn mavlink(verb: Verb) -> Action {
        Action::Mavlink(MavlinkCommand::of(verb))
    }

    #[test]
    fn only_what_is_named_passes() {
        let some = policy(&["rtl", "disarm", "300"]);
        assert_eq!(refused(&some, mavlink(Verb::ReturnToLaunch)), None);
        assert_eq!(refused(&some, mavlink(Verb::Disarm)), None);
        assert_eq!(refused(&some, mavlink(Verb::MissionStart)), None);
        assert_eq!(refused(&some, mavlink(Verb::Arm)), Some(Reason::NotAllowed));
        let forced = MavlinkCommand { params: vec![0.0, 21196.0], ..MavlinkCommand::of(Verb::Disarm) };
        assert_eq!(refused(&some, Action::Mavlink(forced)), Some(Reason::NotAllowed));

        let device = |device: &str, command: &str| {
            let (device, command) = (device.to_owned(), command.to_owned());
            Action::Device(DeviceCommand { device, command, arguments: String::new() })
        };
        assert_eq!(refused(&some, device("lamp", "switch")), None);
        assert_eq!(refused(&some, device("lamp", "explode")), Some(Reason::NotAllowed));
        assert_eq!(refused(&some, device("horn", "switch")), Some(Reason::UnknownTarget));
        let none = Policy::new(&CommandConfig::default());
        assert_eq!(refused(&none, mavlink(Verb::ReturnToLaunch)), Some(Reason::UnknownTarget));
    }

    #[test]
    fn a_misspelt_permission_is_told() {
        assert!(MavlinkPermission::parse("rlt").unwrap_err().contains("rtl"));
        assert_eq!(MavlinkPermission::parse("400"), Ok(MavlinkPermission::Number(400)));
    }
}
