//! Two people agree that what is left of a rollout soaks and waits less.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use agent_protocol::{EventKind, Order};
use chrono::TimeDelta;
use engine::Input;
use engine::ids::{PersonId, RolloutId};
use engine::policy::StagePolicy;
use engine::rollout::RolloutState;
use reqwest::Method;
use serde_json::{Value, json};
use tests::{Desk, Lab, TestDevice, codes, kinds};

const KB: &str = "KB5079391";

/// Pilot is open, Broad asks for two approvals and a week of age.
async fn under_way(lab: &Lab) -> RolloutId {
    let policy = |ring: &str| StagePolicy {
        soak_hours: 72,
        approvals: if ring == "broad" { 2 } else { 0 },
        ..Lab::policy()
    };
    lab.rollout_with(KB, policy).await
}

async fn ask(lab: &Lab, rollout: RolloutId) -> Value {
    let path = format!("/rollouts/{rollout}/request-expedite");
    let body = json!({ "reason": "it is exploited" });
    let desk = Desk::of(lab).await;
    desk.done(Method::POST, &path, &body).await
}

async fn page(lab: &Lab, rollout: RolloutId) -> Value {
    let desk = Desk::of(lab).await;
    let path = format!("/rollouts/{rollout}");
    desk.done(Method::GET, &path, &json!({})).await
}

async fn yes(lab: &Lab, rollout: RolloutId, by: PersonId) {
    let found: (uuid::Uuid, Vec<u8>) = sqlx::query_as(
        "SELECT id, hash FROM request WHERE rollout_id = $1 AND phase = 'open' AND ask ->> 'asks' = 'expedite'",
    )
    .bind(rollout.0)
    .fetch_one(&lab.database.pool)
    .await
    .unwrap();
    let hash: [u8; 32] = found.1.try_into().unwrap();
    let request = engine::ids::RequestId(found.0);
    let hash = servicing::Sha256::from_bytes(hash);
    lab.apply(rollout, Input::Approve { by, request, hash })
        .await
        .unwrap();
}

async fn both_say_yes(lab: &Lab, rollout: RolloutId) {
    yes(lab, rollout, lab.people.anna).await;
    yes(lab, rollout, lab.people.mary).await;
}

async fn deadline(device: &TestDevice) -> Option<u64> {
    let said = device.look().await.assignment.unwrap();
    match said.order {
        Order::AgreeRestart { deadline_s, .. } => deadline_s,
        other => panic!(
            "expected that a restart is to be agreed: {other:?}, {}",
            said.why
        ),
    }
}

#[tokio::test]
async fn a_ring_that_has_soaked_long_enough_passes_and_the_next_one_opens_without_asking_again() {
    let lab = Lab::start().await;
    let pilot = lab.ring("pilot", 3).await;
    lab.ring("broad", 2).await;
    let rollout = under_way(&lab).await;
    pilot.install(rollout, KB).await;
    lab.tick(rollout).await;
    pilot.stays(&lab).await;
    lab.pass(TimeDelta::hours(6)).await;
    lab.tick(rollout).await;
    assert_eq!(lab.phase(rollout, "pilot").await, "soaking");
    ask(&lab, rollout).await;
    yes(&lab, rollout, lab.people.anna).await;
    assert_eq!(lab.phase(rollout, "pilot").await, "soaking");
    assert_eq!(page(&lab, rollout).await["expedited"], Value::Null);
    yes(&lab, rollout, lab.people.mary).await;
    assert_eq!(lab.phase(rollout, "pilot").await, "passed");
    assert_eq!(lab.phase(rollout, "broad").await, "deploying");
    let shown = page(&lab, rollout).await;
    assert_eq!(shown["expedited"], shown["requests"][0]["id"]);
    assert_eq!(shown["requests"][0]["ask"]["reason"], "it is exploited");
    let broad = &shown["stages"][1]["policy"];
    assert_eq!(
        (&broad["soak_hours"], &broad["approvals"]),
        (&json!(4), &json!(0))
    );
    let told = "SELECT count(*) FROM audit WHERE action = $1";
    assert_eq!(lab.number(told, "expedite_requested").await, 1);
    assert_eq!(lab.number(told, "expedited").await, 1);
    lab.verify().await;
}

