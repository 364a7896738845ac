//! QUIC between edge and ground: who is let in, and what ends a connection.

use std::net::{SocketAddr, UdpSocket};

use crate::certificate::{Authority, Certificate};
use crate::common::{binary, edge_arguments};
use crate::flood::begin_handshakes;
use crate::liar::{Liar, Lie};
use crate::middlebox::Middlebox;
use crate::site::{Site, Watched};

const TOKEN: &str = "a-secret";

#[tokio::test]
async fn telemetry_crosses_quic_and_a_restarted_ground_is_noticed() {
    let site = Site::new();
    let tls = Certificate::of_ground(&site, "ground");
    let quic = free_udp_address();
    let mut ground = start_ground(&site, quic, &tls, &[]).await;
    let mut edge = start_edge(&site, &[quic], &tls, &["--token", TOKEN]);
    edge.line("source listening").await;
    site.send_numbers(0..100).await;
    edge.settled().await;
    assert_eq!(edge.status()["link"], format!("quic://{quic}"));
    ground.kill().await.unwrap();

    let ground = start_ground(&site, quic, &tls, &[]).await;
    site.send_numbers(100..200).await;
    edge.line("it has restarted").await;
    edge.accepted(200).await;
    edge.settled().await;
    edge.end().await;
    ground.end().await;
    assert_eq!(site.exported_numbers().await, (0..200).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_ground_whose_certificate_is_another_or_expired_gets_nothing() {
    let site = Site::new();
    let trusted = Certificate::of_ground(&site, "trusted");
    let quic = free_udp_address();
    let mut edge = start_edge(&site, &[quic], &trusted, &["--token", TOKEN]);
    edge.line("source listening").await;
    site.send_numbers(0..100).await;
    let another = Certificate::of_ground(&site, "another");
    let expired = Certificate::expired(&site, "expired");
    for (wrong, reason) in [(another, "invalid peer certificate"), (expired, "xpired")] {
        let mut impostor = start_ground(&site, quic, &wrong, &["--log-level=debug"]).await;
        // An edge that trusts the expired one as such is none the less told that it is expired.
        let trusts = Certificate { certificate: wrong.certificate.clone(), key: wrong.key.clone() };
        if reason == "xpired" {
            edge.end().await;
            edge = start_edge(&site, &[quic], &trusts, &["--token", TOKEN]);
        }
        let line = edge.line(reason).await;
        assert!(line.contains("WARN") && line.contains("cannot connect"), "{line}");
        impostor.line("QUIC handshake failed").await;
        // The token is in the hello, which nothing precedes on a connection.
        impostor.never_said("vehicle connection");
        impostor.end().await;
    }
    edge.end().await;

    // The right ground comes back, and nothing was lost to the wrong ones.
    let ground = start_ground(&site, quic, &trusted, &[]).await;
    let mut edge = start_edge(&site, &[quic], &trusted, &["--token", TOKEN]);
    edge.line("session open").await;
    edge.status_where("all is acknowledged", |status| status["settled"] == true).await;
    edge.end().await;
    ground.end().await;
    assert_eq!(site.exported_numbers().await, (0..100).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_wrong_token_is_refused_with_the_reason() {
    let site = Site::new();
    let tls = Certificate::of_ground(&site, "ground");
    let quic = free_udp_address();
    let mut ground = start_ground(&site, quic, &tls, &[]).await;
    let mut edge = start_edge(&site, &[quic], &tls, &["--token", "wrong"]);
    edge.line("source listening").await;
    site.send_numbers(0..100).await;
    assert!(edge.line("refused this vehicle").await.contains("NotAuthorized"));
    assert!(ground.line("session refused").await.contains("NotAuthorized"));
    edge.accepted(100).await;
    edge.end().await;

    let mut edge = start_edge(&site, &[quic], &tls, &["--token", TOKEN]);
    edge.status_where("all is acknowledged", |status| status["settled"] == true).await;
    edge.end().await;
    ground.end().await;
    assert_eq!(site.exported_numbers().await, (0..100).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_vehicle_is_known_by_its_certificate_and_by_no_other() {
    let site = Site::new();
    let tls = Certificate::of_ground(&site, "ground");
    let quic = free_udp_address();
    let (authority, stranger) = (Authority::new(&site, "vehicles"), Authority::new(&site, "strangers"));
    let ca = authority.certificate.to_str().unwrap();
    let mut ground = start_ground(&site, quic, &tls, &["--quic-client-ca", ca]).await;
    let wrong = [
        (authority.vehicle(&site, "another", 2020..2100), "NotAuthorized"),
        (authority.vehicle(&site, "test", 2010..2020), "xpired"),
        (stranger.vehicle(&site, "test", 2020..2101), "invalid peer certificate"),
    ];
    for (own, reason) in &wrong {
        let mut edge = start_edge(&site, &[quic], &tls, &own_certificate(own));
        edge.line(reason).await;
        edge.end().await;
    }
    ground.line("does not name vehicle test").await;
    let right = authority.vehicle(&site, "test", 2020..2100);
    let mut edge = start_edge(&site, &[quic], &tls, &own_certificate(&right));
    edge.line("source listening").await;
    site.send_numbers(0..100).await;
    edge.settled().await;
    edge.end().await;
    ground.end().await;
    assert_eq!(site.exported_numbers().await, (0..100).collect::<Vec<_>>());
}

#[tokio::test]
async fn where_udp_does_not_pass_a_websocket_is_used_and_quic_once_it_does() {
    let site = Site::new();
    let tls = Certificate::of_ground(&site, "ground");
    // Takes UDP and answers nothing, as a firewall does.
    let firewall = UdpSocket::bind("127.0.0.1:0").unwrap();
    let blocked = firewall.local_addr().unwrap();
    let ground = start_ground(&site, free_udp_address(), &tls, &[]).await;
    let websocket = format!("wss://{}/vehicle", site.ground);
    let mut edge = start_edge(&site, &[blocked], &tls, &["--token", TOKEN, "--ground", &websocket]);
    let start = std::time::Instant::now();
    edge.line("session open").await;
    assert!(start.elapsed().as_secs() < 5, "{:?}", start.elapsed());
    site.send_numbers(0..100).await;
    let status = edge.settled().await;
    assert_eq!(status["link"], websocket.as_str());
    ground.end().await;

    // The firewall opens: a ground listens there.
    drop(firewall);
    let ground = start_ground(&site, blocked, &tls, &[]).await;
    edge.status_where("QUIC is used", |status| status["link"] == format!("quic://{blocked}")).await;
    site.send_numbers(100..200).await;
    edge.accepted(200).await;
    edge.settled().await;
    edge.end().await;
    ground.end().await;
    assert_eq!(site.exported_numbers().await, (0..200).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_connection_survives_a_change_of_the_vehicles_address() {
    let site = Site::new();
    let tls = Certificate::of_ground(&site, "ground");
    let quic = free_udp_address();
    let ground = start_ground(&site, quic, &tls, &[]).await;
    let nat = Middlebox::start(quic, true).await;
    let mut edge = start_edge(&site, &[nat.address], &tls, &["--token", TOKEN]);
    edge.line("source listening").await;
    for change in 1..=3 {
        site.send_numbers((change - 1) * 100..change * 100).await;
        edge.accepted(change * 100).await;
        edge.settled().await;
        nat.change_address().await;
    }
    edge.never_said("connection ended");
    edge.end().await;
    ground.end().await;
    assert_eq!(site.exported_numbers().await, (0..300).collect::<Vec<_>>());
}

#[tokio::test]
async fn packets_that_somebody_sends_again_change_nothing() {
    let site = Site::new();
    let tls = Certificate::of_ground(&site, "ground");
    let quic = free_udp_address();
    let mut ground = start_ground(&site, quic, &tls, &["--log-level=debug"]).await;
    let attacker = Middlebox::start(quic, true).await;
    let mut edge = start_edge(&site, &[attacker.address], &tls, &["--token", TOKEN]);
    edge.line("source listening").await;
    site.send_numbers(0..100).await;
    edge.settled().await;
    // The second connection sends its hello and records ahead of the handshake.
    ground.kill().await.unwrap();
    let ground = start_ground(&site, quic, &tls, &["--log-level=debug"]).await;
    site.send_numbers(100..200).await;
    edge.line("early=true").await;
    edge.accepted(200).await;
    edge.settled().await;
    edge.never_said("did not take what was sent ahead");

    attacker.replay().await;
    site.send_numbers(200..300).await;
    edge.accepted(300).await;
    edge.settled().await;
    // The ticket was good once: nobody took the vehicle's place.
    ground.never_said("a new session takes over");
    edge.never_said("connecting anew");
    edge.end().await;
    ground.end().await;
    assert_eq!(site.exported_numbers().await, (0..300).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_ground_that_acknowledges_what_was_never_sent_takes_nothing_away() {
    let site = Site::new();
    let tls = Certificate::of_ground(&site, "ground");
    let quic = free_udp_address();
    for (lie, reason) in [
        (Lie::Welcome(u64::MAX / 2), "was the spool copied or restored"),
        // All records of this start, of which none were sent, and some that were never made.
        (Lie::Acknowledge(1_000_000), "was the spool copied or restored"),
        (Lie::Acknowledge(0), "which were not sent to it"),
    ] {
        let liar = Liar::start(&tls, lie);
        let mut edge = start_edge(&site, &[liar.address], &tls, &["--token", TOKEN]);
        edge.line("source listening").await;
        let line = edge.line("connecting anew").await;
        assert!(line.contains("WARN") && line.contains(reason), "{line}");
        if reason.contains("copied") {
            site.send_numbers(0..50).await;
            edge.accepted(50).await;
        }
        edge.end().await;
        drop(liar);
    }

    let ground = start_ground(&site, quic, &tls, &[]).await;
    let mut edge = start_edge(&site, &[quic], &tls, &["--token", TOKEN]);
    edge.status_where("all is acknowledged", |status| status["settled"] == true).await;
    edge.end().await;
    ground.end().await;
    let twice = (0..50).chain(0..50).collect::<Vec<_>>();
    assert_eq!(site.exported_numbers().await, twice);
}

#[tokio::test]
async fn handshakes_that_nobody_means_keep_no_vehicle_out_and_take_little_memory() {
    let site = Site::new();
    let tls = Certificate::of_ground(&site, "ground");
    let quic = free_udp_address();
    let ground = start_ground(&site, quic, &tls, &[]).await;
    // Forged addresses receive no answers.
    let forger = Middlebox::start(quic, false).await;
    let before = resident_kb(&ground);
    begin_handshakes(forger.address, &tls.certificate, 500).await;
    let early = resident_kb(&ground);
    begin_handshakes(forger.address, &tls.certificate, 1500).await;
    let late = resident_kb(&ground);
    assert!(late - before < 16 * 1024 && late - early < 4 * 1024, "{before} kB, {early} kB, {late} kB");

    let mut edge = start_edge(&site, &[quic], &tls, &["--token", TOKEN]);
    edge.line("source listening").await;
    site.send_numbers(0..100).await;
    edge.settled().await;
    edge.end().await;
    ground.end().await;
    assert_eq!(site.exported_numbers().await, (0..100).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_ground_ends_within_a_second_and_says_goodbye() {
    let site = Site::new();
    let tls = Certificate::of_ground(&site, "ground");
    let quic = free_udp_address();
    let ground = start_ground(&site, quic, &tls, &[]).await;
    let mut edge = start_edge(&site, &[quic], &tls, &["--token", TOKEN]);
    edge.line("source listening").await;
    site.send_numbers(0..100).await;
    edge.settled().await;
    ends_in_time(ground).await;
    edge.line("the ground is shutting down").await;

    // Nor does it wait for a vehicle that has gone without a word, or with one.
    for says_goodbye in [false, true] {
        let ground = start_ground(&site, quic, &tls, &[]).await;
        edge.line("session open").await;
        if says_goodbye {
            ends_in_time(edge).await;
        } else {
            edge.kill().await.unwrap();
        }
        ends_in_time(ground).await;
        edge = start_edge(&site, &[quic], &tls, &["--token", TOKEN]);
    }
    // There is no ground now.
    edge.line("source listening").await;
    ends_in_time(edge).await;
    assert_eq!(site.exported_numbers().await, (0..100).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_edge_ends_within_a_second_though_nothing_of_the_ground_comes_through() {
    let site = Site::new();
    let tls = Certificate::of_ground(&site, "ground");
    let quic = free_udp_address();
    let ground = start_ground(&site, quic, &tls, &[]).await;
    let link = Middlebox::start(quic, true).await;
    let mut edge = start_edge(&site, &[link.address], &tls, &["--token", TOKEN]);
    edge.line("session open").await;
    drop(link);
    site.send_numbers(0..100).await;
    edge.accepted(100).await;
    ends_in_time(edge).await;

    let mut edge = start_edge(&site, &[quic], &tls, &["--token", TOKEN]);
    edge.status_where("all is acknowledged", |status| status["settled"] == true).await;
    ends_in_time(edge).await;
    ends_in_time(ground).await;
    assert_eq!(site.exported_numbers().await, (0..100).collect::<Vec<_>>());
}

#[tokio::test]
async fn missing_certificates_and_keys_are_named_at_the_start() {
    let site = Site::new();
    let missing = site.path("none.pem");
    let name = missing.to_str().unwrap();
    let arguments = |more: &[&str]| {
        let all = edge_arguments("quic://localhost", "simulated:", &site.spool(), 0);
        all.into_iter().chain(more.iter().map(Into::into)).collect::<Vec<std::ffi::OsString>>()
    };
    for (more, setting) in [
        (vec!["--certificates", name], "link.certificates"),
        (vec!["--client-certificate", name, "--client-key", name], "link.client_certificate"),
        (vec!["--client-key", name], "link.client_certificate is missing"),
    ] {
        let said = crate::site::run_in_vain("tern-edge", arguments(&more)).await;
        assert!(said.contains(setting), "{said}");
    }
    let history = site.history();
    let said = crate::site::run_in_vain(
        "tern-ground",
        ["--quic-listen", "127.0.0.1:0", "--history", history.to_str().unwrap()],
    )
    .await;
    assert!(said.contains("quic.listen needs a certificate"), "{said}");
}

/// A ground that takes vehicles by QUIC and by WebSocket with TLS.
async fn start_ground(site: &Site, quic: SocketAddr, tls: &Certificate, more: &[&str]) -> Watched {
    let (quic, vehicle) = (quic.to_string(), format!("test={TOKEN}"));
    let mut arguments = vec!["--quic-listen", &quic, "--vehicle", &vehicle];
    arguments.extend(["--tls-certificate", tls.certificate.to_str().unwrap()]);
    arguments.extend(["--tls-key", tls.key.to_str().unwrap()]);
    arguments.extend(more);
    let mut ground = site.start_ground(&arguments).await;
    ground.line("listening for QUIC").await;
    ground
}

fn start_edge(site: &Site, grounds: &[SocketAddr], trusted: &Certificate, more: &[&str]) -> Watched {
    let source = format!("jsonl+tcpin:{}", site.source);
    let mut arguments = edge_arguments(&format!("quic://{}", grounds[0]), &source, &site.spool(), 50);
    arguments.extend(["--certificates".into(), trusted.certificate.clone().into()]);
    arguments.extend(more.iter().map(Into::into));
    Watched::spawn("tern-edge", &binary("tern-edge"), arguments)
}

fn own_certificate(own: &Certificate) -> [&str; 4] {
    let (certificate, key) = (own.certificate.to_str().unwrap(), own.key.to_str().unwrap());
    ["--client-certificate", certificate, "--client-key", key]
}

/// A second, and what a machine that runs many tests at once makes of it.
async fn ends_in_time(process: Watched) {
    let start = std::time::Instant::now();
    process.end().await;
    assert!(start.elapsed().as_millis() < 2500, "{:?}", start.elapsed());
}

/// What the process holds in memory.
fn resident_kb(process: &Watched) -> i64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id().unwrap())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// An address whose UDP port was free a moment ago.
fn free_udp_address() -> SocketAddr {
    let address = crate::common::free_address();
    UdpSocket::bind(address).unwrap();
    address
}
