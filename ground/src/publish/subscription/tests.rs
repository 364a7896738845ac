use std::time::Duration;

use serde_json::json;
use tern_shared::message::Lane;

use crate::publish::cursor::{Cursor, HistoryTag, Position};
use crate::publish::hub::tests::{setup, shape, told};

#[tokio::test(start_paused = true)]
async fn what_has_waited_too_long_gives_way_to_the_newest() {
    let setup = setup();
    let mut client = setup.subscribe(shape("", "*"));
    told(&mut client);
    setup.publish(0, Lane::Live, 1, 0, &[1, 2]);
    setup.publish(2, Lane::Live, 1, 2, &[3]);
    let delivered = told(&mut client).len();
    assert_eq!(delivered, 5);
    setup.publish(0, Lane::Live, 1, 3, &[4]);
    tokio::time::advance(Duration::from_secs(1)).await;
    setup.publish(0, Lane::Live, 1, 4, &[5]);
    tokio::time::advance(Duration::from_millis(1500)).await;

    let behind = told(&mut client);
    assert_eq!(behind[0], json!({"type": "missed", "count": 2, "from": "a-3"}));
    // Only what has changed: not the wind.
    assert_eq!((&behind[1]["fields"]["percent"], &behind[1]["phase"]), (&json!(5.0), &json!("snapshot")));
    assert_eq!((&behind[2]["type"], &behind[2]["cursor"]), (&json!("ready"), &json!("a-5")));
    assert_eq!(behind.len(), 3);
    setup.publish(0, Lane::Live, 1, 5, &[6]);
    assert_eq!(told(&mut client)[0]["cursor"], "a-6");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_falls_behind_in_a_fill_is_told_all_that_it_has() {
    let setup = setup();
    setup.publish(0, Lane::Live, 1, 0, &[1, 2, 3, 4]);
    let mut client = setup.subscribe(shape("", "*"));
    client.set_filling(Some(Cursor::new(HistoryTag(0xa), Position(2))));
    let snapshot = told(&mut client);
    assert_eq!(snapshot.last().unwrap()["cursor"], "a-2~4");
    setup.publish(0, Lane::Live, 1, 4, &[5]);
    assert_eq!(told(&mut client)[0]["cursor"], "a-5");
    setup.publish(0, Lane::Live, 1, 5, &[6]);
    tokio::time::advance(Duration::from_secs(3)).await;
    assert_eq!(told(&mut client)[0]["from"], "a-2+4.5");
    assert_eq!(client.filling(), None);
}
