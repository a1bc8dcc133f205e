//! Any change of what was approved voids it.

use super::*;

#[test]
fn every_stop_voids_what_is_open() {
    let mut lab = limited();
    let request = lab.open_request().unwrap().id;
    let _ = lab
        .act(Input::Pause {
            by: ANN,
            reason: "wait".to_owned(),
        })
        .unwrap();
    assert_eq!(
        lab.request(request).state,
        RequestState::Void {
            reason: VoidReason::RolloutStopped
        }
    );
    assert_eq!(*lab.state(2), StageState::Waiting);
    let hash = lab.request(request).hash;
    assert_eq!(
        lab.act(Input::Approve {
            by: ANN,
            request,
            hash
        })
        .unwrap_err()
        .code,
        "state"
    );
    // Asked for again after the resume, under another id.
    let _ = lab
        .act(Input::Resume {
            by: ANN,
            reason: "go".to_owned(),
        })
        .unwrap();
    assert_eq!(lab.settle(), ["approval_requested"]);
    assert_ne!(lab.open_request().unwrap().id, request);
}

#[test]
fn approving_what_was_not_shown_is_refused() {
    let mut lab = limited();
    let request = lab.open_request().unwrap().id;
    let hash = Sha256::of(b"another picture");
    assert_eq!(
        lab.act(Input::Approve {
            by: ANN,
            request,
            hash
        })
        .unwrap_err()
        .code,
        "hash"
    );
    // A frozen snapshot that was altered in storage no longer carries its hash.
    lab.snapshot
        .requests
        .iter_mut()
        .find(|r| r.is_open())
        .unwrap()
        .frozen
        .targeted += 1;
    assert_eq!(lab.approve(ANN).unwrap_err().code, "hash");
}

/// A change voids the request: refused to whoever approves at once, void at the next tick.
fn voids(change: impl Fn(&mut Snapshot), expected: VoidReason) {
    let mut lab = limited();
    let request = lab.open_request().unwrap().id;
    change(&mut lab.snapshot);
    assert_eq!(lab.approve(ANN).unwrap_err().code, "void", "{expected:?}");
    assert_eq!(lab.tick().event.unwrap().code, "request_void");
    assert_eq!(
        lab.request(request).state,
        RequestState::Void { reason: expected }
    );
    assert_eq!(*lab.state(2), StageState::Waiting);
}

/// And the hash tells it apart.
fn hash_differs(change: impl Fn(&mut Frozen)) {
    let frozen = limited().open_request().unwrap().frozen.clone();
    let mut other = frozen.clone();
    assert_eq!(other.hash(), frozen.hash());
    change(&mut other);
    assert_ne!(other.hash(), frozen.hash());
}

#[test]
fn invariant_17_another_digest_voids() {
    voids(
        |s| s.rollout.digest = Sha256::of(b"other"),
        VoidReason::DigestChanged,
    );
    hash_differs(|f| f.digest = Sha256::of(b"other"));
}

#[test]
fn invariant_17_another_policy_voids() {
    voids(
        |s| s.stages[2].policy.soak_hours -= 1,
        VoidReason::PolicyChanged,
    );
    voids(
        |s| s.stages[2].policy.limits.percent_per_day = Some(Percent(50.0)),
        VoidReason::PolicyChanged,
    );
    voids(
        |s| s.stages[2].policy.approvals = 0,
        VoidReason::PolicyChanged,
    );
    hash_differs(|f| f.policy.soak_hours -= 1);
}

#[test]
fn invariant_17_another_ring_definition_voids() {
    voids(|s| s.stages[2].ring_revision += 1, VoidReason::RingChanged);
    hash_differs(|f| f.ring_revision += 1);
}

#[test]
fn invariant_17_a_ring_that_grew_by_more_than_a_tenth_voids_and_ordinary_joiners_do_not() {
    let mut lab = limited();
    lab.snapshot.stages[2].targeted = 110;
    assert!(lab.approve(ANN).is_ok());
    voids(|s| s.stages[2].targeted = 111, VoidReason::RingGrew);
    hash_differs(|f| f.targeted += 1);
}

#[test]
fn invariant_17_a_gate_that_would_no_longer_pass_voids() {
    let worse: [fn(&mut Snapshot); 4] = [
        |s| {
            s.stages[1].counts.ok -= 2;
            s.evidence.all.failed += 2;
            s.evidence.all.ok -= 2;
        },
        |s| s.stages[1].counts.drift = 1,
        |s| s.stages[1].worst_severe = 2,
        |s| {
            s.stages[1].oobe = Some(engine::gate::OobeEvidence {
                attempts: 5,
                failed: 2,
                median_s: None,
                control_median_s: None,
            });
        },
    ];
    for change in worse {
        voids(change, VoidReason::EvidenceWorsened);
    }
    hash_differs(|f| f.gate.as_mut().unwrap().verdict = Verdict::Wait);
    hash_differs(|f| f.gate = None);
}

#[test]
fn invariant_17_other_evidence_has_another_hash_and_good_news_does_not_void() {
    hash_differs(|f| f.evidence.all.ok += 1);
    let mut lab = limited();
    lab.snapshot.stages[1].targeted += 1;
    lab.succeed(1, 1);
    assert!(lab.approve(ANN).is_ok());
}

#[test]
fn after_a_void_the_engine_asks_again_only_when_the_evidence_is_good() {
    let mut lab = limited();
    lab.regress(1, 2);
    lab.snapshot.evidence.all.started += 100;
    assert_eq!(lab.settle(), ["request_void"]);
    assert!(
        lab.why().contains("Limited waits, Pilot got worse"),
        "{}",
        lab.why()
    );
    lab.snapshot.stages[1].counts.ok += 2;
    assert_eq!(lab.settle(), ["approval_requested"]);
}
