//! A known issue holds its devices and their rings until it ends; a rollout goes on without devices that are left out.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use agent_protocol::PermitAnswer;
use chrono::TimeDelta;
use engine::ids::RolloutId;
use reqwest::Method;
use serde_json::{Value, json};
use tests::{Desk, Lab, TestDevice, assert_names};
use uuid::Uuid;

const KB: &str = "KB5079391";
const TARGET: &str = "26100.8116";
const MODEL: &str = "model:\"Latitude 7450\"";

/// A device of the model that the issue is about.
async fn other_model(lab: &Lab, tag: &str) -> TestDevice {
    let mut machine = lab.machine(tag);
    machine.model = "Latitude 7450".into();
    lab.enrol(machine).await
}

fn told(answer: PermitAnswer) -> String {
    match answer {
        PermitAnswer::Wait { why, .. } => why,
        other => panic!("expected that it waits: {other:?}"),
    }
}

fn is_granted(answer: &PermitAnswer) -> bool {
    matches!(answer, PermitAnswer::Granted { .. })
}

async fn hold(lab: &Lab, devices: &str, sequence: Option<Uuid>, hours: i64) -> Value {
    let body = json!({
        "devices": devices, "issue": "BitLocker asks for its key", "sequence": sequence,
        "expires": lab.clock.now() + TimeDelta::hours(hours),
    });
    let path = format!("/tracks/{}/holds", lab.track);
    let added = Desk::of(lab).await.done(Method::POST, &path, &body).await;
    lab.settle().await;
    added
}

async fn exclude(lab: &Lab, rollout: RolloutId, devices: &str) -> Value {
    let body = json!({ "devices": devices, "reason": "their vendor has a fix in May" });
    let path = format!("/rollouts/{rollout}/exclusions");
    let added = Desk::of(lab).await.done(Method::POST, &path, &body).await;
    lab.settle().await;
    added
}

async fn end(lab: &Lab, hold: &Value) {
    let id = hold["id"].as_str().unwrap();
    let path = format!("/tracks/{}/holds/{id}/end", lab.track);
    let desk = Desk::of(lab).await;
    desk.done(Method::POST, &path, &json!({})).await;
    lab.settle().await;
}

async fn page(lab: &Lab, rollout: RolloutId) -> Value {
    let path = format!("/rollouts/{rollout}");
    Desk::of(lab)
        .await
        .done(Method::GET, &path, &json!({}))
        .await
}

#[tokio::test]
async fn a_known_issue_holds_its_devices_and_no_others_until_it_ends() {
    let lab = Lab::start().await;
    let ring = lab.ring("broad", 1).await;
    let held = other_model(&lab, "broad").await;
    let rollout = lab.rollout(KB).await;
    let issue = hold(&lab, MODEL, None, 48).await;
    // It is offered nothing, and told why; one that was ready before is told when it asks.
    let poll = held.poll().await;
    let said = poll.assignment.unwrap();
    assert_eq!(
        said.why,
        "Held by a known issue: BitLocker asks for its key."
    );
    held.make_ready(rollout).await;
    let why = told(held.ask(rollout).await);
    assert_eq!(why, "Held by a known issue: BitLocker asks for its key.");
    ring.devices[0].permit(rollout).await;
    let desk = Desk::of(&lab).await;
    let path = format!("/devices/{}", held.id);
    let device = desk.done(Method::GET, &path, &json!({})).await;
    let sentence = &device["rollouts"][0]["sentences"][0];
    assert_eq!(sentence, &json!(why), "{device}");
    end(&lab, &issue).await;
    assert!(is_granted(&held.ask(rollout).await));
    for action in ["hold_added", "hold_ended"] {
        let sql = "SELECT count(*) FROM audit WHERE action = $1 AND actor IS NOT NULL";
        assert_eq!(lab.number(sql, action).await, 1, "{action}");
    }
    lab.verify().await;
}

#[tokio::test]
async fn a_permit_that_was_not_used_is_not_good_under_a_hold() {
    let lab = Lab::start().await;
    let held = other_model(&lab, "broad").await;
    let rollout = lab.rollout(KB).await;
    held.permit(rollout).await;
    assert_eq!(held.order().await, "run_step");
    hold(&lab, MODEL, None, 48).await;
    assert_eq!(held.order().await, "hold");
    told(held.ask(rollout).await);
    // One that has begun is brought to its end.
    let begun = lab.device("broad").await;
    begun.permit(rollout).await;
    let permit = 1;
    begun
        .report(&[tests::kinds::started(rollout.0, permit, 1)])
        .await;
    hold(&lab, "tag:broad", None, 48).await;
    assert_eq!(begun.order().await, "run_step");
}

