//! Devices that failed are repaired by the class of their error and try again; in the end people look.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use agent_protocol::{EventKind, Order, PermitAnswer, RemediationAction};
use chrono::TimeDelta;
use engine::evidence::Counts;
use engine::ids::RolloutId;
use engine::policy::StagePolicy;
use reqwest::Method;
use serde_json::json;
use tests::{Desk, Lab, TestDevice, codes, eventually, kinds};

const KB: &str = "KB5079391";
const TARGET: &str = "26100.8116";
const RING: &str = "broad";

/// Servicing was busy: passes by itself.
const BUSY: &str = "0x80240009";

/// What has no known repair.
const ROLLBACK: &str = "0xC1900101";

fn began(rollout: RolloutId, action: RemediationAction) -> EventKind {
    let rollout = rollout.0;
    EventKind::RemediationStarted { rollout, action }
}

fn ended(rollout: RolloutId, action: RemediationAction, ok: bool) -> EventKind {
    let rollout = rollout.0;
    EventKind::RemediationDone {
        rollout,
        action,
        ok,
    }
}

/// The order of a device, with why.
async fn told(device: &TestDevice) -> (Order, String) {
    let said = device.look().await.assignment.unwrap();
    (said.order, said.why)
}

async fn repair_ordered(device: &TestDevice) -> RemediationAction {
    match told(device).await {
        (Order::Remediate { action, .. }, _) => action,
        other => panic!("expected a repair: {other:?}"),
    }
}

/// A ring large enough that one failure is no halt, and its first device, which failed.
async fn one_that_failed(lab: &Lab, code: &str, tries: u8) -> (RolloutId, TestDevice) {
    let device = lab.device(RING).await;
    let policy = |_: &str| StagePolicy {
        tries,
        ..Lab::policy()
    };
    let rollout = lab.rollout_with(KB, policy).await;
    let permit = device.permit(rollout).await;
    device.break_down(rollout, permit, code).await;
    (rollout, device)
}

fn failed_once(recovered: u64, relapsed: u64) -> Counts {
    Counts {
        started: 1,
        failed: 1,
        resolved: 1,
        recovered,
        relapsed,
        ..Counts::default()
    }
}

#[tokio::test]
async fn a_damaged_store_is_repaired_and_the_update_tried_again_under_a_new_permit() {
    let lab = Lab::start().await;
    let (rollout, device) = one_that_failed(&lab, codes::STORE, 2).await;
    let action = repair_ordered(&device).await;
    assert_eq!(action, RemediationAction::RestoreHealth);
    let (_, why) = told(&device).await;
    assert_eq!(
        why,
        "It failed; before it tries again: repair of the component store."
    );
    // Nothing installs before it was repaired, whatever an agent asks for.
    assert_eq!(device.refusal(rollout).await, "over");
    device.report(&[began(rollout, action)]).await;
    assert_eq!(device.order().await, "hold");
    let path = format!("/devices/{}", device.id);
    let desk = Desk::of(&lab).await;
    let shown = desk.done(Method::GET, &path, &json!({})).await;
    assert_eq!(shown["rollouts"][0]["place"], "remediating");
    device.report(&[ended(rollout, action, true)]).await;
    assert_eq!(device.order().await, "prepare");
    let second = device.permit(rollout).await;
    assert_eq!(second, 2);
    device.finish(rollout, second, TARGET).await;
    assert_eq!(device.order().await, "nothing");
    // The update failed on it: that stays what it counts for.
    assert_eq!(lab.counts(rollout, RING).await, failed_once(1, 0));
    lab.verify().await;
}

#[tokio::test]
async fn after_the_last_rung_people_look() {
    let lab = Lab::start().await;
    let (rollout, device) = one_that_failed(&lab, codes::STORE, 2).await;
    let first = repair_ordered(&device).await;
    device
        .report(&[began(rollout, first), ended(rollout, first, false)])
        .await;
    let second = repair_ordered(&device).await;
    assert_eq!(second, RemediationAction::RestoreHealthFromSource);
    device
        .report(&[began(rollout, second), ended(rollout, second, true)])
        .await;
    let permit = device.permit(rollout).await;
    device.break_down(rollout, permit, codes::STORE).await;
    assert_eq!(device.order().await, "nothing");
    assert_eq!(device.refusal(rollout).await, "over");
    assert_eq!(lab.counts(rollout, RING).await, failed_once(0, 1));
    lab.verify().await;
}

#[tokio::test]
async fn a_repair_that_never_ends_is_given_up_and_the_next_one_ordered() {
    let lab = Lab::start().await;
    let (rollout, device) = one_that_failed(&lab, codes::STORE, 2).await;
    let first = repair_ordered(&device).await;
    device.report(&[began(rollout, first)]).await;
    for _ in 0..5 {
        assert_eq!(device.order().await, "hold");
        lab.pass(TimeDelta::hours(1)).await;
        lab.settle().await;
        device.sign_in().await;
        device.report(&[kinds::heartbeat("repairing")]).await;
    }
    eventually("the repair is given up", async || {
        let kind = "repair_given_up";
        lab.number("SELECT count(*) FROM event WHERE kind = $1", kind)
            .await
            == 1
    })
    .await;
    let second = repair_ordered(&device).await;
    assert_eq!(second, RemediationAction::RestoreHealthFromSource);
    assert_eq!(lab.counts(rollout, RING).await, failed_once(0, 0));
    lab.verify().await;
}

