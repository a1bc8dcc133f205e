//! Requests: opened, granted, and ended when what they ask for is no longer what there is.

use super::{Decision, RequestChange, Snapshot};
use crate::approval::{
    Ask, Request, RequestState, VoidReason, freeze, lone_admin, request_id, said_yes_alone,
    void_reason,
};
use crate::gate::opening_blocks;
use crate::halt::Assessment;
use crate::ids::StageId;
use crate::policy::{RestartPolicy, StagePolicy};
use crate::rollout::{Actor, RolloutState};
use crate::stage::{Stage, StageState};
use crate::words;

/// A request as the next decision opens it. None where there is no such stage.
pub(super) fn new(
    snapshot: &Snapshot,
    assessment: &Assessment,
    index: usize,
    ask: Ask,
    requested_by: Actor,
    needed: u8,
) -> Option<Request> {
    let stage = snapshot.stages.get(index)?.id;
    let frozen = freeze(snapshot, assessment, index, &ask)?;
    Some(Request {
        id: request_id(snapshot.rollout.id, stage, snapshot.rollout.version),
        stage,
        ask,
        requested_by,
        requested_at: snapshot.service_now,
        needed: needed.max(1),
        hash: frozen.hash(),
        frozen,
        approvals: Vec::new(),
        state: RequestState::Open,
    })
}

/// Ends what is expired or void, and lets the yes of an only admin count after its delay. One change at a time.
pub(super) fn tick(snapshot: &Snapshot, assessment: &Assessment) -> Option<Decision> {
    snapshot.open_requests().find_map(|request| {
        if snapshot.service_now >= request.expires_at() {
            let change = RequestChange::Expired {
                request: request.id,
            };
            return Some(ended(
                snapshot,
                request,
                change,
                "request_expired",
                "Nobody decided in seven days.",
            ));
        }
        if let Some(reason) = void_reason(snapshot, assessment, request) {
            let change = RequestChange::Voided {
                request: request.id,
                reason,
            };
            return Some(ended(
                snapshot,
                request,
                change,
                "request_void",
                reason.sentence(),
            ));
        }
        let effective = request
            .effective_at()
            .is_some_and(|at| snapshot.service_now >= at);
        // Who is no longer the only one needs the second person after all.
        let alone =
            said_yes_alone(request).is_some_and(|yes| lone_admin(&snapshot.people) == Some(yes.by));
        if !effective || !alone || !blocks(snapshot, request).is_empty() {
            return None;
        }
        let mut decision = granted(snapshot, request)?;
        decision.requests.insert(
            0,
            RequestChange::Effective {
                request: request.id,
            },
        );
        if let Some(event) = &mut decision.event {
            event.sentence += " Approved by the only admin, four hours ago.";
        }
        Some(decision)
    })
}

fn ended(
    snapshot: &Snapshot,
    request: &Request,
    change: RequestChange,
    code: &str,
    sentence: &str,
) -> Decision {
    Decision {
        stages: released(snapshot, request).into_iter().collect(),
        requests: vec![change],
        ..Decision::event(
            code,
            format!("{}: {sentence}", stage_name(snapshot, request)),
        )
    }
}

/// The stage that waited for a request waits for a new one.
fn released(snapshot: &Snapshot, request: &Request) -> Option<(StageId, StageState)> {
    let stage = snapshot
        .stages
        .iter()
        .find(|stage| awaits(stage, request))?;
    Some((stage.id, StageState::Waiting))
}

fn awaits(stage: &Stage, request: &Request) -> bool {
    matches!(stage.state, StageState::AwaitingApproval { request: id } if id == request.id)
}

fn stage_name<'a>(snapshot: &'a Snapshot, request: &Request) -> &'a str {
    let stage = snapshot
        .stages
        .iter()
        .find(|stage| stage.id == request.stage);
    stage.map_or("A ring", |stage| stage.name.as_str())
}

/// What keeps a stage from opening although people said yes.
pub(crate) fn blocks(snapshot: &Snapshot, request: &Request) -> Vec<String> {
    let stage = snapshot.stages.iter().find(|s| s.id == request.stage);
    let days = request.frozen.policy.minimum_age_days;
    match (&request.ask, stage) {
        (Ask::Open, Some(stage)) => opening_blocks(snapshot, stage, days, snapshot.service_now),
        _ => Vec::new(),
    }
}

/// What a request asked for happens. None where the stage is no longer where the request found it.
pub(super) fn granted(snapshot: &Snapshot, request: &Request) -> Option<Decision> {
    if let Ask::Expedite { reason } = &request.ask {
        return Some(expedited(snapshot, request, reason));
    }
    let index = snapshot.current()?;
    let stage = &snapshot.stages[index];
    let (next, code, sentence) = match (&request.ask, &stage.state) {
        (Ask::Open, StageState::AwaitingApproval { .. }) if awaits(stage, request) => (
            StageState::Deploying {
                since: snapshot.service_now,
            },
            "stage_opened",
            format!("{}: approved and open.", stage.name),
        ),
        (Ask::Override { reason }, StageState::Deploying { .. } | StageState::Soaking { .. })
            if stage.id == request.stage =>
        {
            (
                StageState::Passed {
                    at: snapshot.service_now,
                    overridden: true,
                },
                "stage_overridden",
                format!(
                    "{}: passed by an override: {}",
                    stage.name,
                    words::ended(reason)
                ),
            )
        }
        _ => return None,
    };
    Some(Decision {
        stages: vec![(stage.id, next)],
        ..Decision::event(code, sentence)
    })
}

/// Stages that passed meanwhile stay as they were.
fn expedited(snapshot: &Snapshot, request: &Request, reason: &str) -> Decision {
    let left = request.frozen.policies.iter().filter_map(|(id, policy)| {
        let stage = snapshot.stages.iter().find(|stage| stage.id == *id)?;
        let has_passed = matches!(stage.state, StageState::Passed { .. });
        (!has_passed).then(|| (*id, from_now(policy, stage, snapshot)))
    });
    let sentence = format!(
        "Expedited, by {}: {}",
        words::count(u64::from(request.needed), "approval"),
        words::ended(reason)
    );
    Decision {
        policies: left.collect(),
        ..Decision::event("expedited", sentence)
    }
}

/// Nobody's deadline was over before it was set.
fn from_now(policy: &StagePolicy, stage: &Stage, snapshot: &Snapshot) -> StagePolicy {
    let is_new = policy.restart != stage.policy.restart;
    StagePolicy {
        restart: RestartPolicy {
            set_at: is_new
                .then_some(snapshot.service_now)
                .or(policy.restart.set_at),
            ..policy.restart
        },
        ..*policy
    }
}

/// The rollout stops: every open request is void, and stages wait again.
pub(super) fn stop(
    snapshot: &Snapshot,
    next: RolloutState,
    code: &str,
    sentence: String,
) -> Decision {
    let mut decision = Decision {
        rollout: Some(next),
        ..Decision::event(code, sentence)
    };
    for request in snapshot.open_requests() {
        let reason = VoidReason::RolloutStopped;
        decision.requests.push(RequestChange::Voided {
            request: request.id,
            reason,
        });
        decision.stages.extend(released(snapshot, request));
    }
    decision
}
