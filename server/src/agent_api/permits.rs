//! `POST /permits`.

use agent_protocol::{PermitAnswer, PermitRequest};
use axum::Json;
use axum::extract::State;

use super::identity::AgentCall;
use super::room::KnownRoom;
use crate::app::App;
use crate::error::OpError;
use crate::http::{Body, Failure};
use crate::permits::{Answer, Ask};

/// How far ahead of the agreed restart a permit may be asked for, seconds: an hour. Late permits keep what a halt
/// can not recall small.
const AHEAD: u32 = 3600;

/// Answers a request for a permit.
pub async fn ask(
    State(app): State<App>,
    call: AgentCall,
    _room: KnownRoom,
    Body(request): Body<PermitRequest>,
) -> Result<Json<PermitAnswer>, Failure> {
    if request.restart_in_s > AHEAD {
        return Err(OpError::field(
            "restart_in_s",
            format!("at most {AHEAD}: ask within an hour of the agreed restart"),
        )
        .into());
    }
    let ask = Ask {
        device_no: call.device_no,
        generation: call.generation,
        rollout: request.rollout,
        restart_in_s: request.restart_in_s,
    };
    let answer = app
        .permits
        .ask(ask)
        .await
        .map_err(|_| Failure::Unavailable("Permits can not be decided now. Ask again."))?;
    Ok(Json(match answer {
        Answer::Granted {
            permit_no,
            start_within_s,
        } => PermitAnswer::Granted {
            permit_no,
            start_within_s,
        },
        Answer::Wait { retry_after_s, why } => PermitAnswer::Wait { retry_after_s, why },
        Answer::Refused { reason, why } => PermitAnswer::Refused { reason, why },
    }))
}
