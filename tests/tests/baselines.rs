//! What earlier updates of a track taught is what the halt test takes for usual.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use chrono::TimeDelta;
use engine::halt::HaltPolicy;
use engine::ids::{CohortId, RolloutId};
use engine::rollout::RolloutState;
use server::store::rollouts;
use tests::{Lab, Ring, codes, eventually, kinds};

const KB: &str = "KB5079391";
const EARLIER: [&str; 3] = ["KB5086672", "KB5124008", "KB5129195"];

/// A rollout that passed every ring of the track: so many devices started, and so many of them failed.
async fn went_through(lab: &Lab, kb: &str, started: i64, failed: i64) {
    let rollout = lab.draft_with(kb, |_| Lab::policy()).await;
    for sql in [
        "UPDATE rollout SET phase = 'superseded' WHERE id = $1 AND $2 >= $3",
        "UPDATE stage SET phase = 'passed' WHERE rollout_id = $1 AND $2 >= $3",
        "INSERT INTO evidence (digest, cohort, stage_id, lane, started, ok, failed, resolved)
         SELECT r.digest, 0, s.id, 0, $2, $2 - $3, $3, $2 FROM rollout r JOIN stage s ON s.rollout_id = r.id WHERE r.id = $1",
    ] {
        sqlx::query(sql)
            .bind(rollout.0)
            .bind(started)
            .bind(failed)
            .execute(&lab.database.pool)
            .await
            .unwrap();
    }
}

async fn policy(lab: &Lab, rollout: RolloutId) -> HaltPolicy {
    let mut conn = lab.conn().await;
    let stored = rollouts::by_id(&mut conn, rollout).await.unwrap();
    stored.unwrap().rollout.halt
}

/// All of a ring start, and three of its twelve fail.
async fn three_fail(lab: &Lab, ring: &Ring) -> RolloutId {
    let rollout = lab.rollout(KB).await;
    lab.lift_generations(rollout).await;
    let mut permits = Vec::new();
    for device in &ring.devices {
        permits.push((device, device.permit(rollout).await));
    }
    for (device, permit_no) in &permits[..3] {
        device.break_down(rollout, *permit_no, codes::STORE).await;
    }
    assert_eq!(lab.counts(rollout, "broad").await.failed, 3);
    lab.tick(rollout).await;
    rollout
}

#[tokio::test]
async fn three_failures_of_twelve_halt_where_failures_are_rare() {
    let lab = Lab::start().await;
    for kb in EARLIER {
        went_through(&lab, kb, 500, 0).await;
    }
    let ring = lab.ring("broad", 12).await;
    let rollout = three_fail(&lab, &ring).await;
    let learned = policy(&lab, rollout).await.learned[&CohortId::ALL];
    assert_eq!((learned.updates, learned.devices), (3, 1500));
    assert!((learned.failure - 0.003).abs() < 1e-12);
    eventually("the evidence halts it", async || {
        matches!(lab.state(rollout).await, RolloutState::Halted { .. })
    })
    .await;
}

#[tokio::test]
async fn three_failures_of_twelve_do_not_halt_where_nothing_is_known() {
    let lab = Lab::start().await;
    for kb in &EARLIER[..2] {
        went_through(&lab, kb, 500, 0).await;
    }
    let ring = lab.ring("broad", 12).await;
    let rollout = three_fail(&lab, &ring).await;
    assert_eq!(policy(&lab, rollout).await, HaltPolicy::default());
    assert_eq!(lab.state(rollout).await, RolloutState::Active);
}

#[tokio::test]
async fn what_was_withdrawn_or_did_not_pass_every_ring_teaches_nothing() {
    for spoil in [
        "UPDATE sequence SET state = 'withdrawn', withdrawn_reason = 'it breaks machines' WHERE id = (SELECT min(id::text)::uuid FROM sequence)",
        "UPDATE stage SET phase = 'soaking' WHERE id = (SELECT min(id::text)::uuid FROM stage)",
    ] {
        let lab = Lab::start().await;
        for kb in EARLIER {
            went_through(&lab, kb, 500, 0).await;
        }
        sqlx::query(spoil)
            .execute(&lab.database.pool)
            .await
            .unwrap();
        lab.ring("broad", 1).await;
        let rollout = lab.rollout(KB).await;
        assert_eq!(
            policy(&lab, rollout).await,
            HaltPolicy::default(),
            "{spoil}"
        );
    }
}

#[tokio::test]
async fn what_was_learned_at_the_start_stays() {
    let lab = Lab::start().await;
    for kb in EARLIER {
        went_through(&lab, kb, 500, 5).await;
    }
    let ring = lab.ring("broad", 1).await;
    let rollout = lab.rollout(KB).await;
    let learned = policy(&lab, rollout).await;
    assert!(!learned.is_default());
    sqlx::query("UPDATE evidence SET failed = 100")
        .execute(&lab.database.pool)
        .await
        .unwrap();
    let device = &ring.devices[0];
    let permit_no = device.permit(rollout).await;
    device.finish(rollout, permit_no, "26100.8116").await;
    lab.tick(rollout).await;
    assert_eq!(policy(&lab, rollout).await, learned);
}

#[tokio::test]
async fn what_is_slow_is_learned_from_how_long_earlier_updates_took() {
    let lab = Lab::start().await;
    let ring = lab.ring("broad", 1).await;
    let crowd = lab.crowd(&ring, 100).await;
    for kb in EARLIER {
        went_through(&lab, kb, 100, 0).await;
    }
    // 66 minutes each: (1000 * 9000 + 300 * 4000) / 1300 s are 131 minutes.
    let crowd: Vec<i32> = crowd.iter().map(|m| m.device_no).collect();
    sqlx::query(
        "INSERT INTO assignment (rollout_id, device_no, stage_id, state, counted, progress_at, took_s)
         SELECT s.rollout_id, d, s.id, 'succeeded', 131, $2, 4000 FROM stage s, UNNEST($1::int[]) AS d",
    )
    .bind(crowd)
    .bind(lab.clock.now())
    .execute(&lab.database.pool)
    .await
    .unwrap();
    let rollout = lab.rollout(KB).await;
    assert_eq!(policy(&lab, rollout).await.overdue_after_s, Some(7846));
    let device = &ring.devices[0];
    let permit_no = device.permit(rollout).await;
    device
        .report(&[kinds::started(rollout.0, permit_no, 1)])
        .await;
    for minutes in [60, 65, 10] {
        assert_eq!(lab.counts(rollout, "broad").await.overdue, 0);
        lab.pass(TimeDelta::minutes(minutes)).await;
        lab.settle().await;
        device.report(&[kinds::heartbeat("installing")]).await;
    }
    // Looked at while it owed five minutes by its own account, and again five minutes later.
    lab.pass(TimeDelta::minutes(6)).await;
    eventually(
        "it is slow after 131 minutes and not after 150",
        async || lab.counts(rollout, "broad").await.overdue == 1,
    )
    .await;
    lab.pass(TimeDelta::minutes(30)).await;
    device.slept(TimeDelta::minutes(20));
    device.finish(rollout, permit_no, "26100.8116").await;
    let took: Option<i64> =
        sqlx::query_scalar("SELECT took_s FROM assignment WHERE rollout_id = $1")
            .bind(rollout.0)
            .fetch_one(&lab.database.pool)
            .await
            .unwrap();
    assert_eq!(
        took,
        Some((60 + 65 + 10 + 6 + 30 - 20) * 60),
        "that it slept does not count"
    );
}
