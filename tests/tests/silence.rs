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
    let (verdict, sentence) = telemetry(&lab).await;
    assert_eq!(verdict, "wait");
    assert!(
        sentence.contains("of those not updated 20 devices fell silent as well"),
        "{sentence}"
    );
    lab.verify().await;
}

/// Whether the only ring's reports can be trusted to have arrived, as its gate was read last.
async fn telemetry(lab: &Lab) -> (String, String) {
    let line: serde_json::Value = sqlx::query_scalar(
        "SELECT c FROM stage, jsonb_array_elements(report -> 'criteria') AS c WHERE c ->> 'criterion' = 'telemetry'",
    )
    .fetch_one(&lab.database.pool)
    .await
    .unwrap();
    let text = |field: &str| line[field].as_str().unwrap().to_owned();
    (text("verdict"), text("sentence"))
}

async fn telemetry_is(lab: &Lab, rollout: RolloutId, verdict: &str, heard: &str) {
    eventually(&format!("telemetry: {verdict}, {heard}"), async || {
        lab.tick(rollout).await;
        let (is, sentence) = telemetry(lab).await;
        is == verdict && sentence.starts_with(heard)
    })
    .await;
}

#[tokio::test]
async fn a_machine_that_was_lost_and_came_back_is_heard_of_and_one_that_vanished_after_its_success_is_not()
 {
    let lab = Lab::start().await;
    let devices = lab.ring("broad", 3).await.devices;
    let rollout = lab.rollout(KB).await;
    lab.lift_generations(rollout).await;
    for device in &devices {
        let permit_no = device.permit(rollout).await;
        device
            .report(&[kinds::started(rollout.0, permit_no, 1)])
            .await;
    }
    let [lost, vanishing, usual] = &devices[..] else {
        panic!("three devices")
    };
    usual.finish(rollout, 1, "26100.8116").await;
    vanishing.finish(rollout, 1, "26100.8116").await;
    hour(&lab, &devices[2..]).await;
    telemetry_is(&lab, rollout, "pass", "3 of 3").await;
    // A Wednesday's outcome, and a day that counts: two of them were not heard of since.
    for _ in 0..25 {
        hour(&lab, &devices[2..]).await;
    }
    telemetry_is(&lab, rollout, "wait", "1 of 3").await;
    lost.sign_in().await;
    lost.look().await;
    hour(&lab, &devices[2..]).await;
    telemetry_is(&lab, rollout, "wait", "2 of 3").await;
    vanishing.sign_in().await;
    vanishing.look().await;
    hour(&lab, &devices[2..]).await;
    telemetry_is(&lab, rollout, "pass", "3 of 3").await;
    // From now on it was heard of since its outcome, however long it stays away.
    for _ in 0..50 {
        hour(&lab, &devices[2..]).await;
    }
    telemetry_is(&lab, rollout, "wait", "2 of 3").await;
    // Nothing is heard of a device that was shut out.
    lab.revoke(usual).await;
    hour(&lab, &[]).await;
    telemetry_is(&lab, rollout, "wait", "1 of 3").await;
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
