//! Two people agree that what is left of a rollout soaks and waits less.

use super::*;
use engine::approval::Ask;
use engine::decide::Decision;
use engine::policy::EXPEDITED_RESTART;

fn ask(by: PersonId) -> Input {
    Input::RequestExpedite {
        by,
        reason: "it is exploited".to_owned(),
    }
}

/// Its request is the last that was opened.
fn say_yes(lab: &mut Lab, by: PersonId) -> Result<Decision, engine::Refused> {
    let of = |r: &&engine::approval::Request| matches!(r.ask, Ask::Expedite { .. });
    let request = lab.snapshot.requests.iter().rfind(of).unwrap();
    let (request, hash) = (request.id, request.hash);
    lab.act(Input::Approve { by, request, hash })
}

fn expedited(mut lab: Lab) -> Lab {
    let _ = lab.act(ask(AUTHOR)).unwrap();
    let _ = say_yes(&mut lab, ANN).unwrap();
    let _ = say_yes(&mut lab, BOB).unwrap();
    lab
}

#[test]
fn a_ring_that_has_soaked_for_half_a_day_passes_and_the_next_one_opens() {
    let mut lab = Lab::started();
    lab.succeed(0, 5);
    lab.settle();
    lab.wait(12);
    assert!(lab.settle().is_empty());
    let _ = lab.act(ask(AUTHOR)).unwrap();
    assert!(
        lab.why()
            .contains("It is expedited with 2 approvals, 0 given so far.")
    );
    let _ = say_yes(&mut lab, ANN).unwrap();
    assert!(lab.settle().is_empty(), "one is not enough");
    let decision = say_yes(&mut lab, BOB).unwrap();
    let event = decision.event.unwrap();
    assert_eq!(event.code, "expedited");
    assert_eq!(
        event.sentence,
        "Expedited, by 2 approvals: it is exploited."
    );
    assert_eq!(decision.policies.len(), 4);
    assert_eq!(lab.settle(), ["stage_passed", "stage_opened"]);
    let now = lab.snapshot.service_now;
    for stage in &lab.snapshot.stages {
        assert_eq!((stage.policy.soak_hours, stage.policy.approvals), (4, 0));
        assert_eq!(
            stage.policy.restart.deadline_hours,
            EXPEDITED_RESTART.deadline_hours
        );
        assert_eq!(stage.policy.restart.set_at, Some(now));
    }
}

#[test]
fn a_ring_that_waits_for_its_own_approval_opens_by_that_of_expediting() {
    let mut lab = broad();
    let open = lab.open_request().unwrap().id;
    let _ = lab.approve(ANN).unwrap();
    lab = expedited(lab);
    assert_eq!(lab.settle(), ["request_void", "stage_opened"]);
    assert_eq!(
        lab.request(open).state,
        RequestState::Void {
            reason: VoidReason::PolicyChanged
        }
    );
    assert!(lab.is_open(3));
    // Rings that had passed are what they were.
    assert!(
        lab.snapshot.stages[..3]
            .iter()
            .all(|s| s.policy.soak_hours > 4)
    );
}

#[test]
fn who_asks_or_wrote_it_is_none_of_the_two() {
    let mut lab = Lab::started();
    assert_eq!(lab.act(ask(VIEWER)).unwrap_err().code, "role");
    let _ = lab.act(ask(ANN)).unwrap();
    assert_eq!(say_yes(&mut lab, ANN).unwrap_err().code, "four_eyes");
    assert_eq!(say_yes(&mut lab, AUTHOR).unwrap_err().code, "four_eyes");
    assert_eq!(say_yes(&mut lab, VIEWER).unwrap_err().code, "role");
    let _ = say_yes(&mut lab, BOB).unwrap();
    let _ = say_yes(&mut lab, ADMIN).unwrap();
    assert_eq!(lab.snapshot.stages[0].policy.soak_hours, 4);
}

