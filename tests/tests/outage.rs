//! The database goes away and comes back.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use agent_protocol::{EventsAnswer, PermitAnswer};
use tests::{Lab, eventually, is_later, kinds};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invariant_25_without_a_database_nothing_is_promised_and_all_recovers() {
    let lab = Lab::start().await;
    let broad = lab.ring("broad", 3).await;
    let rollout = lab.rollout("KB5079391").await;
    let [a, b, c] = [&broad.devices[0], &broad.devices[1], &broad.devices[2]];
    a.make_ready(rollout).await;
    c.make_ready(rollout).await;
    b.poll().await;
    assert_eq!(lab.wire().status_of("/readyz").await, 200);

    lab.database.go_down().await;
    // Telemetry: no acknowledgement of what is not stored.
    let batch = b.next_batch(&[kinds::heartbeat("a")]);
    let answer = b.post(&batch).await;
    assert!(is_later(&answer), "{}: {}", answer.status, answer.text());
    // Permits: none, at once and for as long as it lasts.
    assert!(is_later(&a.ask_in(rollout, 60).await));
    // Polls: an old picture could offer what was halted.
    eventually("the picture is too old for polls", async || {
        is_later(&b.poll().await.answer)
    })
    .await;
    assert!(is_later(&a.look().await.answer));
    assert!(is_later(&a.ask_in(rollout, 60).await));
    assert!(is_later(&b.post(&batch).await));
    assert_eq!(lab.wire().status_of("/readyz").await, 503);
    assert_eq!(
        lab.wire().status_of("/healthz").await,
        200,
        "alive all the same"
    );

    lab.database.come_back().await;
    eventually("it is ready again", async || {
        lab.wire().status_of("/readyz").await == 200
    })
    .await;
    eventually("telemetry flows", async || {
        b.post(&batch).await.status == 200
    })
    .await;
    assert_eq!(b.post(&batch).await.json::<EventsAnswer>().acked, 1);
    assert_eq!(a.order().await, "request_permit");
    assert!(matches!(a.ask(rollout).await, PermitAnswer::Granted { .. }));
    // Drivers work again as well: the service clock goes on.
    lab.pass(chrono::TimeDelta::minutes(1)).await;
    lab.tick(rollout).await;
    lab.verify().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_connections_lose_no_change_and_no_report() {
    let lab = Lab::start().await;
    let broad = lab.ring("broad", 6).await;
    for (i, device) in broad.devices.iter().enumerate() {
        lab.database.hiccup().await;
        if i % 2 == 0 {
            // The pool of the test itself has to notice, too.
            let revoked = async || {
                let app = &lab.nodes[0].app;
                let (by, now) = (lab.people.admin.0, lab.clock.now());
                let elsewhere = server::fleet::Picture::default();
                let done = server::registry::revoke(
                    &lab.database.pool,
                    &app.catalogue,
                    &elsewhere,
                    device.id,
                    by,
                    now,
                );
                match done.await {
                    Ok(_) | Err(server::error::OpError::Conflict(_)) => true,
                    Err(_) => false,
                }
            };
            eventually("the revocation is stored", revoked).await;
            eventually("the server knows of it", async || {
                device.poll().await.status == 401
            })
            .await;
        } else {
            let batch = device.next_batch(&[kinds::heartbeat("a")]);
            eventually("the report is stored", async || {
                device.post(&batch).await.status == 200
            })
            .await;
            assert_eq!(device.post(&batch).await.json::<EventsAnswer>().acked, 1);
        }
    }
    lab.verify().await;
}

/// A server that was away for a week takes reports before its drivers have made the week's partitions.
#[tokio::test]
async fn reports_without_a_partition_stop_nothing() {
    let lab = Lab::start().await;
    let broad = lab.ring("broad", 1).await;
    let device = &broad.devices[0];
    lab.jump(chrono::TimeDelta::days(7));
    let day = lab.clock.now();
    sqlx::query(
        "INSERT INTO event_default SELECT $1, device_no, 1, 0, 0, 'note', 0, '{}' FROM device",
    )
    .bind(day)
    .execute(&lab.database.pool)
    .await
    .unwrap();
    lab.clock_followed().await;
    eventually("strays are put where they belong", async || {
        lab.number("SELECT count(*) FROM event_default WHERE $1 <> ''", "x")
            .await
            == 0
    })
    .await;
    device.sign_in().await;
    device.report(&[kinds::heartbeat("a")]).await;
    assert_eq!(
        lab.number("SELECT count(*) FROM event WHERE $1 <> ''", "x")
            .await,
        2
    );
}
