//! Which arrival is of which sample, and which samples the edge was told to leave out.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use tern_shared::intake::{Intake, StreamRules};
use tern_shared::time::Instant as VirtualInstant;

use super::record::Sample;
use crate::client::Arrival;

/// An arrival's capture time is at least the time of its sample, but for what is rounded off: capture times cross the
/// link in milliseconds.
const ROUNDING_S: f64 = 5.1e-4;
/// How much later than a sample was sent the edge may take it in.
const EDGE_DELAY: Duration = Duration::from_millis(20);

/// When each sample first arrived, and how many arrivals were of samples that had arrived before.
///
/// A sample with a number is told by it. Others are told by their stream: sequence numbers keep the order in which a
/// stream's samples were handed over. Where some of a stream never arrived, those are left out whose successor was
/// handed over by the capture time of the arrival, too.
pub(super) fn first_arrivals(samples: &[Sample], arrivals: &[Arrival]) -> (Vec<Option<Instant>>, u64) {
    let mut first: Vec<Option<Instant>> = vec![None; samples.len()];
    let mut duplicates = 0;
    let mut seen = BTreeSet::new();
    let mut unnumbered: BTreeMap<&str, Vec<&Arrival>> = BTreeMap::new();
    for arrival in arrivals {
        if !seen.insert(arrival.sequence) {
            duplicates += 1;
            continue;
        }
        let Some(number) = arrival.number else {
            unnumbered.entry(&arrival.stream).or_default().push(arrival);
            continue;
        };
        match first.get_mut(number as usize) {
            Some(first @ None) => *first = Some(arrival.at),
            Some(Some(_)) => duplicates += 1,
            // Not of this run's workload.
            None => {}
        }
    }
    for (stream, mut arrivals) in unnumbered {
        arrivals.sort_by_key(|arrival| arrival.sequence);
        let of_stream: Vec<usize> =
            (0..samples.len()).filter(|&index| samples[index].stream == stream).collect();
        for (index, arrived) in pair(samples, &of_stream, &arrivals) {
            first[index] = Some(arrived);
        }
    }
    (first, duplicates)
}

/// Which samples the edge left out by its rules, and so did not lose.
///
/// What is expected of the edge follows from the rules and from what arrived: a sample that arrived was taken; one that did
/// not was to be taken if it was due then, and if the next that arrived could have been taken after it, too. That is lost.
/// What cannot be told apart are samples within [`EDGE_DELAY`] of a turn of a source about as fast as its rate: one that is
/// the only one of its turn can be lost unseen, or seem to be although the edge left it out.
pub(super) fn left_out(
    samples: &[Sample],
    first_arrivals: &[Option<Instant>],
    rules: &StreamRules,
) -> Vec<bool> {
    // A delay after the beginning of time, from which on everything is due.
    let time = |index: usize| VirtualInstant(samples[index].at - samples[0].at + EDGE_DELAY);
    let next_arrivals = next_arrivals(samples, first_arrivals);
    let mut intake = Intake::new(rules.clone());
    let mut left_out = vec![false; samples.len()];
    for (index, Sample { stream, class, .. }) in samples.iter().enumerate() {
        let mut after = intake.clone();
        after.take(time(index), stream, *class);
        let was_due = || intake.due(stream, *class).is_some_and(|due| due + EDGE_DELAY <= time(index));
        let leaves =
            |next: usize| after.due(stream, *class).is_some_and(|due| due <= time(next) + EDGE_DELAY);
        if first_arrivals[index].is_some() || was_due() && next_arrivals[index].is_none_or(leaves) {
            intake = after;
        } else {
            left_out[index] = true;
        }
    }
    left_out
}

/// Of each sample, the next of its stream that arrived.
fn next_arrivals(samples: &[Sample], first_arrivals: &[Option<Instant>]) -> Vec<Option<usize>> {
    let mut next = BTreeMap::new();
    let mut next_arrivals = vec![None; samples.len()];
    for (index, sample) in samples.iter().enumerate().rev() {
        next_arrivals[index] = next.get(sample.stream.as_str()).copied();
        if first_arrivals[index].is_some() {
            next.insert(sample.stream.as_str(), index);
        }
    }
    next_arrivals
}

fn pair(samples: &[Sample], of_stream: &[usize], arrivals: &[&Arrival]) -> Vec<(usize, Instant)> {
    let mut surplus = of_stream.len().saturating_sub(arrivals.len());
    let mut pairs = Vec::new();
    let mut next = 0;
    for arrival in arrivals {
        let handed_over_by_then = |at: usize| {
            of_stream.get(at).is_some_and(|&index| samples[index].wall_s <= arrival.captured_s + ROUNDING_S)
        };
        while surplus > 0 && handed_over_by_then(next + 1) {
            next += 1;
            surplus -= 1;
        }
        let Some(&index) = of_stream.get(next) else { break };
        pairs.push((index, arrival.at));
        next += 1;
    }
    pairs
}

#[cfg(test)]
mod tests {
    use tern_shared::schema::Class;

    use super::*;
    use crate::client::Lane;

