//! Updates that are removed again from the devices on which they succeeded.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use agent_protocol::{EventKind, LedgerEntry, Order};
use engine::Input;
use engine::ids::RolloutId;
use reqwest::Method;
use serde_json::{Value, json};
use tests::{Desk, Lab, TestDevice, codes};

const KB: &str = "KB5079391";
const TARGET: &str = "26100.8116";
const RING: &str = "broad";

/// It installed the update, and its inventory says so.
async fn has_it(lab: &Lab, rollout: RolloutId) -> TestDevice {
    let device = lab.device(RING).await;
    let permit = device.permit(rollout).await;
    device.finish(rollout, permit, TARGET).await;
    device.change(|i| i.build = TARGET.into()).await;
    device
        .change(|i| {
            i.ledger.push(LedgerEntry {
                identity: format!("Package_for_RollupFix~31bf3856ad364e35~amd64~~{TARGET}.1.1"),
                kb: Some(KB.into()),
                build: Some(TARGET.into()),
                state: "installed".into(),
                at: None,
                client: None,
            });
        })
        .await;
    device
}

async fn cancel(lab: &Lab, rollout: RolloutId) {
    let by = lab.people.admin;
    let reason = "it breaks printing".into();
    lab.apply(rollout, Input::Cancel { by, reason })
        .await
        .unwrap();
    lab.settle().await;
}

async fn asked(lab: &Lab, rollout: RolloutId, what: &str) -> Value {
    let path = format!("/rollouts/{rollout}/{what}");
    let because = json!({ "reason": "it breaks printing" });
    let page = Desk::of(lab)
        .await
        .done(Method::POST, &path, &because)
        .await;
    lab.settle().await;
    page
}

/// It is told why not.
async fn conflict(lab: &Lab, rollout: RolloutId, what: &str) {
    let path = format!("/rollouts/{rollout}/{what}");
    let because = json!({ "reason": "it breaks printing" });
    let desk = Desk::of(lab).await;
    let conflict = (409, "conflict");
    desk.refused(Method::POST, &path, &because, conflict).await;
}

async fn place(lab: &Lab, device: &TestDevice) -> Value {
    let path = format!("/devices/{}", device.id);
    let desk = Desk::of(lab).await;
    let page = desk.done(Method::GET, &path, &json!({})).await;
    page["assignments"][0]["state"].clone()
}

#[tokio::test]
async fn devices_that_have_it_remove_it_and_what_they_proved_stays() {
    let lab = Lab::start().await;
    let rollout = lab.rollout(KB).await;
    let (first, second) = (has_it(&lab, rollout).await, has_it(&lab, rollout).await);
    let without = lab.device(RING).await;
    let permit = without.permit(rollout).await;
    without.break_down(rollout, permit, codes::STORE).await;
    // While it goes on, nothing of it is taken back.
    lab.tick(rollout).await;
    lab.settle().await;
    conflict(&lab, rollout, "roll-back").await;
    cancel(&lab, rollout).await;
    // At rest, and answered from memory.
    for device in [&first, &second] {
        assert_eq!(device.order().await, "nothing");
        assert_eq!(device.order().await, "nothing");
    }
    let before = lab.counts(rollout, RING).await;
    asked(&lab, rollout, "roll-back").await;
    conflict(&lab, rollout, "roll-back").await;
    // As often as it asks, as if for the first time: nothing else is offered to its ring.
    for _ in 0..3 {
        assert_eq!(first.order().await, "roll_back");
    }
    assert_eq!(without.order().await, "nothing");
    let rolled_back = EventKind::RolledBack {
        rollout: rollout.0,
        code: "0x00000000".into(),
    };
    first.report(&[rolled_back]).await;
    assert_eq!(first.order().await, "nothing");
    assert_eq!(place(&lab, &first).await, "removed");
    // One of which it can not be removed is not asked for ever.
    let failed = EventKind::Failed {
        rollout: rollout.0,
        step: 0,
        code: "0x800F0825".into(),
    };
    assert_eq!(second.order().await, "roll_back");
    second.report(&[failed]).await;
    assert_eq!(second.order().await, "nothing");
    assert_eq!(place(&lab, &second).await, "not_removed");
    assert_eq!(lab.counts(rollout, RING).await, before);
    let sql = "SELECT count(*) FROM audit WHERE action = $1 AND actor IS NOT NULL";
    assert_eq!(lab.number(sql, "rollback_started").await, 1);
    lab.verify().await;
}

#[tokio::test]
async fn a_removal_that_is_stopped_is_ordered_no_further_and_can_begin_again() {
    let lab = Lab::start().await;
    let rollout = lab.rollout(KB).await;
    let device = has_it(&lab, rollout).await;
    cancel(&lab, rollout).await;
    conflict(&lab, rollout, "stop-roll-back").await;
    asked(&lab, rollout, "roll-back").await;
    assert_eq!(device.order().await, "roll_back");
    asked(&lab, rollout, "stop-roll-back").await;
    assert_eq!(device.order().await, "nothing");
    let page = asked(&lab, rollout, "roll-back").await;
    assert_eq!(page["rollback"]["kb"], KB);
    assert_eq!(page["rollback"]["stopped_at"], Value::Null);
    assert_eq!(device.order().await, "roll_back");
    lab.verify().await;
}

#[tokio::test]
async fn nothing_installs_what_is_being_removed() {
    let lab = Lab::start().await;
    let rollout = lab.rollout(KB).await;
    has_it(&lab, rollout).await;
    cancel(&lab, rollout).await;
    let again = lab.draft_with(KB, |_| Lab::policy()).await;
    asked(&lab, rollout, "roll-back").await;
    let by = lab.people.operator;
    let submit = || Input::Submit {
        by,
        not_before: None,
    };
    lab.apply(again, submit()).await.unwrap_err();
    asked(&lab, rollout, "stop-roll-back").await;
    lab.apply(again, submit()).await.unwrap();
    lab.settle().await;
    // And the other way round.
    conflict(&lab, rollout, "roll-back").await;
}

#[tokio::test]
async fn a_server_that_starts_while_it_is_removed_orders_it_too() {
    let mut lab = Lab::start().await;
    let rollout = lab.rollout(KB).await;
    let device = has_it(&lab, rollout).await;
    cancel(&lab, rollout).await;
    asked(&lab, rollout, "roll-back").await;
    let wire = lab.add_node().await.wire.clone();
    let said = device.look_at(&wire).await.assignment.unwrap();
    assert!(matches!(said.order, Order::RollBack { .. }), "{said:?}");
}

#[tokio::test]
async fn a_device_that_went_on_or_whose_agent_refuses_gets_its_next_update() {
    let lab = Lab::start().await;
    let rollout = lab.rollout(KB).await;
    let (newer, refusing) = (has_it(&lab, rollout).await, has_it(&lab, rollout).await);
    cancel(&lab, rollout).await;
    newer.change(|i| i.build = "26100.8117".into()).await;
    asked(&lab, rollout, "roll-back").await;
    assert_eq!(newer.order().await, "nothing");
    lab.rollout("KB5086672").await;
    lab.settle().await;
    assert_eq!(refusing.order().await, "roll_back", "before anything new");
    let refused = EventKind::OrderRefused {
        rollout: rollout.0,
        reason: "not a package of this rollout that can be removed".into(),
    };
    refusing.report(&[refused]).await;
    assert_eq!(place(&lab, &refusing).await, "not_removed");
    assert_eq!(refusing.order().await, "prepare");
    lab.verify().await;
}
