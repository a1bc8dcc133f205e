//! `GET /assignment`: the poll. An unchanged one costs a token check, an array lookup and a comparison.

use agent_protocol::{Order, POLL_AFTER};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rand::RngExt;

use super::identity::AgentCall;
use super::orders;
use crate::app::App;
use crate::fleet::Glance;
use crate::http::Failure;

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

/// Answers a poll.
pub async fn assignment(
    State(app): State<App>,
    call: AgentCall,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let etag = etag(&call.glance);
    let unchanged = headers
        .get(header::IF_NONE_MATCH)
        .is_some_and(|v| v.as_bytes() == etag.as_bytes());
    let (mut response, idle) = if unchanged {
        (StatusCode::NOT_MODIFIED.into_response(), call.glance.idle)
    } else {
        let assignment = orders::for_device(&app, call.device_no).await?;
        let idle = matches!(assignment.order, Order::Nothing);
        app.picture
            .set_idle(call.device_no, call.glance.version, idle);
        (Json(assignment).into_response(), idle)
    };
    let headers = response.headers_mut();
    headers.insert(
        header::ETAG,
        HeaderValue::try_from(etag).map_err(anyhow::Error::from)?,
    );
    headers.insert(POLL_AFTER, HeaderValue::from(poll_after(&app, idle)));
    Ok(response)
}
