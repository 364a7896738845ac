//! Links by name and by TOML.

use std::num::NonZeroU64;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::outage::{Outage, OutageSchedule};

/// One direction of a link.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkProfile {
    /// Bits a second on the wire, headers counted.
    pub rate_bits_per_second: NonZeroU64,
    /// Bytes that may wait for the rate, the packet on the wire counted. More than a second's worth shows as
    /// bufferbloat once a sender exceeds the rate.
    pub queue_bytes: u32,
    /// Propagation time, milliseconds.
    pub delay_ms: f64,
    /// Standard deviation of the delay, milliseconds, normally distributed, first in first out. Default 0.
    #[serde(default)]
    pub jitter_ms: f64,
    /// Which packets are lost. Default none.
    #[serde(default)]
    pub loss: Loss,
    /// Share of packets that arrive twice, percent. Default 0.
    #[serde(default)]
    pub duplicate_percent: f64,
    /// Share of packets that arrive `reorder_extra_ms` late and out of turn, percent. Default 0.
    #[serde(default)]
    pub reorder_percent: f64,
    /// How late reordered packets are, milliseconds. Default 0.
    #[serde(default)]
    pub reorder_extra_ms: u32,
    /// Share of packets that arrive with one bit inverted, percent. Default 0.
    #[serde(default)]
    pub corrupt_percent: f64,
}

/// How packets are lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "model", rename_all = "snake_case", deny_unknown_fields)]
pub enum Loss {
    /// Not at all.
    #[default]
    None,
    /// Each packet by the same chance.
    Random {
        /// The chance, percent.
        percent: f64,
    },
    /// In bursts: a chain of a good and a bad state that may change before each packet.
    GilbertElliott {
        /// Chance from good to bad, percent (netem's p).
        enter_percent: f64,
        /// Chance from bad to good, percent (netem's r); 100 divided by it is the mean burst in packets.
        leave_percent: f64,
        /// Chance of loss in the bad state, percent (netem's 1-h).
        bad_loss_percent: f64,
        /// Chance of loss in the good state, percent (netem's 1-k).
        good_loss_percent: f64,
    },
}

/// Both directions of a link, and when it is down.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PathProfile {
    /// What it is called.
    pub name: String,
    /// From the vehicle to the ground.
    pub to_ground: LinkProfile,
    /// From the ground to the vehicle.
    pub to_vehicle: LinkProfile,
    /// Times in which both directions lose packets. Default none.
    #[serde(default)]
    pub outages: OutageSchedule,
}

/// Why a profile cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum InvalidProfile {
    /// A share outside 0 to 100 percent.
    #[error("link profile: {key} = {percent} is no percentage of 0 to 100")]
    Percent {
        /// The key.
        key: &'static str,
        /// Its value.
        percent: f64,
    },
    /// A time that is negative, not finite or more than a minute.
    #[error("link profile: {key} = {millis} is not within 0 to {DELAY_MS_MAX} ms")]
    Millis {
        /// The key.
        key: &'static str,
        /// Its value.
        millis: f64,
    },
    /// A rate below what the model's arithmetic is meant for.
    #[error("link profile: rate_bits_per_second = {0} is below {RATE_BITS_PER_SECOND_MIN}")]
    Rate(u64),
}

/// A name that no built-in profile has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no link profile is called {name:?}; there are {known}")]
pub struct UnknownProfile {
    name: String,
    known: String,
}

const DELAY_MS_MAX: f64 = 60_000.0;
const RATE_BITS_PER_SECOND_MIN: u64 = 100;

impl LinkProfile {
    /// A link that only takes time: no jitter, no loss, a queue of 1 MB.
    pub fn ideal(rate_bits_per_second: NonZeroU64, delay: Duration) -> Self {
        LinkProfile {
            rate_bits_per_second,
            queue_bytes: 1_000_000,
            delay_ms: delay.as_secs_f64() * 1e3,
            jitter_ms: 0.0,
            loss: Loss::None,
            duplicate_percent: 0.0,
            reorder_percent: 0.0,
            reorder_extra_ms: 0,
            corrupt_percent: 0.0,
        }
    }

