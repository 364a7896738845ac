//! Which arrival is of which sample.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::record::Sample;
use crate::client::Arrival;

/// An arrival's capture time is at least the time of its sample, but for what JSON's seconds round off.
const ROUNDING_S: f64 = 1e-5;

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
    use std::time::Duration;

    use super::*;
    use crate::client::Lane;

    fn sample(start: Instant, n: u64, stream: &str) -> Sample {
        Sample { at: start + Duration::from_secs(n), wall_s: n as f64, stream: stream.to_owned() }
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
}
