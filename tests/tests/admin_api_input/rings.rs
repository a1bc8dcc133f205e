//! Ring definitions that would leave a device without a ring, or a rollout without one.

use reqwest::Method;
use serde_json::{Value, json};
use tests::{Desk, Lab};

#[tokio::test]
async fn rings_that_can_not_be_are_refused_by_field() {
    let lab = Lab::start().await;
    let desk = Desk::of(&lab).await;
    let path = format!("/tracks/{}/rings", lab.track);
    let id = lab.rings().await[0].id;
    let last = json!({ "id": id, "name": "broad" });
    let many: Vec<Value> = (0..16)
        .map(|i| json!({ "name": format!("ring {i}") }))
        .chain([last.clone()])
        .collect();
    let cases = [
        (json!([]), "rings"),
        (json!(many), "rings"),
        (json!([{ "name": "broad" }]), "rings"),
        (
            json!([{ "name": "x", "query": "tag:x" }, { "name": "y" }]),
            "rings",
        ),
        (
            json!([{ "id": uuid::Uuid::nil(), "name": "x" }, last]),
            "rings[0].id",
        ),
        (json!([{ "name": "" }, last]), "rings[0].name"),
        (json!([{ "name": " " }, last]), "rings[0].name"),
        (json!([{ "name": "a\tb" }, last]), "rings[0].name"),
        (json!([{ "name": "x".repeat(101) }, last]), "rings[0].name"),
        (
            json!([{ "name": "x", "query": "tag:x" }, { "name": "X", "query": "tag:y" }, last]),
            "rings[1].name",
        ),
        (
            json!([{ "name": "Broad", "query": "tag:x" }, last]),
            "rings[1].name",
        ),
        (json!([{ "name": "x", "share": 0 }, last]), "rings[0].share"),
        (
            json!([{ "name": "x", "share": -5 }, last]),
            "rings[0].share",
        ),
        (
            json!([{ "name": "x", "share": 100.5 }, last]),
            "rings[0].share",
        ),
        (
            json!([{ "id": id, "name": "broad", "query": "tag:x" }]),
            "rings[0]",
        ),
        (
            json!([{ "id": id, "name": "broad", "share": 50 }]),
            "rings[0]",
        ),
        (json!([{ "name": "x", "sahre": 5 }, last]), "[0].sahre"),
        (json!([{ "query": "tag:x" }, last]), "[0]"),
        (json!([{ "name": "x", "share": "5" }, last]), "[0].share"),
        (json!([{ "name": "x", "id": 7 }, last]), "[0].id"),
    ];
    for (rings, field) in cases {
        desk.wrong(Method::PUT, &path, &rings, field).await;
    }
    desk.done(
        Method::PUT,
        &path,
        &json!([{ "name": "pilot", "query": "tag:pilot", "share": 5 }, last]),
    )
    .await;
}

#[tokio::test]
async fn a_query_that_is_not_understood_is_answered_with_the_place_and_what_was_expected() {
    let lab = Lab::start().await;
    let desk = Desk::of(&lab).await;
    let path = format!("/tracks/{}/rings", lab.track);
    let last = json!({ "id": lab.rings().await[0].id, "name": "broad" });
    for (query, at) in [
        ("", 0),
        ("colour:red", 0),
        ("tag:x colour:red", 6),
        ("tag:", 4),
        ("build<26100", 6),
        ("build~26100.1", 5),
        ("arch:x86", 5),
        ("model:\"open", 6),
        ("- tag:x", 0),
    ] {
        let rings = json!([{ "name": "x", "query": query }, last]);
        let call = desk.api.call(&desk.token, Method::PUT, &path, Some(&rings));
        let answer = desk.unchanged(query, call).await;
        assert_eq!(answer.wrong_field(), "rings[0].query", "{query}");
        let expected = answer.problem().fields[0].expected.clone();
        let place = expected
            .strip_prefix("at ")
            .and_then(|e| e.split_once(": expected "))
            .unwrap();
        let found: usize = place.0.parse().unwrap();
        assert!(
            found.abs_diff(at) <= 6 && found <= query.len(),
            "{query}: {expected}, thought of {at}"
        );
    }
    let long = json!([{ "name": "x", "query": "tag:x ".repeat(400) }, last]);
    desk.wrong(Method::PUT, &path, &long, "rings[0].query")
        .await;
}
