//! What happens by itself. Takes no hints and may run twice: at most one transition, and none where all is done.

use super::{Decision, RequestChange, Snapshot, requests};
use crate::approval::{Ask, Request, VoidReason, lost_pass};
use crate::gate::{Criterion, GateInput, GateReport, Verdict, evaluate, opening_blocks};
use crate::halt::Assessment;
use crate::rollout::{Actor, HaltReason, RolloutState};
use crate::stage::{Stage, StageState};
use crate::words;

pub(super) fn tick(snapshot: &Snapshot, assessment: &Assessment) -> Decision {
    withdrawn(snapshot)
        .or_else(|| halted(snapshot, assessment))
        .or_else(|| started(snapshot))
        .or_else(|| active(snapshot, assessment))
        .unwrap_or_else(Decision::nothing)
}

fn withdrawn(snapshot: &Snapshot) -> Option<Decision> {
    let reason = snapshot.withdrawn.as_ref()?;
    if snapshot.rollout.state.is_final() {
        return None;
    }
    let next = RolloutState::Withdrawn {
        reason: reason.clone(),
    };
    Some(requests::stop(
        snapshot,
        next,
        "withdrawn",
        format!("The sequence was withdrawn: {}", words::ended(reason)),
    ))
}

/// A rollout that is paused halts as well: a pause is taken back with a click, a halt is not. So does a completed
/// one, which still serves stragglers.
fn halted(snapshot: &Snapshot, assessment: &Assessment) -> Option<Decision> {
    let cause = assessment.halt.as_ref()?;
    if !matches!(
        snapshot.rollout.state,
        RolloutState::Active | RolloutState::Paused { .. } | RolloutState::Completed { .. }
    ) {
        return None;
    }
    let reason = HaltReason::Evidence {
        cause: cause.clone(),
    };
    let next = RolloutState::Halted {
        reason,
        since: snapshot.service_now,
    };
    Some(requests::stop(
        snapshot,
        next,
        "halted",
        format!("Halted by its evidence: {}", cause.sentence()),
    ))
}

fn started(snapshot: &Snapshot) -> Option<Decision> {
    match snapshot.rollout.state {
        RolloutState::Scheduled { not_before } if snapshot.service_now >= not_before => {
            Some(Decision {
                rollout: Some(RolloutState::Active),
                ..Decision::event("started", "The rollout started as scheduled.")
            })
        }
        _ => None,
    }
}

fn active(snapshot: &Snapshot, assessment: &Assessment) -> Option<Decision> {
    if snapshot.rollout.state != RolloutState::Active {
        return None;
    }
    requests::tick(snapshot, assessment).or_else(|| stages(snapshot, assessment))
}

fn stages(snapshot: &Snapshot, assessment: &Assessment) -> Option<Decision> {
    let Some(index) = snapshot.current() else {
        // Without stages there is nothing to complete.
        return (!snapshot.stages.is_empty()).then(|| Decision {
            rollout: Some(RolloutState::Completed {
                at: snapshot.service_now,
            }),
            ..Decision::event(
                "completed",
                "The last ring passed: the rollout is complete.",
            )
        });
    };
    let stage = &snapshot.stages[index];
    let gate = || {
        evaluate(
            &GateInput {
                snapshot,
                index,
                assessment,
            },
            snapshot.service_now,
        )
    };
    match &stage.state {
        StageState::Waiting => open_or_ask(snapshot, assessment, index),
        // A request that is not there can not be approved: ask again.
        StageState::AwaitingApproval { request } => {
            let missing = !snapshot.open_requests().any(|r| r.id == *request);
            missing.then(|| {
                moved(
                    stage,
                    StageState::Waiting,
                    "request_missing",
                    "its request is gone",
                )
            })
        }
        StageState::Deploying { .. } => {
            let sampled = gate()
                .criterion(Criterion::Sample)
                .is_some_and(|c| c.verdict == Verdict::Pass);
            let next = StageState::Soaking {
                since: snapshot.service_now,
                reread_at: None,
            };
            sampled.then(|| {
                moved(
                    stage,
                    next,
                    "soaking",
                    "the sample is there, the soak begins",
                )
            })
        }
        StageState::Soaking { reread_at, .. } => {
            let report = gate();
            if report.passes() {
                Some(passed(snapshot, stage))
            } else {
                inconclusive(stage, *reread_at, &report)
            }
        }
        StageState::Passed { .. } => None,
    }
}

fn moved(stage: &Stage, next: StageState, code: &str, what: &str) -> Decision {
    Decision {
        stages: vec![(stage.id, next)],
        ..Decision::event(code, format!("{}: {what}.", stage.name))
    }
}

/// The predecessor has passed: opens the stage, or asks for approvals.
fn open_or_ask(snapshot: &Snapshot, assessment: &Assessment, index: usize) -> Option<Decision> {
    let stage = &snapshot.stages[index];
    let days = stage.policy.minimum_age_days;
    let blocked = !opening_blocks(snapshot, stage, days, snapshot.service_now).is_empty();
    if blocked || lost_pass(snapshot, assessment, index).is_some() {
        return None;
    }
    if stage.policy.approvals == 0 {
        let next = StageState::Deploying {
            since: snapshot.service_now,
        };
        return Some(moved(
            stage,
            next,
            "stage_opened",
            "open, no approval is needed",
        ));
    }
    let request: Request = requests::new(
        snapshot,
        assessment,
        index,
        Ask::Open,
        Actor::Engine,
        stage.policy.approvals,
    )?;
    Some(Decision {
        requests: vec![RequestChange::Opened {
            request: Box::new(request.clone()),
        }],
        ..moved(
            stage,
            StageState::AwaitingApproval {
                request: request.id,
            },
            "approval_requested",
            "approval requested",
        )
    })
}

fn passed(snapshot: &Snapshot, stage: &Stage) -> Decision {
    let is_override = |r: &&Request| matches!(r.ask, Ask::Override { .. });
    let overrides = snapshot.open_requests().filter(|r| r.stage == stage.id);
    let overrides = overrides.filter(is_override);
    Decision {
        requests: overrides
            .map(|r| RequestChange::Voided {
                request: r.id,
                reason: VoidReason::NotNeeded,
            })
            .collect(),
        ..moved(
            stage,
            StageState::Passed {
                at: snapshot.service_now,
                overridden: false,
            },
            "stage_passed",
            "its gate passed",
        )
    }
}

/// A bound that was read and missed is read again only after half as many outcomes again.
fn inconclusive(stage: &Stage, reread_at: Option<u64>, report: &GateReport) -> Option<Decision> {
    let StageState::Soaking { since, .. } = stage.state else {
        return None;
    };
    let missed = report
        .criterion(Criterion::Failures)
        .filter(|c| c.verdict == Verdict::Inconclusive)?;
    let resolved = stage.counts.resolved;
    // Not read yet: a failure where none may be is inconclusive long before the soak is over.
    let read = [Criterion::Sample, Criterion::Soak, Criterion::Coverage]
        .iter()
        .all(|c| report.holds(*c));
    if !read || reread_at.is_some_and(|at| resolved < at) {
        return None;
    }
    let next = StageState::Soaking {
        since,
        reread_at: Some(resolved + resolved.div_ceil(2)),
    };
    Some(Decision {
        stages: vec![(stage.id, next)],
        ..Decision::event(
            "inconclusive",
            format!("{}: {}", stage.name, missed.sentence),
        )
    })
}