    /// The mean propagation time.
    pub fn delay(&self) -> Duration {
        Duration::from_secs_f64(self.delay_ms / 1e3)
    }

    /// Checks ranges.
    pub fn validate(&self) -> Result<(), InvalidProfile> {
        let rate = self.rate_bits_per_second.get();
        if rate < RATE_BITS_PER_SECOND_MIN {
            return Err(InvalidProfile::Rate(rate));
        }
        for (key, millis) in [("delay_ms", self.delay_ms), ("jitter_ms", self.jitter_ms)] {
            if !(0.0..=DELAY_MS_MAX).contains(&millis) {
                return Err(InvalidProfile::Millis { key, millis });
            }
        }
        let shares = [
            ("duplicate_percent", self.duplicate_percent),
            ("reorder_percent", self.reorder_percent),
            ("corrupt_percent", self.corrupt_percent),
        ];
        for (key, percent) in shares.into_iter().chain(self.loss.percentages()) {
            if !(0.0..=100.0).contains(&percent) {
                return Err(InvalidProfile::Percent { key, percent });
            }
        }
        Ok(())
    }

    fn with_jitter(self, jitter_ms: f64) -> Self {
        LinkProfile { jitter_ms, ..self }
    }

    fn with_loss(self, loss: Loss) -> Self {
        LinkProfile { loss, ..self }
    }
}

impl Loss {
    /// Bursts in which every packet is lost (netem's `gemodel p r`).
    pub fn burst(enter_percent: f64, leave_percent: f64) -> Self {
        Loss::GilbertElliott { enter_percent, leave_percent, bad_loss_percent: 100.0, good_loss_percent: 0.0 }
    }

    /// The long-run share of packets that are lost, 0 to 1.
    pub fn share(&self) -> f64 {
        match *self {
            Loss::None => 0.0,
            Loss::Random { percent } => percent / 100.0,
            Loss::GilbertElliott { enter_percent, leave_percent, bad_loss_percent, good_loss_percent } => {
                let changes = enter_percent + leave_percent;
                let bad = if changes > 0.0 { enter_percent / changes } else { 0.0 };
                (bad * bad_loss_percent + (1.0 - bad) * good_loss_percent) / 100.0
            }
        }
    }

    fn percentages(&self) -> Vec<(&'static str, f64)> {
        match *self {
            Loss::None => vec![],
            Loss::Random { percent } => vec![("loss.percent", percent)],
            Loss::GilbertElliott { enter_percent, leave_percent, bad_loss_percent, good_loss_percent } => {
                vec![
                    ("loss.enter_percent", enter_percent),
                    ("loss.leave_percent", leave_percent),
                    ("loss.bad_loss_percent", bad_loss_percent),
                    ("loss.good_loss_percent", good_loss_percent),
                ]
            }
        }
    }
}

impl PathProfile {
    /// Checks both directions.
    pub fn validate(&self) -> Result<(), InvalidProfile> {
        self.to_ground.validate()?;
        self.to_vehicle.validate()
    }

    /// The mean time to the ground and back, transmission not counted.
    pub fn round_trip(&self) -> Duration {
        self.to_ground.delay() + self.to_vehicle.delay()
    }

    /// Adds an outage to those of the profile.
    pub fn with_outages(mut self, outages: OutageSchedule) -> Self {
        let all: Vec<Outage> = Vec::from(self.outages).into_iter().chain(Vec::from(outages)).collect();
        self.outages = OutageSchedule::new(all).expect("both schedules were checked");
        self
    }
}

