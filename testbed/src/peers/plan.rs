//! Who runs with whom.

use super::{Peer, PeersError, PeersOptions, udp};
use crate::run::check_outages;
use crate::scenario::{Scenario, Synthetic, Workload};

/// The systems in groups of those that run at the same time.
pub(super) fn groups(options: &PeersOptions) -> Result<Vec<Vec<Peer>>, PeersError> {
    let synthetic = synthetic(&options.scenario)?;
    check_outages(&options.scenario)?;
    let peers: Vec<Peer> = match &options.only[..] {
        [] => Peer::ALL.to_vec(),
        only => Peer::ALL.into_iter().filter(|peer| only.contains(peer)).collect(),
    };
    for &peer in &peers {
        if peer == Peer::Mavlink && synthetic.sample_bytes as usize > udp::FRAME_SAMPLE_BYTES_MAX {
            let (sample_bytes, max) = (synthetic.sample_bytes as usize, udp::FRAME_SAMPLE_BYTES_MAX);
            return Err(PeersError::TooLarge { sample_bytes, max });
        }
        if let Some(tool) = peer.tool() {
            tool.find(peer)?;
        }
    }
    let groups = peers.len().div_ceil(options.at_once.max(1)).max(1);
    Ok(peers.chunks(peers.len().div_ceil(groups).max(1)).map(<[Peer]>::to_vec).collect())
}

/// The samples of a scenario that can be compared.
pub(super) fn synthetic(scenario: &Scenario) -> Result<Synthetic, PeersError> {
    match scenario.workload {
        Workload::Synthetic(synthetic) => Ok(synthetic),
        Workload::Flight(_) => Err(PeersError::Flight),
    }
}

/// How many samples a run has at most.
pub(super) fn samples_max(scenario: &Scenario, synthetic: Synthetic) -> usize {
    // At most 1000 a second for a day.
    (scenario.length.as_secs_f64() * f64::from(synthetic.samples_per_second.get())).ceil() as usize + 1
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::path::LinkKind;

    /// None that needs a tool.
    const PLAIN: [Peer; 6] = [Peer::Websocket, Peer::Tern, Peer::Udp, Peer::Mavlink, Peer::Tcp, Peer::Quic];

    fn options(only: &[Peer], at_once: usize) -> PeersOptions {
        let scenario = Scenario::load("geo-bgan").unwrap();
        PeersOptions { scenario, link: LinkKind::Tun, only: only.to_vec(), at_once }
    }

    #[test]
    fn groups_are_even_and_in_the_order_of_results() {
        let in_fours = groups(&options(&PLAIN, 4)).unwrap();
        let [first, second] = &in_fours[..] else { panic!("{in_fours:?}") };
        assert_eq!(first[..], [Peer::Tern, Peer::Udp, Peer::Mavlink]);
        assert_eq!(second[..], [Peer::Tcp, Peer::Websocket, Peer::Quic]);
        assert_eq!(groups(&options(&PLAIN, 6)).unwrap().len(), 1);
        assert_eq!(groups(&options(&PLAIN, 0)).unwrap().len(), 6);
    }

    #[test]
    fn what_cannot_be_carried_is_refused_before_anything_starts() {
        let refused = |options: &PeersOptions| groups(options).unwrap_err().to_string();
        let mut large = options(&[Peer::Mavlink], 9);
        large.scenario.workload =
            Workload::Synthetic(Synthetic { samples_per_second: 1.try_into().unwrap(), sample_bytes: 200 });
        assert!(refused(&large).contains("200"));
        let mut flight = options(&[], 9);
        flight.scenario.workload = Workload::Flight(PathBuf::from("x.tlog"));
        assert!(refused(&flight).contains("flight"));
        let mut down = options(&[Peer::Tcp], 9);
        down.scenario = Scenario::load("geo-bgan-outage30").unwrap();
        // Within it, and before it.
        for seconds in [40, 20] {
            down.scenario.length = std::time::Duration::from_secs(seconds);
            let refusal = refused(&down);
            assert!(refusal.contains("begins at 30 s and lasts 30 s"), "{refusal}");
            assert!(refusal.contains("at least 61 s (--seconds)"), "{refusal}");
        }
    }

    #[test]
    fn the_queue_of_samples_has_room_for_the_whole_run() {
        let scenario = Scenario::load("geo-bgan").unwrap();
        assert_eq!(samples_max(&scenario, synthetic(&scenario).unwrap()), 3001);
    }
}
