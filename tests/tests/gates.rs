//! How a rollout goes from ring to ring, and what keeps it from doing so.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use agent_protocol::EventKind;
use chrono::TimeDelta;
use engine::Input;
use engine::rollout::RolloutState;
use tests::{Lab, codes, kinds};

const KB: &str = "KB5079391";
const TARGET: &str = "26100.8116";

#[tokio::test]
async fn invariant_02_the_next_ring_opens_only_after_a_pass_and_its_approvals() {
    let lab = Lab::start().await;
    let pilot = lab.ring("pilot", 3).await;
    let broad = lab.ring("broad", 2).await;
    let policy = |ring: &str| engine::policy::StagePolicy {
        approvals: if ring == "broad" { 1 } else { 0 },
        ..Lab::policy()
    };
    let rollout = lab.rollout_with(KB, policy).await;
    let closed = async |when: &str| {
        assert_eq!(broad.devices[0].order().await, "nothing", "{when}");
        assert_eq!(broad.devices[0].refusal(rollout).await, "ring", "{when}");
    };
    closed("before anything").await;
    pilot.install(rollout, KB).await;
    lab.tick(rollout).await;
    closed("while the pilot soaks").await;
    pilot.stays(&lab).await;
    lab.pass(TimeDelta::hours(25)).await;
    lab.tick(rollout).await;
    assert_eq!(lab.phase(rollout, "pilot").await, "passed");
    assert_eq!(lab.phase(rollout, "broad").await, "awaiting_approval");
    broad.sign_in().await;
    closed("before the approval").await;
    lab.approve(rollout, lab.people.mary).await.unwrap();
    assert_eq!(broad.devices[0].order().await, "prepare");
    // And on to the end.
    broad.install(rollout, KB).await;
    lab.tick(rollout).await;
    broad.stays(&lab).await;
    lab.pass(TimeDelta::hours(49)).await;
    lab.tick(rollout).await;
    assert!(matches!(
        lab.state(rollout).await,
        RolloutState::Completed { .. }
    ));
    lab.verify().await;
}

#[tokio::test]
async fn invariant_03_a_step_is_handed_out_after_the_one_before_is_acknowledged() {
    let lab = Lab::start().await;
    let broad = lab.ring("broad", 1).await;
    let rollout = lab.rollout(KB).await;
    let device = &broad.devices[0];
    let step = async || {
        let order: serde_json::Value = device.look().await.answer.json();
        (
            order["do"].as_str().unwrap().to_owned(),
            order["step"].as_u64().unwrap_or(0),
        )
    };
    let run = |n| ("run_step".to_owned(), n);
    let no = device.permit(rollout).await;
    let first: serde_json::Value = device.look().await.answer.json();
    assert_eq!(
        (&first["of"], &first["packages"]),
        (&2.into(), &serde_json::json!(["KB5043080"]))
    );
    assert_eq!(step().await, run(1));
    device.report(&[kinds::started(rollout.0, no, 1)]).await;
    assert_eq!(step().await, run(1), "begun is not done");
    device.report(&[kinds::done(rollout.0, 1, true)]).await;
    assert_eq!(
        step().await,
        ("restart".to_owned(), 1),
        "a restart comes before the next step"
    );
    device
        .report(&[EventKind::Restarted {
            rollout: rollout.0,
            step: 1,
        }])
        .await;
    assert_eq!(step().await, run(2));
    device
        .report(&[
            kinds::started(rollout.0, no, 2),
            kinds::done(rollout.0, 2, true),
        ])
        .await;
    assert_eq!(step().await, ("restart".to_owned(), 2));
    device
        .report(&[EventKind::Restarted {
            rollout: rollout.0,
            step: 2,
        }])
        .await;
    assert_eq!(step().await.0, "verify");
    assert_eq!(
        lab.counts(rollout, "broad").await.ok,
        0,
        "an exit code is never the verdict"
    );
    device.report(&[kinds::verified(rollout.0, TARGET)]).await;
    assert_eq!(step().await.0, "nothing");
    assert_eq!(lab.counts(rollout, "broad").await.ok, 1);
    lab.verify().await;
}

