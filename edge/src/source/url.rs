//! Names of sources.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// The name of a source, checked: `udpin:0.0.0.0:14550`, `jsonl+serial:/dev/ttyUSB0:115200`, `replay:FILE.tlog?speed=2`.
///
/// | Source | Spellings |
/// |---|---|
/// | MAVLink 1 and 2 | `udpin:ADDR:PORT` `udpout:HOST:PORT` `tcpin:ADDR:PORT` `tcpout:HOST:PORT` `serial:DEVICE:BAUD`, each with `?rate=HZ` to ask the autopilot for all its streams |
/// | JSON lines | `jsonl+` and `udpin:` `udpout:` `tcpin:` `tcpout:` `serial:` `stdin:` `file:PATH` |
/// | NMEA 0183 | `nmea+` and the same, but for `udpout:` |
/// | A recording | `replay:FILE.tlog?speed=1&loop=false&clock=now`; `speed=max`, `clock=recorded` |
/// | A simulated quadcopter | `simulated:?rate=10&seed=1` |
///
/// `udpin://ADDR:PORT` means `udpin:ADDR:PORT`, with every scheme.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceUrl {
    text: String,
    kind: SourceKind,
}

/// What a [`SourceUrl`] names.
#[derive(Clone, Debug, PartialEq)]
pub enum SourceKind {
    /// Bytes of some format, from somewhere.
    Bytes {
        /// What the bytes mean.
        format: Format,
        /// Where they come from.
        transport: Transport,
    },
    /// A recorded flight.
    Replay {
        /// The recording, a tlog.
        path: PathBuf,
        /// How fast it is played.
        speed: Speed,
        /// Whether it starts again at its end.
        looped: bool,
        /// Which time its records get.
        clock: ReplayClock,
    },
    /// A simulated quadcopter.
    Simulated {
        /// Attitude samples a second; the slower streams follow it.
        rate_hz: u16,
        /// The same seed flies the same flight.
        seed: u64,
    },
}

/// What bytes mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// MAVLink 1 and 2.
    Mavlink {
        /// Ask the autopilot for all its streams at this rate; `None` takes what it sends by itself.
        rate_hz: Option<u16>,
    },
    /// One JSON object a line.
    JsonLines,
    /// NMEA 0183 sentences.
    Nmea,
}

/// Where bytes come from. Addresses are `HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Datagrams to a port of ours.
    UdpIn(String),
    /// Datagrams in reply to ours.
    UdpOut(String),
    /// Connections to a port of ours, several at once.
    TcpIn(String),
    /// A connection that we make.
    TcpOut(String),
    /// A serial port.
    Serial {
        /// The device: `/dev/ttyACM0`.
        device: String,
        /// Bits a second.
        baud: u32,
    },
    /// Standard input, to its end.
    Stdin,
    /// A file, to its end.
    File(PathBuf),
}

/// How fast a recording is played.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speed {
    /// This many times as fast as it was recorded; above zero.
    Times(f64),
    /// As fast as the relay takes it.
    Max,
}

/// Which time the records of a recording get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplayClock {
    /// When they are played.
    Now,
    /// When they were recorded.
    Recorded,
}

/// Why a text is no [`SourceUrl`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("source {url:?}: {problem}")]
pub struct InvalidSourceUrl {
    /// The text that was given, cut to 200 characters.
    pub url: String,
    /// What is wrong with it, and what would be right.
    pub problem: String,
}

const SCHEMES: &str = "MAVLink: udpin, udpout, tcpin, tcpout, serial; JSON lines and NMEA 0183: jsonl+ or nmea+ and udpin, tcpin, \
                       tcpout, serial, stdin, file; and replay, simulated";

impl SourceUrl {
    /// What it names.
    pub fn kind(&self) -> &SourceKind {
        &self.kind
    }
}

impl fmt::Display for SourceUrl {
    /// As it was given.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for SourceUrl {
    type Err = InvalidSourceUrl;

    fn from_str(text: &str) -> Result<Self, InvalidSourceUrl> {
        match parse(text) {
            Ok(kind) => Ok(SourceUrl { text: text.to_owned(), kind }),
            Err(problem) => Err(InvalidSourceUrl { url: text.chars().take(200).collect(), problem }),
        }
    }
}

