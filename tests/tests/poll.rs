//! The poll: an unchanged answer costs no query, and every change of the answer is seen.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use chrono::TimeDelta;
use engine::Input;
use server::registry;
use tests::{Lab, TestDevice, kinds};

/// The answer changed: the ETag of before is worth nothing, and the next poll brings a 200.
async fn changed(device: &TestDevice, what: &str) -> String {
    let poll = device.poll().await;
    assert_eq!(poll.status, 200, "after {what}");
    let again = device.poll().await;
    assert_eq!(again.status, 304, "after {what}, once more");
    assert_eq!(again.etag, poll.etag);
    let order: serde_json::Value = poll.answer.json();
    order["do"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_unchanged_poll_asks_the_database_nothing() {
    let lab = Lab::start().await;
    let device = lab.device("x").await;
    assert_eq!(device.poll().await.status, 200);
    assert_eq!(device.poll().await.status, 304);
    // Only handlers use this pool's connections beside the tasks, so with all of them taken a query would wait.
    let pool = &lab.nodes[0].app.pool;
    let mut held = Vec::new();
    while let Ok(Ok(conn)) =
        tokio::time::timeout(std::time::Duration::from_secs(2), pool.acquire()).await
    {
        held.push(conn);
    }
    let polls = futures::future::join_all((0..20).map(|_| device.poll())).await;
    for poll in polls {
        // Without any reading of changes the picture grows old in the end; that is no query either.
        assert!(poll.status == 304 || poll.status == 503, "{}", poll.status);
    }
    drop(held);
}

#[tokio::test]
async fn every_input_of_the_answer_changes_the_etag() {
    let lab = Lab::start().await;
    let pilot = lab.ring("pilot", 1).await;
    lab.ring("broad", 0).await;
    let device = &pilot.devices[0];
    assert_eq!(changed(device, "enrolment").await, "nothing");
    let idle = device.poll().await.poll_after.unwrap();
    assert!((810..=990).contains(&idle), "{idle}");

    let rollout = lab.rollout("KB5079391").await;
    assert_eq!(changed(device, "the ring opened").await, "prepare");
    let busy = device.poll().await.poll_after.unwrap();
    assert!((270..=330).contains(&busy), "{busy}");

    device.change(|i| i.free_disk_bytes -= 1).await;
    assert_eq!(changed(device, "an inventory").await, "prepare");
    device.report(&kinds::ready(rollout.0)[..1]).await;
    assert_eq!(changed(device, "the download").await, "agree_restart");
    device.report(&kinds::ready(rollout.0)[1..]).await;
    assert_eq!(changed(device, "a restart agreed").await, "request_permit");
    device.ask(rollout).await;
    assert_eq!(changed(device, "a permit").await, "run_step");
    device.ask(rollout).await;
    assert_eq!(device.poll().await.status, 304, "a retry changes nothing");

    lab.halt(rollout).await;
    assert_eq!(changed(device, "a halt").await, "hold");
    let (by, reason) = (lab.people.admin, "looked into".into());
    lab.apply(rollout, Input::ClearHalt { by, reason })
        .await
        .unwrap();
    assert_eq!(changed(device, "the halt was cleared").await, "run_step");
    device.report(&[kinds::started(rollout.0, 1, 1)]).await;
    assert_eq!(changed(device, "a step").await, "run_step");
    device.report(&[kinds::heartbeat("copying")]).await;
    assert_eq!(
        device.poll().await.status,
        304,
        "a heartbeat of no rollout changes nothing"
    );
}

#[tokio::test]
async fn moving_a_device_to_another_ring_changes_its_answer() {
    let lab = Lab::start().await;
    let pilot = lab.ring("pilot", 1).await;
    let broad = lab.ring("broad", 1).await;
    let device = &broad.devices[0];
    let rollout = lab.rollout("KB5079391").await;
    assert_eq!(changed(device, "enrolment").await, "nothing");
    let app = &lab.nodes[0].app;
    let (by, now) = (lab.people.admin.0, lab.clock.now());
    registry::pin(
        &app.pool,
        &app.catalogue,
        &app.picture,
        device.id,
        Some(pilot.id),
        by,
        now,
    )
    .await
    .unwrap();
    lab.settle().await;
    assert_eq!(changed(device, "the pin").await, "prepare");
    device.permit(rollout).await;
}

#[tokio::test]
async fn a_permit_that_lapses_is_seen_by_a_device_that_polls_with_its_etag() {
    let lab = Lab::start().await;
    let broad = lab.ring("broad", 1).await;
    let rollout = lab.rollout("KB5079391").await;
    let device = &broad.devices[0];
    device.permit(rollout).await;
    assert_eq!(changed(device, "a permit").await, "run_step");
    lab.pass(TimeDelta::minutes(61)).await;
    assert_eq!(device.order().await, "request_permit");
}

#[tokio::test]
async fn the_picture_stays_in_step_within_ten_reads_without_notify() {
    let setup = tests::Setup {
        servers: 2,
        notify: false,
        ..tests::Setup::default()
    };
    let lab = Lab::with(setup).await;
    let broad = lab.ring("broad", 2).await;
    let (here, there) = (&lab.nodes[0], &lab.nodes[1]);
    let device = &broad.devices[0];
    assert_eq!(device.poll_at(&there.wire).await.status, 200);
    let app = &here.app;
    let (by, now) = (lab.people.admin.0, lab.clock.now());
    registry::revoke(&app.pool, &app.catalogue, &app.picture, device.id, by, now)
        .await
        .unwrap();
    assert_eq!(
        device.poll_at(&here.wire).await.status,
        401,
        "at once where it was done"
    );
    let before = there.app.picture.reads();
    tests::eventually("the other server knows", async || {
        let seen = device.poll_at(&there.wire).await.status == 401;
        let reads = there.app.picture.reads() - before;
        assert!(seen || reads <= 10, "not seen after {reads} reads");
        seen
    })
    .await;
    assert_eq!(broad.devices[1].poll_at(&there.wire).await.status, 200);
}
