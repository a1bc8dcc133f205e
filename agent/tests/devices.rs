//! What devices are and what befalls them: readiness, failures, rollbacks, repairs, removals, downloads.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod support;

use agent::core::{Action, Fetched, Input, Status};
use agent_protocol::{EventKind, Order, RemediationAction};
use support::Rig;
use support::rig::CALM;
use support::server::ROLLOUT;

fn with_fault(effect: &str) -> Rig {
    let fault = format!("[[faults]]\nname = \"it\"\nrate = 1\neffect = {effect}\n");
    Rig::with(&format!("{CALM}\n{fault}"), |_| {})
}

#[test]
fn what_can_never_apply_is_said_once_and_left() {
    let mut rig = Rig::with(CALM, |facts| {
        facts.architecture = servicing::Architecture::Arm64;
    });
    rig.until_status(Status::NotApplicable);
    rig.server.forced = Some(Order::Prepare {
        rollout: ROLLOUT,
        digest: rig.server.digest(),
    });
    rig.for_hours(3);
    assert_eq!(rig.count(|kind| matches!(kind, EventKind::NotApplicable { reason, .. } if reason == "architecture")), 1);
    assert!(
        !rig.acted
            .iter()
            .any(|action| matches!(action, Action::Fetch(_)))
    );
}

#[test]
fn what_is_not_ready_is_said_once_per_reason_and_tried_again_at_later_polls() {
    let mut rig = Rig::with(CALM, |facts| {
        facts.on_battery = true;
        facts.free_disk_bytes = 1;
    });
    rig.for_hours(5);
    let said = |rig: &Rig| rig.count(|kind| matches!(kind, EventKind::NotReady { .. }));
    assert_eq!(said(&rig), 2);
    rig.device.facts_mut().on_battery = false;
    rig.for_hours(1);
    assert_eq!((said(&rig), rig.core.status()), (2, Status::Preparing));
    rig.device.facts_mut().free_disk_bytes = 100 << 30;
    rig.until_status(Status::Succeeded);
}

#[test]
fn a_device_that_is_there_already_reports_its_build_and_installs_nothing() {
    for build in ["26100.8116", "26100.8246"] {
        let mut rig = Rig::with(CALM, |facts| facts.build = build.parse().unwrap());
        rig.until_noted(|kind| matches!(kind, EventKind::Verified { build: told, packages_installed: true, .. } if told == build));
        rig.for_hours(3);
        assert_eq!(rig.installs(), 0);
        assert_eq!(
            rig.count(|kind| matches!(kind, EventKind::Verified { .. })),
            1
        );
    }
}

#[test]
fn a_failure_is_reported_with_its_code_in_one_spelling() {
    let mut rig = with_fault("{ fails = { code = \"0x80073712\" } }");
    rig.until_noted(|kind| matches!(kind, EventKind::StepStarted { .. }));
    rig.server.only_mut().max_tries = 0;
    rig.until_status(Status::Failed).until_delivered();
    rig.for_hours(2);
    assert_eq!(
        rig.count(
            |kind| matches!(kind, EventKind::Failed { code, step: 1, .. } if code == "0x80073712")
        ),
        1
    );
    rig.check();
}

#[test]
fn after_a_repair_the_device_plans_anew_and_needs_a_new_permit() {
    let mut rig = with_fault("{ fails = { code = \"0x800F0922\" } }");
    rig.until_noted(|kind| matches!(kind, EventKind::StepStarted { .. }));
    rig.server.only_mut().max_tries = 2;
    rig.until(|rig| rig.installs() == 3);
    rig.for_hours(3);
    let permits: Vec<u32> = rig
        .committed
        .iter()
        .filter_map(|event| match event.kind {
            EventKind::StepStarted { permit_no, .. } => Some(permit_no),
            _ => None,
        })
        .collect();
    assert_eq!(permits, [1, 2, 3]);
    assert_eq!(
        rig.count(|kind| matches!(kind, EventKind::RemediationStarted { .. })),
        2
    );
    assert_eq!(
        rig.count(|kind| matches!(kind, EventKind::RemediationDone { ok: true, .. })),
        2
    );
    assert!(rig.count(|kind| matches!(kind, EventKind::Heartbeat { phase: Some(phase), .. } if phase == "remediating")) >= 2);
    rig.until_delivered().check();
}

