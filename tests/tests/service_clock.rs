//! Time: jumps of the machine's clock, outages of the service, and soaks that nothing shortens.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use chrono::TimeDelta;
use engine::stage::StageState;
use tests::{Lab, START, Setup, kinds};

const KB: &str = "KB5079391";

/// Five seconds a tick, as in the field.
async fn real_ticks() -> Lab {
    Lab::with(Setup {
        largest_tick: Duration::from_secs(5),
        ..Setup::default()
    })
    .await
}

#[tokio::test]
async fn a_soak_lasts_as_long_as_it_should_and_no_longer() {
    let lab = Lab::start().await;
    let pilot = lab.ring("pilot", 2).await;
    lab.ring("broad", 1).await;
    let rollout = lab.rollout(KB).await;
    pilot.install(rollout, KB).await;
    lab.tick(rollout).await;
    assert_eq!(lab.phase(rollout, "pilot").await, "soaking");
    pilot.stays(&lab).await;
    lab.pass(TimeDelta::hours(23)).await;
    lab.tick(rollout).await;
    assert_eq!(lab.phase(rollout, "pilot").await, "soaking");
    lab.pass(TimeDelta::hours(2)).await;
    lab.tick(rollout).await;
    assert_eq!(lab.phase(rollout, "pilot").await, "passed");
    assert_eq!(lab.phase(rollout, "broad").await, "deploying");
    lab.verify().await;
}

#[tokio::test]
async fn invariant_20_a_clock_that_jumps_a_day_shortens_no_soak() {
    let lab = real_ticks().await;
    let pilot = lab.ring("pilot", 2).await;
    lab.ring("broad", 1).await;
    let rollout = lab.rollout(KB).await;
    pilot.install(rollout, KB).await;
    lab.tick(rollout).await;
    let StageState::Soaking { since, .. } = lab.stage(rollout, "pilot").await.state else {
        panic!("not soaking")
    };
    for days in [1, -1, 30, -30, 2, -2, 1] {
        lab.pass(TimeDelta::days(days)).await;
        lab.tick(rollout).await;
        assert_eq!(lab.phase(rollout, "pilot").await, "soaking", "{days} days");
    }
    let gone = lab.service_now().await - since;
    assert!(gone <= TimeDelta::seconds(7 * 5), "{gone}");
    assert!(gone >= TimeDelta::zero(), "it never goes back");
    lab.verify().await;
}

#[tokio::test]
async fn invariant_20_nothing_expires_by_a_jump_and_there_is_grace_after_it() {
    let lab = real_ticks().await;
    let broad = lab.ring("broad", 1).await;
    let rollout = lab.rollout(KB).await;
    let device = &broad.devices[0];
    let permit_no = device.permit(rollout).await;
    device
        .report(&[kinds::started(rollout.0, permit_no, 1)])
        .await;
    for days in [1, -1, 2, -2, 3] {
        lab.pass(TimeDelta::days(days)).await;
    }
    let counts = lab.counts(rollout, "broad").await;
    assert_eq!((counts.overdue, counts.silent, counts.failed), (0, 0, 0));
    // After an outage reports of that time are still on their way: two poll intervals of grace.
    let grace =
        "SELECT extract(epoch FROM grace_until - now)::bigint FROM service_clock WHERE $1 <> ''";
    let left = lab.number(grace, "x").await;
    assert!((1..=1800).contains(&left), "{left}");
    lab.verify().await;
}

/// The machine's clock was a day ahead and was set right: devices that only poll have been heard of all the same.
#[tokio::test]
async fn invariant_20_a_clock_that_was_set_back_loses_no_device_that_polls() {
    let lab = Lab::start().await;
    let broad = lab.ring("broad", 1).await;
    let rollout = lab.rollout(KB).await;
    let device = &broad.devices[0];
    let permit_no = device.permit(rollout).await;
    device
        .report(&[kinds::started(rollout.0, permit_no, 1)])
        .await;
    lab.pass(TimeDelta::hours(3)).await;
    lab.pass(TimeDelta::hours(-23)).await;
    for _ in 0..22 {
        lab.pass(TimeDelta::hours(1)).await;
        lab.settle().await;
        device.sign_in().await;
        assert_eq!(device.look().await.status, 200);
    }
    lab.settle().await;
    assert_eq!(lab.service_now().await, START + TimeDelta::hours(25));
    let lost = "SELECT count(*) FROM event WHERE kind = $1";
    assert_eq!(lab.number(lost, "lost").await, 0, "it polled an hour ago");
    lab.verify().await;
}

#[tokio::test]
async fn a_long_read_of_the_log_holds_up_neither_the_clock_nor_telemetry() {
    let lab = Lab::start().await;
    let broad = lab.ring("broad", 1).await;
    let mut tx = lab.database.pool.begin().await.unwrap();
    // As `verify recount` does, for as long as it reads.
    sqlx::query("SELECT count(*) FROM event")
        .execute(&mut *tx)
        .await
        .unwrap();
    // Tomorrow's partitions can not be made meanwhile.
    lab.pass(TimeDelta::days(2)).await;
    let device = &broad.devices[0];
    device.sign_in().await;
    device.report(&[kinds::heartbeat("still here")]).await;
    lab.pass(TimeDelta::minutes(1)).await;
    tx.commit().await.unwrap();
    tests::eventually("the partitions are made", async || {
        let last = "SELECT count(*) FROM pg_class WHERE relname = 'event_' || to_char($1::timestamptz AT TIME ZONE 'UTC', 'YYYYMMDD')";
        let day = lab.clock.now() + TimeDelta::days(3);
        let there: i64 = sqlx::query_scalar(last)
            .bind(day)
            .fetch_one(&lab.database.pool)
            .await
            .unwrap();
        there == 1
    })
    .await;
}
