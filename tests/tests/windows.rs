//! Devices start in the maintenance window of their ring, in their own time.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use agent_protocol::PermitAnswer;
use chrono::{TimeDelta, Timelike};
use engine::ids::RolloutId;
use engine::policy::{Limits, StagePolicy};
use tests::{Lab, TestDevice};

const KB: &str = "KB5079391";

/// A window of four hours each day that begins so many hours from now, by UTC.
fn window(lab: &Lab, in_hours: u32) -> String {
    let from = (lab.clock.now().hour() + in_hours) % 24;
    format!("daily {from:02}:00-{:02}:00", (from + 4) % 24)
}

async fn rollout(lab: &Lab, window: &str) -> RolloutId {
    let policy = |_: &str| StagePolicy {
        limits: Limits {
            window: Some(window.parse().unwrap()),
            ..Limits::default()
        },
        ..Lab::policy()
    };
    lab.rollout_with(KB, policy).await
}

/// A device so many minutes east of UTC, ready.
async fn device(lab: &Lab, rollout: RolloutId, offset: i32) -> TestDevice {
    let mut machine = lab.machine("broad");
    machine.utc_offset_minutes = offset;
    let device = lab.enrol(machine).await;
    device.make_ready(rollout).await;
    device
}

/// Until when it is told to wait, and why.
async fn told(device: &TestDevice, rollout: RolloutId) -> (u32, String) {
    match device.ask(rollout).await {
        PermitAnswer::Wait { retry_after_s, why } => (retry_after_s, why),
        other => panic!("expected that it waits: {other:?}"),
    }
}

async fn is_granted(device: &TestDevice, rollout: RolloutId) -> bool {
    matches!(device.ask(rollout).await, PermitAnswer::Granted { .. })
}

#[tokio::test]
async fn a_device_starts_when_its_own_window_opens() {
    let lab = Lab::start().await;
    let window = window(&lab, 3);
    let rollout = rollout(&lab, &window).await;
    let here = device(&lab, rollout, 0).await;
    let east = device(&lab, rollout, 3 * 60 + 30).await;
    let (wait_s, why) = told(&here, rollout).await;
    assert_eq!(
        why,
        format!(
            "The maintenance window is {window}, in the time of the device; it starts and restarts within it."
        )
    );
    let opens_in = 3600 * 3 - lab.clock.now().minute() * 60;
    assert!(
        (opens_in - 60..opens_in + 600).contains(&wait_s),
        "{wait_s}"
    );
    assert!(is_granted(&east, rollout).await, "there it is on");
    lab.jump(TimeDelta::seconds(wait_s.into()));
    here.sign_in().await;
    assert!(is_granted(&here, rollout).await);
}

#[tokio::test]
async fn a_permit_that_lapsed_is_given_again_in_the_window_alone() {
    let lab = Lab::start().await;
    let on = format!(
        "daily {:02}:00-{:02}:00",
        lab.clock.now().hour(),
        (lab.clock.now().hour() + 2) % 24
    );
    let rollout = rollout(&lab, &on).await;
    let late = device(&lab, rollout, 0).await;
    late.permit(rollout).await;
    lab.jump(TimeDelta::hours(3));
    lab.settle().await;
    late.sign_in().await;
    told(&late, rollout).await;
    lab.jump(TimeDelta::hours(21));
    late.sign_in().await;
    assert!(is_granted(&late, rollout).await);
}