#[test]
fn a_damaged_store_is_repaired_and_the_whole_update_prepared_anew() {
    let mut rig = with_fault("{ damaged_store = { code = \"0x80073712\" } }");
    rig.until_noted(|kind| matches!(kind, EventKind::StepStarted { .. }));
    rig.server.only_mut().max_tries = 1;
    rig.until_status(Status::Succeeded).until_delivered();
    let failed =
        rig.count(|kind| matches!(kind, EventKind::Failed { code, .. } if code == "0x80073712"));
    let repaired = rig.count(|kind| matches!(kind, EventKind::RemediationDone { ok: true, .. }));
    let prepared = rig.count(|kind| matches!(kind, EventKind::DownloadDone { .. }));
    assert_eq!((failed, repaired, prepared), (1, 1, 2));
    rig.check();
}

#[test]
fn a_run_step_for_a_permit_that_was_used_up_is_left_alone() {
    let mut rig = with_fault("{ fails = { code = \"0x800F0922\" } }");
    rig.until_noted(|kind| matches!(kind, EventKind::StepStarted { .. }));
    rig.server.forced = Some(Order::RunStep {
        rollout: ROLLOUT,
        digest: rig.server.digest(),
        permit_no: 1,
        step: 1,
        of: 2,
        packages: vec!["KB5043080".to_owned()],
    });
    rig.until_status(Status::Failed);
    rig.for_hours(5);
    assert_eq!((rig.installs(), rig.refusals().len()), (1, 0));
}

#[test]
fn what_windows_takes_back_at_boot_is_told_with_its_code_and_twice_is_a_machine_in_trouble() {
    let mut rig = with_fault("{ rolls_back = { code = \"0x800F0922\" } }");
    rig.until_status(Status::RolledBack).until_delivered();
    assert_eq!(
        rig.count(
            |kind| matches!(kind, EventKind::RolledBack { code, .. } if code == "0x800F0922")
        ),
        1
    );
    assert_eq!(
        rig.count(|kind| matches!(kind, EventKind::MachineUnusable { .. })),
        0
    );
    let device = rig.server.only_mut();
    device.stage = support::server::Stage::Remediated;
    device.permit_no += 1;
    device.version += 1;
    rig.until_noted(|kind| matches!(kind, EventKind::MachineUnusable { signal, .. } if signal == "rolled_back_twice"));
    rig.until_delivered().check();
}

#[test]
fn a_step_that_runs_for_hours_gives_signs_of_life_and_disturbs_nothing() {
    let mut rig = with_fault("\"hangs\"");
    rig.until_noted(|kind| matches!(kind, EventKind::StepStarted { .. }));
    let polls = rig.server.calls["poll"];
    rig.for_hours(5);
    let beats = rig.count(|kind| matches!(kind, EventKind::Heartbeat { phase: Some(phase), .. } if phase == "installing 1/2"));
    assert!((28..=31).contains(&beats), "{beats}");
    assert_eq!(rig.server.calls["poll"], polls);
    assert_eq!(rig.core.status(), Status::Installing);
}

#[test]
fn power_that_fails_inside_a_step_is_a_failure_and_not_a_second_try() {
    let mut rig = with_fault("\"power_loss_inside\"");
    rig.until_noted(|kind| matches!(kind, EventKind::StepStarted { .. }));
    rig.server.only_mut().max_tries = 0;
    rig.until_status(Status::Failed).until_delivered();
    assert_eq!(
        rig.count(|kind| matches!(kind, EventKind::Failed { code, .. } if code == "0x8007042B")),
        1
    );
    assert_eq!(rig.installs(), 1);
    rig.check();
}