#[tokio::test]
async fn a_device_that_had_its_permit_goes_on_when_its_cohort_is_left_out() {
    let lab = Lab::start().await;
    let device = other_model(&lab, "broad").await;
    let rollout = lab.rollout(KB).await;
    let permit = device.permit(rollout).await;
    exclude(&lab, rollout, MODEL).await;
    assert_eq!(device.order().await, "run_step");
    assert!(is_granted(&device.ask(rollout).await));
    // It would keep its place for ever if it could not come to an end.
    device.finish(rollout, permit, TARGET).await;
    let counts = lab.counts(rollout, "broad").await;
    assert_eq!((counts.started, counts.ok, counts.resolved), (1, 1, 1));
    lab.verify().await;
}

#[tokio::test]
async fn a_ring_with_devices_that_are_held_does_not_pass_until_they_are_left_out() {
    let lab = Lab::start().await;
    let ring = lab.ring("broad", 3).await;
    let held = other_model(&lab, "broad").await;
    let rollout = lab.rollout(KB).await;
    hold(&lab, MODEL, None, 24 * 30).await;
    for device in &ring.devices {
        let permit = device.permit(rollout).await;
        device.finish(rollout, permit, TARGET).await;
    }
    ring.stays(&lab).await;
    lab.pass(TimeDelta::days(7)).await;
    lab.tick(rollout).await;
    assert_ne!(lab.phase(rollout, "broad").await, "passed");
    let shown = page(&lab, rollout).await;
    let reasons = shown["reasons"].to_string();
    let known =
        "Known issue: BitLocker asks for its key. It holds 1 device of the ring.".to_owned();
    assert!(reasons.contains(&known), "{reasons}");
    assert_eq!(shown["population"]["targeted"], 4);
    assert_eq!(shown["holds"][0]["held"], 1);

    let excluded = exclude(&lab, rollout, MODEL).await;
    let shown = page(&lab, rollout).await;
    assert_eq!(shown["population"]["targeted"], 3);
    assert_eq!(shown["population"]["excluded"], 1);
    held.sign_in().await;
    let answer = held.ask(rollout).await;
    assert!(
        matches!(&answer, PermitAnswer::Refused { reason, why }
            if reason == "excluded" && why.starts_with("Left out of the rollout: ")),
        "{answer:?}"
    );
    // Its sample is there now: its soak begins, and ends.
    lab.tick(rollout).await;
    assert_eq!(lab.phase(rollout, "broad").await, "soaking");
    lab.pass(TimeDelta::days(2)).await;
    lab.tick(rollout).await;
    let reasons = page(&lab, rollout).await["reasons"].to_string();
    assert_eq!(lab.phase(rollout, "broad").await, "passed", "{reasons}");
    // Taken back in, it is held again: the issue is still on.
    end(&lab, &excluded).await;
    let shown = page(&lab, rollout).await;
    assert_eq!(shown["population"]["targeted"], 4);
    assert_eq!(shown["holds"][0]["held"], 1);
    lab.verify().await;
}