fn parse(text: &str) -> Result<SourceKind, String> {
    let (scheme, rest) =
        text.split_once(':').ok_or_else(|| format!("it has no scheme; schemes are {SCHEMES}"))?;
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    let (place, query) = rest.rsplit_once('?').unwrap_or((rest, ""));
    let mut query = Query::parse(query)?;
    let kind = match scheme {
        "replay" => SourceKind::Replay {
            path: path(place)?,
            speed: query.take("speed", "a number above 0, or max", parse_speed)?.unwrap_or(Speed::Times(1.0)),
            looped: query.take("loop", "true or false", |text| text.parse().ok())?.unwrap_or(false),
            clock: query.take("clock", "now or recorded", parse_clock)?.unwrap_or(ReplayClock::Now),
        },
        "simulated" if place.is_empty() => SourceKind::Simulated {
            rate_hz: query.take("rate", RATE, parse_rate)?.unwrap_or(10),
            seed: query.take("seed", "a whole number", |text| text.parse().ok())?.unwrap_or(1),
        },
        "simulated" => return Err("nothing but ?rate= and ?seed= may follow simulated:".to_owned()),
        _ => parse_bytes(scheme, place, &mut query)?,
    };
    query.finish()?;
    Ok(kind)
}

fn parse_bytes(scheme: &str, place: &str, query: &mut Query<'_>) -> Result<SourceKind, String> {
    let (format, transport) = scheme.split_once('+').unwrap_or(("", scheme));
    let (format, default_baud) = match format {
        "" => (Format::Mavlink { rate_hz: query.take("rate", RATE, parse_rate)? }, 57_600),
        "jsonl" => (Format::JsonLines, 115_200),
        "nmea" => (Format::Nmea, 9_600),
        _ => return Err(format!("there is no scheme {scheme:?}; schemes are {SCHEMES}")),
    };
    let mavlink = matches!(format, Format::Mavlink { .. });
    let transport = match transport {
        "udpin" => Transport::UdpIn(address(place)?),
        "udpout" if format != Format::Nmea => Transport::UdpOut(address(place)?),
        "tcpin" => Transport::TcpIn(address(place)?),
        "tcpout" => Transport::TcpOut(address(place)?),
        "serial" => serial(place, default_baud)?,
        "stdin" if !mavlink && place.is_empty() => Transport::Stdin,
        "stdin" if !mavlink => return Err("nothing may follow stdin:".to_owned()),
        "file" if !mavlink => Transport::File(path(place)?),
        _ => return Err(format!("there is no scheme {scheme:?}; schemes are {SCHEMES}")),
    };
    Ok(SourceKind::Bytes { format, transport })
}

fn address(place: &str) -> Result<String, String> {
    let wrong = || format!("{place:?} is no HOST:PORT");
    let (host, port) = place.rsplit_once(':').ok_or_else(wrong)?;
    let is_ipv6 = host.starts_with('[') && host.ends_with(']');
    if host.is_empty()
        || (host.contains(':') && !is_ipv6)
        || host.contains('/')
        || port.parse::<u16>().is_err()
    {
        return Err(wrong());
    }
    Ok(place.to_owned())
}

fn serial(place: &str, default_baud: u32) -> Result<Transport, String> {
    let (device, baud) = match place.rsplit_once(':') {
        Some((device, baud)) => {
            let wrong = || format!("{baud:?} is no baud rate; DEVICE:BAUD is expected");
            (device, baud.parse().ok().filter(|&baud| baud > 0).ok_or_else(wrong)?)
        }
        None => (place, default_baud),
    };
    if device.is_empty() {
        return Err("it names no device; DEVICE:BAUD is expected".to_owned());
    }
    Ok(Transport::Serial { device: device.to_owned(), baud })
}

fn path(place: &str) -> Result<PathBuf, String> {
    if place.is_empty() { Err("it names no file".to_owned()) } else { Ok(place.into()) }
}

const RATE: &str = "a whole number from 1 to 1000, in Hz";

fn parse_rate(text: &str) -> Option<u16> {
    text.parse().ok().filter(|rate| (1..=1000).contains(rate))
}

fn parse_speed(text: &str) -> Option<Speed> {
    if text == "max" {
        return Some(Speed::Max);
    }
    text.parse().ok().filter(|speed: &f64| speed.is_finite() && *speed > 0.0).map(Speed::Times)
}

fn parse_clock(text: &str) -> Option<ReplayClock> {
    match text {
        "now" => Some(ReplayClock::Now),
        "recorded" => Some(ReplayClock::Recorded),
        _ => None,
    }
}

