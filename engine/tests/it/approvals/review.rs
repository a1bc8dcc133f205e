//! What people are told beforehand is what their vote then meets.

use super::*;
use engine::approval::{Review, review};

fn look(lab: &Lab) -> Review {
    review(&lab.snapshot, lab.open_request().unwrap())
}

#[test]
fn who_is_told_that_they_may_approve_may() {
    for at in [limited, broad] {
        let told = look(&at()).votes;
        for (by, vote) in told {
            let done = at().approve(by);
            assert_eq!(vote.map(|_| ()), done.map(|_| ()), "{by}");
        }
    }
}

#[test]
fn the_only_admin_is_told_that_it_counts_later() {
    let mut lab = limited();
    alone(&mut lab);
    person(&mut lab, ANN).enabled = false;
    lab.snapshot.rollout.author = ADMIN;
    let told = look(&lab).votes[&ADMIN].clone().unwrap();
    assert!(told.alone && !told.done);
}

#[test]
fn a_request_that_would_be_void_says_so_and_nothing_is_decided_by_looking() {
    let mut lab = limited();
    assert_eq!(look(&lab).void, None);
    assert_eq!((look(&lab).judged, look(&lab).expired), (Some(1), false));
    lab.snapshot.stages[2].ring_revision += 1;
    assert_eq!(look(&lab).void, Some(VoidReason::RingChanged));
    assert!(lab.open_request().is_some());
}

#[test]
fn a_stopped_rollout_makes_its_request_void() {
    let mut lab = limited();
    lab.snapshot.rollout.state = RolloutState::Draft;
    assert_eq!(look(&lab).void, Some(VoidReason::RolloutStopped));
}
