//! Permits: asked twice, asked too early, asked after the brake was pulled.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use agent_protocol::PermitAnswer;
use chrono::TimeDelta;
use engine::Input;
use engine::policy::{Limits, StagePolicy};
use servicing::KbNumber;
use tests::{Lab, kinds};

const KB: &str = "KB5079391";

fn at_once(limit: u64) -> StagePolicy {
    StagePolicy {
        limits: Limits {
            devices_at_once: Some(limit),
            ..Limits::default()
        },
        ..Lab::policy()
    }
}

#[tokio::test]
async fn invariant_07_a_retry_returns_the_same_permit_and_counts_once() {
    let lab = Lab::start().await;
    let broad = lab.ring("broad", 1).await;
    let rollout = lab.rollout(KB).await;
    let device = &broad.devices[0];
    device.make_ready(rollout).await;
    let first = device.ask(rollout).await;
    let again = futures::future::join_all((0..20).map(|_| device.ask(rollout))).await;
    assert!(again.iter().all(|a| *a == first), "{first:?}: {again:?}");
    assert!(matches!(
        first,
        PermitAnswer::Granted {
            permit_no: 1,
            start_within_s: 3600
        }
    ));
    let permits = "SELECT count(*) FROM event WHERE kind = $1";
    assert_eq!(lab.number(permits, "permitted").await, 1);
    assert_eq!(lab.counts(rollout, "broad").await.started, 1);
    lab.verify().await;
}

#[tokio::test]
async fn invariant_07_a_permit_that_lapsed_unstarted_is_followed_by_the_next_and_counts_once() {
    let lab = Lab::start().await;
    let broad = lab.ring("broad", 1).await;
    let rollout = lab.rollout(KB).await;
    let device = &broad.devices[0];
    assert_eq!(device.permit(rollout).await, 1);
    lab.pass(TimeDelta::minutes(30)).await;
    let PermitAnswer::Granted {
        permit_no: 1,
        start_within_s,
    } = device.ask(rollout).await
    else {
        panic!("still the same permit");
    };
    assert!(start_within_s <= 1800, "time goes on: {start_within_s}");
    lab.pass(TimeDelta::minutes(31)).await;
    assert_eq!(device.order().await, "request_permit");
    assert!(matches!(
        device.ask(rollout).await,
        PermitAnswer::Granted { permit_no: 2, .. }
    ));
    // Whoever starts under the old one is not believed.
    device.report(&[kinds::started(rollout.0, 1, 1)]).await;
    assert_eq!(device.order().await, "run_step");
    device.report(&[kinds::started(rollout.0, 2, 1)]).await;
    assert_eq!(device.refusal(rollout).await, "started");
    let counts = lab.counts(rollout, "broad").await;
    assert_eq!((counts.started, counts.resolved), (1, 0));
    lab.verify().await;
}

#[tokio::test]
async fn a_permit_is_not_granted_hours_ahead_of_the_restart() {
    let lab = Lab::start().await;
    let broad = lab.ring("broad", 1).await;
    let rollout = lab.rollout(KB).await;
    let device = &broad.devices[0];
    device.make_ready(rollout).await;
    assert_eq!(
        device.ask_in(rollout, 3601).await.wrong_field(),
        "restart_in_s"
    );
    assert_eq!(lab.counts(rollout, "broad").await.started, 0);
    let answer: PermitAnswer = device.ask_in(rollout, 3600).await.json();
    assert!(matches!(answer, PermitAnswer::Granted { .. }));
}

#[tokio::test]
async fn a_permit_is_refused_before_the_download_and_before_the_restart_is_agreed() {
    let lab = Lab::start().await;
    let broad = lab.ring("broad", 1).await;
    let rollout = lab.rollout(KB).await;
    let device = &broad.devices[0];
    assert_eq!(device.refusal(rollout).await, "not_ready");
    device.report(&kinds::ready(rollout.0)[..1]).await;
    assert_eq!(device.refusal(rollout).await, "not_ready");
    device.report(&kinds::ready(rollout.0)[1..]).await;
    let rollout_id = rollout.0;
    let by_s = 600;
    let postponed = agent_protocol::EventKind::RestartPostponed {
        rollout: rollout_id,
        by_s,
    };
    device.report(&[postponed]).await;
    assert_eq!(device.refusal(rollout).await, "not_ready");
    let unknown = engine::ids::RolloutId(uuid::Uuid::now_v7());
    assert_eq!(device.refusal(unknown).await, "unknown");
}

