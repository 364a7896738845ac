//! Records of the past.

use super::*;

async fn recorded() -> Ground {
    let ground = start(|_| ()).await;
    let mut vehicle = announced(&ground).await;
    vehicle.tell(&frame(Lane::Live, 0, 100)).await;
    vehicle.tell(&frame(Lane::Backlog, 100, 100)).await;
    vehicle.acknowledged_up_to(200).await;
    ground
}

async fn history(ground: &Ground, mut request: Json) -> Vec<Json> {
    let mut client = ground.connect("/ws").await;
    request["type"] = json!("history");
    request["id"] = json!("h");
    client.say(request).await;
    let mut told = until(&mut client, |message| {
        message["id"] == "h" && message["type"] != "records" && message["type"] != "buckets"
    })
    .await;
    told.retain(|message| message["id"] == "h");
    told
}

#[tokio::test]
async fn records_of_a_span_come_in_order_in_bounded_chunks() {
    let ground = recorded().await;
    let told = history(&ground, json!({"vehicle": "alpha", "from": 0.010, "to": 0.150})).await;
    let (end, chunks) = told.split_last().unwrap();
    assert_eq!((&end["records"], &end["next"], &end["error"]), (&json!(140), &Json::Null, &Json::Null));
    let records: Vec<&Json> = chunks.iter().flat_map(|chunk| chunk["records"].as_array().unwrap()).collect();
    assert!(chunks.iter().all(|chunk| chunk["records"].as_array().unwrap().len() <= 64));
    assert_eq!(
        records.iter().map(|record| record["seq"].as_u64().unwrap()).collect::<Vec<_>>(),
        (10..150).collect::<Vec<u64>>()
    );
    assert_eq!((&records[0]["lane"], &records[139]["lane"]), (&json!("live"), &json!("backlog")));
    assert!(records[0]["received"].is_f64() && records[0]["epoch"] == "0000000000000007");
    let none = history(&ground, json!({"vehicle": "alpha", "fields": ["roll"]})).await;
    assert_eq!(none.len(), 1);
}

#[tokio::test]
async fn buckets_have_smallest_largest_and_mean_values() {
    let ground = recorded().await;
    let told = history(&ground, json!({"vehicle": "alpha", "from": 0.0, "to": 0.400, "buckets": 4})).await;
    assert_eq!(told.len(), 2);
    let buckets = &told[0];
    assert_eq!((&buckets["stream"], &buckets["width"]), (&json!("humidity"), &json!(0.1)));
    assert_eq!((&buckets["t"], &buckets["count"]), (&json!([0.0, 0.1]), &json!([100, 100])));
    assert_eq!(buckets["backlog"], json!([0, 100]));
    let percent = &buckets["fields"]["percent"];
    assert_eq!((&percent["min"], &percent["max"]), (&json!([0.0, 100.0]), &json!([99.0, 199.0])));
    assert_eq!(percent["mean"], json!([49.5, 149.5]));
    // An open span is that of the vehicle's records.
    let told = history(&ground, json!({"vehicle": "alpha", "buckets": 1})).await;
    assert_eq!((&told[0]["count"], &told[1]["records"]), (&json!([200]), &json!(200)));
}

#[tokio::test]
async fn requests_that_cannot_be_served_are_refused_with_a_reason() {
    let ground = recorded().await;
    for (request, code) in [
        (json!({"vehicle": "alpha", "buckets": 0}), "limit"),
        (json!({"vehicle": "alpha", "buckets": 4001}), "limit"),
        (json!({"vehicle": "alpha", "from": 2.0, "to": 1.0}), "malformed"),
        (json!({"vehicle": "no name"}), "unknown-vehicle"),
        (json!({"vehicle": "alpha", "after": "x"}), "bad-cursor"),
    ] {
        let told = history(&ground, request.clone()).await;
        assert_eq!((&told[0]["type"], &told[0]["code"]), (&json!("error"), &json!(code)), "{request}");
    }
    let told = history(&ground, json!({"vehicle": "beta"})).await;
    assert_eq!(told[0]["error"]["code"], "unknown-vehicle");
}

#[tokio::test]
async fn a_request_can_be_cancelled_and_there_are_only_so_many() {
    let ground = recorded().await;
    let (mut client, _) = ground.browser().await;
    for id in ["a", "b", "c", "d", "e", "a"] {
        client.say(json!({"type": "history", "id": id, "vehicle": "alpha", "buckets": 1})).await;
    }
    client.say(json!({"type": "cancel", "id": "d"})).await;
    client.say(json!({"type": "cancel", "id": "x"})).await;
    let mut ends = Vec::new();
    let mut errors = Vec::new();
    // Whether the fifth finds a place, and the second of one name the first, depends on how soon the others end.
    let are_in = |told: &[Json], ids: &[&str]| ids.iter().all(|id| told.contains(&json!(id)));
    while !are_in(&ends, &["a", "b", "c", "d"])
        || !(are_in(&ends, &["e"]) || are_in(&errors, &["e"]))
        || !are_in(&errors, &["x"])
    {
        let message = client.json().await;
        match message["type"].as_str().unwrap() {
            "history-end" => ends.push(message["id"].clone()),
            "error" => errors.push(message["id"].clone()),
            _ => {}
        }
    }
    assert!(errors.iter().all(|id| ["a", "e", "x"].contains(&id.as_str().unwrap())), "{errors:?}");
}
