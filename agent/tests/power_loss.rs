//! Whole rollouts on one device, with the power cut at every single effect.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod support;

use agent::core::Status;
use agent_protocol::EventKind;
use support::server::Stage;
use support::{Rig, manifest, sequence};

fn rig(method: &str) -> Rig {
    let mut rig = Rig::new();
    rig.server.sequence = sequence(method, "x64");
    rig.server.manifest = manifest(rig.server.sequence.clone(), 5);
    rig
}

fn finish(rig: &mut Rig) {
    rig.until(|rig| {
        rig.server
            .devices
            .values()
            .any(|device| device.stage == Stage::Ended)
    });
    rig.until_status(Status::Succeeded).until_delivered();
    rig.for_hours(2).until_delivered();
    rig.check();
    assert_eq!(rig.device.facts().build.to_string(), "26100.8116");
    assert_eq!(
        rig.server.only().inventory.build,
        "26100.8116",
        "the inventory was sent after the end"
    );
}

#[test]
fn an_undisturbed_rollout_runs_every_step_once_and_in_order() {
    for (method, steps) in [("one_by_one", 2), ("together", 1)] {
        let mut rig = rig(method);
        finish(&mut rig);
        assert_eq!(rig.installs(), steps, "{method}");
        let told: Vec<_> = rig
            .committed
            .iter()
            .map(|event| event.kind.clone())
            .collect();
        let position = |wanted: fn(&EventKind) -> bool| told.iter().position(wanted).unwrap();
        let order = [
            position(|kind| matches!(kind, EventKind::DownloadProgress { .. })),
            position(|kind| matches!(kind, EventKind::DownloadDone { .. })),
            position(|kind| matches!(kind, EventKind::RestartAgreed { .. })),
            position(|kind| matches!(kind, EventKind::StepStarted { .. })),
            position(|kind| matches!(kind, EventKind::StepDone { .. })),
            position(|kind| matches!(kind, EventKind::RestartPending { .. })),
            position(|kind| matches!(kind, EventKind::Restarted { .. })),
            position(|kind| {
                matches!(
                    kind,
                    EventKind::Verified {
                        packages_installed: true,
                        ..
                    }
                )
            }),
        ];
        assert!(order.is_sorted(), "{told:#?}");
        assert_eq!(rig.refusals(), [""; 0]);
    }
}

#[test]
fn power_cut_at_any_effect_loses_nothing_repeats_nothing_and_skips_nothing() {
    for method in ["one_by_one", "together"] {
        let mut whole = rig(method);
        finish(&mut whole);
        for number in 0..whole.effects {
            for after in [false, true] {
                let mut rig = rig(method);
                let cuts = if after {
                    &mut rig.cut_after
                } else {
                    &mut rig.cut_before
                };
                cuts.insert(number);
                finish(&mut rig);
            }
        }
    }
}

#[test]
fn a_device_whose_power_fails_all_the_time_still_gets_there() {
    for spacing in [17, 23, 31, 47] {
        let mut rig = rig("one_by_one");
        rig.cut_after.extend((1..20).map(|nth| nth * spacing));
        finish(&mut rig);
    }
}

#[test]
fn an_agent_that_dies_at_any_effect_while_the_machine_goes_on_repeats_nothing() {
    let mut whole = rig("one_by_one");
    finish(&mut whole);
    for number in 0..whole.effects {
        let mut rig = rig("one_by_one");
        rig.until(|rig| rig.effects >= number);
        rig.restart_agent();
        rig.until(|rig| {
            rig.server
                .devices
                .values()
                .any(|device| device.stage == Stage::Ended)
        });
        rig.until_delivered();
        rig.check();
    }
}