#[tokio::test]
async fn invariant_01_a_ring_that_is_not_open_yet_is_offered_nothing() {
    let lab = Lab::start().await;
    lab.ring("pilot", 2).await;
    let broad = lab.ring("broad", 1).await;
    let rollout = lab.rollout(KB).await;
    let device = &broad.devices[0];
    assert_eq!(device.order().await, "nothing");
    device.make_ready(rollout).await;
    assert_eq!(device.refusal(rollout).await, "ring");
    let rows = "SELECT count(*) FROM assignment WHERE rollout_id = $1::uuid";
    assert_eq!(
        lab.number(rows, rollout).await,
        0,
        "its reports begin nothing"
    );
    lab.verify().await;
}

#[tokio::test]
async fn a_device_of_another_track_is_refused() {
    let lab = Lab::start().await;
    let broad = lab.ring("broad", 1).await;
    let rollout = lab.rollout(KB).await;
    broad.devices[0].make_ready(rollout).await;
    let sql = "WITH t AS (INSERT INTO track VALUES (gen_random_uuid(), 'Lab', 'UTC', now()) RETURNING id),
                    r AS (INSERT INTO ring (id, track_id, position, name) SELECT gen_random_uuid(), id, 0, 'all' FROM t RETURNING id, track_id)
               UPDATE device SET track_id = r.track_id, ring_id = r.id FROM r";
    sqlx::raw_sql(sql)
        .execute(&lab.database.pool)
        .await
        .unwrap();
    assert_eq!(broad.devices[0].refusal(rollout).await, "track");
}

#[tokio::test]
async fn invariant_05_after_halt_pause_and_withdrawal_nobody_gets_a_permit() {
    for stop in ["halted", "paused", "withdrawn"] {
        let lab = Lab::start().await;
        let broad = lab.ring("broad", 3).await;
        let rollout = lab.rollout(KB).await;
        let [unstarted, started, new] = [&broad.devices[0], &broad.devices[1], &broad.devices[2]];
        unstarted.permit(rollout).await;
        let permit_no = started.permit(rollout).await;
        started
            .report(&[kinds::started(rollout.0, permit_no, 1)])
            .await;
        new.make_ready(rollout).await;
        match stop {
            "halted" => lab.halt(rollout).await,
            "paused" => {
                let (by, reason) = (lab.people.operator, "lunch".into());
                lab.apply(rollout, Input::Pause { by, reason })
                    .await
                    .unwrap();
            }
            _ => {
                let (id, _) = lab.publish(KB).await;
                let better: KbNumber = "KB5086672".parse().unwrap();
                let by = lab.people.admin;
                lab.control
                    .withdraw_sequence(id, "pulled", Some(better), by)
                    .await
                    .unwrap();
                lab.settle().await;
            }
        }
        assert_eq!(new.refusal(rollout).await, stop);
        assert_eq!(
            unstarted.refusal(rollout).await,
            stop,
            "granted, and not started"
        );
        // A pulled update lets go of whoever has nothing of it running: the next one may mend them.
        let held = if stop == "withdrawn" {
            "nothing"
        } else {
            "hold"
        };
        assert_eq!(unstarted.order().await, held);
        assert_ne!(new.order().await, "request_permit");
        // What runs can not be recalled: it is brought to its end.
        assert_eq!(started.order().await, "run_step");
        started.report(&[kinds::done(rollout.0, 1, false)]).await;
        let between = if stop == "paused" { "run_step" } else { held };
        assert_eq!(started.order().await, between, "{stop} between two steps");
        lab.verify().await;
    }
}

#[tokio::test]
async fn invariant_06_devices_at_once_are_never_more_than_the_limit() {
    let lab = Lab::start().await;
    let broad = lab.ring("broad", 12).await;
    let rollout = lab.rollout_with(KB, |_| at_once(3)).await;
    lab.lift_generations(rollout).await;
    for device in &broad.devices {
        device.make_ready(rollout).await;
    }
    let asks = broad.devices.iter().map(|d| d.ask(rollout));
    let answers = futures::future::join_all(asks).await;
    let granted: Vec<_> = broad
        .devices
        .iter()
        .zip(&answers)
        .filter(|(_, a)| matches!(a, PermitAnswer::Granted { .. }))
        .collect();
    assert_eq!(granted.len(), 3);
    let waits = answers
        .iter()
        .filter(|a| matches!(a, PermitAnswer::Wait { retry_after_s, .. } if *retry_after_s > 0));
    assert_eq!(waits.count(), 9);
    // One place becomes free, and one device takes it.
    granted[0].0.finish(rollout, 1, "26100.8116").await;
    let asks = broad.devices.iter().map(|d| d.ask(rollout));
    let answers = futures::future::join_all(asks).await;
    let fresh = answers
        .iter()
        .filter(|a| matches!(a, PermitAnswer::Granted { .. }));
    assert_eq!(fresh.count(), 3, "two that hold theirs, and one new");
    assert_eq!(lab.counts(rollout, "broad").await.started, 4);
    lab.verify().await;
}

