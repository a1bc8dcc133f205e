//! Outcomes, what comes after them, and what they count for.

use super::*;

#[test]
fn invariant_10_outcomes_never_regress() {
    let late = [
        Report::DownloadProgress,
        Report::RestartAgreed,
        Report::StepStarted {
            permit_no: 1,
            step: 1,
        },
        Report::StepDone {
            step: 1,
            restart_needed: true,
        },
        Report::Restarted,
        Report::Verified {
            build: expected(),
            packages_installed: true,
        },
        Report::Failed {
            code: CODE,
            step: 1,
        },
        Report::RolledBack { code: CODE },
        Report::Unusable,
        Report::NotApplicable,
        Report::Overdue,
        Report::HangSuspected,
        Report::Lost,
    ];
    let failed = || {
        let mut device = Device::permitted(2);
        device.say(Report::Failed {
            code: CODE,
            step: 1,
        });
        device
    };
    let elsewhere = || {
        let mut device = Device::verifying();
        device.verified("26100.9000");
        device
    };
    let ends: [fn() -> Device; 3] = [Device::succeeded, failed, elsewhere];
    for end in ends {
        for report in late {
            let mut device = end();
            let state = device.now.state;
            assert!(state.is_outcome());
            device.say(report);
            assert_eq!(device.now.state, state, "{state:?}, then {report:?}");
        }
    }
}

#[test]
fn verification_tells_success_from_failure_and_from_somebody_elses_work() {
    let verified = |on: &str, packages_installed| {
        let mut device = Device::verifying();
        device.say(Report::Verified {
            build: build(on),
            packages_installed,
        });
        device
    };
    let failed = State::Failed {
        code: None,
        step: 2,
    };
    assert_eq!(
        verified("26100.8117", false).now.state,
        failed,
        "packages are missing"
    );
    assert_eq!(
        verified("26100.8000", true).now.state,
        failed,
        "the old build"
    );
    assert_eq!(
        verified("26200.8117", true).now.state,
        failed,
        "another base"
    );
    let elsewhere = verified("26100.9000", true);
    assert_eq!(elsewhere.now.state, State::InstalledElsewhere);
    assert_eq!(
        elsewhere.counts,
        Counts {
            started: 1,
            resolved: 1,
            ..Counts::default()
        },
        "no success of ours"
    );

    let mut device = Device::permitted(2);
    device.verified("26100.8117");
    assert_eq!(
        device.now.state,
        State::InstalledElsewhere,
        "nothing of ours had begun"
    );
    for (on, packages_installed) in [("26100.8117", false), ("26100.8000", true)] {
        let mut device = Device::permitted(2);
        device.say(Report::Verified {
            build: build(on),
            packages_installed,
        });
        assert_eq!(device.now.state, State::Permitted, "{on}: nobody did it");
    }
    let mut device = Device::permitted(2);
    device.step(1, 1, true).verified("26100.8000");
    assert_eq!(
        device.now.state,
        State::Restarting { step: 1 },
        "a reading before the restart proves nothing"
    );
}

#[test]
fn a_device_that_gets_worse_in_the_soak_is_evidence_once() {
    for worse in [
        Report::RolledBack { code: CODE },
        Report::Verified {
            build: build("26100.8000"),
            packages_installed: false,
        },
        Report::Unusable,
    ] {
        let mut device = Device::succeeded();
        device.say(worse);
        assert!(device.now.regressed(), "{worse:?}");
        device.say(worse).say(Report::RolledBack { code: CODE });
        assert!(device.now.regressed(), "{worse:?}");
        assert_eq!(device.now.state, State::Succeeded);
        let severe = u64::from(worse == Report::Unusable);
        let counts = Counts {
            started: 1,
            failed: 1,
            resolved: 1,
            severe,
            ..Counts::default()
        };
        assert_eq!(device.counts, counts, "{worse:?}");
        // And stays so: good news after that is no second success.
        device.verified("26100.8117");
        assert_eq!(device.counts, counts);
    }
}

#[test]
fn a_device_that_hung_succeeded_and_got_worse_is_taken_back_once() {
    let mut device = Device::permitted(1);
    device
        .say(Report::HangSuspected)
        .step(1, 1, false)
        .verified("26100.8117");
    assert!(!device.now.regressed());
    device
        .say(Report::RolledBack { code: CODE })
        .say(Report::RolledBack { code: CODE });
    assert_eq!(
        device.counts,
        Counts {
            started: 1,
            failed: 1,
            resolved: 1,
            ..Counts::default()
        }
    );
}

#[test]
fn a_boot_loop_is_severe_and_ends_the_device() {
    let mut device = Device::permitted(2);
    device
        .step(1, 1, true)
        .say(Report::Unusable)
        .say(Report::Unusable);
    assert_eq!(
        device.now.state,
        State::Failed {
            code: None,
            step: 1
        }
    );
    assert_eq!(
        device.counts,
        Counts {
            started: 1,
            failed: 1,
            severe: 1,
            resolved: 1,
            ..Counts::default()
        }
    );
    assert_eq!(
        Device::offered().say(Report::Unusable).counts,
        Counts::default(),
        "not ours"
    );
}

#[test]
fn not_applicable_counts_for_nothing_before_the_permit_and_stays_in_the_denominator_after_it() {
    let mut device = Device::offered();
    device.say(Report::NotApplicable);
    assert_eq!(
        (device.now.state, device.counts),
        (State::NotApplicable, Counts::default())
    );
    let mut device = Device::permitted(1);
    device.say(Report::NotApplicable);
    assert_eq!(
        device.counts,
        Counts {
            started: 1,
            resolved: 1,
            ..Counts::default()
        }
    );
}

#[test]
fn an_update_that_is_removed_by_order_was_a_success() {
    let well = Counts {
        started: 1,
        ok: 1,
        resolved: 1,
        ..Counts::default()
    };
    let mut device = Device::succeeded();
    device.say(Report::RolledBack { code: HResult(0) });
    assert_eq!((device.now.state, device.counts), (State::Removed, well));
    // What is on an older build from here on is meant to be.
    device
        .verified("26100.8000")
        .say(Report::RolledBack { code: CODE });
    assert_eq!((device.now.state, device.counts), (State::Removed, well));
    assert!(!device.now.regressed());
}

#[test]
fn a_device_that_lost_what_it_had_prepared_prepares_anew() {
    let mut device = Device::offered();
    device
        .say(Report::DownloadDone)
        .say(Report::RestartAgreed)
        .say(Report::Refused);
    assert_eq!(device.now.state, State::Downloading);
    assert_eq!(device.counts, Counts::default());
}

#[test]
fn a_removal_that_fails_or_is_refused_ends_it() {
    let removal = Report::Failed {
        code: CODE,
        step: 0,
    };
    for (report, code) in [(removal, Some(CODE)), (Report::Refused, None)] {
        let mut device = Device::succeeded();
        device.say(report).say(report);
        assert_eq!(device.now.state, State::NotRemoved { code });
        assert_eq!((device.counts.ok, device.counts.failed), (1, 0));
    }
    let mut running = Device::installing();
    running.say(Report::Refused);
    assert_eq!(running.now.state, State::Installing { step: 1 });
}
