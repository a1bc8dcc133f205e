//! `GET /assignment`: the poll. An unchanged one costs a token check, an array lookup and a comparison.
//!
//! It has two ways in: the route, and `serve::fast_poll`. What an ETag is, when to come again and what is said is decided
//! here, for both.

use agent_protocol::{Order, POLL_AFTER};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use rand::RngExt;

use super::asking::Question;
use super::identity::AgentCall;
use super::orders;
use crate::app::App;
use crate::fleet::Glance;
use crate::http::{Failure, busy};

/// Where polls go.
pub const POLL_PATH: &str = "/agent/v1/assignment";

/// Every input of the answer is in the ETag: what the ring is offered, the device's own rows, its generation.
fn etag(glance: &Glance) -> String {
    format!(
        "\"{}-{}-{}\"",
        glance.ring_epoch, glance.version, glance.generation
    )
}

/// Seconds until the next poll, with jitter: a herd that came together does not come together again.
fn poll_after(app: &App, idle: bool) -> u32 {
    let seconds = if idle {
        app.pace.idle_s
    } else {
        app.pace.active_s
    };
    rand::rng().random_range(seconds - seconds / 10..=seconds + seconds / 10)
}

/// Where the answer to a poll comes from.
pub enum Source {
    /// Memory: this is it.
    Memory(Response),
    /// The database: [`ask`].
    Database(AgentCall),
}

/// The answer, where it needs no query.
///
/// # Errors
/// [`Failure::Unauthorized`], [`Failure::Unavailable`].
pub fn source(app: &App, headers: &HeaderMap, now: DateTime<Utc>) -> Result<Source, Failure> {
    let call = AgentCall::of(app, headers, now)?;
    Ok(known(app, &call, headers).map_or(Source::Database(call), Source::Memory))
}

/// The answer that needs the database.
///
/// # Errors
/// [`Failure::Unavailable`] where too many ask or it takes too long; [`Failure::Unauthorized`] for a device that is gone.
pub async fn ask(app: &App, call: AgentCall) -> Result<Response, Failure> {
    let question = Question {
        device_no: call.device_no,
        glance: call.glance,
    };
    let assignment = app.asking.ask(question).await.map_err(busy)??;
    let idle = matches!(assignment.order, Order::Nothing);
    let response = Json(assignment).into_response();
    Ok(dressed(app, response, etag(&call.glance), idle))
}

fn known(app: &App, call: &AgentCall, headers: &HeaderMap) -> Option<Response> {
    let glance = &call.glance;
    let etag = etag(glance);
    let unchanged = headers
        .get(header::IF_NONE_MATCH)
        .is_some_and(|v| v.as_bytes() == etag.as_bytes());
    if unchanged {
        let response = StatusCode::NOT_MODIFIED.into_response();
        return Some(dressed(app, response, etag, glance.idle));
    }
    let digest = app.picture.at_rest(call.device_no, glance)?;
    let response = Json(orders::at_rest(&digest)).into_response();
    Some(dressed(app, response, etag, true))
}

/// With what every answer to a poll carries.
fn dressed(app: &App, mut response: Response, etag: String, idle: bool) -> Response {
    let headers = response.headers_mut();
    if let Ok(etag) = HeaderValue::try_from(etag) {
        headers.insert(header::ETAG, etag);
    }
    headers.insert(POLL_AFTER, HeaderValue::from(poll_after(app, idle)));
    response
}

/// Answers a poll.
pub async fn assignment(State(app): State<App>, headers: HeaderMap) -> Result<Response, Failure> {
    match source(&app, &headers, app.clock.now())? {
        Source::Memory(response) => Ok(response),
        Source::Database(call) => ask(&app, call).await,
    }
}
