//! A damaged spool file is moved aside, a new one begun, and what the ground has stays as it is.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::site::Site;

#[tokio::test]
async fn a_spool_with_garbage_for_a_header_is_moved_aside() {
    survives_damage(|spool| {
        let file = File::options().write(true).open(spool).unwrap();
        file.write_all_at(&[0xa5; 100], 0).unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_spool_that_was_cut_short_is_moved_aside() {
    survives_damage(|spool| {
        let file = File::options().write(true).open(spool).unwrap();
        file.set_len(file.metadata().unwrap().len() / 2).unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_spool_with_garbage_in_its_pages_is_moved_aside() {
    survives_damage(|spool| {
        let file = File::options().write(true).open(spool).unwrap();
        let length = file.metadata().unwrap().len();
        file.write_all_at(&vec![0xa5; length as usize - 4096], 4096).unwrap();
    })
    .await;
}

async fn survives_damage(damage: impl FnOnce(&Path)) {
    let site = Site::new();
    let ground = site.start_ground(&[]).await;
    let mut edge = site.start_edge(&[]).await;
    site.send_numbers(0..50).await;
    edge.settled().await;
    let epoch = epoch_in(&edge.line("spool open").await);
    edge.end().await;
    let before = site.exported_counter().await;

    damage(&site.spool());
    let damaged = std::fs::read(site.spool()).unwrap();
    let mut edge = site.start_edge(&[]).await;
    assert!(edge.line("moved aside").await.contains("WARN"));
    assert_ne!(
        epoch_in(&edge.line("spool open").await),
        epoch,
        "sequence numbers of the old epoch are in use"
    );
    site.send_numbers(50..100).await;
    let status = edge.settled().await;
    assert_eq!(status["spool"]["state"], "ok", "{status}");
    edge.end().await;
    ground.end().await;

    let aside: Vec<_> = std::fs::read_dir(site.spool().parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_str().unwrap().contains("spool.sqlite.corrupt-"))
        .collect();
    assert_eq!(aside.len(), 1, "{aside:?}");
    assert!(std::fs::read(&aside[0]).unwrap() == damaged, "the damaged file is kept as it was found");
    assert_eq!(site.exported_numbers().await, (0..100).collect::<Vec<_>>());
    assert_eq!(site.exported_counter().await[..50], before, "what the ground has stays as it is");
}

/// Of the line `spool open epoch=... base=...`.
fn epoch_in(line: &str) -> String {
    line.split_once("epoch=").unwrap().1.split(' ').next().unwrap().to_owned()
}
