//! Absence is a signal: what silence and standstill are counted as, and what a later report changes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use chrono::TimeDelta;
use engine::ids::RolloutId;
use tests::{Lab, TestDevice, eventually, kinds};

const KB: &str = "KB5079391";

async fn events(lab: &Lab, kind: &str) -> i64 {
    lab.number(
        "SELECT count(*) FROM event WHERE epoch = 0 AND kind = $1",
        kind,
    )
    .await
}

async fn written(lab: &Lab, kind: &str, n: i64) {
    eventually(&format!("{n} times {kind}"), async || {
        events(lab, kind).await == n
    })
    .await;
}

async fn suspicion(lab: &Lab, device: &TestDevice) -> Option<String> {
    sqlx::query_scalar(
        "SELECT a.suspicion FROM assignment a JOIN device d USING (device_no) WHERE d.id = $1",
    )
    .bind(device.id)
    .fetch_one(&lab.database.pool)
    .await
    .unwrap()
}

/// Time passes while a device keeps polling, every half hour.
async fn polling(lab: &Lab, device: &TestDevice, hours: i64) {
    for _ in 0..hours * 2 {
        lab.pass(TimeDelta::minutes(30)).await;
        lab.settle().await;
        device.sign_in().await;
        assert_eq!(device.look().await.status, 200);
    }
}

/// The same, and it says that it is alive.
async fn alive(lab: &Lab, device: &TestDevice, hours: i64) {
    for _ in 0..hours * 2 {
        lab.pass(TimeDelta::minutes(30)).await;
        lab.settle().await;
        device.sign_in().await;
        device.report(&[kinds::heartbeat("installing")]).await;
    }
}

async fn begun(lab: &Lab, device: &TestDevice, rollout: RolloutId) {
    let permit_no = device.permit(rollout).await;
    device
        .report(&[kinds::started(rollout.0, permit_no, 1)])
        .await;
    assert_eq!(lab.counts(rollout, "broad").await.resolved, 0);
}

#[tokio::test]
async fn a_device_that_is_slow_is_overdue_once_and_can_still_succeed() {
    let lab = Lab::start().await;
    let broad = lab.ring("broad", 1).await;
    let rollout = lab.rollout(KB).await;
    let device = &broad.devices[0];
    begun(&lab, device, rollout).await;
    alive(&lab, device, 2).await;
    assert_eq!(events(&lab, "overdue").await, 0);
    alive(&lab, device, 1).await;
    written(&lab, "overdue", 1).await;
    device.finish(rollout, 1, "26100.8116").await;
    polling(&lab, device, 3).await;
    assert_eq!(events(&lab, "overdue").await, 1);
    let counts = lab.counts(rollout, "broad").await;
    assert_eq!(
        (counts.overdue, counts.ok, counts.failed, counts.resolved),
        (1, 1, 0, 1)
    );
    lab.verify().await;
}

#[tokio::test]
async fn a_device_that_lives_without_progress_is_suspected_to_hang_and_the_failure_stays() {
    let lab = Lab::start().await;
    let broad = lab.ring("broad", 1).await;
    let rollout = lab.rollout(KB).await;
    let device = &broad.devices[0];
    begun(&lab, device, rollout).await;
    alive(&lab, device, 5).await;
    written(&lab, "hang_suspected", 1).await;
    assert_eq!(suspicion(&lab, device).await.as_deref(), Some("hang"));
    let counts = lab.counts(rollout, "broad").await;
    assert_eq!((counts.failed, counts.resolved, counts.ok), (1, 1, 0));
    // It was only slow after all: the suspicion is gone, the evidence for the halt test stays.
    device.finish(rollout, 1, "26100.8116").await;
    assert_eq!(suspicion(&lab, device).await, None);
    let counts = lab.counts(rollout, "broad").await;
    assert_eq!((counts.failed, counts.resolved, counts.ok), (1, 1, 1));
    lab.verify().await;
}

#[tokio::test]
async fn a_laptop_that_sleeps_between_two_steps_is_awaited_by_the_time_that_it_was_awake() {
    let lab = Lab::start().await;
    let broad = lab.ring("broad", 1).await;
    let rollout = lab.rollout(KB).await;
    let device = &broad.devices[0];
    begun(&lab, device, rollout).await;
    alive(&lab, device, 1).await;
    // Closed for the evening, and opened again.
    lab.pass(TimeDelta::hours(9)).await;
    device.slept(TimeDelta::hours(9));
    alive(&lab, device, 1).await;
    assert_eq!(events(&lab, "overdue").await, 0);
    alive(&lab, device, 1).await;
    written(&lab, "overdue", 1).await;
    assert_eq!(events(&lab, "hang_suspected").await, 0);
    alive(&lab, device, 2).await;
    written(&lab, "hang_suspected", 1).await;
    assert_eq!(events(&lab, "lost").await, 0);
    let counts = lab.counts(rollout, "broad").await;
    assert_eq!((counts.overdue, counts.failed, counts.resolved), (1, 1, 1));
    lab.verify().await;
}

#[tokio::test]
async fn a_device_that_polls_and_tells_nothing_is_awaited_for_a_day() {
    let lab = Lab::start().await;
    let broad = lab.ring("broad", 1).await;
    let rollout = lab.rollout(KB).await;
    let device = &broad.devices[0];
    begun(&lab, device, rollout).await;
    polling(&lab, device, 23).await;
    assert_eq!(events(&lab, "hang_suspected").await, 0);
    polling(&lab, device, 3).await;
    written(&lab, "hang_suspected", 1).await;
    lab.verify().await;
}

#[tokio::test]
async fn a_device_that_is_never_heard_of_again_is_lost_until_it_speaks() {
    let lab = Lab::start().await;
    let broad = lab.ring("broad", 1).await;
    let rollout = lab.rollout(KB).await;
    let device = &broad.devices[0];
    begun(&lab, device, rollout).await;
    for _ in 0..23 {
        lab.pass(TimeDelta::hours(1)).await;
    }
    assert_eq!(events(&lab, "lost").await, 0);
    lab.pass(TimeDelta::hours(2)).await;
    written(&lab, "lost", 1).await;
    assert_eq!(
        events(&lab, "hang_suspected").await,
        0,
        "switched off is no hang"
    );
    assert_eq!(suspicion(&lab, device).await.as_deref(), Some("lost"));
    let counts = lab.counts(rollout, "broad").await;
    assert_eq!((counts.silent, counts.resolved, counts.failed), (1, 1, 0));
    device.sign_in().await;
    device.finish(rollout, 1, "26100.8116").await;
    assert_eq!(suspicion(&lab, device).await, None);
    let counts = lab.counts(rollout, "broad").await;
    assert_eq!((counts.silent, counts.resolved, counts.ok), (1, 1, 1));
    lab.verify().await;
}

#[tokio::test]
async fn deadlines_that_two_servers_look_at_are_written_once() {
    let setup = tests::Setup {
        servers: 2,
        ..tests::Setup::default()
    };
    let lab = Lab::with(setup).await;
    let broad = lab.ring("broad", 6).await;
    let rollout = lab.rollout(KB).await;
    lab.lift_generations(rollout).await;
    for device in &broad.devices {
        begun(&lab, device, rollout).await;
    }
    lab.pass(TimeDelta::hours(3)).await;
    lab.pass(TimeDelta::hours(25)).await;
    written(&lab, "lost", 6).await;
    lab.clock_followed().await;
    let counts = lab.counts(rollout, "broad").await;
    assert_eq!(
        (counts.started, counts.overdue, counts.silent),
        (6, 0, 6),
        "nobody knows that they were powered on"
    );
    lab.verify().await;
}