#[tokio::test]
async fn a_device_that_was_offered_it_days_ago_gets_the_grace_from_now_on() {
    let lab = Lab::start().await;
    let pilot = lab.ring("pilot", 1).await;
    let device = &pilot.devices[0];
    lab.ring("broad", 1).await;
    let rollout = under_way(&lab).await;
    let done = EventKind::DownloadDone { rollout: rollout.0 };
    device.report(&[done]).await;
    lab.pass(TimeDelta::days(3)).await;
    device.sign_in().await;
    assert_eq!(deadline(device).await, None);
    let before = device.poll().await;
    assert_eq!(before.status, 304);
    ask(&lab, rollout).await;
    both_say_yes(&lab, rollout).await;
    lab.settle().await;
    // Its next poll tells it: the deadline of a day is over, and two hours are left.
    let after = device.poll().await;
    assert_eq!(after.status, 200);
    match after.assignment.unwrap().order {
        Order::AgreeRestart {
            deadline_s,
            grace_s,
            ..
        } => assert_eq!((deadline_s, grace_s), (Some(0), 2 * 3600)),
        other => panic!("expected that a restart is to be agreed: {other:?}"),
    }
    // Whoever is offered it later has the whole day.
    let later = lab.device("pilot").await;
    lab.settle().await;
    let done = EventKind::DownloadDone { rollout: rollout.0 };
    later.report(&[done]).await;
    assert_eq!(deadline(&later).await, Some(24 * 3600));
    lab.verify().await;
}

#[tokio::test]
async fn a_no_leaves_the_rollout_as_it_is_and_it_can_be_asked_for_again() {
    let lab = Lab::start().await;
    lab.ring("pilot", 1).await;
    lab.ring("broad", 1).await;
    let rollout = under_way(&lab).await;
    ask(&lab, rollout).await;
    let path = format!("/rollouts/{rollout}/request-expedite");
    let body = json!({ "reason": "again" });
    Desk::of(&lab).await.no(Method::POST, &path, &body).await;
    let request = lab.request(rollout).await.unwrap().id;
    let reason = "no hurry".to_owned();
    let by = lab.people.anna;
    lab.apply(
        rollout,
        Input::Reject {
            by,
            request,
            reason,
        },
    )
    .await
    .unwrap();
    assert_eq!(lab.state(rollout).await, RolloutState::Active);
    assert_eq!(lab.stage(rollout, "pilot").await.policy.soak_hours, 72);
    ask(&lab, rollout).await;
    lab.verify().await;
}

#[tokio::test]
async fn an_expedited_rollout_halts_like_any_other() {
    let lab = Lab::start().await;
    let pilot = lab.ring("pilot", 3).await;
    let rollout = under_way(&lab).await;
    ask(&lab, rollout).await;
    both_say_yes(&lab, rollout).await;
    for device in &pilot.devices[..2] {
        let permit = device.permit(rollout).await;
        device
            .report(&[
                kinds::started(rollout.0, permit, 1),
                kinds::failed(rollout.0, 1, codes::STORE),
            ])
            .await;
    }
    lab.tick(rollout).await;
    assert!(matches!(
        lab.state(rollout).await,
        RolloutState::Halted { .. }
    ));
    assert_eq!(pilot.devices[2].refusal(rollout).await, "halted");
    lab.verify().await;
}

#[tokio::test]
async fn pages_say_what_gets_shorter_and_who_agreed() {
    let lab = Lab::start().await;
    lab.ring("pilot", 1).await;
    lab.ring("broad", 1).await;
    let rollout = under_way(&lab).await;
    let visitor = lab.visitor(lab.people.operator).await;
    let here = format!("/rollouts/{rollout}");
    let action = format!("{here}/request-expedite");
    assert!(visitor.get(&here).await.text().contains(&action));
    let asks = visitor.get(&action).await;
    assert!(asks.text().contains("soak 4 h of working days at most"));
    let sent = visitor
        .post(&action, &[("reason", "it is exploited")])
        .await;
    assert_eq!(sent.status, 303, "{}", sent.text());
    let request = lab.request(rollout).await.unwrap().id;
    let shown = visitor.get(&format!("/approvals/{request}")).await;
    for words in [
        "and what follows for KB5079391?",
        "4 h (now 72 h)",
        "nobody is asked (now 2 approvals)",
        "within 24 h, and 2 h of grace (now no deadline)",
    ] {
        assert!(shown.text().contains(words), "{words}: {}", shown.text());
    }
    both_say_yes(&lab, rollout).await;
    let page = visitor.get(&here).await;
    assert!(
        page.text()
            .contains(&format!("<a href=\"/approvals/{request}\">expedited</a>"))
    );
    assert!(
        !page.text().contains(&action),
        "there is nothing left to expedite"
    );
    let shown = visitor.get(&format!("/approvals/{request}")).await;
    assert!(
        shown
            .text()
            .contains("What was left of the rollout was expedited.")
    );
    lab.verify().await;
}
