//! Long random histories: whatever people and devices do, in whatever order, the promises hold.

use chrono::Duration;
use engine::approval::{Ask, RequestState};
use engine::decide::{Input, RequestChange, decide};
use engine::ids::PersonId;
use engine::rollout::{Actor, RolloutState};
use engine::stage::{StageState, may_permit};
use proptest::prelude::*;

use crate::lab::{ADMIN, ANN, AUTHOR, BOB, Lab, VIEWER};

#[derive(Debug, Clone)]
enum Act {
    Tick,
    Wait(i64),
    /// In the ring that is open.
    Succeed(u64),
    Fail(usize),
    Lose(usize),
    Permit(usize),
    Approve(usize),
    Reject(usize),
    Pause(usize),
    Resume(usize),
    Halt(usize),
    Clear(usize),
    Override(usize),
    Expedite(usize),
    Disable(usize),
    Enable(usize),
    Grow(usize),
    Redefine(usize),
}

const PEOPLE: [PersonId; 5] = [AUTHOR, ADMIN, ANN, BOB, VIEWER];

fn acts() -> impl Strategy<Value = Act> {
    let stage = || 0..4_usize;
    let who = || 0..PEOPLE.len();
    prop_oneof![
        30 => Just(Act::Tick),
        16 => (5..90_i64).prop_map(Act::Wait),
        24 => (1..80_u64).prop_map(Act::Succeed),
        1 => stage().prop_map(Act::Fail),
        1 => stage().prop_map(Act::Lose),
        2 => stage().prop_map(Act::Permit),
        16 => who().prop_map(Act::Approve),
        1 => who().prop_map(Act::Reject),
        1 => who().prop_map(Act::Pause),
        8 => who().prop_map(Act::Resume),
        1 => who().prop_map(Act::Halt),
        8 => who().prop_map(Act::Clear),
        3 => who().prop_map(Act::Override),
        2 => who().prop_map(Act::Expedite),
        1 => who().prop_map(Act::Disable),
        4 => who().prop_map(Act::Enable),
        1 => stage().prop_map(Act::Grow),
        1 => stage().prop_map(Act::Redefine),
    ]
}

fn input(lab: &Lab, act: &Act) -> Option<Input> {
    let reason = || "because".to_owned();
    Some(match act {
        Act::Tick => Input::Tick,
        Act::Approve(who) => {
            let request = lab.open_request()?;
            Input::Approve {
                by: PEOPLE[*who],
                request: request.id,
                hash: request.hash,
            }
        }
        Act::Reject(who) => Input::Reject {
            by: PEOPLE[*who],
            request: lab.open_request()?.id,
            reason: reason(),
        },
        Act::Pause(who) => Input::Pause {
            by: PEOPLE[*who],
            reason: reason(),
        },
        Act::Resume(who) => Input::Resume {
            by: PEOPLE[*who],
            reason: reason(),
        },
        Act::Halt(who) => Input::Halt {
            by: PEOPLE[*who],
            reason: reason(),
        },
        Act::Clear(who) => Input::ClearHalt {
            by: PEOPLE[*who],
            reason: reason(),
        },
        Act::Override(who) => Input::RequestOverride {
            by: PEOPLE[*who],
            reason: reason(),
        },
        Act::Expedite(who) => Input::RequestExpedite {
            by: PEOPLE[*who],
            reason: reason(),
        },
        _ => return None,
    })
}

/// What happens outside of decisions. Devices start only where a permit would be granted.
fn happen(lab: &mut Lab, act: &Act) {
    let may =
        |lab: &Lab, stage: usize| may_permit(&lab.snapshot.rollout.state, lab.state(stage)).is_ok();
    let room = |lab: &Lab, stage: usize| {
        let stage = &lab.snapshot.stages[stage];
        stage.targeted.saturating_sub(stage.counts.started)
    };
    match act {
        Act::Wait(hours) => {
            lab.wait(*hours);
        }
        Act::Succeed(n) => {
            let current = lab.snapshot.current().filter(|s| may(lab, *s));
            if let Some(s) = current {
                let n = room(lab, s).min(*n);
                lab.succeed(s, n);
            }
        }
        Act::Fail(s) if may(lab, *s) => {
            let n = room(lab, *s).min(1);
            lab.fail(*s, n);
        }
        Act::Lose(s) if may(lab, *s) => {
            let n = room(lab, *s).min(1);
            lab.lose(*s, n);
        }
        Act::Permit(s) if may(lab, *s) => {
            let n = room(lab, *s).min(1);
            lab.permit(*s, n);
        }
        Act::Disable(who) => lab.snapshot.people.get_mut(&PEOPLE[*who]).unwrap().enabled = false,
        Act::Enable(who) => lab.snapshot.people.get_mut(&PEOPLE[*who]).unwrap().enabled = true,
        Act::Grow(s) => lab.snapshot.stages[*s].targeted += 3,
        Act::Redefine(s) => lab.snapshot.stages[*s].ring_revision += 1,
        _ => {}
    }
}