    fn sample(start: Instant, n: u64, stream: &str) -> Sample {
        Sample {
            at: start + Duration::from_secs(n),
            wall_s: n as f64,
            stream: stream.to_owned(),
            class: Class::Live,
        }
    }

    fn arrival(start: Instant, at: u64, stream: &str, sequence: u64, number: Option<u64>) -> Arrival {
        Arrival {
            at: start + Duration::from_secs(at),
            wall_s: at as f64,
            stream: stream.to_owned(),
            lane: Lane::Live,
            captured_s: sequence as f64 + 0.001,
            sequence,
            number,
        }
    }

    #[test]
    fn numbered_samples_are_told_by_their_number() {
        let start = Instant::now();
        let samples: Vec<_> = (0..3).map(|n| sample(start, n, "s")).collect();
        let arrivals = [
            arrival(start, 7, "s", 12, Some(2)),
            arrival(start, 8, "s", 10, Some(0)),
            // The same record, and the same sample under another sequence number.
            arrival(start, 9, "s", 10, Some(0)),
            arrival(start, 9, "s", 13, Some(2)),
        ];
        let at = |seconds| Some(start + Duration::from_secs(seconds));
        assert_eq!(first_arrivals(&samples, &arrivals), (vec![at(8), None, at(7)], 2));
    }

    #[test]
    fn samples_without_a_number_are_told_by_their_order_in_the_stream() {
        let start = Instant::now();
        let samples: Vec<_> = (0..6).map(|n| sample(start, n, if n % 2 == 0 { "a" } else { "b" })).collect();
        // The newest first; of stream `b`, the sample of second 3 never arrives.
        let arrivals =
            [5, 4, 2, 1, 0].map(|n| arrival(start, 20 - n, if n % 2 == 0 { "a" } else { "b" }, n, None));
        let (first, duplicates) = first_arrivals(&samples, &arrivals);
        let at = |n: u64| Some(start + Duration::from_secs(20 - n));
        assert_eq!((first, duplicates), (vec![at(0), at(1), at(2), None, at(4), at(5)], 0));
    }

    fn rules(rules: &[&str]) -> StreamRules {
        Vec::from_iter(rules.iter().map(|&rule| rule.to_owned())).try_into().unwrap()
    }

    /// 2000 samples, ten a second, and when those arrive that an edge takes, whose clock is `delay` behind.
    fn thinned(rules: &StreamRules, delay: impl Fn(u64) -> u64) -> (Vec<Sample>, Vec<Option<Instant>>) {
        let start = Instant::now();
        let mut intake = Intake::new(rules.clone());
        let millis = |n: u64| Duration::from_millis(n * 100);
        let samples: Vec<_> =
            (0..2000).map(|n| Sample { at: start + millis(n), ..sample(start, 0, "s") }).collect();
        let arrive = |n: u64| {
            let now = VirtualInstant(millis(n) + Duration::from_millis(delay(n)));
            intake.takes(now, "s", Class::Live).then_some(start)
        };
        let arrivals = (0..2000).map(arrive).collect();
        (samples, arrivals)
    }

    #[test]
    fn what_an_edge_leaves_out_by_its_rules_is_not_lost() {
        for rate in ["s=1", "s=0.2", "s=3", "s=0.99", "s=1.01", "s=9.99", "s=10", "s=100", "s=0", "s=all"] {
            let rules = rules(&[rate]);
            let (samples, arrived) = thinned(&rules, |n| n * 7 % 13);
            let left_out = left_out(&samples, &arrived, &rules);
            let lost = arrived.iter().zip(&left_out).filter(|(at, left_out)| at.is_none() && !**left_out);
            assert_eq!(lost.count(), 0, "{rate}");
            assert!(arrived.iter().zip(&left_out).all(|(at, left_out)| at.is_none() || !left_out), "{rate}");
        }
    }

    #[test]
    fn every_sample_that_was_taken_and_does_not_arrive_is_lost() {
        for rate in ["s=1", "s=0.2", "s=3", "s=10", "s=all"] {
            let rules = rules(&[rate]);
            let (samples, mut arrived) = thinned(&rules, |n| n * 7 % 13);
            let taken: Vec<usize> = (0..2000).filter(|&index| arrived[index].is_some()).collect();
            // The first, and later ones, two of them in a row.
            let gone = [0, 7, 8, taken.len() / 2, taken.len() - 2].map(|nth| taken[nth]);
            gone.iter().for_each(|&index| arrived[index] = None);
            let left_out = left_out(&samples, &arrived, &rules);
            let lost = (0..2000).filter(|&index| arrived[index].is_none() && !left_out[index]).count();
            assert_eq!(lost, gone.len(), "{rate}");
        }
    }

    #[test]
    fn an_edge_that_takes_too_little_loses_what_it_does_not_take() {
        let (samples, arrived) = thinned(&rules(&["s=0.5"]), |_| 1);
        let left_out = left_out(&samples, &arrived, &rules(&["s=1"]));
        let lost = (0..2000).filter(|&index| arrived[index].is_none() && !left_out[index]).count();
        assert!((95..=105).contains(&lost), "{lost}");
    }
}