#[test]
fn power_that_fails_between_step_and_restart_costs_no_step() {
    let mut rig = with_fault("\"power_loss\"");
    rig.until_status(Status::Succeeded).until_delivered();
    assert_eq!(rig.installs(), 2);
    let done = |rig: &Rig, wanted: bool| {
        rig.count(|kind| matches!(kind, EventKind::StepDone { restart_needed, .. } if *restart_needed == wanted))
    };
    // The boot brought the checkpoint into force; the target asks for a restart whatever happened, and had it.
    assert_eq!((done(&rig, false), done(&rig, true)), (1, 1));
    assert_eq!(
        rig.count(|kind| matches!(kind, EventKind::Restarted { step: 2, .. })),
        1
    );
    assert!(!rig.acted.contains(&Action::Restart));
    rig.check();
}

#[test]
fn an_error_for_what_is_there_already_is_no_failure() {
    let mut rig = Rig::new();
    rig.until(|rig| rig.installs() == 1);
    // Another client was faster.
    rig.device
        .put_into_force("KB5043080".parse().unwrap(), "26100.1742".parse().unwrap());
    rig.feed(Some(Input::StepEnded {
        exit_code: -2_146_498_530,
    }));
    rig.until_noted(|kind| {
        matches!(kind, EventKind::StepDone { code, package_state, restart_needed: false, .. }
            if code == "0x800F081E" && package_state == "installed")
    });
    rig.until_status(Status::Succeeded)
        .until_delivered()
        .check();
}

#[test]
fn a_tool_that_says_done_and_did_nothing_is_found_out() {
    let mut rig = Rig::new();
    rig.until(|rig| rig.installs() == 1);
    rig.feed(Some(Input::StepEnded { exit_code: 0 }));
    rig.until_noted(|kind| {
        matches!(kind, EventKind::StepDone { exit_code: 0, package_state, .. } if package_state == "not_present")
    });
    rig.until_noted(|kind| {
        matches!(
            kind,
            EventKind::Verified {
                packages_installed: false,
                ..
            }
        )
    });
    assert_eq!(rig.core.status(), Status::Failed);
}

#[test]
fn a_machine_that_does_not_restart_is_told_again() {
    let mut rig = Rig::new();
    rig.until(|rig| rig.acted.last() == Some(&Action::Restart));
    // Somebody cancelled the shutdown: the machine never went down.
    let restarts = |rig: &Rig| {
        rig.acted
            .iter()
            .filter(|action| **action == Action::Restart)
            .count()
    };
    assert_eq!(restarts(&rig), 1);
    rig.device.cancel_restart();
    rig.feed(Some(Input::RestartFailed));
    rig.until(|rig| restarts(rig) == 2);
    assert_eq!(
        rig.count(|kind| matches!(kind, EventKind::Restarted { .. })),
        0,
        "no boot, no restart"
    );
    rig.until_status(Status::Succeeded)
        .until_delivered()
        .check();
}

#[test]
fn every_repair_is_begun_and_ended_exactly_once() {
    for action in [
        RemediationAction::RestoreHealth,
        RemediationAction::RestoreHealthFromSource,
        RemediationAction::FreeDiskSpace,
        RemediationAction::ClearDownloads,
        RemediationAction::Restart,
    ] {
        let mut rig = Rig::new();
        rig.until_status(Status::RestartAgreed);
        rig.server.forced = Some(Order::Remediate {
            rollout: ROLLOUT,
            action,
        });
        rig.until_noted(|kind| matches!(kind, EventKind::RemediationStarted { .. }));
        rig.server.forced = Some(Order::Nothing);
        rig.until_noted(|kind| matches!(kind, EventKind::RemediationDone { ok: true, .. }));
        rig.for_hours(2);
        assert_eq!(
            rig.count(|kind| matches!(kind, EventKind::RemediationStarted { .. })),
            1
        );
        assert_eq!(
            rig.count(|kind| matches!(kind, EventKind::RemediationDone { .. })),
            1
        );
        let discards = rig
            .acted
            .iter()
            .filter(|action| matches!(action, Action::Discard { .. }))
            .count();
        assert_eq!(
            discards,
            if action == RemediationAction::ClearDownloads {
                2
            } else {
                0
            }
        );
        let expected = match action {
            RemediationAction::Restart => Action::Restart,
            RemediationAction::ClearDownloads => Action::Read,
            action => Action::Remediate(action),
        };
        assert!(rig.acted.contains(&expected));
        rig.server.forced = None;
        rig.until_delivered().check();
    }
}