#[tokio::test]
async fn a_known_issue_is_about_its_update_and_ends_by_itself() {
    let lab = Lab::start().await;
    let held = other_model(&lab, "broad").await;
    let rollout = lab.rollout(KB).await;
    let (another, _) = lab.publish("KB5086672").await;
    hold(&lab, MODEL, Some(another), 48).await;
    held.make_ready(rollout).await;
    let desk = Desk::of(&lab).await;
    let sequence = page(&lab, rollout).await["sequence"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(page(&lab, rollout).await["holds"], json!([]));
    hold(&lab, MODEL, Some(sequence), 6).await;
    told(held.ask(rollout).await);
    lab.pass(TimeDelta::hours(7)).await;
    tests::eventually("the known issue ends", async || {
        let sql = "SELECT count(*) FROM audit WHERE action = $1 AND actor IS NULL";
        lab.number(sql, "hold_ended").await == 1
    })
    .await;
    lab.settle().await;
    assert!(is_granted(&held.ask(rollout).await));
    let list = format!("/tracks/{}/holds", lab.track);
    let list = desk.done(Method::GET, &list, &json!({})).await;
    assert_eq!(list["items"].as_array().unwrap().len(), 1, "{list}");
    lab.verify().await;
}

#[tokio::test]
async fn a_rollout_that_starts_under_a_known_issue_counts_its_devices_as_held() {
    let lab = Lab::start().await;
    lab.ring("broad", 2).await;
    other_model(&lab, "broad").await;
    hold(&lab, MODEL, None, 48).await;
    let rollout = lab.rollout(KB).await;
    let shown = page(&lab, rollout).await;
    assert_eq!(shown["holds"][0]["held"], 1, "{}", shown["holds"]);
    assert_eq!(shown["population"]["targeted"], 3);
    // Its only ring does not open, and says so.
    lab.tick(rollout).await;
    assert_eq!(lab.phase(rollout, "broad").await, "waiting");
    exclude(&lab, rollout, MODEL).await;
    lab.tick(rollout).await;
    assert_ne!(lab.phase(rollout, "broad").await, "waiting");
}

#[tokio::test]
async fn of_those_who_ask_while_a_known_issue_is_added_none_is_granted_after_it() {
    let lab = Lab::start().await;
    let ring = lab.ring("broad", 24).await;
    let rollout = lab.rollout(KB).await;
    lab.lift_generations(rollout).await;
    for device in &ring.devices {
        device.make_ready(rollout).await;
    }
    let (_, answers) = tokio::join!(hold(&lab, "tag:broad", None, 48), async {
        let asks = ring.devices.iter().map(|device| device.ask(rollout));
        futures::future::join_all(asks).await
    });
    let granted = answers.iter().filter(|a| is_granted(a)).count();
    let started = lab.counts(rollout, "broad").await.started;
    assert_eq!(started, granted as u64);
    for device in &ring.devices {
        told(device.ask(rollout).await);
    }
    assert_eq!(lab.counts(rollout, "broad").await.started, started);
    let shown = page(&lab, rollout).await;
    assert_eq!(shown["holds"][0]["held"], 24 - started);
    lab.verify().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_known_issue_is_named_and_changes_nothing() {
    let lab = Lab::start().await;
    let rollout = lab.rollout(KB).await;
    let desk = Desk::of(&lab).await;
    let now = lab.clock.now();
    let day = |days: i64| (now + TimeDelta::days(days)).to_rfc3339();
    let holds = format!("/tracks/{}/holds", lab.track);
    let exclusions = format!("/rollouts/{rollout}/exclusions");
    let nobody = Uuid::now_v7();
    for (path, body, field) in [
        (
            &holds,
            json!({ "devices": "modle:x", "issue": "x", "expires": day(1) }),
            "devices",
        ),
        (
            &holds,
            json!({ "devices": "", "issue": "x", "expires": day(1) }),
            "devices",
        ),
        (
            &holds,
            json!({ "devices": MODEL, "issue": " ", "expires": day(1) }),
            "issue",
        ),
        (
            &holds,
            json!({ "devices": MODEL, "issue": "x", "expires": day(-1) }),
            "expires",
        ),
        (
            &holds,
            json!({ "devices": MODEL, "issue": "x", "expires": day(400) }),
            "expires",
        ),
        (
            &holds,
            json!({ "devices": MODEL, "issue": "x", "expires": day(1), "owner": nobody }),
            "owner",
        ),
        (
            &holds,
            json!({ "devices": MODEL, "issue": "x", "expires": day(1), "sequence": nobody }),
            "sequence",
        ),
        (
            &exclusions,
            json!({ "devices": "state:failed", "reason": "x" }),
            "devices",
        ),
        (
            &exclusions,
            json!({ "devices": MODEL, "reason": "" }),
            "reason",
        ),
    ] {
        let call = desk.api.call(&desk.token, Method::POST, path, Some(&body));
        let answer = desk.unchanged("a hold", call).await;
        assert_names(&body.to_string(), &answer, field);
    }
    let reason = json!({ "reason": "not this month" });
    let cancel = format!("/rollouts/{rollout}/cancel");
    desk.done(Method::POST, &cancel, &reason).await;
    let body = json!({ "devices": MODEL, "reason": "x" });
    let late = desk
        .api
        .call(&desk.token, Method::POST, &exclusions, Some(&body));
    let late = desk.unchanged("an exclusion", late).await;
    assert_eq!(late.status, 409);
}

#[tokio::test]
async fn a_device_that_did_not_finish_before_counts_where_it_started() {
    let lab = Lab::start().await;
    let started = other_model(&lab, "broad").await;
    other_model(&lab, "broad").await;
    let rollout = lab.rollout(KB).await;
    let permit = started.permit(rollout).await;
    exclude(&lab, rollout, MODEL).await;
    let shown = page(&lab, rollout).await;
    assert_eq!(
        shown["population"]["targeted"], 1,
        "{}",
        shown["population"]
    );
    assert_eq!(shown["population"]["excluded"], 1);
    started.finish(rollout, permit, TARGET).await;
    assert_eq!(lab.counts(rollout, "broad").await.ok, 1);
    lab.verify().await;
}

#[tokio::test]
async fn whoever_writes_a_rollout_is_told_of_known_issues_that_concern_it() {
    let lab = Lab::start().await;
    let (sequence, _) = lab.publish(KB).await;
    let (another, _) = lab.publish("KB5086672").await;
    hold(&lab, MODEL, Some(sequence), 48).await;
    let visitor = lab.visitor(lab.people.operator).await;
    let said = "A known issue holds devices: BitLocker asks for its key.";
    for (of, told) in [(sequence, true), (another, false)] {
        let path = format!("/rollouts/new?track={}&sequence={of}", lab.track);
        let page = visitor.get(&path).await;
        assert_eq!(page.status, 200);
        assert_eq!(page.text().contains(said), told, "{of}");
    }
}
