//! The poll: an unchanged answer costs no query, and every change of the answer is seen.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use chrono::TimeDelta;
use engine::Input;
use reqwest::Method;
use server::registry;
use tests::{Lab, TestDevice, Wire, kinds};

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

/// Both ways to the answer of a poll: the short one before the routes, and the long one, which every request takes that
/// brings an id of its own. Headers that are there to differ are judged by their form.
async fn both_ways(
    lab: &Lab,
    what: &str,
    make: impl Fn() -> reqwest::RequestBuilder,
) -> (tests::Answer, tests::Answer) {
    let short = Wire::send(make()).await;
    let long = Wire::send(make().header("x-request-id", "mine")).await;
    assert_eq!(long.header("x-request-id"), "mine", "{what}");
    assert_eq!(short.status, long.status, "{what}");
    assert_eq!(short.text(), long.text(), "{what}");
    let date = |a: &tests::Answer| {
        chrono::DateTime::parse_from_rfc2822(a.header("date"))
            .unwrap()
            .timestamp()
    };
    for answer in [&short, &long] {
        assert_eq!(date(answer), lab.clock.now().timestamp(), "{what}");
    }
    let pace = |a: &tests::Answer| {
        a.header("poll-after")
            .parse::<u32>()
            .ok()
            .map(|s| ((810..=990).contains(&s), (270..=330).contains(&s)))
    };
    assert_eq!(pace(&short), pace(&long), "{what}");
    let told = |a: &tests::Answer| {
        let mut headers = a.headers.clone();
        for own in ["x-request-id", "date", "poll-after", "retry-after"] {
            headers.remove(own);
        }
        let mut told: Vec<_> = headers.iter().map(|(n, v)| format!("{n}: {v:?}")).collect();
        told.sort();
        told
    };
    assert_eq!(told(&short), told(&long), "{what}");
    (short, long)
}

#[tokio::test]
async fn the_short_way_and_the_long_way_answer_the_same() {
    let lab = Lab::start().await;
    let pilot = lab.ring("pilot", 1).await;
    let broad = lab.ring("broad", 1).await;
    let (busy, idle) = (&pilot.devices[0], &broad.devices[0]);
    let rollout = lab.rollout("KB5079391").await;
    busy.make_ready(rollout).await;
    let etag = async |device: &TestDevice| device.look().await.etag;
    let (of_busy, of_idle) = (etag(busy).await, etag(idle).await);
    let get = |device: &TestDevice| device.request(Method::GET, "/assignment");
    let twice = format!("{of_idle}, \"other\"");
    let with = |device: &TestDevice, etag: &str| get(device).header("if-none-match", etag);
    let mut statuses = Vec::new();
    for (what, make) in [
        (
            "unchanged, busy",
            &(|| with(busy, &of_busy)) as &dyn Fn() -> _,
        ),
        ("unchanged, idle", &|| with(idle, &of_idle)),
        ("an old ETag, busy", &|| with(busy, "\"0-0-0\"")),
        ("an old ETag, idle", &|| with(idle, "\"0-0-0\"")),
        ("no ETag", &|| get(idle)),
        ("a list of ETags", &|| with(idle, &twice)),
        ("a query", &|| {
            idle.request(Method::GET, "/assignment?x=1")
                .header("if-none-match", &of_idle)
        }),
        ("a body", &|| with(idle, &of_idle).body("{}")),
        ("an encoding nobody knows", &|| {
            with(idle, &of_idle)
                .header("content-encoding", "rot13")
                .body("{}")
        }),
        ("HEAD", &|| {
            idle.request(Method::HEAD, "/assignment")
                .header("if-none-match", &of_idle)
        }),
        ("POST", &|| idle.request(Method::POST, "/assignment")),
        ("another path", &|| {
            idle.request(Method::GET, "/assignment/")
        }),
        ("no token", &|| {
            lab.wire().request(Method::GET, "/assignment")
        }),
        ("a token of nobody", &|| {
            lab.wire()
                .request(Method::GET, "/assignment")
                .bearer_auth("a.b.c")
        }),
        ("another scheme", &|| {
            lab.wire()
                .request(Method::GET, "/assignment")
                .basic_auth("x", Some("y"))
        }),
    ] {
        let (short, _) = both_ways(&lab, what, make).await;
        statuses.push(short.status);
    }
    assert_eq!(
        statuses,
        [
            304, 304, 200, 200, 200, 200, 304, 304, 415, 304, 405, 404, 401, 401, 401
        ]
    );
    lab.jump(TimeDelta::hours(13));
    let (late, _) = both_ways(&lab, "an expired token", || with(idle, &of_idle)).await;
    assert_eq!(late.status, 401);
}

