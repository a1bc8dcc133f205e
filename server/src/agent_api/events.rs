//! `POST /events`: telemetry. The answer is sent after the commit.

use agent_protocol::{EventsAnswer, MAX_BATCH_EVENTS, Problem};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::value::RawValue;
use servicing::FieldError;

use super::identity::AgentCall;
use super::room::KnownRoom;
use crate::app::App;
use crate::error::OpError;
use crate::http::{Body, Failure, problem};
use crate::ingest::{ParsedEvent, Receipt, Submission, parse_event};

/// A batch before its events are parsed: a kind that this server does not know must not spoil the others.
#[derive(Debug, Deserialize)]
pub struct RawBatch {
    epoch: u32,
    events: Vec<Box<RawValue>>,
}

/// Takes a batch in.
pub async fn take(
    State(app): State<App>,
    call: AgentCall,
    KnownRoom(room): KnownRoom,
    Body(batch): Body<RawBatch>,
) -> Result<Json<EventsAnswer>, Failure> {
    let epoch = i32::try_from(batch.epoch)
        .ok()
        .filter(|e| *e > 0)
        .ok_or_else(|| OpError::field("epoch", "a number from 1"))?;
    let submission = Submission {
        device_no: call.device_no,
        generation: call.generation,
        epoch,
        events: parse(&batch.events)?,
    };
    let receipt = app.ingest.submit(submission, room).await.map_err(|_| {
        Failure::Unavailable(
            "Telemetry can not be stored now. Nothing was acknowledged; send it again.",
        )
    })?;
    let answer = |epoch: i32, acked: i64| EventsAnswer {
        epoch: epoch.unsigned_abs(),
        acked: acked.unsigned_abs(),
    };
    match receipt {
        Receipt::Acked { epoch, acked } => Ok(Json(answer(epoch, acked))),
        Receipt::Gap { epoch, acked } => Err(conflict(
            "gap",
            "Events are missing before these. Send from acked + 1 on.",
            answer(epoch, acked),
        )),
        Receipt::Clone { epoch, acked } => Err(conflict(
            "clone",
            "Other content was acknowledged under these numbers: two machines report as this device.",
            answer(epoch, acked),
        )),
        Receipt::Revoked => Err(Failure::Unauthorized(
            "The device was revoked or enrolled anew.",
        )),
    }
}

fn conflict(word: &str, detail: &str, answer: EventsAnswer) -> Failure {
    let title = if word == "gap" { "Gap" } else { "Clone" };
    Failure::Problem(Box::new(Problem {
        epoch: Some(answer.epoch),
        acked: Some(answer.acked),
        ..problem(StatusCode::CONFLICT, word, title, detail)
    }))
}

fn parse(events: &[Box<RawValue>]) -> Result<Vec<ParsedEvent>, OpError> {
    if events.len() > MAX_BATCH_EVENTS {
        return Err(OpError::field(
            "events",
            format!("at most {MAX_BATCH_EVENTS} events"),
        ));
    }
    let (parsed, wrong): (Vec<_>, Vec<_>) = events
        .iter()
        .enumerate()
        .map(|(i, e)| parse_event(i, e))
        .partition(Result::is_ok);
    let wrong: Vec<FieldError> = wrong.into_iter().filter_map(Result::err).take(20).collect();
    if !wrong.is_empty() {
        return Err(OpError::Invalid(wrong));
    }
    let parsed: Vec<ParsedEvent> = parsed.into_iter().filter_map(Result::ok).collect();
    for (i, pair) in parsed.windows(2).enumerate() {
        if Some(pair[1].seq) != pair[0].seq.checked_add(1) {
            return Err(OpError::field(
                format!("events[{}].seq", i + 1),
                format!(
                    "{}: numbers without gaps, in order",
                    pair[0].seq.saturating_add(1)
                ),
            ));
        }
    }
    Ok(parsed)
}