#[tokio::test]
async fn invariant_06_exposure_grows_with_evidence_and_not_with_demand() {
    let lab = Lab::start().await;
    let pilot = lab.ring("pilot", 20).await;
    let rollout = lab.rollout(KB).await;
    let mut granted = Vec::new();
    for device in &pilot.devices {
        granted.extend(device.start(rollout).await.map(|no| (device, no)));
    }
    assert_eq!(granted.len(), 2, "the first generation is two devices");
    for (device, no) in granted {
        device.finish(rollout, no, "26100.8116").await;
    }
    let asks = pilot.devices.iter().map(|d| d.ask(rollout));
    let answers = futures::future::join_all(asks).await;
    let fresh = answers
        .iter()
        .filter(|a| matches!(a, PermitAnswer::Granted { .. }));
    assert_eq!(
        fresh.count(),
        2,
        "of the second generation of four two have started"
    );
    lab.verify().await;
}

#[tokio::test]
async fn invariant_04_machines_that_it_is_not_for_are_offered_nothing() {
    let lab = Lab::start().await;
    let rollout = lab.rollout(KB).await;
    let spoilt: [fn(&mut agent_protocol::Inventory); 5] = [
        |i| i.architecture = "arm64".into(),
        |i| i.product = "server".into(),
        |i| i.build = "28000.1000".into(),
        |i| i.series = "hotpatch".into(),
        |i| i.build = "22631.1000".into(),
    ];
    for spoil in spoilt {
        let mut machine = lab.machine("x");
        spoil(&mut machine);
        let device = lab.enrol(machine).await;
        assert_eq!(device.order().await, "nothing");
        device.make_ready(rollout).await;
        assert_eq!(device.refusal(rollout).await, "not_applicable");
    }
    assert_eq!(lab.counts(rollout, "broad").await.started, 0);
}

#[tokio::test]
async fn a_machine_that_another_authority_updates_waits_and_is_told_why() {
    let lab = Lab::start().await;
    let broad = lab.ring("broad", 1).await;
    let rollout = lab.rollout(KB).await;
    let device = &broad.devices[0];
    device.make_ready(rollout).await;
    let changed = device
        .change(|i| i.update_authority = "conflict".into())
        .await;
    assert_eq!(changed.status, 200);
    match device.ask(rollout).await {
        PermitAnswer::Wait { why, .. } | PermitAnswer::Refused { why, .. } => {
            assert!(!why.is_empty());
        }
        PermitAnswer::Granted { .. } => panic!("a permit on a conflict"),
    }
    assert_eq!(lab.counts(rollout, "broad").await.started, 0);
}

#[tokio::test]
async fn a_no_waits_for_no_lock_and_a_yes_does() {
    let lab = Lab::start().await;
    let broad = lab.ring("broad", 2).await;
    let rollout = lab.rollout_with(KB, |_| at_once(1)).await;
    let [holder, late] = &broad.devices[..] else {
        panic!("two devices");
    };
    assert_eq!(holder.permit(rollout).await, 1);
    late.make_ready(rollout).await;
    assert!(matches!(late.ask(rollout).await, PermitAnswer::Wait { .. }));

    let mut tx = lab.database.pool.begin().await.unwrap();
    sqlx::query("SELECT FROM stage_gate FOR UPDATE")
        .execute(&mut *tx)
        .await
        .unwrap();
    let soon = std::time::Duration::from_secs(20);
    let no = tokio::time::timeout(soon, late.ask(rollout)).await;
    assert!(matches!(no.unwrap(), PermitAnswer::Wait { .. }));
    // Who holds a permit is told so again only while no halt can come between.
    let mut yes = std::pin::pin!(holder.ask(rollout));
    let early = tokio::time::timeout(std::time::Duration::from_millis(300), &mut yes).await;
    assert!(early.is_err(), "{early:?}");
    tx.commit().await.unwrap();
    assert!(matches!(
        yes.await,
        PermitAnswer::Granted { permit_no: 1, .. }
    ));

    // A place that becomes free is seen at once, also by a server that knew the rollout as full.
    assert!(matches!(late.ask(rollout).await, PermitAnswer::Wait { .. }));
    holder.finish(rollout, 1, "26100.8116").await;
    assert_eq!(late.permit(rollout).await, 1);
    // So is a halt.
    lab.halt(rollout).await;
    assert_eq!(late.refusal(rollout).await, "halted");
    assert_eq!(late.refusal(rollout).await, "halted");
    lab.verify().await;
}
