//! Who may say yes.

use super::*;

#[test]
fn invariant_16_the_author_can_not_approve() {
    let mut lab = limited();
    let refused = lab.approve(AUTHOR).unwrap_err();
    assert_eq!(
        (refused.code.as_str(), refused.sentence.as_str()),
        ("four_eyes", "Four eyes: the author can not approve.")
    );
}

#[test]
fn invariant_16_one_person_is_not_two() {
    let mut lab = broad();
    let _ = lab.approve(ANN).unwrap();
    assert_eq!(lab.approve(ANN).unwrap_err().code, "four_eyes");
    assert!(!lab.is_open(3));
    let _ = lab.approve(BOB).unwrap();
    assert!(lab.is_open(3));
}

#[test]
fn invariant_16_whoever_may_not_approve_does_not() {
    for by in [VIEWER, STRANGER] {
        assert_eq!(limited().approve(by).unwrap_err().code, "role");
    }
    let mut lab = limited();
    person(&mut lab, ANN).enabled = false;
    assert_eq!(lab.approve(ANN).unwrap_err().code, "role");
}

#[test]
fn invariant_16_an_approver_who_was_disabled_meanwhile_does_not_count() {
    for change in [
        |p: &mut Person| p.enabled = false,
        |p: &mut Person| p.approver = false,
    ] {
        let mut lab = broad();
        let _ = lab.approve(ANN).unwrap();
        change(person(&mut lab, ANN));
        let _ = lab.approve(BOB).unwrap();
        assert!(!lab.is_open(3), "one of the two yeses is gone");
        let _ = lab.approve(ADMIN).unwrap();
        assert!(lab.is_open(3));
    }
}

#[test]
fn invariant_16_who_asks_for_an_override_does_not_grant_it() {
    let mut lab = Lab::started();
    lab.succeed(0, 4);
    let _ = lab
        .act(Input::RequestOverride {
            by: ADMIN,
            reason: "fifth is in repair".to_owned(),
        })
        .unwrap();
    assert_eq!(lab.approve(ADMIN).unwrap_err().code, "four_eyes");
    assert_eq!(lab.approve(AUTHOR).unwrap_err().code, "four_eyes");
    let decision = lab.approve(ANN).unwrap();
    assert_eq!(decision.event.unwrap().code, "stage_overridden");
    assert!(
        matches!(
            lab.state(0),
            StageState::Passed {
                overridden: true,
                ..
            }
        ),
        "marked for ever"
    );
    assert_eq!(lab.settle(), ["stage_opened"]);
}

#[test]
fn an_only_admin_decides_alone_four_hours_later_and_is_marked() {
    let mut lab = broad();
    alone(&mut lab);
    let decision = lab.approve(ADMIN).unwrap();
    assert_eq!(
        decision.event.unwrap().sentence,
        "Approved by the only admin: it counts in four hours."
    );
    assert!(lab.open_request().unwrap().approvals[0].alone);
    lab.wait(3);
    assert!(lab.settle().is_empty());
    assert!(
        lab.why().contains("The only admin approved; it counts"),
        "{}",
        lab.why()
    );
    lab.wait(1);
    assert_eq!(lab.settle(), ["stage_opened"]);
    assert!(lab.is_open(3));
}

#[test]
fn an_only_admin_who_is_the_author_waits_four_hours_for_a_single_approval() {
    let mut lab = limited();
    alone(&mut lab);
    lab.snapshot.rollout.author = ADMIN;
    let _ = lab.approve(ADMIN).unwrap();
    assert!(!lab.is_open(2));
    lab.wait(4);
    assert_eq!(lab.settle(), ["stage_opened"]);
}

#[test]
fn an_admin_who_is_not_involved_needs_no_delay_for_one_approval() {
    let mut lab = limited();
    alone(&mut lab);
    let _ = lab.approve(ADMIN).unwrap();
    assert!(lab.is_open(2));
}

#[test]
fn where_a_second_person_could_approve_nobody_is_alone() {
    let mut lab = broad();
    alone(&mut lab);
    person(&mut lab, BOB).approver = true;
    lab.snapshot.rollout.author = ADMIN;
    assert_eq!(lab.approve(ADMIN).unwrap_err().code, "four_eyes");
}

#[test]
fn an_only_admin_who_is_no_longer_the_only_one_needs_the_second_person_after_all() {
    let mut lab = limited();
    alone(&mut lab);
    lab.snapshot.rollout.author = ADMIN;
    let _ = lab.approve(ADMIN).unwrap();
    person(&mut lab, BOB).approver = true;
    lab.wait(24);
    assert!(
        lab.settle().is_empty(),
        "the delay is over, but not the rule"
    );
    let _ = lab.approve(BOB).unwrap();
    assert!(lab.is_open(2));
}

#[test]
fn an_only_admin_who_was_disabled_in_the_four_hours_opens_nothing() {
    let mut lab = broad();
    alone(&mut lab);
    let _ = lab.approve(ADMIN).unwrap();
    person(&mut lab, ADMIN).enabled = false;
    lab.wait(5);
    assert!(lab.settle().is_empty());
}
