//! Counters of devices and assignments are what a count of their rows would say, after every change; and a recount
//! says which one is not.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use agent_protocol::EventKind;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use server::registry::{self, RingInput};
use server::store::device_kinds;
use server::verify;
use tests::{Lab, TestDevice, kinds};
use uuid::Uuid;

const KB: &str = "KB5079391";

async fn findings(lab: &Lab) -> Vec<String> {
    verify::recount(&lab.database.pool).await.unwrap()
}

async fn fold(lab: &Lab) {
    let mut conn = lab.conn().await;
    device_kinds::fold(&mut conn).await.unwrap();
}

/// What happens to a device of the registry, or to all of them.
async fn registered(lab: &Lab, devices: &mut Vec<TestDevice>, dice: &mut StdRng) -> &'static str {
    let app = &lab.nodes[0].app;
    let (by, now) = (lab.people.admin.0, lab.clock.now());
    let at = dice.random_range(0..devices.len());
    match dice.random_range(0..7) {
        0 => {
            devices.push(lab.device(["pilot", "x"][dice.random_range(0..2)]).await);
            "an enrolment"
        }
        1 => {
            let build = ["26100.7462", "26100.8116", "26100.9000"][dice.random_range(0..3)];
            devices[at].change(|i| i.build = build.into()).await;
            "an inventory of another build"
        }
        2 => {
            let model = ["Latitude 5440", "Latitude 7450"][dice.random_range(0..2)];
            devices[at].change(|i| i.model = model.into()).await;
            "an inventory of another model"
        }
        3 => {
            let rings = lab.rings().await;
            let ring = dice
                .random_bool(0.5)
                .then(|| rings[dice.random_range(0..rings.len())].id);
            let id = devices[at].id;
            registry::pin(&app.pool, &app.catalogue, &app.picture, id, ring, by, now)
                .await
                .unwrap();
            "a pin"
        }
        4 => {
            let id = devices[at].id;
            // Refused where it is revoked already.
            let revoked =
                registry::revoke(&app.pool, &app.catalogue, &app.picture, id, by, now).await;
            if revoked.is_ok() {
                "a revocation"
            } else {
                "a second revocation"
            }
        }
        5 => {
            devices[at] = lab.enrol(devices[at].inventory()).await;
            "an enrolment of a known device"
        }
        _ => {
            let share = dice.random_range(1..100);
            let inputs = lab.rings().await.into_iter().map(|r| RingInput {
                id: Some(r.id),
                share: (r.name == "pilot").then(|| f64::from(share)),
                query: None,
                name: r.name,
            });
            lab.define(&inputs.collect::<Vec<_>>()).await;
            "other rings"
        }
    }
}

#[tokio::test]
async fn devices_of_a_kind_are_counted_through_any_history() {
    let lab = Lab::start().await;
    lab.ring("pilot", 2).await;
    let mut devices = lab.ring("broad", 3).await.devices;
    for seed in 0..3 {
        let mut dice = StdRng::seed_from_u64(seed);
        for step in 0..20 {
            let what = registered(&lab, &mut devices, &mut dice).await;
            if dice.random_bool(0.3) {
                fold(&lab).await;
            }
            assert_eq!(
                findings(&lab).await,
                Vec::<String>::new(),
                "seed {seed} step {step}: {what}"
            );
        }
    }
}

/// What a device says next, whether it makes sense or not.
async fn said(device: &TestDevice, rollout: Uuid, dice: &mut StdRng) {
    let step = 1;
    let event = match dice.random_range(0..9) {
        0 => kinds::failed(rollout, step, "0x80073712"),
        1 => EventKind::RolledBack {
            rollout,
            code: "0x800F0922".into(),
        },
        2 => kinds::done(rollout, step, true),
        3 => EventKind::Restarted { rollout, step },
        4 => kinds::verified(rollout, "26100.8116"),
        5 => EventKind::NotReady {
            rollout,
            reason: "disk".into(),
        },
        6 => EventKind::DownloadDone { rollout },
        7 => EventKind::MachineUnusable {
            rollout,
            signal: "boot_loop".into(),
        },
        _ => kinds::heartbeat("installing"),
    };
    device.report(&[event]).await;
}

