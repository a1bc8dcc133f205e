//! Reports at the edges of what is believed, each shown by a mutation that nothing else noticed.

use super::*;
use engine::assignment::Powered;

#[test]
fn a_device_that_was_lost_and_gets_its_next_permit_is_not_suspected_any_more() {
    let mut device = Device::permitted(1);
    device.say(Report::Lost);
    assert_eq!(device.now.suspicion, Some(Suspicion::Lost));
    device.permit(1).unwrap();
    assert_eq!(device.now.suspicion, None);
}

#[test]
fn what_runs_and_what_is_repaired_is_watched_and_nothing_else() {
    let step = 1;
    let code = CODE;
    for state in [
        State::Permitted,
        State::Installing { step },
        State::StepDone { step },
        State::Restarting { step },
        State::Verifying,
        State::Remediating { code, step },
    ] {
        assert!(state.is_watched(), "{state:?}");
    }
    for state in [
        State::Downloading,
        State::Ready,
        State::RestartAgreed,
        State::Succeeded,
        State::Failed {
            code: Some(code),
            step,
        },
        State::NotApplicable,
    ] {
        assert!(!state.is_watched(), "{state:?}");
    }
}

#[test]
fn no_time_has_passed_since_what_was_said_last() {
    let powered = Powered::between(500, 400, 500, at("2026-04-07T08:00:00Z"));
    assert_eq!((powered.since_permit_s, powered.since_progress_s), (0, 100));
}

#[test]
fn a_step_that_is_said_to_be_done_by_a_device_that_never_had_a_permit_is_drift() {
    let mut device = Device::offered();
    device.say(Report::NotApplicable).say(Report::StepDone {
        step: 1,
        restart_needed: false,
    });
    assert!(device.now.drift);
    // And so is one of a device that prepares for another try, whatever number it gives.
    let mut device = Device::installing();
    device
        .say(Report::Failed {
            code: CODE,
            step: 1,
        })
        .say(Report::RepairStarted)
        .say(Report::RepairDone { ok: true })
        .say(Report::StepDone {
            step: 0,
            restart_needed: false,
        });
    assert!(device.now.drift);
}

#[test]
fn a_success_that_is_read_again_stays_one_as_long_as_the_build_is_not_lower() {
    for (again, ok) in [
        ("26100.8117", 1),
        ("26100.9000", 1),
        ("26200.8117", 1),
        ("26100.8116", 0),
        ("22631.9000", 0),
    ] {
        let mut device = Device::succeeded();
        device.verified(again);
        assert_eq!(device.counts.ok, ok, "{again}");
        assert_eq!(device.now.state, State::Succeeded);
    }
}

#[test]
fn a_download_that_failed_is_no_step_and_a_step_that_failed_without_a_permit_is_drift() {
    for (step, drift) in [(0, false), (1, true)] {
        let mut device = Device::offered();
        device.say(Report::Failed { code: CODE, step });
        assert_eq!(device.now.drift, drift, "step {step}");
        assert_eq!(device.now.state, State::Downloading);
    }
}

#[test]
fn what_windows_takes_back_in_the_middle_is_a_failure_and_before_a_permit_drift() {
    let mut device = Device::installing();
    device.say(Report::RolledBack { code: CODE });
    assert_eq!(device.now.state, State::RolledBack { code: CODE });
    assert_eq!((device.counts.failed, device.counts.drift), (1, 0));
    let mut device = Device::offered();
    device.say(Report::RolledBack { code: CODE });
    assert_eq!(device.now.state, State::Downloading);
    assert!(device.now.drift);
}

#[test]
fn a_machine_that_became_unusable_after_it_turned_out_to_need_nothing_is_severe_and_no_failed_installation()
 {
    let mut device = Device::permitted(1);
    device.say(Report::NotApplicable).say(Report::Unusable);
    assert_eq!(device.now.state, State::NotApplicable);
    assert_eq!((device.counts.severe, device.counts.failed), (1, 0));
}

#[test]
fn a_machine_that_became_unusable_between_two_steps_failed_after_the_one_that_was_done() {
    let mut device = Device::permitted(3);
    device.step(1, 1, false).step(1, 2, false);
    assert_eq!(device.now.state, State::StepDone { step: 2 });
    device.say(Report::Unusable);
    assert_eq!(
        device.now.state,
        State::Failed {
            code: None,
            step: 2
        }
    );
}
