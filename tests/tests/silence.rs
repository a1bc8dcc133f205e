//! Silence of updated devices is judged against devices that were not updated over the same hours.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use chrono::TimeDelta;
use engine::ids::RolloutId;
use tests::{Lab, Setup, TestDevice, eventually, kinds};

const KB: &str = "KB5079391";

/// Devices that are updated; the others of the ring are the control.
const UPDATED: usize = 4;

/// A ring of 24, of which the first four have begun.
async fn under_way(lab: &Lab) -> (Vec<TestDevice>, RolloutId) {
    let devices = lab.ring("broad", 24).await.devices;
    let rollout = lab.rollout(KB).await;
    lab.lift_generations(rollout).await;
    for device in &devices[UPDATED..] {
        device.look().await;
    }
    for device in &devices[..UPDATED] {
        let permit_no = device.permit(rollout).await;
        let started = kinds::started(rollout.0, permit_no, 1);
        device.report(&[started]).await;
    }
    (devices, rollout)
}

/// An hour passes, in which these devices poll the last of the servers.
async fn hour(lab: &Lab, talking: &[TestDevice]) {
    lab.pass(TimeDelta::hours(1)).await;
    lab.settle().await;
    for device in talking {
        device.sign_in().await;
        let answer = device.look_at(&lab.nodes.last().unwrap().wire).await;
        assert_eq!(answer.status, 200);
    }
}

async fn phase(lab: &Lab, rollout: RolloutId) -> String {
    sqlx::query_scalar("SELECT phase FROM rollout WHERE id = $1")
        .bind(rollout.0)
        .fetch_one(&lab.database.pool)
        .await
        .unwrap()
}

/// Devices that fell silent, updated and others, with the updated devices at risk at each.
async fn silences(lab: &Lab) -> (i64, i64, Vec<i64>) {
    sqlx::query_as(
        "SELECT COALESCE(sum(devices) FILTER (WHERE device_no IS NOT NULL), 0)::bigint,
                COALESCE(sum(devices) FILTER (WHERE device_no IS NULL), 0)::bigint,
                COALESCE(array_agg(at_risk_treated ORDER BY n) FILTER (WHERE device_no IS NOT NULL), '{}') FROM silence",
    )
    .fetch_one(&lab.database.pool)
    .await
    .unwrap()
}

async fn only_the_updated_fall_silent(servers: u16) {
    let lab = Lab::with(Setup {
        servers,
        ..Setup::default()
    })
    .await;
    let (devices, rollout) = under_way(&lab).await;
    for _ in 0..23 {
        hour(&lab, &devices[UPDATED..]).await;
    }
    assert_eq!(phase(&lab, rollout).await, "active");
    hour(&lab, &devices[UPDATED..]).await;
    eventually("the silence halts", async || {
        phase(&lab, rollout).await == "halted"
    })
    .await;
    assert_eq!(silences(&lab).await, (4, 0, vec![4, 3, 2, 1]));
    let reasons: serde_json::Value = sqlx::query_scalar("SELECT reasons FROM rollout")
        .fetch_one(&lab.database.pool)
        .await
        .unwrap();
    assert_eq!(
        reasons[0]["sentence"],
        "Halted by its evidence: 4 silent devices among 4 devices. An admin with a reason can clear it."
    );
    lab.verify().await;
}

#[tokio::test]
async fn updated_devices_that_fall_silent_alone_halt_the_rollout() {
    only_the_updated_fall_silent(1).await;
}

#[tokio::test]
async fn devices_that_talk_to_another_server_are_not_silent() {
    only_the_updated_fall_silent(2).await;
}

#[tokio::test]
async fn when_all_fall_silent_nothing_is_halted_and_the_gate_says_that_it_is_not_the_update() {
    let lab = Lab::start().await;
    let (devices, rollout) = under_way(&lab).await;
    hour(&lab, &devices).await;
    for _ in 0..25 {
        hour(&lab, &[]).await;
    }
    eventually("all are known to be silent", async || {
        let (updated, others, _) = silences(&lab).await;
        (updated, others) == (4, 20)
    })
    .await;
    lab.tick(rollout).await;
    assert_eq!(phase(&lab, rollout).await, "active");
    let report: serde_json::Value = sqlx::query_scalar("SELECT report FROM stage")
        .fetch_one(&lab.database.pool)
        .await
        .unwrap();
    let criteria = report["criteria"].as_array().unwrap();
    let telemetry = criteria.iter().find(|c| c["criterion"] == "telemetry");
    let telemetry = telemetry.unwrap();
    assert_eq!(telemetry["verdict"], "wait");
    let sentence = telemetry["sentence"].as_str().unwrap();
    assert!(
        sentence.contains("of those not updated 20 devices fell silent as well"),
        "{sentence}"
    );
    lab.verify().await;
}

#[tokio::test]
async fn devices_that_were_silent_before_the_rollout_began_are_no_control() {
    let lab = Lab::start().await;
    let devices = lab.ring("broad", 24).await.devices;
    for device in &devices {
        device.look().await;
    }
    for _ in 0..30 {
        hour(&lab, &[]).await;
    }
    let rollout = lab.rollout(KB).await;
    lab.lift_generations(rollout).await;
    for device in &devices[..UPDATED] {
        device.sign_in().await;
        let permit_no = device.permit(rollout).await;
        let started = kinds::started(rollout.0, permit_no, 1);
        device.report(&[started]).await;
    }
    for _ in 0..26 {
        hour(&lab, &[]).await;
    }
    eventually("the updated ones are lost", async || {
        let (updated, others, _) = silences(&lab).await;
        (updated, others) == (4, 0)
    })
    .await;
    lab.tick(rollout).await;
    assert_eq!(phase(&lab, rollout).await, "active");
    let control: Option<i64> = sqlx::query_scalar("SELECT max(at_risk_control) FROM silence")
        .fetch_one(&lab.database.pool)
        .await
        .unwrap();
    assert_eq!(control, Some(0));
    lab.verify().await;
}
