//! What stops a rollout, moves a device or throws it out, and what cannot get around it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use chrono::TimeDelta;
use engine::Input;
use engine::rollout::RolloutState;
use server::error::OpError;
use server::registry;
use tests::{Lab, codes, eventually, kinds};

const KB: &str = "KB5079391";
const TARGET: &str = "26100.8116";

#[tokio::test]
async fn invariant_19_a_halt_by_evidence_is_sticky_until_an_admin_clears_it_with_a_reason() {
    let lab = Lab::start().await;
    let pilot = lab.ring("pilot", 8).await;
    let rollout = lab.rollout(KB).await;
    lab.lift_generations(rollout).await;
    let mut failed = 0;
    for device in &pilot.devices {
        let Some(no) = device.start(rollout).await else {
            break;
        };
        device.break_down(rollout, no, codes::STORE).await;
        failed += 1;
    }
    eventually("the evidence halts it", async || {
        matches!(lab.state(rollout).await, RolloutState::Halted { .. })
    })
    .await;
    assert!((2..8).contains(&failed), "{failed} failures");
    for _ in 0..3 {
        lab.pass(TimeDelta::days(1)).await;
        lab.tick(rollout).await;
    }
    assert!(matches!(
        lab.state(rollout).await,
        RolloutState::Halted { .. }
    ));
    let last = pilot.devices.last().unwrap();
    last.sign_in().await;
    assert_eq!(last.refusal(rollout).await, "halted");
    let people = lab.people;
    let clear = |by, reason: &str| {
        lab.apply(
            rollout,
            Input::ClearHalt {
                by,
                reason: reason.into(),
            },
        )
    };
    assert!(
        matches!(clear(people.anna, "fine").await, Err(OpError::Refused { code, .. }) if code == "role")
    );
    assert!(
        matches!(clear(people.admin, "  ").await, Err(OpError::Refused { code, .. }) if code == "reason")
    );
    let resume = Input::Resume {
        by: people.admin,
        reason: "go".into(),
    };
    assert!(
        lab.apply(rollout, resume).await.is_err(),
        "a resume is no way around it"
    );
    clear(people.admin, "one bad dock").await.unwrap();
    assert_eq!(lab.state(rollout).await, RolloutState::Active);
    let cleared = "SELECT count(*) FROM audit WHERE action = $1 AND body ->> 'sentence' LIKE '%one bad dock%'";
    assert_eq!(lab.number(cleared, "halt_cleared").await, 1);
    lab.verify().await;
}

#[tokio::test]
async fn invariant_21_moving_a_device_skips_no_gate() {
    let lab = Lab::start().await;
    let pilot = lab.ring("pilot", 2).await;
    let broad = lab.ring("broad", 2).await;
    let rollout = lab.rollout(KB).await;
    let app = &lab.nodes[0].app;
    let (by, now) = (lab.people.admin.0, lab.clock.now());
    // Begun in the pilot, then moved: it ends where it began.
    let moved = &pilot.devices[0];
    let no = moved.permit(rollout).await;
    registry::pin(
        &app.pool,
        &app.catalogue,
        &app.picture,
        moved.id,
        Some(broad.id),
        by,
        now,
    )
    .await
    .unwrap();
    lab.settle().await;
    assert_eq!(moved.order().await, "run_step");
    moved.finish(rollout, no, TARGET).await;
    assert_eq!(lab.counts(rollout, "pilot").await.ok, 1);
    assert_eq!(lab.counts(rollout, "broad").await.started, 0);
    // Not begun, and moved into a ring that is not open: it waits there.
    let early = &pilot.devices[1];
    registry::pin(
        &app.pool,
        &app.catalogue,
        &app.picture,
        early.id,
        Some(broad.id),
        by,
        now,
    )
    .await
    .unwrap();
    lab.settle().await;
    assert_eq!(early.order().await, "nothing");
    assert_eq!(early.refusal(rollout).await, "ring");
    let rings = "SELECT count(*) FROM device d WHERE d.ring_id = $1::uuid";
    assert_eq!(
        lab.number(rings, broad.id).await,
        4,
        "a device is in one ring"
    );
    lab.verify().await;
}

#[tokio::test]
async fn invariant_22_a_revoked_device_gets_no_offer_and_adds_no_evidence() {
    let lab = Lab::start().await;
    let broad = lab.ring("broad", 3).await;
    let rollout = lab.rollout(KB).await;
    let device = &broad.devices[0];
    let no = device.permit(rollout).await;
    let before = lab.counts(rollout, "broad").await;
    lab.revoke(device).await;
    assert_eq!(device.look().await.status, 401);
    assert_eq!(device.ask_in(rollout, 60).await.status, 401);
    let late = device.next_batch(&kinds::installation(rollout.0, no, 2, TARGET));
    assert_eq!(device.post(&late).await.status, 401);
    // Also past a replica that has not heard of it yet: ingest and permits look for themselves.
    let app = &lab.nodes[0].app;
    let (device_no, rollout_id) = (lab.stored(device).await.device_no, rollout.0);
    let ask = server::permits::Ask {
        device_no,
        generation: 1,
        rollout: rollout_id,
        restart_in_s: 60,
    };
    let answer = app.permits.ask(ask).await.unwrap();
    assert!(
        matches!(answer, server::permits::Answer::Refused { reason, .. } if reason == "revoked")
    );
    let event = serde_json::value::to_raw_value(&late["events"][0]).unwrap();
    let events = vec![server::ingest::parse_event(0, &event).unwrap()];
    let submission = server::ingest::Submission {
        device_no,
        generation: 1,
        epoch: 1,
        events,
    };
    assert_eq!(
        app.ingest
            .submit(submission, app.bounds.known.room())
            .await
            .unwrap(),
        server::ingest::Receipt::Revoked
    );
    assert_eq!(lab.counts(rollout, "broad").await, before);
    lab.verify().await;
}

#[tokio::test]
async fn a_withdrawn_update_is_followed_by_one_for_those_it_concerns_alone() {
    use engine::policy::Preset;
    use server::control::{Approvals, NewRollout, NewScope};
    let lab = Lab::start().await;
    let broad = lab.ring("broad", 3).await;
    let bad = lab.rollout(KB).await;
    broad.fail(bad, 1, codes::STORE).await;
    // It holds a permit that it has not used when the update is pulled.
    broad.devices[2].permit(bad).await;
    let (withdrawn, _) = lab.publish(KB).await;
    let by = lab.people.admin;
    lab.control
        .withdraw_sequence(withdrawn, "pulled", None, by)
        .await
        .unwrap();
    let (sequence, _) = lab.publish("KB5086672").await;
    let new = NewRollout {
        sequence,
        track: lab.track,
        preset: Preset::Expedited,
        scope: NewScope::AffectedBy(withdrawn),
        ticket: None,
        policies: [("broad".to_owned(), Lab::policy())].into(),
    };
    let mend = lab
        .control
        .create(new, lab.people.operator, Approvals::MayBeFewer)
        .await
        .unwrap();
    let submit = Input::Submit {
        by: lab.people.operator,
        not_before: None,
    };
    lab.apply(mend, submit).await.unwrap();
    lab.tick(mend).await;
    assert_eq!(broad.devices[0].order().await, "prepare");
    assert_eq!(broad.devices[2].order().await, "prepare");
    assert_eq!(broad.devices[1].order().await, "nothing");
    broad.devices[1].make_ready(mend).await;
    assert_eq!(broad.devices[1].refusal(mend).await, "ring");
    broad.devices[0].permit(mend).await;
    lab.verify().await;
}
