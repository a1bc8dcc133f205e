//! Telemetry arrives late, twice, in pieces, out of order, or from somebody else.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use agent_protocol::{EventKind, EventsAnswer};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tests::{Lab, codes, kinds};

async fn stored(lab: &Lab) -> i64 {
    lab.number(
        "SELECT count(*) FROM event WHERE epoch > 0 AND $1 <> ''",
        "x",
    )
    .await
}

fn heartbeats(phases: &[&str]) -> Vec<EventKind> {
    phases.iter().map(|p| kinds::heartbeat(p)).collect()
}

#[tokio::test]
async fn a_lost_answer_to_a_committed_batch_costs_nothing() {
    let lab = Lab::start().await;
    let device = lab.device("x").await;
    let batch = device.next_batch(&heartbeats(&["a", "b", "c"]));
    let first: EventsAnswer = device.post(&batch).await.json();
    // The device never saw the answer, so it sends the same again; and again.
    for _ in 0..3 {
        let again: EventsAnswer = device.post(&batch).await.json();
        assert_eq!(again, first);
    }
    assert_eq!((first.epoch, first.acked), (1, 3));
    assert_eq!(stored(&lab).await, 3);
}

#[tokio::test]
async fn a_resent_part_with_something_new_after_it_adds_what_is_new() {
    let lab = Lab::start().await;
    let device = lab.device("x").await;
    let all = heartbeats(&["a", "b", "c", "d", "e"]);
    let answer: EventsAnswer = device.post(&device.batch(1, 1, &all[..3])).await.json();
    assert_eq!(answer.acked, 3);
    let answer: EventsAnswer = device.post(&device.batch(1, 2, &all[1..])).await.json();
    assert_eq!(answer.acked, 5);
    let answer: EventsAnswer = device.post(&device.batch(1, 2, &all[1..3])).await.json();
    assert_eq!(answer.acked, 5, "an old part alone is known as well");
    assert_eq!(stored(&lab).await, 5);
}

#[tokio::test]
async fn a_gap_is_refused_with_the_number_to_go_on_from() {
    let lab = Lab::start().await;
    let device = lab.device("x").await;
    device.report(&heartbeats(&["a"])).await;
    let answer = device.post(&device.batch(1, 3, &heartbeats(&["c"]))).await;
    assert_eq!(answer.status, 409);
    let problem = answer.problem();
    assert_eq!(problem.kind, "/problems/gap");
    assert_eq!((problem.epoch, problem.acked), (Some(1), Some(1)));
    assert_eq!(stored(&lab).await, 1);
}

#[tokio::test]
async fn two_machines_under_one_name_are_found_and_get_no_permit() {
    let lab = Lab::start().await;
    let broad = lab.ring("broad", 2).await;
    let rollout = lab.rollout("KB5079391").await;
    let device = &broad.devices[0];
    device.make_ready(rollout).await;
    let copied = device.batch(1, 1, &heartbeats(&["mine", "mine too"]));
    let answer = device.post(&copied).await;
    assert_eq!(answer.status, 409);
    let problem = answer.problem();
    assert_eq!(problem.kind, "/problems/clone");
    assert_eq!((problem.epoch, problem.acked), (Some(1), Some(2)));
    assert_eq!(stored(&lab).await, 2);
    assert!(lab.stored(device).await.clone_suspected);
    assert_eq!(device.refusal(rollout).await, "clone");
    let marked = "SELECT count(*) FROM audit WHERE action = $1";
    assert_eq!(device.post(&copied).await.status, 409);
    assert_eq!(lab.number(marked, "clone_suspected").await, 1, "said once");
    // The other devices go on, and so does this one once it has enrolled again.
    assert!(broad.devices[1].start(rollout).await.is_some());
    let anew = lab.enrol(device.inventory()).await;
    assert_eq!(anew.id, device.id);
    anew.permit(rollout).await;
    lab.verify().await;
}

#[tokio::test]
async fn an_older_epoch_is_refused_and_a_newer_one_starts_at_one() {
    let lab = Lab::start().await;
    let device = lab.device("x").await;
    device.report(&heartbeats(&["a", "b"])).await;
    // The spool was lost: numbers start again, in a new epoch.
    let late = device.post(&device.batch(3, 2, &heartbeats(&["z"]))).await;
    assert_eq!(late.problem().kind, "/problems/gap");
    let answer: EventsAnswer = device
        .post(&device.batch(2, 1, &heartbeats(&["c"])))
        .await
        .json();
    assert_eq!((answer.epoch, answer.acked), (2, 1));
    let old = device.post(&device.batch(1, 3, &heartbeats(&["d"]))).await;
    assert_eq!(old.status, 409);
    assert_eq!(old.problem().epoch, Some(2));
    assert_eq!(stored(&lab).await, 3);
}

#[tokio::test]
async fn the_highest_epoch_there_is_does_not_lock_a_machine_out() {
    let lab = Lab::start().await;
    let device = lab.device("x").await;
    let top = u32::try_from(i32::MAX).unwrap();
    let answer = device
        .post(&device.batch(top, 1, &heartbeats(&["a"])))
        .await;
    assert!(
        answer.status == 200 || answer.status == 422,
        "{}",
        answer.text()
    );
    let again = lab.enrol(device.inventory()).await;
    assert_eq!(again.id, device.id);
}