#[tokio::test]
async fn what_rests_is_answered_from_memory_like_from_the_database() {
    let mut lab = Lab::start().await;
    let pilot = lab.ring("pilot", 3).await;
    let [done, fresh, begun] = [&pilot.devices[0], &pilot.devices[1], &pilot.devices[2]];
    let rollout = lab.rollout("KB5079391").await;
    let permit = done.permit(rollout).await;
    done.finish(rollout, permit, "26100.8037").await;
    begun.make_ready(rollout).await;
    let cancel = Input::Cancel {
        by: lab.people.admin,
        reason: "another one comes".into(),
    };
    lab.apply(rollout, cancel).await.unwrap();
    lab.settle().await;
    // A server that has just loaded everything, and one that saw it happen.
    lab.add_node().await;
    for device in [done, fresh, begun] {
        let asked = device.look().await;
        let remembered = device.look().await;
        let loaded = device.look_at(&lab.nodes[1].wire).await;
        assert_eq!(asked.assignment, remembered.assignment);
        assert_eq!(asked.assignment, loaded.assignment);
    }
    for (device, rests) in [(done, true), (fresh, true), (begun, false)] {
        let sql = "SELECT device_no::bigint FROM device WHERE id::text = $1";
        let no = lab.number(sql, &device.id.to_string()).await;
        for node in &lab.nodes {
            let glance = node.app.picture.glance(no.try_into().unwrap());
            assert_eq!(glance.unwrap().at_rest, rests);
        }
    }
    // A new inventory is in the very next answer, whoever remembers what.
    let before = done.look().await.assignment.unwrap().inventory_digest;
    done.change(|i| i.free_disk_bytes -= 1).await;
    for _ in 0..3 {
        let now = done.look().await.assignment.unwrap().inventory_digest;
        assert_ne!(now, before);
        lab.settle().await;
    }
}

#[tokio::test]
async fn a_change_of_very_many_devices_is_read_like_one_of_few() {
    let lab = Lab::start().await;
    let broad = lab.ring("broad", 2).await;
    let [moved, other] = [&broad.devices[0], &broad.devices[1]];
    for (many, generation) in [(10, 2), (25_000, 3), (250_000, 4)] {
        assert_eq!(other.look().await.status, 200);
        let mut tx = lab.database.pool.begin().await.unwrap();
        sqlx::query("UPDATE device SET generation = $2 WHERE id = $1")
            .bind(moved.id)
            .bind(generation)
            .execute(&mut *tx)
            .await
            .unwrap();
        let announced: Vec<i32> = (1..=many).collect();
        server::store::changes::announce_devices(&mut tx, &announced, true)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        lab.nodes[0].catch_up().await;
        assert_eq!(moved.poll().await.status, 401, "{many}");
        assert_eq!(other.poll().await.status, 200, "{many}");
        let app = &lab.nodes[0].app;
        let sql = "SELECT device_no::bigint FROM device WHERE id::text = $1";
        let no = lab.number(sql, &moved.id.to_string()).await;
        let no = i32::try_from(no).unwrap();
        let token = app.keys.token(no, generation, lab.clock.now()).unwrap();
        moved.hold(&token);
        assert_eq!(moved.look().await.status, 200, "{many}");
    }
}
