//! What people who decide on a request are told: whether it is still what was asked for, and who may say yes.

use std::collections::BTreeMap;

use super::{Request, VoidReason, Yes, approve, counted, judged_stage, void_reason};
use crate::decide::requests::blocks;
use crate::decide::{Refused, Snapshot};
use crate::gate::{GateInput, GateReport, evaluate};
use crate::ids::PersonId;
use crate::rollout::RolloutState;

/// An open request at a moment, by the rules that a vote would meet.
#[derive(Debug, Clone, PartialEq)]
pub struct Review {
    /// Why it is no longer what was asked for; it ends at the next tick.
    pub void: Option<VoidReason>,
    /// Seven days went by; it ends at the next tick.
    pub expired: bool,
    /// Place of the stage whose gate was frozen; none before the first stage.
    pub judged: Option<usize>,
    /// That gate now.
    pub gate: Option<GateReport>,
    /// What keeps the stage from opening although enough people say yes.
    pub blocks: Vec<String>,
    /// Approvals that count at this moment.
    pub given: usize,
    /// What the yes of each person would do, or why they may not give it.
    pub votes: BTreeMap<PersonId, Result<Yes, Refused>>,
}

/// Reads a request as of a snapshot. Decides nothing.
#[must_use]
pub fn review(snapshot: &Snapshot, request: &Request) -> Review {
    let assessment = snapshot.assess();
    let author = snapshot.rollout.author;
    let index = snapshot.stages.iter().position(|s| s.id == request.stage);
    let judged = index.and_then(|index| judged_stage(index, &request.ask));
    let vote = |by: PersonId| approve(request, by, author, &snapshot.people);
    Review {
        void: if snapshot.rollout.state == RolloutState::Active {
            void_reason(snapshot, &assessment, request)
        } else {
            Some(VoidReason::RolloutStopped)
        },
        expired: snapshot.service_now >= request.expires_at(),
        judged,
        gate: judged.map(|index| {
            let input = GateInput {
                snapshot,
                index,
                assessment: &assessment,
            };
            evaluate(&input, snapshot.service_now)
        }),
        blocks: blocks(snapshot, request),
        given: counted(request, author, &snapshot.people),
        votes: snapshot.people.keys().map(|by| (*by, vote(*by))).collect(),
    }
}
