//! Requests to open a stage.

mod expedite;
mod eyes;
mod overrides;
mod review;
mod voids;

use crate::lab::{ADMIN, ANN, AUTHOR, BOB, Lab, VIEWER};
use chrono::Duration;
use engine::approval::{Frozen, RequestState, VoidReason, request_id};
use engine::decide::{Input, Person, Snapshot};
use engine::gate::Verdict;
use engine::ids::{PersonId, StageId};
use engine::policy::Percent;
use engine::rollout::RolloutState;
use engine::stage::StageState;
use servicing::Sha256;
use uuid::Uuid;

const STRANGER: PersonId = PersonId(Uuid::from_u128(66));

/// Limited waits for its one approval.
fn limited() -> Lab {
    Lab::with_passed(2)
}

/// Broad waits for its two approvals.
fn broad() -> Lab {
    Lab::with_passed(3)
}

fn person(lab: &mut Lab, id: PersonId) -> &mut Person {
    lab.snapshot.people.get_mut(&id).unwrap()
}

/// Nobody but the author and one admin may approve anything.
fn alone(lab: &mut Lab) {
    for id in [ANN, BOB, AUTHOR] {
        person(lab, id).approver = false;
    }
}

#[test]
fn one_yes_opens_the_limited_ring() {
    let mut lab = limited();
    let decision = lab.approve(ANN).unwrap();
    assert_eq!(decision.event.unwrap().code, "stage_opened");
    assert!(lab.is_open(2));
}

#[test]
fn a_request_expires_after_seven_days_and_is_asked_anew() {
    let mut lab = limited();
    let first = lab.open_request().unwrap().id;
    lab.wait(24 * 7 - 1);
    assert!(lab.settle().is_empty());
    lab.wait(1);
    assert_eq!(lab.approve(ANN).unwrap_err().code, "expired");
    assert_eq!(lab.settle(), ["request_expired", "approval_requested"]);
    assert_eq!(lab.request(first).state, RequestState::Expired);
    assert_ne!(lab.open_request().unwrap().id, first);
}

#[test]
fn a_no_pauses_the_rollout_until_a_person_resumes_it() {
    let mut lab = limited();
    let request = lab.open_request().unwrap().id;
    let reject = |by, reason: &str| Input::Reject {
        by,
        request,
        reason: reason.to_owned(),
    };
    assert_eq!(lab.act(reject(ANN, " ")).unwrap_err().code, "reason");
    assert_eq!(lab.act(reject(VIEWER, "no")).unwrap_err().code, "role");
    let _ = lab.act(reject(ANN, "helpdesk is short of people")).unwrap();
    assert!(matches!(
        lab.request(request).state,
        RequestState::Rejected { by: ANN, .. }
    ));
    assert_eq!(*lab.state(2), StageState::Waiting);
    lab.wait(24);
    assert!(lab.settle().is_empty());
    assert_eq!(
        lab.why(),
        "paused: Paused: Rejected: helpdesk is short of people. Devices in flight end, nothing new starts."
    );
    let _ = lab
        .act(Input::Resume {
            by: AUTHOR,
            reason: "they are back".to_owned(),
        })
        .unwrap();
    assert_eq!(lab.settle(), ["approval_requested"]);
}

#[test]
fn a_known_issue_that_came_up_meanwhile_stands_against_the_last_yes() {
    let mut lab = limited();
    lab.hold(2, "BitLocker recovery", 1);
    assert_eq!(lab.approve(ANN).unwrap_err().code, "blocked");
    lab.snapshot.stages[2].held.clear();
    assert!(lab.approve(ANN).is_ok());
}

#[test]
fn a_request_that_vanished_is_asked_for_again() {
    let mut lab = limited();
    lab.snapshot.requests.clear();
    assert_eq!(lab.settle(), ["request_missing", "approval_requested"]);
}

#[test]
fn the_same_decision_opens_the_same_request_and_another_one_another() {
    let lab = limited();
    let rollout = lab.snapshot.rollout.id;
    let id = |stage: u128, version| request_id(rollout, StageId(Uuid::from_u128(stage)), version);
    assert_eq!(id(1, 1), id(1, 1));
    assert_ne!(id(1, 1), id(1, 2));
    assert_ne!(id(1, 1), id(2, 1));
    assert_eq!(id(1, 1).0.get_version_num(), 8);
}

#[test]
fn an_expedited_rollout_waits_for_two_people_before_its_first_device() {
    let mut lab = Lab::of(
        engine::policy::Preset::Expedited,
        &[("Test", 3), ("Broad", 40)],
    );
    lab.submit();
    assert_eq!(lab.settle(), ["approval_requested"]);
    assert!(lab.open_request().unwrap().frozen.gate.is_none());
    lab.wait(1);
    let _ = lab.approve(ANN).unwrap();
    assert!(!lab.is_open(0));
    let _ = lab.approve(BOB).unwrap();
    assert!(lab.is_open(0));
    lab.succeed(0, 3);
    lab.settle();
    lab.snapshot.service_now += Duration::hours(4);
    assert_eq!(lab.settle(), ["stage_passed", "stage_opened"]);
}

#[test]
fn a_yes_opens_the_ring_that_waits_for_that_very_request() {
    let mut lab = limited();
    let mut stray = lab.open_request().unwrap().clone();
    stray.id = engine::ids::RequestId(Uuid::from_u128(9));
    let (request, hash) = (stray.id, stray.hash);
    lab.snapshot.requests.push(stray);
    let by = ANN;
    let refused = lab.act(Input::Approve { by, request, hash }).unwrap_err();
    assert_eq!(refused.code, "state");
    assert!(!lab.is_open(2));
}

#[test]
fn a_yes_overrides_the_gate_of_the_ring_that_it_is_about() {
    let mut lab = Lab::started();
    let reason = "hurry".to_owned();
    let _ = lab
        .act(Input::RequestOverride { by: ADMIN, reason })
        .unwrap();
    // As if the ring had gone on to another one in between.
    let other = lab.snapshot.stages[1].clone();
    let request = lab.snapshot.requests.last_mut().unwrap();
    request.stage = other.id;
    request.frozen.policy = other.policy;
    request.frozen.targeted = other.targeted;
    request.frozen.gate = None;
    request.hash = request.frozen.hash();
    let gate = lab.gate(1);
    let request = lab.snapshot.requests.last_mut().unwrap();
    request.frozen.gate = Some(gate);
    request.hash = request.frozen.hash();
    assert_eq!(lab.approve(ANN).unwrap_err().code, "state");
    assert!(lab.is_open(0));
}
