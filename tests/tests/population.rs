//! Denominators: kept by deltas, and at all times what a fresh scan finds.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use chrono::TimeDelta;
use engine::ids::RolloutId;
use server::registry;
use server::store::populations;
use sqlx::Connection;
use tests::{Lab, TestDevice};
use uuid::Uuid;

const KB: &str = "KB5079391";

type Population = BTreeMap<(Uuid, String), u64>;

async fn kept(lab: &Lab, rollout: RolloutId) -> Population {
    let mut conn = lab.conn().await;
    populations::of_rollout(&mut conn, rollout.0).await.unwrap()
}

/// What a scan would find now; nothing is kept of it.
async fn scanned(lab: &Lab, rollout: RolloutId) -> Population {
    let (_, sequence) = lab.publish(KB).await;
    let mut conn = lab.conn().await;
    let mut tx = conn.begin().await.unwrap();
    sqlx::query("DELETE FROM population")
        .execute(&mut *tx)
        .await
        .unwrap();
    registry::open_population(&mut tx, lab.track, rollout.0, false, &sequence)
        .await
        .unwrap();
    populations::of_rollout(&mut tx, rollout.0).await.unwrap()
}

async fn pin(lab: &Lab, device: &TestDevice, ring: Option<Uuid>) {
    let app = &lab.nodes[0].app;
    let (by, now) = (lab.people.admin.0, lab.clock.now());
    registry::pin(
        &app.pool,
        &app.catalogue,
        &app.picture,
        device.id,
        ring,
        by,
        now,
    )
    .await
    .unwrap();
    lab.settle().await;
}

#[tokio::test]
async fn an_open_population_follows_every_change_of_its_devices() {
    let lab = Lab::start().await;
    let pilot = lab.ring("pilot", 4).await;
    let broad = lab.ring("broad", 4).await;
    let rollout = lab.rollout(KB).await;
    let equal = async |what: &str| {
        assert_eq!(
            kept(&lab, rollout).await,
            scanned(&lab, rollout).await,
            "after {what}"
        );
        lab.verify().await;
    };
    let targeted = async |ring: Uuid| {
        kept(&lab, rollout)
            .await
            .get(&(ring, "targeted".into()))
            .copied()
            .unwrap_or(0)
    };
    equal("the start").await;
    assert_eq!(targeted(pilot.id).await, 4);

    broad.devices[0]
        .change(|i| i.build = "26100.8116".into())
        .await;
    equal("an inventory on the target build").await;
    assert_eq!(targeted(broad.id).await, 3);
    broad.devices[1]
        .change(|i| i.build = "26100.9000".into())
        .await;
    equal("an inventory ahead of it").await;
    broad.devices[2]
        .change(|i| i.tags = vec!["pilot".into()])
        .await;
    equal("a tag that moves a device").await;
    assert_eq!(targeted(pilot.id).await, 5);
    pin(&lab, &pilot.devices[0], Some(broad.id)).await;
    equal("a pin").await;
    pin(&lab, &pilot.devices[0], None).await;
    equal("the pin's end").await;
    // Pinned to the pilot by its first report, moved, and let in where it was pinned.
    pilot.devices[3].make_ready(rollout).await;
    pin(&lab, &pilot.devices[3], Some(broad.id)).await;
    equal("a move between report and permit").await;
    assert!(pilot.devices[3].start(rollout).await.is_some());
    equal("a permit in the ring that it has left").await;
    pin(&lab, &pilot.devices[3], None).await;
    equal("its return").await;
    lab.revoke(&pilot.devices[1]).await;
    equal("a revocation").await;
    lab.enrol(pilot.devices[1].inventory()).await;
    equal("its return").await;
    lab.device("pilot").await;
    equal("a new device").await;
    let mut arm = lab.machine("x");
    arm.architecture = "arm64".into();
    lab.enrol(arm).await;
    equal("a device that it is not for").await;
    lab.enrolment_token("ask", "approval", 5).await;
    lab.enrol_with("ask", lab.machine("x")).await;
    equal("a device that waits").await;
    pilot.devices[2].permit(rollout).await;
    pilot.devices[2].finish(rollout, 1, "26100.8116").await;
    pilot.devices[2]
        .change(|i| i.build = "26100.8116".into())
        .await;
    equal("a device that installed it").await;
    assert_eq!(targeted(pilot.id).await, 6, "who started stays targeted");
    lab.verify().await;
}

#[tokio::test]
async fn changes_at_the_very_start_of_a_rollout_are_counted_once() {
    let lab = Lab::start().await;
    let broad = lab.ring("broad", 12).await;
    let draft = lab.draft_with(KB, |_| Lab::policy()).await;
    let by = lab.people.operator;
    let start = lab.apply(
        draft,
        engine::Input::Submit {
            by,
            not_before: None,
        },
    );
    let changes = futures::future::join_all(
        broad
            .devices
            .iter()
            .map(|d| d.change(|i| i.build = "26100.8116".into())),
    );
    let joiners = futures::future::join_all((0..6).map(|_| lab.device("x")));
    let (started, changed, _joined) = tokio::join!(start, changes, joiners);
    started.unwrap();
    assert!(changed.iter().all(|a| a.status == 200));
    assert_eq!(kept(&lab, draft).await, scanned(&lab, draft).await);
}

