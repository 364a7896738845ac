//! What cannot be started is not, and says why.

use crate::common::{binary, counter};
use crate::site::{Site, Watched, run_in_vain};

#[tokio::test]
async fn an_unknown_key_is_named_with_file_line_and_key() {
    let site = Site::new();
    for (program, file) in [
        ("tern-edge", "vehicle = \"test\"\nsources = [\"simulated:\"]\n\n[link]\nrate_bits_per_sceond = 5\n"),
        ("tern-ground", "listen = \"127.0.0.1:0\"\n\n# A comment.\n[history]\nrate_bits_per_sceond = 5\n"),
    ] {
        let config = site.path(&format!("{program}.toml"));
        std::fs::write(&config, file).unwrap();
        let said = run_in_vain(program, ["--config".as_ref(), config.as_os_str()]).await;
        for part in [config.to_str().unwrap(), "line 5", "rate_bits_per_sceond"] {
            assert!(said.contains(part), "{part:?} is missing in:\n{said}");
        }
    }
}

#[tokio::test]
async fn a_missing_configuration_is_named() {
    let site = Site::new();
    let config = site.path("none.toml");
    for program in ["tern-edge", "tern-ground"] {
        let said = run_in_vain(program, ["--config".as_ref(), config.as_os_str()]).await;
        assert!(said.contains(config.to_str().unwrap()) && said.contains("No such file"), "{said}");
    }
}

#[tokio::test]
async fn a_missing_recording_ends_an_edge_that_has_nothing_else() {
    let site = Site::new();
    let recording = site.path("none.tlog");
    let arguments = site.edge_arguments_for(&format!("replay:{}", recording.display()), &site.spool(), &[]);
    let said = run_in_vain("tern-edge", arguments).await;
    assert!(said.contains(recording.to_str().unwrap()) && said.contains("No such file"), "{said}");
}

#[tokio::test]
async fn a_missing_recording_leaves_the_other_sources_alone() {
    let site = Site::new();
    let ground = site.start_ground(&[]).await;
    let recording = format!("replay:{}", site.path("none.tlog").display());
    let arguments = site.edge_arguments(&["--source", &recording]);
    let mut edge = Watched::spawn("tern-edge", &binary("tern-edge"), arguments);
    edge.line("source listening").await;
    edge.line("No such file").await;
    site.send_numbers(0..10).await;
    let status = edge.settled().await;
    assert!(status["sources"][1]["ended"].as_str().unwrap().contains("none.tlog"), "{status}");
    assert_eq!(counter(&status, "accepted_records"), 10);
    edge.end().await;
    ground.end().await;
    assert_eq!(site.exported_numbers().await, (0..10).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_ground_that_others_can_reach_needs_tls_and_tokens() {
    let site = Site::new();
    let history = site.history();
    let said =
        run_in_vain("tern-ground", ["--listen", "0.0.0.0:0", "--history", history.to_str().unwrap()]).await;
    for part in ["0.0.0.0", "TLS", "token", "--insecure"] {
        assert!(said.contains(part), "{part:?} is missing in:\n{said}");
    }
}
