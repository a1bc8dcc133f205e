//! Decisions as such: recomputable, repeatable, independent of the wall clock.

use super::*;

#[test]
fn invariant_15_a_decision_can_be_recomputed_from_what_was_stored_with_it() {
    let mut lab = Lab::with_passed(2);
    // Cohorts are keys of a JSON object inside a tagged enum: they must survive.
    lab.snapshot.evidence = crate::lab::evidence(
        lab.snapshot.evidence.all,
        &[(
            engine::evidence::CohortKind::Model,
            "A",
            crate::lab::counts(9, 0),
        )],
    );
    lab.snapshot.requests.clear();
    let _ = lab.tick();
    let snapshot = lab.snapshot.clone();
    let decision = lab.tick();
    assert_eq!(code(&decision), "approval_requested");

    let stored = serde_json::to_string(&(&snapshot, &decision)).unwrap();
    let (snapshot, decision): (engine::Snapshot, Decision) = serde_json::from_str(&stored).unwrap();
    let again = decide(&snapshot, Input::Tick, snapshot.service_now).unwrap();
    assert_eq!(again, decision);
    let (stage, report) = again.report.unwrap();
    assert_eq!(stage, snapshot.stages[1].id, "the gate that led here");
    assert!(!report.criteria.is_empty());
}

#[test]
fn invariant_18_two_engines_that_decide_on_the_same_snapshot_decide_the_same() {
    let lab = Lab::with_passed(2);
    for hours in [0, 1, 24 * 8] {
        let mut one = lab.snapshot.clone();
        one.service_now += Duration::hours(hours);
        let decisions: Vec<Decision> = (0..2)
            .map(|_| decide(&one, Input::Tick, one.service_now).unwrap())
            .collect();
        assert_eq!(decisions[0], decisions[1], "ids included");
        // Applied once, it is done: the second engine finds nothing of it left to do.
        let stage_changes = |d: &Decision| d.stages.len();
        assert!(stage_changes(&decisions[0]) <= 1);
    }
}

#[test]
fn invariant_20_the_wall_clock_decides_nothing() {
    let mut lab = Lab::started();
    lab.succeed(0, 5);
    lab.settle();
    let later = lab.snapshot.service_now + Duration::days(3650);
    let decision = decide(&lab.snapshot, Input::Tick, later).unwrap();
    assert!(!decision.changed(), "ten years on the wall are no soak");
    assert_eq!(
        decision,
        decide(&lab.snapshot, Input::Tick, lab.snapshot.service_now).unwrap()
    );
}

#[test]
fn invariant_13_evidence_of_other_content_opens_nothing() {
    // Same rollout, same good numbers: the request was for other content.
    let mut lab = Lab::with_passed(2);
    lab.snapshot.rollout.digest = servicing::Sha256::of(b"2026-04 OOB");
    assert_eq!(lab.approve(ANN).unwrap_err().code, "void");
    assert_eq!(lab.settle()[0], "request_void");
}