#[tokio::test]
async fn invariant_11_a_permitted_device_stays_in_the_denominator_whatever_becomes_of_it() {
    let lab = Lab::start().await;
    let pilot = lab.ring("pilot", 4).await;
    let broad = lab.ring("broad", 1).await;
    let rollout = lab.rollout(KB).await;
    let device = &pilot.devices[0];
    device.permit(rollout).await;
    let targeted = async || {
        kept(&lab, rollout)
            .await
            .get(&(pilot.id, "targeted".into()))
            .copied()
            .unwrap_or(0)
    };
    assert_eq!(targeted().await, 4);
    device.change(|i| i.build = "26100.8116".into()).await;
    assert_eq!(targeted().await, 4, "on the target build by its inventory");
    device.change(|i| i.architecture = "arm64".into()).await;
    assert_eq!(targeted().await, 4, "a machine that it can not be for");
    lab.enrol(device.inventory()).await;
    assert_eq!(targeted().await, 4, "a reimage");
    assert_eq!(lab.counts(rollout, "pilot").await.started, 1);
    // A device that says why it can not go on stays as well.
    let (rollout_id, reason) = (rollout.0, "disk".to_owned());
    pilot.devices[1]
        .report(&[agent_protocol::EventKind::NotReady {
            rollout: rollout_id,
            reason,
        }])
        .await;
    assert_eq!(targeted().await, 4);
    lab.pass(TimeDelta::days(3)).await;
    lab.tick(rollout).await;
    assert_ne!(lab.phase(rollout, "pilot").await, "passed");
    broad.sign_in().await;
    assert_eq!(broad.devices[0].order().await, "nothing");
    lab.verify().await;
}

#[tokio::test]
async fn invariant_11_throwing_out_a_permitted_device_does_not_help_the_gate() {
    let lab = Lab::start().await;
    let pilot = lab.ring("pilot", 2).await;
    lab.ring("broad", 1).await;
    let rollout = lab.rollout(KB).await;
    let (good, bad) = (&pilot.devices[0], &pilot.devices[1]);
    let permit_no = good.permit(rollout).await;
    good.finish(rollout, permit_no, "26100.8116").await;
    bad.permit(rollout).await;
    lab.revoke(bad).await;
    let population = kept(&lab, rollout).await;
    assert_eq!(population.get(&(pilot.id, "targeted".into())), Some(&2));
    assert_eq!(population, scanned(&lab, rollout).await);
}

#[tokio::test]
async fn what_is_held_and_left_out_follows_every_change_of_its_devices() {
    let lab = Lab::start().await;
    let pilot = lab.ring("pilot", 4).await;
    let broad = lab.ring("broad", 4).await;
    let rollout = lab.rollout(KB).await;
    let app = &lab.nodes[0].app;
    let (by, now) = (lab.people.admin.0, lab.clock.now());
    let equal = async |what: &str| {
        assert_eq!(
            kept(&lab, rollout).await,
            scanned(&lab, rollout).await,
            "after {what}"
        );
        lab.verify().await;
    };
    let of_kind = async |kind: &str| -> u64 {
        let population = kept(&lab, rollout).await;
        let of_kind = population.iter().filter(|((_, c), _)| c.starts_with(kind));
        of_kind.map(|(_, n)| n).sum()
    };
    let issue = |devices: &str| registry::NewHold {
        devices: devices.to_owned(),
        issue: "BitLocker asks for its key".to_owned(),
        sequence: None,
        owner: None,
        expires: now + TimeDelta::days(9),
    };
    let kiosks = app.hold_devices(lab.track, issue("tag:kiosk"), by).await;
    equal("an issue that holds nobody").await;
    for device in [&pilot.devices[0], &broad.devices[0]] {
        let tag = device.inventory().tags[0].clone();
        device.change(|i| i.tags = vec![tag, "kiosk".into()]).await;
        equal("a tag by which a device is held").await;
    }
    assert_eq!(of_kind("held:").await, 2);
    pin(&lab, &pilot.devices[0], Some(broad.id)).await;
    equal("a pin of one that is held").await;
    broad.devices[1]
        .change(|i| i.tags = vec!["pilot".into(), "kiosk".into()])
        .await;
    equal("a tag that moves and holds").await;
    lab.revoke(&broad.devices[0]).await;
    equal("a revocation").await;
    assert_eq!(of_kind("held:").await, 2);
    let without = registry::NewExclusion {
        devices: "tag:kiosk host:PC-*".to_owned(),
        reason: "they have their own rollout".to_owned(),
    };
    let left_out = app.exclude_devices(rollout, without, by).await.unwrap();
    equal("an exclusion").await;
    assert_eq!((of_kind("held:").await, of_kind("excluded:").await), (0, 2));
    lab.ring("kiosk", 1).await;
    equal("rings that take them elsewhere").await;
    let track = lab.track;
    app.end_hold(track, left_out.hold.id, by).await.unwrap();
    equal("the end of the exclusion").await;
    pilot.devices[1].permit(rollout).await;
    app.hold_devices(lab.track, issue("product:client"), by)
        .await
        .unwrap();
    equal("an issue that holds all but who started").await;
    assert_eq!(of_kind("targeted").await, 1);
    broad.devices[2]
        .change(|i| i.build = "26100.8116".into())
        .await;
    equal("one that has it by now").await;
    let kiosks = kiosks.unwrap().hold.id;
    app.end_hold(track, kiosks, by).await.unwrap();
    equal("the end of the older issue").await;
}