fn is_open(state: &StageState) -> bool {
    matches!(
        state,
        StageState::Deploying { .. } | StageState::Soaking { .. }
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn invariant_02_no_history_opens_a_ring_without_a_pass_and_its_approvals(
        history in prop::collection::vec(acts(), 1..400),
    ) {
        let mut lab = Lab::started();
        for act in history {
            happen(&mut lab, &act);
            let Some(input) = input(&lab, &act) else { continue };
            let before = lab.snapshot.clone();
            let Ok(decision) = decide(&before, input.clone(), before.service_now) else { continue };
            prop_assert_eq!(&decision, &decide(&before, input.clone(), before.service_now).unwrap());
            prop_assert_eq!(decision.changed(), decision.rollout.is_some() || decision.cleared.is_some()
                || !decision.stages.is_empty() || !decision.requests.is_empty() || !decision.policies.is_empty());
            prop_assert!(!decision.reasons.is_empty() && decision.reasons.iter().all(|r| !r.sentence.is_empty()));
            lab.snapshot.apply(&decision);

            for (i, (was, is)) in before.stages.iter().zip(&lab.snapshot.stages).enumerate() {
                if is_open(&is.state) && !is_open(&was.state) {
                    for earlier in &lab.snapshot.stages[..i] {
                        let passed = matches!(earlier.state, StageState::Passed { .. });
                        prop_assert!(passed);
                    }
                    prop_assert_eq!(&before.rollout.state, &RolloutState::Active);
                    if is.policy.approvals > 0 {
                        let approved = lab.snapshot.requests.iter().rfind(|r| r.stage == is.id && r.ask == Ask::Open).unwrap();
                        prop_assert_eq!(&approved.state, &RequestState::Approved);
                        prop_assert_eq!(&approved.ask, &Ask::Open);
                        let alone = approved.approvals.iter().any(|a| a.alone);
                        let valid = approved.approvals.iter().filter(|a| {
                            let p = before.people[&a.by];
                            p.enabled && p.approver && a.by != AUTHOR && approved.requested_by != Actor::Person(a.by)
                        });
                        prop_assert!(alone || valid.count() >= usize::from(is.policy.approvals));
                    }
                }
                let passed = matches!(is.state, StageState::Passed { .. });
                let overridden = matches!(is.state, StageState::Passed { overridden: true, .. });
                if passed && was.state != is.state {
                    prop_assert!(is_open(&was.state));
                    let done = |c: &RequestChange| matches!(
                        c,
                        RequestChange::Approved { done: true, .. } | RequestChange::Effective { .. }
                    );
                    prop_assert_eq!(overridden, decision.requests.iter().any(done));
                    if !overridden {
                        prop_assert!(is.counts.resolved > 0 && is.targeted > 0);
                        prop_assert!(decision.report.as_ref().unwrap().1.passes());
                    }
                }
                let was_passed = matches!(was.state, StageState::Passed { .. });
                prop_assert!(!was_passed || was.state == is.state, "a pass stays");
            }
            // Policies change by a request to expedite that enough people said yes to, and never loosen what a gate bears.
            for (was, is) in before.stages.iter().zip(&lab.snapshot.stages) {
                if was.policy != is.policy {
                    let granted = decision.requests.iter().any(|c| matches!(
                        c,
                        RequestChange::Approved { done: true, .. } | RequestChange::Effective { .. }
                    ));
                    prop_assert!(granted && !decision.policies.is_empty());
                    let was_passed = matches!(was.state, StageState::Passed { .. });
                    prop_assert!(!was_passed);
                    let (w, i) = (&was.policy, &is.policy);
                    prop_assert_eq!((w.failures, w.coverage, w.sample, w.growth), (i.failures, i.coverage, i.sample, i.growth));
                    prop_assert_eq!((w.telemetry, w.limits, w.tries), (i.telemetry, i.limits, i.tries));
                }
            }
            // Only an admin's word leaves a halt.
            if matches!(before.rollout.state, RolloutState::Halted { .. })
                && !matches!(lab.snapshot.rollout.state, RolloutState::Halted { .. })
            {
                let cleared = matches!(input, Input::ClearHalt { by: ADMIN, .. });
                prop_assert!(cleared);
            }
            // An awaiting stage has its open request, and only an active rollout has any.
            for stage in &lab.snapshot.stages {
                if let StageState::AwaitingApproval { request } = stage.state {
                    prop_assert!(lab.request(request).is_open());
                }
            }
            prop_assert!(lab.open_request().is_none() || lab.snapshot.rollout.state == RolloutState::Active);
        }
        // Whatever state it ended in, ticks come to rest.
        lab.snapshot.service_now += Duration::hours(1);
        lab.settle();
    }
}