#[tokio::test]
async fn assignments_are_counted_through_any_history() {
    let lab = Lab::start().await;
    let broad = lab.ring("broad", 6).await;
    let rollout = lab.rollout(KB).await;
    lab.lift_generations(rollout).await;
    let mut dice = StdRng::seed_from_u64(7);
    for step in 0..60 {
        let device = &broad.devices[dice.random_range(0..broad.devices.len())];
        // The hours that pass outlive its token.
        device.sign_in().await;
        match dice.random_range(0..8) {
            0 => device.make_ready(rollout).await,
            1 | 2 => drop(device.start(rollout).await),
            3 => {
                lab.pass(chrono::TimeDelta::hours(dice.random_range(1..12)))
                    .await;
            }
            _ => said(device, rollout.0, &mut dice).await,
        }
        assert_eq!(findings(&lab).await, Vec::<String>::new(), "step {step}");
    }
    let states = lab
        .number(
            "SELECT count(DISTINCT word) FROM standing WHERE n <> 0 AND $1 = $1",
            1,
        )
        .await;
    assert!(states >= 4, "the history is poor: {states} states");
}

#[tokio::test]
async fn a_counter_that_is_wrong_is_found_and_counting_again_mends_it() {
    let lab = Lab::start().await;
    let broad = lab.ring("broad", 3).await;
    let rollout = lab.rollout(KB).await;
    broad.devices[0].permit(rollout).await;
    broad.devices[0].break_down(rollout, 1, "0x80073712").await;
    fold(&lab).await;
    assert_eq!(findings(&lab).await, Vec::<String>::new());
    for (break_it, named) in [
        ("UPDATE device_kind SET n = n + 1", "devices of track"),
        (
            "DELETE FROM track_cohort WHERE cohort >= 10",
            "of its devices is not listed",
        ),
        (
            "UPDATE standing SET n = n - 1 WHERE word = 'failed'",
            "failed model",
        ),
        (
            "INSERT INTO standing SELECT rollout_id, stage_id, 'lost', false, 0, -1, 0, 2 FROM standing LIMIT 1",
            "lost: stored 2, recounted 0",
        ),
    ] {
        sqlx::query(break_it)
            .execute(&lab.database.pool)
            .await
            .unwrap();
        let found = findings(&lab).await;
        assert!(
            !found.is_empty() && found.iter().all(|f| f.contains(named)),
            "{break_it}: {found:?}"
        );
        sqlx::query("SELECT count_again()")
            .execute(&lab.database.pool)
            .await
            .unwrap();
        assert_eq!(findings(&lab).await, Vec::<String>::new(), "{break_it}");
    }
}

#[tokio::test]
async fn devices_that_are_loaded_or_removed_by_hand_are_counted_too() {
    let lab = Lab::start().await;
    lab.ring("broad", 4).await;
    sqlx::query("UPDATE device SET status = 'revoked' WHERE device_no % 2 = 0")
        .execute(&lab.database.pool)
        .await
        .unwrap();
    assert_eq!(findings(&lab).await, Vec::<String>::new());
    sqlx::query("DELETE FROM device_cursor WHERE device_no % 2 = 0")
        .execute(&lab.database.pool)
        .await
        .unwrap();
    sqlx::query("DELETE FROM device WHERE device_no % 2 = 0")
        .execute(&lab.database.pool)
        .await
        .unwrap();
    assert_eq!(findings(&lab).await, Vec::<String>::new());
    fold(&lab).await;
    device_kinds::prune(&mut *lab.conn().await).await.unwrap();
    assert_eq!(findings(&lab).await, Vec::<String>::new());
    assert_eq!(
        lab.number(
            "SELECT count(*) FROM device_kind WHERE n = 0 AND $1 = $1",
            1
        )
        .await,
        0
    );
}
