//! Passing a gate that did not pass.

use super::*;

#[test]
fn a_rejected_override_changes_nothing_else() {
    let mut lab = Lab::started();
    let _ = lab
        .act(Input::RequestOverride {
            by: ADMIN,
            reason: "hurry".to_owned(),
        })
        .unwrap();
    assert_eq!(
        lab.act(Input::RequestOverride {
            by: ADMIN,
            reason: "hurry".to_owned()
        })
        .unwrap_err()
        .code,
        "state"
    );
    let request = lab.open_request().unwrap().id;
    let _ = lab
        .act(Input::Reject {
            by: ANN,
            request,
            reason: "no hurry".to_owned(),
        })
        .unwrap();
    assert_eq!(lab.snapshot.rollout.state, RolloutState::Active);
    assert!(lab.is_open(0));
}

#[test]
fn an_override_is_asked_for_by_an_admin_where_a_gate_does_not_pass() {
    let ask = |by| Input::RequestOverride {
        by,
        reason: "because".to_owned(),
    };
    assert_eq!(Lab::started().act(ask(ANN)).unwrap_err().code, "role");
    assert_eq!(
        limited().act(ask(ADMIN)).unwrap_err().code,
        "state",
        "no ring is open"
    );
    let mut halting = Lab::started();
    halting.fail(0, 3);
    assert_eq!(halting.act(ask(ADMIN)).unwrap_err().code, "halt");
}

#[test]
fn an_override_that_is_no_longer_needed_is_void() {
    let mut lab = Lab::started();
    let _ = lab
        .act(Input::RequestOverride {
            by: ADMIN,
            reason: "hurry".to_owned(),
        })
        .unwrap();
    let request = lab.open_request().unwrap().id;
    lab.succeed(0, 5);
    lab.settle();
    lab.wait(24);
    lab.settle();
    assert_eq!(
        lab.request(request).state,
        RequestState::Void {
            reason: VoidReason::NotNeeded
        }
    );
    assert!(matches!(
        lab.state(0),
        StageState::Passed {
            overridden: false,
            ..
        }
    ));
}

#[test]
fn an_override_covers_what_was_seen_and_no_failure_more() {
    let mut lab = Lab::started();
    lab.succeed(0, 4).fail(0, 1);
    lab.settle();
    let _ = lab
        .act(Input::RequestOverride {
            by: ADMIN,
            reason: "known bad disk".to_owned(),
        })
        .unwrap();
    lab.regress(0, 1);
    lab.snapshot.evidence.all.started += 20;
    assert_eq!(lab.approve(ANN).unwrap_err().code, "void");
    assert_eq!(lab.settle(), ["request_void"]);
}

#[test]
fn an_override_covers_neither_an_unusable_nor_a_silent_device_more_nor_one_out_of_order() {
    let worse: [fn(&mut engine::evidence::Counts); 4] = [
        |c| c.failed += 1,
        |c| c.severe += 1,
        |c| c.silent += 1,
        |c| c.drift += 1,
    ];
    for (which, more) in worse.into_iter().enumerate() {
        let mut lab = Lab::started();
        lab.succeed(0, 4).fail(0, 1);
        lab.settle();
        let reason = "known bad disk".to_owned();
        let _ = lab
            .act(Input::RequestOverride { by: ADMIN, reason })
            .unwrap();
        assert!(lab.settle().is_empty(), "{which}: as it was");
        lab.snapshot.evidence.all.started += 400;
        more(&mut lab.snapshot.evidence.all);
        assert_eq!(lab.settle(), ["request_void"], "{which}");
    }
}

#[test]
fn the_pass_itself_ends_the_override_of_its_ring_and_no_other_request() {
    let mut lab = Lab::started();
    let reason = || "hurry".to_owned();
    let (by, why) = (ADMIN, reason());
    let _ = lab.act(Input::RequestOverride { by, reason: why }).unwrap();
    let overriding = lab.open_request().unwrap().id;
    let (by, why) = (AUTHOR, reason());
    let _ = lab.act(Input::RequestExpedite { by, reason: why }).unwrap();
    let expediting = lab.snapshot.requests.last().unwrap().id;
    lab.succeed(0, 5);
    lab.settle();
    lab.wait(24);
    let decision = lab.tick();
    assert_eq!(decision.event.unwrap().code, "stage_passed");
    let reason = VoidReason::NotNeeded;
    let ended = engine::decide::RequestChange::Voided {
        request: overriding,
        reason,
    };
    assert_eq!(decision.requests, [ended]);
    assert!(lab.request(expediting).is_open());
}