#[test]
fn a_repair_cut_off_by_the_power_did_not_work_and_a_restart_that_never_came_neither() {
    let mut rig = Rig::new();
    rig.until_status(Status::RestartAgreed);
    rig.server.forced = Some(Order::Remediate {
        rollout: ROLLOUT,
        action: RemediationAction::RestoreHealth,
    });
    rig.until(|rig| matches!(rig.acted.last(), Some(Action::Remediate(_))));
    rig.server.forced = Some(Order::Nothing);
    rig.cut_power();
    rig.until_noted(|kind| matches!(kind, EventKind::RemediationDone { ok: false, .. }));

    let mut rig = Rig::new();
    rig.until_status(Status::RestartAgreed);
    rig.server.forced = Some(Order::Remediate {
        rollout: ROLLOUT,
        action: RemediationAction::Restart,
    });
    rig.until(|rig| rig.acted.last() == Some(&Action::Restart));
    rig.server.forced = Some(Order::Nothing);
    rig.device.cancel_restart();
    rig.feed(Some(Input::RestartFailed));
    rig.until_noted(|kind| matches!(kind, EventKind::RemediationDone { ok: false, .. }));
}

#[test]
fn no_repair_while_an_installation_is_under_way() {
    let mut rig = Rig::new();
    rig.until_noted(|kind| matches!(kind, EventKind::StepDone { .. }));
    rig.server.forced = Some(Order::Remediate {
        rollout: ROLLOUT,
        action: RemediationAction::Restart,
    });
    rig.for_hours(1);
    assert_eq!(rig.refusals(), ["an installation is under way"]);
}

fn succeeded_and_to_be_removed(kb: &str) -> Rig {
    let mut rig = Rig::new();
    rig.until_status(Status::Succeeded).until_delivered();
    rig.server.forced = Some(Order::RollBack {
        rollout: ROLLOUT,
        kb: kb.to_owned(),
    });
    rig
}

#[test]
fn a_removal_is_agreed_with_people_carried_out_and_believed_after_the_boot() {
    let mut rig = succeeded_and_to_be_removed("KB5079391");
    rig.until_status(Status::Removing);
    rig.until_status(Status::RolledBack).until_delivered();
    rig.for_hours(2);
    assert_eq!(rig.device.facts().build.to_string(), "26100.1742");
    assert_eq!(
        rig.acted
            .iter()
            .filter(|action| matches!(action, Action::Remove { .. }))
            .count(),
        1
    );
    assert_eq!(
        rig.count(|kind| matches!(kind, EventKind::RolledBack { .. })),
        1
    );
    rig.check();
}

#[test]
fn a_removal_that_was_agreed_days_ago_is_agreed_anew() {
    let mut rig = succeeded_and_to_be_removed("KB5079391");
    let ordered = rig.server.forced.clone();
    let agreed = |rig: &Rig| rig.count(|kind| matches!(kind, EventKind::RestartAgreed { .. }));
    let removed = |rig: &Rig| {
        let mut acted = rig.acted.iter();
        acted.any(|action| matches!(action, Action::Remove { .. }))
    };
    let before = agreed(&rig);
    rig.until(|rig| agreed(rig) == before + 1);
    rig.server.forced = Some(Order::Nothing);
    rig.for_hours(72);
    assert!(!removed(&rig), "it was stopped");
    rig.server.forced = ordered;
    rig.until(removed);
    assert_eq!(agreed(&rig), before + 2);
}