/// The built-in profile of this name.
pub fn builtin_profile(name: &str) -> Result<PathProfile, UnknownProfile> {
    let profiles = builtin_profiles();
    let known = profiles.iter().map(|p| p.name.as_str()).collect::<Vec<_>>().join(", ");
    profiles
        .into_iter()
        .find(|p| p.name == name)
        .ok_or_else(|| UnknownProfile { name: name.to_owned(), known })
}

/// Real links, reference first. The queues hold about two seconds of the rate, as satellite modems do, and never
/// less than two full packets.
pub fn builtin_profiles() -> Vec<PathProfile> {
    let bgan = |name: &str, loss| {
        let direction = |kbit: u64| direction(kbit * 1000, 300.0).with_jitter(40.0).with_loss(loss);
        path(name, direction(64), direction(128))
    };
    let certus_loss = Loss::burst(0.5, 25.0);
    let certus = |bits| direction(bits, 60.0).with_jitter(15.0).with_loss(certus_loss);
    let starlink = direction(10_000_000, 25.0).with_jitter(4.0).with_loss(Loss::Random { percent: 0.5 });
    let iridium = direction(2_400, 400.0).with_loss(Loss::Random { percent: 2.0 });
    let mut starlink = path("leo-starlink", starlink.clone(), starlink);
    // The satellite changes every 15 s.
    let handover = Outage { start_ms: 15_000, for_ms: 150, every_ms: Some(15_000), loss_percent: 60.0 };
    starlink.outages = OutageSchedule::new(vec![handover]).expect("a built-in outage");
    vec![
        bgan("geo-bgan", Loss::Random { percent: 1.0 }),
        bgan("geo-bgan-loss5", Loss::Random { percent: 5.0 }),
        bgan("geo-bgan-burst5", Loss::burst(1.75, 33.0)),
        path("geo-clean", direction(128_000, 270.0), direction(128_000, 270.0)),
        path("leo-certus", certus(22_000), certus(88_000)),
        starlink,
        path("iridium-2400", iridium.clone(), iridium),
    ]
}

fn direction(rate_bits_per_second: u64, delay_ms: f64) -> LinkProfile {
    let rate = NonZeroU64::new(rate_bits_per_second).expect("a built-in rate");
    let queue_bytes = (rate_bits_per_second / 8 * 2).clamp(3_000, 1_000_000) as u32;
    LinkProfile { queue_bytes, delay_ms, ..LinkProfile::ideal(rate, Duration::ZERO) }
}

fn path(name: &str, to_ground: LinkProfile, to_vehicle: LinkProfile) -> PathProfile {
    PathProfile { name: name.to_owned(), to_ground, to_vehicle, outages: OutageSchedule::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_profiles_are_valid_and_survive_toml() {
        for profile in builtin_profiles() {
            profile.validate().unwrap();
            let text = toml::to_string(&profile).unwrap();
            assert_eq!(toml::from_str::<PathProfile>(&text).unwrap(), profile, "{text}");
            assert_eq!(builtin_profile(&profile.name), Ok(profile));
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        let error = builtin_profile("geo").unwrap_err().to_string();
        assert!(error.contains("geo-bgan") && error.contains("iridium-2400"), "{error}");
    }

    #[test]
    fn a_profile_out_of_range_says_which_key() {
        let mut profile = builtin_profile("geo-bgan").unwrap();
        profile.to_vehicle.loss = Loss::Random { percent: 101.0 };
        assert_eq!(profile.validate(), Err(InvalidProfile::Percent { key: "loss.percent", percent: 101.0 }));
        profile.to_ground.delay_ms = f64::NAN;
        assert!(matches!(profile.validate(), Err(InvalidProfile::Millis { key: "delay_ms", .. })));
    }

    #[test]
    fn an_unknown_key_is_refused() {
        let text = "rate_bits_per_second = 64000\nqueue_bytes = 1\ndelay_ms = 1\ndelay = 5";
        assert!(
            toml::from_str::<LinkProfile>(text).unwrap_err().to_string().contains("unknown field `delay`")
        );
    }
}
