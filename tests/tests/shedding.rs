//! A database that is slow: what finds no room is turned away, and nothing piles up.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::{Duration, Instant};

use futures::future::join_all;
use futures::stream::{FuturesUnordered, StreamExt};
use reqwest::Method;
use sqlx::Connection;
use tests::{Answer, Lab, TestDevice, Wire, eventually, is_later, kinds};

/// More than have a place.
const MANY: usize = 300;

/// A connection that keeps every query for devices waiting until it is closed: the database answers, but not this.
async fn slow(lab: &Lab) -> sqlx::PgConnection {
    let mut conn = sqlx::PgConnection::connect(&lab.database.url())
        .await
        .unwrap();
    for statement in ["BEGIN", "LOCK TABLE device IN ACCESS EXCLUSIVE MODE"] {
        sqlx::query(statement).execute(&mut conn).await.unwrap();
    }
    conn
}

/// Polls as if for the first time, many at once, without waiting for the answers.
fn polls(device: &TestDevice) -> FuturesUnordered<impl Future<Output = Answer>> {
    (0..MANY)
        .map(|_| Wire::send(device.request(Method::GET, "/assignment")))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_database_turns_queries_away_and_stops_nothing_else() {
    let lab = Lab::start().await;
    let broad = lab.ring("broad", 3).await;
    let rollout = lab.rollout("KB5079391").await;
    let [busy, calm, teller] = [&broad.devices[0], &broad.devices[1], &broad.devices[2]];
    busy.make_ready(rollout).await;
    for device in [busy, calm, teller] {
        device.look().await;
    }
    let (bounds, asking) = (&lab.nodes[0].app.bounds, &lab.nodes[0].app.asking);
    let (room, line) = (bounds.known.free(), asking.free_to_wait());

    let held = slow(&lab).await;
    let started = Instant::now();
    let mut asked = polls(busy);
    let mut inventory = busy.inventory();
    inventory.free_disk_bytes -= 1;
    let mut sent: FuturesUnordered<_> = (0..MANY)
        .map(|_| Wire::send(busy.request(Method::PUT, "/inventory").json(&inventory)))
        .collect();
    let batch = teller.next_batch(&[kinds::heartbeat("a")]);
    let told = tokio::spawn(Wire::send(
        teller.request(Method::POST, "/events").json(&batch),
    ));
    // All polls and all inventories are answered soon, although nothing moves.
    for _ in 0..MANY {
        assert!(is_later(&asked.next().await.unwrap()));
    }
    assert!(
        bounds.known.free() < room,
        "bodies are counted while they wait"
    );
    for _ in 0..MANY {
        assert!(is_later(&sent.next().await.unwrap()));
    }
    assert!(started.elapsed() < Duration::from_secs(10));
    // What needs no query is answered, and the rest of the database can be used.
    assert_eq!(calm.poll().await.status, 304);
    assert_eq!(lab.wire().status_of("/readyz").await, 200);

    held.close().await.unwrap();
    // Sent again, it is stored.
    let again = busy.request(Method::PUT, "/inventory").json(&inventory);
    let again = Wire::send(again).await;
    assert_eq!(again.status, 200, "{}", again.text());
    assert_eq!(told.await.unwrap().status, 200, "telemetry waits its turn");
    eventually("all room is given back", async || {
        bounds.known.free() == room && asking.free_to_wait() == line
    })
    .await;
    assert_eq!(join_all((0..20).map(|_| busy.look())).await[19].status, 200);
    lab.verify().await;
}

#[tokio::test]
async fn bodies_that_find_no_room_are_sent_again_later() {
    let lab = Lab::start().await;
    let device = lab.device("x").await;
    let bounds = &lab.nodes[0].app.bounds;
    let batch = device.next_batch(&[kinds::heartbeat("a")]);
    let taken = bounds.known.room();
    taken.take(bounds.known.free() - 10).unwrap();
    assert!(is_later(&device.post(&batch).await));
    assert_eq!(bounds.known.free(), 10, "what was refused holds nothing");
    // Strangers have a room of their own, and can not take that of devices.
    device.sign_in().await;
    let strange = bounds.strangers.room();
    strange.take(bounds.strangers.free()).unwrap();
    let answer = device.offer("a.b.c".into()).await;
    assert!(is_later(&answer), "{}", answer.status);
    drop((taken, strange));
    assert_eq!(device.post(&batch).await.status, 200);
    device.sign_in().await;
}

#[tokio::test]
async fn a_body_in_a_counted_room_is_judged_like_any_other() {
    let lab = Lab::start().await;
    let device = lab.device("x").await;
    let large = vec![b' '; agent_protocol::MAX_BATCH_BYTES + 1];
    assert_eq!(device.post_bytes("/events", large).await.status, 413);
    assert_eq!(
        device.post_bytes("/events", b"{".to_vec()).await.status,
        422
    );
    let bounds = &lab.nodes[0].app.bounds;
    eventually("all room is given back", async || {
        bounds.known.free() == server::room::Bounds::new(8).known.free()
    })
    .await;
}
