//! A disk without room for the spool: a file system in memory of 2 MiB, in a mount namespace of the edge's own that ends
//! with it. Root can make one, and who may make user namespaces.

use std::ffi::OsString;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::client::Browser;
use crate::common::{self, binary, counter};
use crate::site::{Site, Watched};

const MOUNT: &str = "mount -t tmpfs -o size=2m tern \"$0\"";
const FEED_INTERVAL: Duration = Duration::from_millis(5);

#[tokio::test]
async fn a_full_disk_lets_live_telemetry_through_and_stores_again_when_there_is_space() {
    let site = Site::new();
    let Some((mut edge, disk)) = start_edge(&site, &format!("{MOUNT} && exec \"$@\"")) else { return };
    let ground = site.start_ground(&[]).await;
    let mut browser = Browser::connect(site.ground).await;
    let next_number = Arc::new(AtomicU64::new(0));
    let feeder = tokio::spawn(common::feed(site.source, Arc::clone(&next_number), FEED_INTERVAL));
    edge.status_where("something is spooled", |status| counter(status, "spooled_records") > 0).await;

    let ballast = disk.join("ballast");
    fill(&ballast);
    edge.status_where("the disk is full", |status| status["spool"]["state"] == "full").await;
    assert!(edge.line("the disk is full").await.contains("ERROR"));
    let number = next_number.load(Ordering::Relaxed) + 100;
    assert_eq!(browser.number(number).await["lane"], "live");
    let status = edge.status();
    assert!(counter(&status["spool"], "not_stored_records") > 0, "{status}");

    std::fs::remove_file(ballast).unwrap();
    let spooled = counter(&edge.status(), "spooled_records");
    let stores = |status: &Value| {
        status["spool"]["state"] == "ok" && counter(status, "spooled_records") > spooled + 100
    };
    edge.status_where("the spool stores again", stores).await;
    edge.line("the spool stores again").await;

    feeder.abort();
    let accepted = counter(&edge.settled().await, "accepted_records");
    edge.end().await;
    ground.end().await;
    assert_eq!(site.exported_numbers().await, (0..accepted).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_neither_disk_nor_link_took_is_counted_at_both_ends() {
    let site = Site::new();
    let Some((mut edge, disk)) = start_edge(&site, &format!("{MOUNT} && exec \"$@\"")) else { return };
    edge.line("source listening").await;
    site.send_numbers(0..100).await;
    edge.status_where("all is spooled", |status| counter(status, "spooled_records") == 100).await;
    fill(&disk.join("ballast"));
    // Far more than the write-ahead log has room left for, and the session remembers to send live.
    let mut accepted = 100;
    while counter(&edge.status()["spool"], "not_stored_records") < 1000 {
        site.send_numbers(accepted..accepted + 100).await;
        accepted += 100;
        let done = |status: &Value| {
            counter(status, "spooled_records") + counter(&status["spool"], "not_stored_records") == accepted
        };
        edge.status_where("all is stored or given up", done).await;
    }

    let ground = site.start_ground(&[]).await;
    let mut browser = Browser::connect(site.ground).await;
    let accounted = |s: &Value| counter(s, "acknowledged_records") + counter(s, "lost_records") == accepted;
    let lost = counter(&edge.status_where("all is accounted for", accounted).await, "lost_records");
    assert!(lost > 0);
    browser.message_where("the loss", |m| m["type"] == "vehicle" && counter(m, "lost_records") == lost).await;
    edge.end().await;
    ground.end().await;
    let numbers = site.exported_numbers().await;
    assert_eq!(numbers.len() as u64, accepted - lost);
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
}

#[tokio::test]
async fn an_edge_that_starts_on_a_full_disk_relays_and_says_that_it_keeps_nothing() {
    let site = Site::new();
    // `cat` fails when the disk is full, which is what it is for.
    let script = format!("{MOUNT} && {{ cat /dev/zero >\"$0/ballast\" || exec \"$@\"; }}");
    let Some((mut edge, _)) = start_edge(&site, &script) else { return };
    assert!(edge.line("nothing is kept").await.contains("ERROR"));
    edge.line("source listening").await;
    let ground = site.start_ground(&[]).await;
    edge.status_where("the session is open", |status| status["connected"] == true).await;
    site.send_numbers(0..100).await;
    edge.accepted(100).await;
    let status = edge.status_where("acknowledged", |s| counter(s, "acknowledged_records") == 100).await;
    assert_eq!(status["spool"]["state"], "failed", "{status}");
    assert!(status["spool"]["error"].as_str().unwrap().contains("disk"), "{status}");
    edge.end().await;
    ground.end().await;
    assert_eq!(site.exported_numbers().await, (0..100).collect::<Vec<_>>());
}

/// An edge with its spool on a small disk, which `script` mounts on `$0` before it becomes `$@`; and where this process
/// sees that disk. `None` when such a disk cannot be had.
fn start_edge(site: &Site, script: &str) -> Option<(Watched, PathBuf)> {
    let folder = site.path("disk");
    std::fs::create_dir(&folder).unwrap();
    let Some(namespaces) = usable_namespaces(&folder) else {
        eprintln!("SKIPPED a full disk: neither root nor user namespaces to mount a small one");
        return None;
    };
    let mut arguments: Vec<OsString> = namespaces.iter().map(Into::into).collect();
    arguments.extend(["--", "sh", "-c", script].map(Into::into));
    arguments.extend([folder.clone().into(), binary("tern-edge").into()]);
    let source = format!("jsonl+tcpin:{}", site.source);
    arguments.extend(site.edge_arguments_for(&source, &folder.join("spool.sqlite"), &[]));
    let edge = Watched::spawn("tern-edge", Path::new("unshare"), arguments);
    let root = PathBuf::from(format!("/proc/{}/root", edge.id().unwrap()));
    let disk = root.join(folder.strip_prefix("/").unwrap());
    Some((edge, disk))
}

fn usable_namespaces(folder: &Path) -> Option<&'static [&'static str]> {
    let ways: [&[&str]; 2] = [&["--mount"], &["--user", "--map-root-user", "--mount"]];
    ways.into_iter().find(|way| {
        let mut trial = std::process::Command::new("unshare");
        trial.args(*way).args(["--", "sh", "-c", MOUNT]).arg(folder);
        trial.output().is_ok_and(|output| output.status.success())
    })
}

fn fill(ballast: &Path) {
    let mut file = File::create(ballast).unwrap();
    loop {
        match file.write(&[0; 4096]) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::StorageFull => return,
            Err(error) => panic!("{error}"),
        }
    }
}