#[tokio::test]
async fn invariant_03_a_device_that_skips_a_step_is_not_followed() {
    let lab = Lab::start().await;
    let broad = lab.ring("broad", 1).await;
    let rollout = lab.rollout(KB).await;
    let device = &broad.devices[0];
    let no = device.permit(rollout).await;
    device
        .report(&[
            kinds::started(rollout.0, no, 2),
            kinds::done(rollout.0, 2, false),
        ])
        .await;
    let order: serde_json::Value = device.look().await.answer.json();
    assert_eq!(order["step"], 1, "{order}");
    let counts = lab.counts(rollout, "broad").await;
    assert_eq!((counts.drift, counts.ok), (1, 0));
    lab.verify().await;
}

#[tokio::test]
async fn invariant_10_outcomes_never_regress_whatever_comes_later() {
    let lab = Lab::start().await;
    let broad = lab.ring("broad", 2).await;
    let rollout = lab.rollout(KB).await;
    let (bad, good) = (&broad.devices[0], &broad.devices[1]);
    let no = bad.permit(rollout).await;
    bad.break_down(rollout, no, codes::STORE).await;
    bad.finish(rollout, no, TARGET).await;
    let no = good.permit(rollout).await;
    good.finish(rollout, no, TARGET).await;
    good.report(&[
        kinds::failed(rollout.0, 2, codes::STORE),
        kinds::started(rollout.0, no, 1),
    ])
    .await;
    let states = "SELECT count(*) FROM assignment WHERE state = $1";
    assert_eq!(lab.number(states, "failed").await, 1);
    assert_eq!(lab.number(states, "succeeded").await, 1);
    let counts = lab.counts(rollout, "broad").await;
    assert_eq!((counts.ok, counts.failed, counts.resolved), (1, 1, 2));
    assert_eq!(bad.refusal(rollout).await, "over");
    lab.verify().await;
}

#[tokio::test]
async fn invariant_12_an_empty_ring_never_passes() {
    let lab = Lab::start().await;
    lab.ring("pilot", 0).await;
    let broad = lab.ring("broad", 2).await;
    let rollout = lab.rollout(KB).await;
    for _ in 0..10 {
        lab.pass(TimeDelta::days(3)).await;
        lab.tick(rollout).await;
    }
    assert_eq!(lab.phase(rollout, "pilot").await, "deploying");
    broad.devices[0].sign_in().await;
    assert_eq!(broad.devices[0].order().await, "nothing");
    lab.verify().await;
}

#[tokio::test]
async fn invariant_13_evidence_of_one_content_is_none_for_another() {
    let lab = Lab::start().await;
    let pilot = lab.ring("pilot", 2).await;
    lab.ring("broad", 1).await;
    let first = lab.rollout(KB).await;
    pilot.install(first, KB).await;
    assert_eq!(lab.counts(first, "pilot").await.ok, 2);
    let second = lab.rollout("KB5086672").await;
    assert!(matches!(
        lab.state(first).await,
        RolloutState::Superseded { .. }
    ));
    let counts = lab.counts(second, "pilot").await;
    assert_eq!((counts.started, counts.ok, counts.resolved), (0, 0, 0));
    // Late reports of the first are no evidence for the second.
    pilot.devices[0]
        .report(&[EventKind::RolledBack {
            rollout: first.0,
            code: codes::STORE.into(),
        }])
        .await;
    assert_eq!(lab.counts(second, "pilot").await.failed, 0);
    assert_eq!(lab.counts(first, "pilot").await.failed, 1);
    lab.verify().await;
}

#[tokio::test]
async fn what_follows_from_a_persons_decision_is_decided_in_the_same_transaction() {
    let lab = Lab::start().await;
    let by = lab.people.operator;
    let id = lab.draft_with("KB5079391", |_| Lab::policy()).await;
    let not_before = None;
    lab.apply(id, Input::Submit { by, not_before })
        .await
        .unwrap();
    assert_eq!(lab.phase(id, "broad").await, "deploying");
    let decided: Vec<(i64, String)> =
        sqlx::query_as("SELECT version, xmin::text FROM decision WHERE rollout_id = $1 ORDER BY 1")
            .bind(id.0)
            .fetch_all(&lab.database.pool)
            .await
            .unwrap();
    let [(1, submitted), (2, opened)] = &decided[..] else {
        panic!("{decided:?}")
    };
    assert_eq!(submitted, opened);
    lab.verify().await;
}
