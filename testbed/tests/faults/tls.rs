//! TLS between edge and ground, with a certificate that the ground signed itself.

use crate::certificate::Certificate;
use crate::common::{binary, edge_arguments};
use crate::site::{Site, Watched};

const TOKEN: &str = "a-secret";

#[tokio::test]
async fn telemetry_crosses_tls() {
    let site = Site::new();
    let ground = start_ground(&site, &Certificate::of_ground(&site, "ground")).await;
    let mut edge = start_edge(&site, &site.path("ground.pem"));
    edge.line("source listening").await;
    site.send_numbers(0..100).await;
    edge.settled().await;
    edge.end().await;
    ground.end().await;
    assert_eq!(site.exported_numbers().await, (0..100).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_ground_with_another_certificate_gets_no_token() {
    let site = Site::new();
    let trusted = Certificate::of_ground(&site, "trusted");
    let mut impostor = start_ground(&site, &Certificate::of_ground(&site, "impostor")).await;
    let mut edge = start_edge(&site, &trusted.certificate);
    edge.line("source listening").await;
    site.send_numbers(0..100).await;
    let line = edge.line("cannot connect").await;
    assert!(line.contains("WARN") && line.contains("TLS") && line.contains("certificate"), "{line}");
    impostor.line("TLS handshake failed").await;
    // The token is in the hello, which nothing precedes on a connection.
    impostor.never_said("vehicle connection");
    edge.accepted(100).await;
    assert_eq!(edge.status()["connected"], false);
    impostor.end().await;

    // The right ground comes back, and nothing was lost to the wrong one.
    let ground = start_ground(&site, &trusted).await;
    edge.settled().await;
    edge.end().await;
    ground.end().await;
    assert_eq!(site.exported_numbers().await, (0..100).collect::<Vec<_>>());
}

#[tokio::test]
async fn missing_certificates_are_named_at_the_start() {
    let site = Site::new();
    let missing = site.path("none.pem");
    let arguments = edge_arguments("wss://localhost/vehicle", "simulated:", &site.spool(), 0);
    let more = ["--certificates".into(), missing.clone().into()];
    let said = crate::site::run_in_vain("tern-edge", arguments.into_iter().chain(more)).await;
    assert!(said.contains("link.certificates") && said.contains(missing.to_str().unwrap()), "{said}");

    let arguments = ["--tls-certificate", "--tls-key", "--history"].map(Into::into).into_iter().zip([
        missing.clone().into(),
        missing.clone().into(),
        site.history().into(),
    ]);
    let arguments: Vec<std::ffi::OsString> = arguments.flat_map(|(key, value)| [key, value]).collect();
    let said = crate::site::run_in_vain("tern-ground", arguments).await;
    assert!(said.contains("tls.certificate") && said.contains(missing.to_str().unwrap()), "{said}");
}

/// A ground that logs whoever connects.
async fn start_ground(site: &Site, tls: &Certificate) -> Watched {
    site.start_ground(&[
        "--log-level=debug",
        "--vehicle",
        &format!("test={TOKEN}"),
        "--tls-certificate",
        tls.certificate.to_str().unwrap(),
        "--tls-key",
        tls.key.to_str().unwrap(),
    ])
    .await
}

fn start_edge(site: &Site, trusted: &std::path::Path) -> Watched {
    let source = format!("jsonl+tcpin:{}", site.source);
    let ground = format!("wss://{}/vehicle", site.ground);
    let mut arguments = edge_arguments(&ground, &source, &site.spool(), 50);
    arguments.extend(["--token".into(), TOKEN.into(), "--certificates".into(), trusted.into()]);
    Watched::spawn("tern-edge", &binary("tern-edge"), arguments)
}