/// The options behind the question mark that nobody has taken yet.
struct Query<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Query<'a> {
    fn parse(text: &'a str) -> Result<Self, String> {
        let option =
            |part: &'a str| part.split_once('=').ok_or_else(|| format!("option {part:?} has no value"));
        text.split('&').filter(|part| !part.is_empty()).map(option).collect::<Result<_, _>>().map(Query)
    }

    fn take<T>(
        &mut self,
        key: &str,
        expected: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, String> {
        let Some(at) = self.0.iter().position(|(name, _)| *name == key) else { return Ok(None) };
        let (_, value) = self.0.remove(at);
        parse(value).map(Some).ok_or_else(|| format!("option {key}={value}: {expected} is expected"))
    }

    fn finish(self) -> Result<(), String> {
        self.0.first().map_or(Ok(()), |(key, _)| Err(format!("it has no option {key:?}, or has it twice")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str) -> SourceKind {
        text.parse::<SourceUrl>().unwrap().kind
    }

    fn problem(text: &str) -> String {
        text.parse::<SourceUrl>().unwrap_err().problem
    }

    #[test]
    fn every_documented_spelling_is_taken() {
        let mavlink = |transport| SourceKind::Bytes { format: Format::Mavlink { rate_hz: None }, transport };
        assert_eq!(kind("udpin:0.0.0.0:14550"), mavlink(Transport::UdpIn("0.0.0.0:14550".into())));
        assert_eq!(kind("udpin://0.0.0.0:14550"), kind("udpin:0.0.0.0:14550"));
        assert_eq!(kind("tcpout:[::1]:5760"), mavlink(Transport::TcpOut("[::1]:5760".into())));
        assert_eq!(kind("udpout:gcs.example:14550"), mavlink(Transport::UdpOut("gcs.example:14550".into())));
        let serial = Transport::Serial { device: "/dev/ttyACM0".into(), baud: 57_600 };
        for text in ["serial:/dev/ttyACM0:57600", "serial:///dev/ttyACM0:57600", "serial:/dev/ttyACM0"] {
            assert_eq!(kind(text), mavlink(serial.clone()));
        }
        let format = Format::Mavlink { rate_hz: Some(10) };
        assert_eq!(kind("serial:/dev/ttyACM0?rate=10"), SourceKind::Bytes { format, transport: serial });

        let json = |transport| SourceKind::Bytes { format: Format::JsonLines, transport };
        assert_eq!(kind("jsonl+stdin:"), json(Transport::Stdin));
        assert_eq!(kind("jsonl+file:a/b.jsonl"), json(Transport::File("a/b.jsonl".into())));
        let port = Transport::Serial { device: "/dev/ttyAMA0".into(), baud: 9600 };
        assert_eq!(
            kind("nmea+serial:/dev/ttyAMA0"),
            SourceKind::Bytes { format: Format::Nmea, transport: port }
        );

        let (path, clock) = (PathBuf::from("f.tlog"), ReplayClock::Now);
        let plain = SourceKind::Replay { path: path.clone(), speed: Speed::Times(1.0), looped: false, clock };
        assert_eq!(kind("replay:f.tlog"), plain);
        let options =
            SourceKind::Replay { path, speed: Speed::Max, looped: true, clock: ReplayClock::Recorded };
        assert_eq!(kind("replay:f.tlog?speed=max&loop=true&clock=recorded"), options);
        assert_eq!(kind("simulated:"), SourceKind::Simulated { rate_hz: 10, seed: 1 });
        assert_eq!(kind("simulated:?rate=5&seed=7"), SourceKind::Simulated { rate_hz: 5, seed: 7 });
    }

    #[test]
    fn a_wrong_name_says_what_would_be_right() {
        for text in ["", "udpin", "ftp:host:21", "file:x", "nmea+udpout:a:1", "stdin:", "csv+file:x"] {
            assert!(problem(text).contains("schemes are MAVLink: udpin"), "{text}: {}", problem(text));
        }
        for text in
            ["udpin:", "udpin:14550", "udpin:host:port", "tcpin::1", "tcpin:a:70000", "udpin:::1:14550"]
        {
            assert!(problem(text).contains("no HOST:PORT"), "{text}: {}", problem(text));
        }
        assert!(problem("serial:/dev/x:fast").contains("baud"));
        assert!(problem("serial:").contains("device"));
        assert!(problem("replay:").contains("file"));
        assert!(problem("replay:f?speed=0").contains("above 0"));
        assert!(problem("replay:f?speed=nan").contains("above 0"));
        assert!(problem("replay:f?sped=1").contains("sped"));
        assert!(problem("udpin:a:1?rate=0").contains("1 to 1000"));
        assert!(problem("jsonl+tcpin:a:1?rate=4").contains("rate"));
        assert!(problem("simulated:x").contains("seed"));
    }
}
