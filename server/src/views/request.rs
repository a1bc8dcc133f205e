//! An approval request as it is shown.

use chrono::{DateTime, Utc};
use engine::approval::{Approval, Ask, Frozen, RequestState};
use engine::ids::{RequestId, RolloutId, StageId};
use engine::rollout::Actor;
use serde::Serialize;
use servicing::Sha256;
use uuid::Uuid;

use crate::store::phase;
use crate::store::requests::Listed;

/// A request with what is approved and its hash.
#[derive(Debug, Serialize)]
pub struct RequestLine {
    /// Id.
    pub id: RequestId,
    /// Rollout.
    pub rollout: RolloutId,
    /// Track.
    pub track: Uuid,
    /// Stage.
    pub stage: StageId,
    /// Ring's name.
    pub ring_name: String,
    /// What it asks for.
    pub ask: Ask,
    /// Who asked.
    pub requested_by: Actor,
    /// When.
    pub requested_at: DateTime<Utc>,
    /// When it ends unanswered.
    pub expires_at: DateTime<Utc>,
    /// How many have to say yes.
    pub needed: u8,
    /// Those who said yes.
    pub approvals: Vec<Approval>,
    /// When the yes of an only admin counts.
    pub effective_at: Option<DateTime<Utc>>,
    /// State, as a word.
    pub state: String,
    /// State, with its data.
    pub state_detail: RequestState,
    /// Hash of what is approved.
    pub hash: Sha256,
    /// What is approved.
    pub frozen: Frozen,
}

impl From<Listed> for RequestLine {
    fn from(listed: Listed) -> Self {
        let request = listed.request;
        Self {
            id: request.id,
            rollout: listed.rollout,
            track: listed.track,
            stage: request.stage,
            ring_name: listed.ring,
            expires_at: request.expires_at(),
            effective_at: request.effective_at(),
            ask: request.ask,
            requested_by: request.requested_by,
            requested_at: request.requested_at,
            needed: request.needed,
            approvals: request.approvals,
            state: phase(&request.state).unwrap_or_default(),
            state_detail: request.state,
            hash: request.hash,
            frozen: request.frozen,
        }
    }
}