#[test]
fn power_cut_at_any_effect_of_a_removal_removes_at_most_once() {
    let mut whole = succeeded_and_to_be_removed("KB5079391");
    let first = whole.effects;
    whole.until_status(Status::RolledBack);
    for number in first..whole.effects {
        for after in [false, true] {
            let mut rig = succeeded_and_to_be_removed("KB5079391");
            let cuts = if after {
                &mut rig.cut_after
            } else {
                &mut rig.cut_before
            };
            cuts.insert(number);
            rig.until(|rig| matches!(rig.core.status(), Status::RolledBack | Status::Failed))
                .until_delivered();
            assert!(
                rig.acted
                    .iter()
                    .filter(|action| matches!(action, Action::Remove { .. }))
                    .count()
                    <= 1
            );
            rig.check();
        }
    }
}

#[test]
fn a_checkpoint_or_a_stranger_is_not_removed() {
    for kb in ["KB5043080", "KB5086672"] {
        let mut rig = succeeded_and_to_be_removed(kb);
        rig.for_hours(5);
        assert_eq!(
            rig.refusals(),
            ["not a package of this rollout that can be removed"]
        );
        assert_eq!(rig.core.status(), Status::Succeeded);
    }
}

#[test]
fn a_removal_that_fails_is_a_failure() {
    let mut rig = succeeded_and_to_be_removed("KB5079391");
    rig.until_status(Status::Removing);
    rig.until(|rig| matches!(rig.acted.last(), Some(Action::Remove { .. })));
    rig.feed(Some(Input::Removed {
        exit_code: -2_146_498_530,
    }));
    rig.until_status(Status::Failed).until_delivered();
    assert_eq!(
        rig.count(|kind| matches!(kind, EventKind::Failed { code, .. } if code == "0x800F081E")),
        1
    );
}

#[test]
fn a_download_that_breaks_goes_on_and_one_that_is_corrupt_is_thrown_away() {
    let mut rig = Rig::new();
    rig.downloads.extend([
        Fetched::Cut { bytes: 100 },
        Fetched::Denied {
            status: 503,
            retry_after_s: Some(600),
        },
        Fetched::Denied {
            status: 401,
            retry_after_s: None,
        },
        Fetched::Corrupt,
        Fetched::Corrupt,
    ]);
    rig.until_status(Status::Succeeded).until_delivered();
    assert_eq!(
        rig.acted
            .iter()
            .filter(|action| matches!(action, Action::Discard { .. }))
            .count(),
        2
    );
    assert!(rig.count(|kind| matches!(kind, EventKind::DownloadProgress { bytes: 100, .. })) == 1);
    assert_eq!(
        rig.server.calls["token"], 4,
        "one more than there were starts"
    );
    assert!(
        rig.now > rig.born + chrono::TimeDelta::minutes(10),
        "the server's wish to be left alone counts"
    );
    assert_eq!(rig.refusals(), [""; 0]);
    rig.check();
}

#[test]
fn a_source_that_stays_corrupt_is_given_up_on() {
    let mut rig = Rig::new();
    rig.downloads.extend([Fetched::Corrupt; 40]);
    rig.for_hours(5);
    assert_eq!(rig.refusals(), ["hash"]);
    let fetches = rig
        .acted
        .iter()
        .filter(|action| matches!(action, Action::Fetch(_)));
    // Three, and three more when the server had taken note and still ordered the same.
    assert_eq!(fetches.count(), 6);
}

#[test]
fn what_has_no_hash_is_not_run() {
    let mut rig = Rig::new();
    for package in &mut rig.server.sequence.variants[0].packages {
        package.sha256 = None;
    }
    rig.server.manifest = support::manifest(rig.server.sequence.clone(), 5);
    rig.for_hours(2);
    assert_eq!(rig.refusals(), ["hash"]);
}
