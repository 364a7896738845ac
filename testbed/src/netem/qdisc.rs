//! A link profile as arguments of `tc`.

use tern_shared::time::Instant;

use super::NetemError;
use crate::link::{LinkProfile, Loss, PathProfile};

/// netem's queue counts packets, the delay line's included: as many as the profile's bytes make of this size.
const PACKET_BYTES: f64 = 100.0;

/// What `tc` is told for `devices` (towards the ground, towards the vehicle) at this time. `action`: `add`, `change`.
pub(super) fn commands(
    action: &str,
    devices: [&str; 2],
    profile: &PathProfile,
    at: Instant,
) -> Result<Vec<Vec<String>>, NetemError> {
    let outage = profile.outages.loss_probability(at, at);
    let directions = devices.into_iter().zip([&profile.to_ground, &profile.to_vehicle]);
    let commands = directions.map(|(device, link)| {
        let words = ["qdisc", action, "dev", device, "root", "netem"].map(str::to_owned);
        Ok(words.into_iter().chain(arguments(link, outage)?).collect())
    });
    commands.collect()
}

/// For one direction, while an outage takes this share (0 to 1) of the packets.
///
/// netem loses a packet before it takes its share of the rate, and draws jitter before it serialises. A partial outage
/// makes bursts random ones of the same share.
fn arguments(link: &LinkProfile, outage: f64) -> Result<Vec<String>, NetemError> {
    if link.reorder_percent > 0.0 {
        return Err(NetemError::Reordering);
    }
    let rate = link.rate_bits_per_second.get();
    let delay_line_bytes = rate as f64 / 8.0 * (link.delay_ms + 4.0 * link.jitter_ms) / 1e3;
    let limit = ((f64::from(link.queue_bytes) + delay_line_bytes) / PACKET_BYTES).ceil();
    // Without the Ethernet header, which a satellite link does not carry.
    let mut text = format!("limit {limit} rate {rate}bit -14 delay {:.3}ms", link.delay_ms);
    if link.jitter_ms > 0.0 {
        text += &format!(" {:.3}ms distribution normal", link.jitter_ms);
    }
    text += &loss(&link.loss, outage);
    for (what, percent) in [("duplicate", link.duplicate_percent), ("corrupt", link.corrupt_percent)] {
        if percent > 0.0 {
            text += &format!(" {what} {percent}%");
        }
    }
    Ok(text.split(' ').map(str::to_owned).collect())
}

fn loss(loss: &Loss, outage: f64) -> String {
    if outage > 0.0 {
        let share = 1.0 - (1.0 - loss.share()) * (1.0 - outage);
        return format!(" loss random {:.6}%", share * 100.0);
    }
    match *loss {
        Loss::None => String::new(),
        Loss::Random { percent } => format!(" loss random {percent}%"),
        Loss::GilbertElliott { enter_percent, leave_percent, bad_loss_percent, good_loss_percent } => {
            format!(
                " loss gemodel {enter_percent}% {leave_percent}% {bad_loss_percent}% {good_loss_percent}%"
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::builtin_profile;

    fn text(profile: &str, outage: f64) -> String {
        arguments(&builtin_profile(profile).unwrap().to_ground, outage).unwrap().join(" ")
    }

    #[test]
    fn profiles_are_said_in_the_words_of_tc() {
        let reference =
            "limit 197 rate 64000bit -14 delay 300.000ms 40.000ms distribution normal loss random 1%";
        assert_eq!(text("geo-bgan", 0.0), reference);
        assert_eq!(text("geo-clean", 0.0), "limit 364 rate 128000bit -14 delay 270.000ms");
        assert!(text("leo-certus", 0.0).ends_with(" loss gemodel 0.5% 25% 100% 0%"));
    }

    #[test]
    fn an_outage_adds_to_what_is_lost_by_chance() {
        assert!(text("geo-bgan-burst5", 1.0).ends_with(" loss random 100.000000%"));
        assert!(text("leo-starlink", 0.6).ends_with(" loss random 60.200000%"));
        assert!(text("geo-clean", 0.6).ends_with(" loss random 60.000000%"));
    }

    #[test]
    fn what_netem_cannot_do_is_refused() {
        let link = LinkProfile { reorder_percent: 1.0, ..builtin_profile("geo-clean").unwrap().to_ground };
        assert!(matches!(arguments(&link, 0.0), Err(NetemError::Reordering)));
    }
}