#[tokio::test]
async fn a_token_from_before_a_reimage_reports_nothing() {
    let lab = Lab::start().await;
    let device = lab.device("x").await;
    let anew = lab.enrol(device.inventory()).await;
    let answer = device.post(&device.batch(1, 1, &heartbeats(&["a"]))).await;
    assert_eq!(answer.status, 401);
    let answer = device.post(&device.batch(2, 1, &heartbeats(&["a"]))).await;
    assert_eq!(answer.status, 401);
    anew.report(&heartbeats(&["b"])).await;
    assert_eq!(stored(&lab).await, 1);
}

/// The events of three devices that end well, fail, and hang on to their old reports.
fn histories(rollout: uuid::Uuid) -> [Vec<EventKind>; 3] {
    let good = kinds::installation(rollout, 1, 2, "26100.8116");
    let mut regressed = good.clone();
    regressed.push(EventKind::RolledBack {
        rollout,
        code: codes::STORE.into(),
    });
    let bad = vec![
        kinds::started(rollout, 1, 1),
        kinds::failed(rollout, 1, codes::STORE),
        kinds::heartbeat("after"),
        // Too late to matter: outcomes never regress.
        kinds::verified(rollout, "26100.8116"),
    ];
    [good, bad, regressed]
}

#[tokio::test]
async fn invariant_09_duplicated_and_reordered_batches_leave_counts_unchanged() {
    for seed in 0..4 {
        let mut random = StdRng::seed_from_u64(seed);
        let lab = Lab::start().await;
        let broad = lab.ring("broad", 3).await;
        let rollout = lab.rollout("KB5079391").await;
        lab.lift_generations(rollout).await;
        for device in &broad.devices {
            device.permit(rollout).await;
        }
        for (device, history) in broad.devices.iter().zip(histories(rollout.0)) {
            deliver(&mut random, device, &history).await;
        }
        let counts = lab.counts(rollout, "broad").await;
        assert_eq!((counts.started, counts.ok), (3, 1), "seed {seed}");
        assert_eq!((counts.failed, counts.resolved), (2, 3), "seed {seed}");
        lab.verify().await;
    }
}

/// Sends random runs of a history in random order, many of them twice, until all is acknowledged.
async fn deliver(random: &mut StdRng, device: &tests::TestDevice, history: &[EventKind]) {
    let base = 2; // What made it ready.
    let all = device.batch(1, base + 1, history);
    let end = base + u64::try_from(history.len()).unwrap();
    let mut acked = base;
    for _ in 0..500 {
        if acked == end {
            return;
        }
        let from = random.random_range(0..history.len());
        let to = random.random_range(from..history.len());
        let mut part = all.clone();
        let events = part["events"].as_array_mut().unwrap();
        *events = events[from..=to].to_vec();
        let answer = device.post(&part).await;
        let now = match answer.status {
            200 => answer.json::<EventsAnswer>().acked,
            409 => {
                let problem = answer.problem();
                assert_eq!(problem.kind, "/problems/gap", "never taken for a clone");
                problem.acked.unwrap()
            }
            other => panic!("{other}: {}", answer.text()),
        };
        assert!(now >= acked, "what was acknowledged stays so");
        acked = now;
    }
    panic!("not delivered in 500 attempts");
}

#[tokio::test]
async fn a_step_before_the_permit_is_drift_and_counts_agree_with_a_recount() {
    let lab = Lab::start().await;
    let broad = lab.ring("broad", 1).await;
    let rollout = lab.rollout("KB5079391").await;
    let device = &broad.devices[0];
    device.report(&[kinds::started(rollout.0, 1, 1)]).await;
    let permit_no = device.permit(rollout).await;
    // And once more out of order, under the permit.
    device
        .report(&[kinds::started(rollout.0, permit_no, 2)])
        .await;
    assert_eq!(lab.counts(rollout, "broad").await.drift, 1);
    lab.verify().await;
}

#[tokio::test]
async fn one_bad_device_in_a_batch_harms_nobody_else() {
    let lab = Lab::start().await;
    let broad = lab.ring("broad", 12).await;
    // Whatever this device sends can not be stored.
    let bad = lab.stored(&broad.devices[5]).await.device_no;
    let trap = format!(
        "CREATE FUNCTION trap() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             IF NEW.device_no = {bad} THEN RAISE EXCEPTION 'trapped'; END IF; RETURN NEW; END $$;
         CREATE TRIGGER trap BEFORE INSERT ON event FOR EACH ROW EXECUTE FUNCTION trap();"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(trap))
        .execute(&lab.database.pool)
        .await
        .unwrap();
    let batches = broad.devices.iter().map(|d| async {
        let batch = d.next_batch(&heartbeats(&["a", "b"]));
        d.post(&batch).await
    });
    let answers = futures::future::join_all(batches).await;
    for (i, answer) in answers.iter().enumerate() {
        if i == 5 {
            assert!(tests::is_later(answer), "{}", answer.text());
        } else {
            assert_eq!(answer.json::<EventsAnswer>().acked, 2);
        }
    }
    assert_eq!(stored(&lab).await, 22);
    // Once it can be stored it is, without a gap.
    sqlx::raw_sql("DROP TRIGGER trap ON event")
        .execute(&lab.database.pool)
        .await
        .unwrap();
    let again = broad.devices[5].batch(1, 1, &heartbeats(&["a", "b"]));
    assert_eq!(
        broad.devices[5]
            .post(&again)
            .await
            .json::<EventsAnswer>()
            .acked,
        2
    );
}
