//! Permits and steps, strictly in order.

use super::*;

#[test]
fn a_permit_that_lapsed_is_followed_by_the_next_and_counts_once() {
    let mut device = Device::permitted(2);
    device.permit(2).unwrap();
    assert_eq!(device.now.permit_no, 2);
    assert_eq!(device.counts.started, 1);
    // Whoever still starts under the old one is not believed.
    device.say(Report::StepStarted {
        permit_no: 1,
        step: 1,
    });
    assert_eq!(device.now.state, State::Permitted);
    device.say(Report::StepStarted {
        permit_no: 2,
        step: 1,
    });
    assert_eq!(device.now.state, State::Installing { step: 1 });
    assert_eq!(device.permit(2), Err(PermitRefused::Began));
    assert_eq!(Device::succeeded().permit(2), Err(PermitRefused::Ended));
    assert_eq!(Device::offered().permit(2), Err(PermitRefused::NotReady));
    assert_eq!(
        Device::permitted(1).permit(0),
        Err(PermitRefused::EmptyPlan)
    );
}

#[test]
fn invariant_03_no_step_runs_before_the_one_before_is_done_and_restarted() {
    let mut device = Device::permitted(3);
    device.say(Report::StepStarted {
        permit_no: 1,
        step: 2,
    });
    assert_eq!(
        (device.now.state, device.counts.drift),
        (State::Permitted, 1)
    );

    let mut device = Device::permitted(3);
    device.step(1, 1, true).say(Report::StepStarted {
        permit_no: 1,
        step: 2,
    });
    assert_eq!(
        device.now.state,
        State::Restarting { step: 1 },
        "not before the restart"
    );
    device.say(Report::StepStarted {
        permit_no: 1,
        step: 3,
    });
    assert_eq!(device.counts.drift, 1, "drift counts once");

    let mut device = Device::permitted(2);
    device.say(Report::StepDone {
        step: 1,
        restart_needed: false,
    });
    assert_eq!(
        (device.now.state, device.counts.drift),
        (State::Permitted, 1),
        "done without a start"
    );

    let mut device = Device::permitted(2);
    device
        .step(1, 1, false)
        .step(1, 2, false)
        .say(Report::StepStarted {
            permit_no: 1,
            step: 3,
        });
    assert_eq!(
        (device.now.state, device.counts.drift),
        (State::Verifying, 1),
        "a step too many"
    );
}

#[test]
fn steps_without_a_permit_are_drift_and_never_a_start() {
    let claims = [
        Report::StepStarted {
            permit_no: 1,
            step: 1,
        },
        Report::StepDone {
            step: 1,
            restart_needed: true,
        },
        Report::Failed {
            code: CODE,
            step: 1,
        },
        Report::RolledBack { code: CODE },
    ];
    for claim in claims {
        let mut device = Device::offered();
        device.say(Report::DownloadDone).say(claim).say(claim);
        assert_eq!(device.now.state, State::Ready, "{claim:?}");
        assert_eq!(
            device.counts,
            Counts {
                drift: 1,
                ..Counts::default()
            },
            "{claim:?}"
        );
    }
}

#[test]
fn an_exit_code_is_never_the_verdict() {
    let mut device = Device::permitted(1);
    device.step(1, 1, true);
    assert_eq!(device.now.state, State::Restarting { step: 1 });
    device.say(Report::Restarted);
    assert_eq!((device.now.state, device.counts.ok), (State::Verifying, 0));
}

#[test]
fn a_step_that_says_once_more_that_it_began_is_no_drift() {
    let began = |step| Report::StepStarted { permit_no: 1, step };
    let mut device = Device::permitted(3);
    device.say(began(1)).say(began(1));
    assert_eq!(device.now.state, State::Installing { step: 1 });
    device.step(1, 1, false).say(began(1));
    assert_eq!(device.now.state, State::StepDone { step: 1 });
    device.step(1, 2, true).say(began(1)).say(began(2));
    assert_eq!(device.now.state, State::Restarting { step: 2 });
    device.say(Report::Restarted).say(began(1)).say(began(2));
    assert_eq!(device.now.state, State::StepDone { step: 2 });
    assert_eq!(device.counts.drift, 0);
    // One that is not its turn yet is.
    let mut hasty = Device::permitted(3);
    hasty.say(began(2));
    assert_eq!(hasty.counts.drift, 1);
}

#[test]
fn a_step_that_says_once_more_that_it_is_done_is_no_drift_and_one_that_did_not_run_is() {
    let done = |step| Report::StepDone {
        step,
        restart_needed: false,
    };
    let mut device = Device::permitted(3);
    device.step(1, 1, false).say(done(1));
    device.step(1, 2, true).say(done(1)).say(done(2));
    assert_eq!(device.now.state, State::Restarting { step: 2 });
    device.say(Report::Restarted).say(done(2));
    assert_eq!(device.now.state, State::StepDone { step: 2 });
    assert_eq!(device.counts.drift, 0);
    let mut other = Device::permitted(3);
    other
        .say(Report::StepStarted {
            permit_no: 1,
            step: 1,
        })
        .say(done(2));
    assert_eq!(other.now.state, State::Installing { step: 1 });
    assert_eq!(other.counts.drift, 1);
}
