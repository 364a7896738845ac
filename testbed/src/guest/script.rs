//! The guest's first process: a shell script.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Printed by the script first of all, which takes a second to set up from then on, and after the command: between
/// them the console is the command's standard error.
pub(super) const MARK: u8 = 0x1e;
/// Where the script puts the command's standard output, in its own folder.
pub(super) const OUTPUT: &str = "stdout";
/// Where the script puts the command's exit status, in its own folder.
pub(super) const STATUS: &str = "status";

/// Files of the host that a command could take for its own (temporary ones, by process ids) are out of its sight. The
/// console is a terminal, but says `dumb` when nobody looks at one.
const BEFORE: &str = "\
printf '\\036'
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /run
mkdir /run/tmp
export TMPDIR=/run/tmp
for module in sch_netem veth tun; do
  insmod \"$(find \"/usr/lib/uml/modules/$(uname -r)\" -name \"$module.ko*\")\"
done
ip link set lo up
stty -F /dev/console -onlcr cols 100 rows 24
";
const AFTER: &str = "\
sync
printf '\\036'
echo o >/proc/sysrq-trigger
sleep 60
";

/// The script that runs `command` in `working_folder` with these environment variables.
pub(super) fn script(
    folder: &Path,
    working_folder: &Path,
    environment: &[(&str, OsString)],
    command: &[OsString],
) -> Vec<u8> {
    let mut script = b"#!/bin/sh\n".to_vec();
    for (name, value) in environment {
        script.extend_from_slice(format!("export {name}=").as_bytes());
        script.extend_from_slice(&quoted(value));
        script.push(b'\n');
    }
    script.extend_from_slice(BEFORE.as_bytes());
    script.extend_from_slice(b"cd ");
    script.extend_from_slice(&quoted(working_folder.as_os_str()));
    script.push(b'\n');
    for word in command {
        script.extend_from_slice(&quoted(word));
        script.push(b' ');
    }
    for (redirection, file) in [(">", OUTPUT), ("\necho $? >", STATUS)] {
        script.extend_from_slice(redirection.as_bytes());
        script.extend_from_slice(&quoted(folder.join(file).as_os_str()));
    }
    script.push(b'\n');
    script.extend_from_slice(AFTER.as_bytes());
    script
}

/// As one word of a shell.
fn quoted(text: &OsStr) -> Vec<u8> {
    let mut word = vec![b'\''];
    for &byte in text.as_bytes() {
        if byte == b'\'' {
            word.extend_from_slice(b"'\\''");
        } else {
            word.push(byte);
        }
    }
    word.push(b'\'');
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_reach_the_command_as_they_are() {
        let words = ["it's", "two words", "$HOME", ""];
        let command = ["printf", "%s|"].into_iter().chain(words).map(OsString::from).collect::<Vec<_>>();
        let script = script(Path::new("/f f"), Path::new("/"), &[("A", "b c".into())], &command);
        let text = String::from_utf8(script).unwrap();
        assert!(text.contains("\nexport A='b c'\n"), "{text}");
        assert!(text.contains(">'/f f/stdout'\necho $? >'/f f/status'\n"), "{text}");
        let line = text.lines().find(|line| line.starts_with("'printf'")).unwrap();
        let line = line.split(" >").next().unwrap();
        let output = std::process::Command::new("sh").args(["-c", line]).output().unwrap();
        assert_eq!(output.stdout, b"it's|two words|$HOME||");
    }
}
