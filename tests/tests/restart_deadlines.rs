//! How long people may put a restart off, as devices are told.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use agent_protocol::{EventKind, Order};
use chrono::TimeDelta;
use engine::policy::{RestartPolicy, StagePolicy};
use tests::{Lab, TestDevice};

const KB: &str = "KB5079391";

/// Seconds until the deadline, and what is left of the grace.
async fn told(device: &TestDevice) -> (Option<u64>, u64) {
    let said = device.look().await.assignment.unwrap();
    match said.order {
        Order::AgreeRestart {
            deadline_s,
            grace_s,
            ..
        } => (deadline_s, grace_s),
        other => panic!("expected that a restart is to be agreed: {other:?}"),
    }
}

async fn downloaded(lab: &Lab, restart: RestartPolicy) -> TestDevice {
    let device = lab.device("broad").await;
    let policy = |_: &str| StagePolicy {
        restart,
        ..Lab::policy()
    };
    let rollout = lab.rollout_with(KB, policy).await.0;
    device.report(&[EventKind::DownloadDone { rollout }]).await;
    device
}

#[tokio::test]
async fn a_deadline_counts_from_the_offer_and_the_grace_from_the_deadline() {
    let lab = Lab::start().await;
    let restart = RestartPolicy {
        deadline_hours: Some(48),
        grace_hours: 24,
        set_at: None,
    };
    let device = downloaded(&lab, restart).await;
    assert_eq!(told(&device).await, (Some(48 * 3600), 24 * 3600));
    lab.pass(TimeDelta::hours(20)).await;
    device.sign_in().await;
    assert_eq!(told(&device).await, (Some(28 * 3600), 24 * 3600));
    lab.pass(TimeDelta::hours(40)).await;
    device.sign_in().await;
    assert_eq!(told(&device).await, (Some(0), 12 * 3600));
    lab.pass(TimeDelta::hours(40)).await;
    device.sign_in().await;
    assert_eq!(told(&device).await, (Some(0), 0));
}

#[tokio::test]
async fn without_a_deadline_people_put_it_off_as_long_as_they_like() {
    let lab = Lab::start().await;
    let device = downloaded(&lab, RestartPolicy::default()).await;
    lab.pass(TimeDelta::days(40)).await;
    device.sign_in().await;
    assert_eq!(told(&device).await, (None, 0));
}
