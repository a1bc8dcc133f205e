//! Bodies that no honest agent sends: each is answered with what is wrong, and changes nothing.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use agent_protocol::{EventsAnswer, MAX_BATCH_BYTES, MAX_BATCH_EVENTS};
use reqwest::Method;
use serde_json::{Value, json};
use tests::{Lab, TestDevice, Wire, kinds};

async fn nothing_stored(lab: &Lab) {
    let events = "SELECT count(*) FROM event WHERE $1 <> ''";
    assert_eq!(lab.number(events, "x").await, 0);
    let moved = "SELECT count(*) FROM device_cursor WHERE acked <> 0 AND $1 <> ''";
    assert_eq!(lab.number(moved, "x").await, 0);
}

fn with_body(body: &str) -> Vec<u8> {
    let event = format!(
        r#"{{"seq":1,"at":"2026-03-30T08:00:00Z","powered_s":1,"kind":"heartbeat","body":{body}}}"#
    );
    format!(r#"{{"epoch":1,"events":[{event}]}}"#).into_bytes()
}

#[tokio::test]
async fn malformed_batches_are_refused_with_the_name_of_the_field() {
    let lab = Lab::start().await;
    let device = lab.device("x").await;
    let deep = format!(
        "{}{}",
        r#"{"a":"#.repeat(5000),
        "1".to_owned() + &"}".repeat(5000)
    );
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("nothing", Vec::new(), "body"),
        ("half", br#"{"epoch":1,"events":["#.to_vec(), "events"),
        (
            "two values",
            br#"{"epoch":1,"events":[]} {}"#.to_vec(),
            "body",
        ),
        (
            "not UTF-8",
            with_body("{\"phase\":\"\u{1}\"}")
                .iter()
                .map(|b| if *b == 1 { 0xff } else { *b })
                .collect(),
            "events",
        ),
        ("deep nesting", with_body(&deep), "events"),
        ("NUL", with_body(r#"{"phase":"a\u0000b"}"#), "body"),
        ("a bare NUL", with_body("{\"phase\":\"a\0b\"}"), "events"),
        (
            "half a surrogate",
            with_body(r#"{"phase":"\ud800"}"#),
            "events",
        ),
        (
            "a number that is none",
            with_body(r#"{"phase":1e999}"#),
            "events",
        ),
        ("wrong type", with_body(r#"{"phase":7}"#), "events[0].body"),
        ("no object", with_body("[1]"), "events[0].body"),
        (
            "wrong epoch",
            br#"{"epoch":"one","events":[]}"#.to_vec(),
            "epoch",
        ),
        ("epoch 0", br#"{"epoch":0,"events":[]}"#.to_vec(), "epoch"),
        (
            "a negative epoch",
            br#"{"epoch":-1,"events":[]}"#.to_vec(),
            "epoch",
        ),
        ("no list", br#"{"epoch":1,"events":{}}"#.to_vec(), "events"),
        (
            "no event",
            br#"{"epoch":1,"events":[7]}"#.to_vec(),
            "events[0]",
        ),
    ];
    for (what, bytes, field) in cases {
        let answer = device.post_bytes("/events", bytes).await;
        let named = answer.wrong_field();
        assert!(
            named.starts_with(field),
            "{what}: {named}, expected {field}"
        );
    }
    nothing_stored(&lab).await;
}

#[tokio::test]
async fn numbers_that_do_not_follow_each_other_are_refused() {
    let lab = Lab::start().await;
    let device = lab.device("x").await;
    let good = device.batch(1, 1, &[kinds::heartbeat("a"), kinds::heartbeat("b")]);
    let top = i64::MAX;
    for numbers in [[1, 3], [2, 1], [1, 1], [0, 1], [-1, 0], [top, top]] {
        let mut batch = good.clone();
        for (event, seq) in batch["events"]
            .as_array_mut()
            .unwrap()
            .iter_mut()
            .zip(numbers)
        {
            event["seq"] = json!(seq);
        }
        let field = device.post(&batch).await.wrong_field();
        assert!(field.starts_with("events["), "{numbers:?}: {field}");
    }
    let mut batch = good.clone();
    batch["events"][0]["seq"] = json!(u64::MAX);
    assert_eq!(device.post(&batch).await.wrong_field(), "events[0].seq");
    nothing_stored(&lab).await;
    assert_eq!(device.post(&good).await.json::<EventsAnswer>().acked, 2);
}

#[tokio::test]
async fn codes_and_builds_are_parsed_before_anything_is_stored() {
    let lab = Lab::start().await;
    let device = lab.device("x").await;
    let rollout = uuid::Uuid::new_v4();
    let kinds = [
        (
            json!({ "kind": "failed", "body": { "rollout": rollout, "step": 1, "code": "bad" } }),
            "events[0].body.code",
        ),
        (
            json!({ "kind": "verified", "body": { "rollout": rollout, "build": "8117", "packages_installed": true } }),
            "events[0].body.build",
        ),
        (
            json!({ "kind": "failed", "body": { "rollout": "all of them", "step": 1, "code": "0x80073712" } }),
            "events[0].body",
        ),
        (
            json!({ "kind": "failed", "body": { "rollout": rollout, "step": 70000, "code": "0x80073712" } }),
            "events[0].body",
        ),
        (
            json!({ "kind": "Drop Table", "body": {} }),
            "events[0].kind",
        ),
        (
            json!({ "kind": "x".repeat(65), "body": {} }),
            "events[0].kind",
        ),
    ];
    for (mut event, field) in kinds {
        event["seq"] = json!(1);
        event["at"] = json!("2026-03-30T08:00:00Z");
        event["powered_s"] = json!(1);
        let answer = device.post(&json!({ "epoch": 1, "events": [event] })).await;
        assert_eq!(answer.wrong_field(), field);
    }
    nothing_stored(&lab).await;
}

#[tokio::test]
async fn a_batch_is_at_most_five_hundred_events_and_256_kib() {
    let lab = Lab::start().await;
    let device = lab.device("x").await;
    let many = vec![kinds::heartbeat("a"); MAX_BATCH_EVENTS + 1];
    assert_eq!(
        device.post(&device.batch(1, 1, &many)).await.wrong_field(),
        "events"
    );
    let large = [kinds::heartbeat(&"x".repeat(MAX_BATCH_BYTES))];
    let answer = device.post(&device.batch(1, 1, &large)).await;
    assert_eq!(answer.problem().kind, "/problems/too-large");
    nothing_stored(&lab).await;
    let answer = device.post(&device.batch(1, 1, &many[1..])).await;
    assert_eq!(answer.json::<EventsAnswer>().acked, 500);
}

#[tokio::test]
async fn a_kind_that_this_server_does_not_know_is_stored_and_counts_as_nothing() {
    let lab = Lab::start().await;
    let broad = lab.ring("broad", 1).await;
    let rollout = lab.rollout("KB5079391").await;
    let device = &broad.devices[0];
    let event = json!({
        "seq": 1, "at": "2026-03-30T08:00:00Z", "powered_s": 1, "new_field": true,
        "kind": "quantum_state", "body": { "rollout": rollout, "spin": [1, { "up": null }] },
    });
    let batch = json!({ "epoch": 1, "events": [event], "also_new": 1 });
    assert_eq!(device.post(&batch).await.json::<EventsAnswer>().acked, 1);
    let spin = "SELECT count(*) FROM event WHERE kind = $1 AND body -> 'spin' -> 0 = '1'";
    assert_eq!(lab.number(spin, "quantum_state").await, 1);
    assert_eq!(device.order().await, "prepare");
    lab.verify().await;
}

#[tokio::test]
async fn other_media_types_and_methods_are_refused_as_problems() {
    let lab = Lab::start().await;
    let device = lab.device("x").await;
    let request = device
        .request(Method::POST, "/events")
        .header("content-type", "text/plain");
    let answer = Wire::send(request.body("{}")).await;
    assert_eq!(answer.problem().kind, "/problems/media-type");
    let answer = Wire::send(device.request(Method::DELETE, "/events")).await;
    assert_eq!(answer.problem().status, 405);
    let answer = Wire::send(device.request(Method::GET, "/nothing/here")).await;
    assert_eq!(answer.problem().status, 404);
}

#[tokio::test]
async fn a_wrong_inventory_names_every_wrong_field_and_changes_nothing() {
    let lab = Lab::start().await;
    let device = lab.device("x").await;
    let before = lab.stored(&device).await;
    let mut wrong = serde_json::to_value(device.inventory()).unwrap();
    wrong["build"] = json!("eleven");
    wrong["architecture"] = json!("z80");
    wrong["host_name"] = json!("a\nb");
    wrong["utc_offset_minutes"] = json!(100_000);
    wrong["ledger"] = json!([{ "identity": "Package~1", "kb": "no", "state": "lost" }]);
    let answer = put(&device, &wrong).await;
    let fields: Vec<String> = answer
        .problem()
        .fields
        .into_iter()
        .map(|f| f.field)
        .collect();
    for field in [
        "build",
        "architecture",
        "host_name",
        "utc_offset_minutes",
        "ledger[0].kb",
        "ledger[0].state",
    ] {
        assert!(fields.iter().any(|f| f == field), "{field} in {fields:?}");
    }
    wrong["ledger"] = json!(vec![json!({ "identity": "P", "state": "installed" }); 2001]);
    assert_eq!(put(&device, &wrong).await.status, 422);
    let mut huge = serde_json::to_value(device.inventory()).unwrap();
    huge["more"] = json!("x".repeat(2 * 1024 * 1024));
    assert_eq!(put(&device, &huge).await.problem().status, 413);
    assert_eq!(lab.stored(&device).await, before);
}

async fn put(device: &TestDevice, body: &Value) -> tests::Answer {
    Wire::send(device.request(Method::PUT, "/inventory").json(body)).await
}
