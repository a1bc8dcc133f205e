//! In a change freeze nothing starts; what has started goes on.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use agent_protocol::PermitAnswer;
use chrono::TimeDelta;
use engine::ids::RolloutId;
use reqwest::Method;
use serde_json::{Value, json};
use tests::{Desk, Lab, Ring, assert_names};

const KB: &str = "KB5079391";
const TARGET: &str = "26100.8116";

/// What a device that is ready is told when it asks for a permit.
async fn asked(ring: &Ring, n: usize, rollout: RolloutId) -> PermitAnswer {
    ring.devices[n].ask(rollout).await
}

fn told(answer: PermitAnswer) -> String {
    match answer {
        PermitAnswer::Wait { why, .. } => why,
        other => panic!("expected that it waits: {other:?}"),
    }
}

async fn freeze(lab: &Lab, from_h: i64, to_h: i64) -> Value {
    let now = lab.clock.now();
    let body = json!({
        "starts": now + TimeDelta::hours(from_h), "ends": now + TimeDelta::hours(to_h), "reason": "end of the year",
    });
    let path = format!("/tracks/{}/freezes", lab.track);
    Desk::of(lab).await.done(Method::POST, &path, &body).await
}

#[tokio::test]
async fn in_a_freeze_nothing_starts_what_has_started_goes_on_and_after_it_devices_start_again() {
    let lab = Lab::start().await;
    let ring = lab.ring("broad", 3).await;
    let rollout = lab.rollout(KB).await;
    let begun = ring.devices[0].permit(rollout).await;
    for device in &ring.devices[1..] {
        device.make_ready(rollout).await;
    }
    freeze(&lab, 0, 5).await;
    let why = told(asked(&ring, 1, rollout).await);
    assert!(
        why.starts_with("Change freeze until ") && why.ends_with(": end of the year."),
        "{why}"
    );
    // The rollout says so too, and the gate goes on counting what ends.
    lab.tick(rollout).await;
    let desk = Desk::of(&lab).await;
    let path = format!("/rollouts/{rollout}");
    let page = desk.done(Method::GET, &path, &json!({})).await;
    assert_eq!(page["reasons"][0]["code"], "freeze", "{}", page["reasons"]);
    ring.devices[0].finish(rollout, begun, TARGET).await;
    assert_eq!(lab.counts(rollout, "broad").await.ok, 1);
    lab.pass(TimeDelta::hours(5)).await;
    let granted = asked(&ring, 1, rollout).await;
    assert!(
        matches!(granted, PermitAnswer::Granted { .. }),
        "{granted:?}"
    );
}

#[tokio::test]
async fn a_permit_that_lapsed_is_not_given_again_in_a_freeze() {
    let lab = Lab::start().await;
    let ring = lab.ring("broad", 1).await;
    let rollout = lab.rollout(KB).await;
    ring.devices[0].permit(rollout).await;
    freeze(&lab, 0, 48).await;
    lab.jump(TimeDelta::hours(2));
    lab.settle().await;
    told(asked(&ring, 0, rollout).await);
}

#[tokio::test]
async fn a_freeze_that_is_to_come_or_was_lifted_or_is_of_another_track_stops_nobody() {
    let lab = Lab::start().await;
    let ring = lab.ring("broad", 2).await;
    let rollout = lab.rollout(KB).await;
    freeze(&lab, 24, 48).await;
    ring.devices[0].permit(rollout).await;
    ring.devices[1].make_ready(rollout).await;
    let on = freeze(&lab, 0, 48).await;
    told(asked(&ring, 1, rollout).await);
    let desk = Desk::of(&lab).await;
    let id = on["id"].as_str().unwrap();
    let lift = format!("/tracks/{}/freezes/{id}/lift", lab.track);
    desk.done(Method::POST, &lift, &json!({})).await;
    let granted = asked(&ring, 1, rollout).await;
    assert!(
        matches!(granted, PermitAnswer::Granted { .. }),
        "{granted:?}"
    );
    let again = desk.api.call(&desk.token, Method::POST, &lift, None).await;
    assert_eq!(again.status, 404, "it is lifted once");
    let list = format!("/tracks/{}/freezes", lab.track);
    let list = desk.done(Method::GET, &list, &json!({})).await;
    assert_eq!(list["items"].as_array().unwrap().len(), 1, "{list}");
    for (action, n) in [("freeze_added", 2), ("freeze_lifted", 1)] {
        let sql = "SELECT count(*) FROM audit WHERE action = $1";
        assert_eq!(lab.number(sql, action).await, n, "{action}");
    }
    lab.verify().await;
}

#[tokio::test]
async fn a_freeze_without_an_end_to_come_or_without_a_reason_is_refused() {
    let lab = Lab::start().await;
    let desk = Desk::of(&lab).await;
    let now = lab.clock.now();
    let path = format!("/tracks/{}/freezes", lab.track);
    let day = |days: i64| (now + TimeDelta::days(days)).to_rfc3339();
    for (body, field) in [
        (json!({ "ends": day(-1), "reason": "x" }), "ends"),
        (
            json!({ "starts": day(3), "ends": day(2), "reason": "x" }),
            "ends",
        ),
        (json!({ "ends": day(121), "reason": "x" }), "ends"),
        (json!({ "ends": day(1), "reason": " " }), "reason"),
        (json!({ "ends": "soon", "reason": "x" }), "ends"),
    ] {
        let call = desk.api.call(&desk.token, Method::POST, &path, Some(&body));
        let answer = desk.unchanged("a freeze", call).await;
        assert_names(&body.to_string(), &answer, field);
    }
}

#[tokio::test]
async fn of_those_who_ask_while_a_freeze_is_added_none_is_granted_after_it() {
    let lab = Lab::start().await;
    let ring = lab.ring("broad", 24).await;
    let rollout = lab.rollout(KB).await;
    lab.lift_generations(rollout).await;
    for device in &ring.devices {
        device.make_ready(rollout).await;
    }
    let (_, answers) = tokio::join!(freeze(&lab, 0, 5), async {
        let asks = ring.devices.iter().map(|device| device.ask(rollout));
        futures::future::join_all(asks).await
    });
    let granted = answers
        .iter()
        .filter(|answer| matches!(answer, PermitAnswer::Granted { .. }))
        .count();
    let started = lab.counts(rollout, "broad").await.started;
    assert_eq!(usize::try_from(started).unwrap(), granted);
    // Whoever asks from here on is told to wait, on whichever side of it the others were.
    for device in &ring.devices {
        if let PermitAnswer::Granted { permit_no, .. } = device.ask(rollout).await {
            assert_eq!(permit_no, 1, "a permit that is good is told again");
        }
    }
    assert_eq!(lab.counts(rollout, "broad").await.started, started);
}
