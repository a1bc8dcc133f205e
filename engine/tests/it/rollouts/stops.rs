//! Pause, halt, cancel: what stops stays stopped.

use super::*;

#[test]
fn invariant_05_a_stopped_rollout_permits_nothing() {
    let stops = [
        Input::Pause {
            by: VIEWER,
            reason: reason(),
        },
        Input::Halt {
            by: VIEWER,
            reason: reason(),
        },
        Input::Cancel {
            by: AUTHOR,
            reason: reason(),
        },
        Input::Supersede {
            newer: RolloutId(Uuid::from_u128(99)),
        },
    ];
    for stop in stops {
        let mut lab = Lab::started();
        assert!(may_permit(&lab.snapshot.rollout.state, lab.state(0)).is_ok());
        let _ = lab.act(stop.clone()).unwrap();
        assert!(
            may_permit(&lab.snapshot.rollout.state, lab.state(0)).is_err(),
            "{stop:?}"
        );
        lab.succeed(0, 5);
        lab.wait(24 * 30);
        assert!(lab.settle().is_empty(), "{stop:?}");
        assert!(!lab.why().is_empty());
    }
    let mut lab = Lab::started();
    lab.snapshot.withdrawn = Some("breaks sign-in".to_owned());
    assert_eq!(lab.settle(), ["withdrawn"]);
    assert!(may_permit(&lab.snapshot.rollout.state, lab.state(0)).is_err());
    assert_eq!(
        lab.why(),
        "withdrawn: The sequence was withdrawn: breaks sign-in."
    );
}

#[test]
fn every_stop_and_every_restart_needs_a_reason() {
    let blank = || " \t ".to_owned();
    for input in [
        Input::Pause {
            by: ADMIN,
            reason: blank(),
        },
        Input::Halt {
            by: ADMIN,
            reason: blank(),
        },
        Input::Cancel {
            by: ADMIN,
            reason: blank(),
        },
        Input::RequestOverride {
            by: ADMIN,
            reason: blank(),
        },
        Input::Resume {
            by: ADMIN,
            reason: blank(),
        },
        Input::ClearHalt {
            by: ADMIN,
            reason: blank(),
        },
    ] {
        assert_eq!(Lab::started().act(input).unwrap_err().code, "reason");
    }
}

#[test]
fn a_pause_is_taken_back_and_loses_nothing() {
    let mut lab = Lab::started();
    lab.succeed(0, 5);
    lab.settle();
    let _ = lab
        .act(Input::Pause {
            by: ANN,
            reason: "month end".to_owned(),
        })
        .unwrap();
    assert_eq!(
        lab.why(),
        "paused: Paused: month end. Devices in flight end, nothing new starts."
    );
    assert_eq!(
        lab.act(Input::Pause {
            by: ANN,
            reason: reason()
        })
        .unwrap_err()
        .code,
        "state"
    );
    assert_eq!(
        lab.act(Input::Resume {
            by: VIEWER,
            reason: reason()
        })
        .unwrap_err()
        .code,
        "role"
    );
    let _ = lab
        .act(Input::Resume {
            by: ANN,
            reason: reason(),
        })
        .unwrap();
    assert!(matches!(lab.state(0), StageState::Soaking { .. }));
}

#[test]
fn two_failures_of_the_first_two_halt_the_rollout() {
    let mut lab = Lab::started();
    lab.fail(0, 2);
    assert_eq!(lab.settle(), ["halted"]);
    let RolloutState::Halted {
        reason: HaltReason::Evidence { cause },
        ..
    } = &lab.snapshot.rollout.state
    else {
        panic!()
    };
    assert_eq!((cause.failures, cause.started), (2, 2));
    assert_eq!(
        lab.why(),
        "halted: Halted by its evidence: 2 failures among 2 devices. An admin with a reason can clear it."
    );
}

#[test]
fn invariant_19_a_halt_is_sticky() {
    let mut lab = Lab::started();
    lab.fail(0, 2);
    lab.settle();
    // Not time, not better evidence, and not a resume.
    lab.wait(24 * 30);
    lab.succeed(0, 3);
    assert!(lab.settle().is_empty());
    assert_eq!(
        lab.act(Input::Resume {
            by: ADMIN,
            reason: reason()
        })
        .unwrap_err()
        .code,
        "state"
    );
    assert_eq!(
        lab.act(Input::ClearHalt {
            by: ANN,
            reason: reason()
        })
        .unwrap_err()
        .code,
        "role"
    );
    assert_eq!(
        lab.act(Input::ClearHalt {
            by: ADMIN,
            reason: " ".into()
        })
        .unwrap_err()
        .code,
        "reason"
    );
    lab.snapshot.people.get_mut(&ADMIN).unwrap().enabled = false;
    assert_eq!(
        lab.act(Input::ClearHalt {
            by: ADMIN,
            reason: reason()
        })
        .unwrap_err()
        .code,
        "role"
    );
    lab.snapshot.people.get_mut(&ADMIN).unwrap().enabled = true;
    assert_eq!(
        code(
            &lab.act(Input::ClearHalt {
                by: ADMIN,
                reason: reason()
            })
            .unwrap()
        ),
        "halt_cleared"
    );
    assert_eq!(lab.snapshot.rollout.state, RolloutState::Active);
    assert!(
        lab.settle().is_empty() || lab.snapshot.rollout.state == RolloutState::Active,
        "the same evidence was seen"
    );
    lab.fail(0, 1);
    assert_eq!(lab.settle(), ["halted"], "one more was not");
}

#[test]
fn a_cleared_halt_covers_everything_that_was_seen_then() {
    let mut lab = Lab::started();
    lab.fail(0, 2);
    lab.snapshot.evidence.all.severe = 2;
    lab.settle();
    let _ = lab
        .act(Input::ClearHalt {
            by: ADMIN,
            reason: reason(),
        })
        .unwrap();
    assert_eq!(lab.snapshot.rollout.cleared.len(), 2);
    lab.settle();
    assert_eq!(lab.snapshot.rollout.state, RolloutState::Active);
}

#[test]
fn what_is_over_stays_over() {
    let mut lab = Lab::started();
    let _ = lab
        .act(Input::Cancel {
            by: AUTHOR,
            reason: reason(),
        })
        .unwrap();
    lab.fail(0, 5);
    lab.snapshot.withdrawn = Some("late".to_owned());
    assert!(lab.settle().is_empty());
    for input in [
        Input::Submit {
            by: AUTHOR,
            not_before: None,
        },
        Input::Resume {
            by: ADMIN,
            reason: reason(),
        },
        Input::ClearHalt {
            by: ADMIN,
            reason: reason(),
        },
        Input::Halt {
            by: ADMIN,
            reason: reason(),
        },
        Input::Cancel {
            by: ADMIN,
            reason: reason(),
        },
        Input::Supersede {
            newer: RolloutId(Uuid::from_u128(99)),
        },
        Input::RequestOverride {
            by: ADMIN,
            reason: reason(),
        },
    ] {
        assert_eq!(
            lab.act(input.clone()).unwrap_err().code,
            "state",
            "{input:?}"
        );
    }
}