#[tokio::test]
async fn what_passes_by_itself_is_tried_again_without_a_repair() {
    let lab = Lab::start().await;
    let (rollout, device) = one_that_failed(&lab, BUSY, 2).await;
    let (order, why) = told(&device).await;
    assert!(matches!(order, Order::Prepare { .. }), "{order:?}");
    assert_eq!(why, "It failed; prepare for another try.");
    let permit = device.permit(rollout).await;
    assert_eq!(permit, 2);
    device.finish(rollout, permit, TARGET).await;
    assert_eq!(lab.counts(rollout, RING).await, failed_once(0, 0));
    lab.verify().await;
}

#[tokio::test]
async fn what_has_no_known_repair_and_what_a_policy_forbids_is_left_to_people() {
    for (code, tries) in [(ROLLBACK, 2), (codes::STORE, 0), (BUSY, 0)] {
        let lab = Lab::start().await;
        let (rollout, device) = one_that_failed(&lab, code, tries).await;
        assert_eq!(device.order().await, "nothing", "{code}, {tries}");
        // Also where an agent tries all the same.
        device.make_ready(rollout).await;
        assert_eq!(device.order().await, "nothing", "{code}, {tries}");
        assert_eq!(device.refusal(rollout).await, "over", "{code}, {tries}");
    }
}

#[tokio::test]
async fn a_halted_rollout_repairs_nobody_and_permits_no_other_try() {
    let lab = Lab::start().await;
    let (rollout, device) = one_that_failed(&lab, codes::STORE, 2).await;
    let action = repair_ordered(&device).await;
    device.report(&[began(rollout, action)]).await;
    lab.halt(rollout).await;
    lab.settle().await;
    assert_eq!(device.order().await, "nothing");
    // A repair that was under way is brought to its end all the same.
    device.report(&[ended(rollout, action, true)]).await;
    device.make_ready(rollout).await;
    assert_eq!(device.refusal(rollout).await, "halted");
    lab.verify().await;
}

#[tokio::test]
async fn another_try_takes_the_place_that_the_device_had_and_its_deadlines_begin_anew() {
    let lab = Lab::start().await;
    let ring = lab.ring(RING, 3).await;
    let policy = |_: &str| {
        let mut policy = Lab::policy();
        policy.limits.devices_at_once = Some(1);
        policy
    };
    let rollout = lab.rollout_with(KB, policy).await;
    let [failing, other, third] = &ring.devices[..] else {
        panic!("three devices")
    };
    let permit = failing.permit(rollout).await;
    failing.break_down(rollout, permit, BUSY).await;
    // Its failure ended it: its place is free for another one, and it has one itself for the other try.
    let slow = other.permit(rollout).await;
    other.report(&[kinds::started(rollout.0, slow, 1)]).await;
    assert_eq!(third.start(rollout).await, None);
    lab.pass(TimeDelta::hours(3)).await;
    ring.sign_in().await;
    other.report(&[kinds::heartbeat("installing")]).await;
    lab.pass(TimeDelta::days(2)).await;
    ring.sign_in().await;
    let again = failing.permit(rollout).await;
    failing.report(&[kinds::started(rollout.0, again, 1)]).await;
    lab.pass(TimeDelta::hours(1)).await;
    let counts = lab.counts(rollout, RING).await;
    assert_eq!((counts.started, counts.failed), (2, 1));
    assert_eq!(counts.overdue, 1, "the other device, not the new try");
    lab.verify().await;
}

#[tokio::test]
async fn a_machine_that_was_reimaged_is_not_repaired_for_what_it_does_not_know() {
    let lab = Lab::start().await;
    let (rollout, device) = one_that_failed(&lab, codes::STORE, 2).await;
    lab.pass(TimeDelta::hours(3)).await;
    let again = lab.enrol(device.inventory()).await;
    assert_eq!(again.id, device.id);
    assert_eq!(again.order().await, "nothing");
    assert!(matches!(
        again.ask(rollout).await,
        PermitAnswer::Refused { .. }
    ));
}

/// It failed, and is in a ring by now that is not open.
async fn one_that_failed_and_moved(lab: &Lab) -> TestDevice {
    let mut pilot = lab.ring("pilot", 1).await;
    lab.ring("broad", 1).await;
    let device = pilot.devices.remove(0);
    let rollout = lab.rollout(KB).await;
    let permit = device.permit(rollout).await;
    device.break_down(rollout, permit, codes::STORE).await;
    device.change(|i| i.tags = vec!["broad".into()]).await;
    lab.settle().await;
    device
}

#[tokio::test]
async fn a_device_that_moved_to_a_ring_that_is_not_open_is_repaired_all_the_same() {
    let lab = Lab::start().await;
    let device = one_that_failed_and_moved(&lab).await;
    for _ in 0..3 {
        repair_ordered(&device).await;
        lab.settle().await;
    }
}

#[tokio::test]
async fn a_server_that_starts_after_the_failure_orders_the_repair_too() {
    let mut lab = Lab::start().await;
    let device = one_that_failed_and_moved(&lab).await;
    let wire = lab.add_node().await.wire.clone();
    let said = device.look_at(&wire).await.assignment.unwrap();
    assert!(matches!(said.order, Order::Remediate { .. }), "{said:?}");
}

#[tokio::test]
async fn a_repair_that_the_agent_refuses_is_ordered_twice_and_no_further() {
    let lab = Lab::start().await;
    let (rollout, device) = one_that_failed(&lab, codes::STORE, 2).await;
    for _ in 0..2 {
        repair_ordered(&device).await;
        let refused = EventKind::OrderRefused {
            rollout: rollout.0,
            reason: "this rollout was not prepared here".into(),
        };
        device.report(&[refused]).await;
    }
    assert_eq!(device.order().await, "nothing");
    lab.verify().await;
}