#[test]
fn it_is_asked_for_once_and_where_something_gets_shorter() {
    let mut lab = Lab::started();
    let _ = lab.act(ask(AUTHOR)).unwrap();
    assert_eq!(
        lab.act(ask(ANN)).unwrap_err().sentence,
        "That is asked for already."
    );
    let mut lab = expedited(Lab::started());
    let again = lab.act(ask(ANN)).unwrap_err();
    assert_eq!(
        again.sentence,
        "Nothing that is left of it would take less time."
    );
    let mut paused = Lab::started();
    let _ = paused.act(Input::Pause {
        by: AUTHOR,
        reason: "lunch".to_owned(),
    });
    assert_eq!(paused.act(ask(AUTHOR)).unwrap_err().code, "state");
}

#[test]
fn a_no_changes_nothing_else() {
    let mut lab = Lab::started();
    let before = lab.snapshot.stages.clone();
    let _ = lab.act(ask(AUTHOR)).unwrap();
    let request = lab.open_request().unwrap().id;
    let reason = "no hurry".to_owned();
    let decision = lab
        .act(Input::Reject {
            by: ANN,
            request,
            reason,
        })
        .unwrap();
    assert_eq!(
        decision.event.unwrap().sentence,
        "Expediting it was rejected: no hurry."
    );
    assert_eq!(lab.snapshot.rollout.state, RolloutState::Active);
    assert_eq!(lab.snapshot.stages, before);
}

#[test]
fn ordinary_failures_leave_the_request_and_a_brake_ends_it() {
    let mut lab = Lab::with_passed(1);
    let _ = lab.act(ask(AUTHOR)).unwrap();
    let request = lab.open_request().unwrap().id;
    lab.succeed(1, 4).fail(1, 1);
    lab.settle();
    assert!(lab.request(request).is_open(), "as many as usual");
    lab.fail(1, 2);
    assert!(lab.snapshot.assess().halt.is_none() && lab.snapshot.assess().any_brake());
    assert_eq!(say_yes(&mut lab, ANN).unwrap_err().code, "void");
    assert_eq!(lab.settle(), ["request_void"]);
}

#[test]
fn nothing_halts_later_for_it() {
    let mut lab = expedited(Lab::started());
    lab.fail(0, 3);
    assert_eq!(lab.settle(), ["halted"]);
    let mut other = Lab::started();
    other.fail(0, 3);
    other.settle();
    assert_eq!(lab.snapshot.rollout.state, other.snapshot.rollout.state);
}

#[test]
fn a_ring_that_passes_meanwhile_stays_as_it_was_and_the_last_pass_ends_the_wish() {
    let mut lab = Lab::with_passed(2);
    lab.approve_all();
    let _ = lab.act(ask(AUTHOR)).unwrap();
    let request = lab.snapshot.requests.last().unwrap().id;
    let all = lab.snapshot.stages[2].targeted;
    lab.succeed(2, all);
    lab.settle();
    lab.wait(24 * 4);
    assert_eq!(lab.settle(), ["stage_passed", "approval_requested"]);
    assert!(lab.request(request).is_open());
    let _ = say_yes(&mut lab, ANN).unwrap();
    let decision = say_yes(&mut lab, BOB).unwrap();
    let changed: Vec<StageId> = decision.policies.iter().map(|(id, _)| *id).collect();
    assert_eq!(changed, [lab.snapshot.stages[3].id]);
}

#[test]
fn a_deadline_that_was_shorter_keeps_its_time() {
    let mut lab = Lab::started();
    lab.snapshot.stages[1].policy.restart.deadline_hours = Some(8);
    let lab = expedited(lab);
    let restart = lab.snapshot.stages[1].policy.restart;
    assert_eq!((restart.deadline_hours, restart.set_at), (Some(8), None));
}

#[test]
fn the_only_admin_takes_four_hours_to_think_again() {
    let mut lab = Lab::started();
    alone(&mut lab);
    let _ = lab.act(ask(ADMIN)).unwrap();
    let _ = say_yes(&mut lab, ADMIN).unwrap();
    lab.wait(3);
    assert!(lab.settle().is_empty());
    lab.wait(1);
    assert_eq!(lab.settle(), ["expedited"]);
}
