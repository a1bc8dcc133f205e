//! The short way of a poll: the common case, answered before routes and layers.
//!
//! What is decided is decided in `agent_api::poll`, the same as on the long way; left out is only what such a request
//! has no use for: a body to unpack, a timer, an id to quote, a line in the log. Whatever is not this very case goes
//! the long way, errors included, so that they are told in one place.

use axum::body::{Body, HttpBody};
use axum::http::{Method, Request, Response, header};

use super::layers::{Dates, REQUEST_ID};
use crate::agent_api::{POLL_PATH, poll_from_memory};
use crate::app::App;

/// The answer to an ordinary poll that needs no query; none for every other request.
pub(super) fn answer<B: HttpBody>(
    app: &App,
    dates: &Dates,
    request: &Request<B>,
) -> Option<Response<Body>> {
    let headers = request.headers();
    let ordinary = request.method() == Method::GET
        && request.uri().path() == POLL_PATH
        && request.body().is_end_stream()
        && !headers.contains_key(header::CONTENT_ENCODING)
        && !headers.contains_key(REQUEST_ID);
    if !ordinary {
        return None;
    }
    let now = app.clock.now();
    let mut response = poll_from_memory(app, headers, now)?;
    response
        .headers_mut()
        .insert(header::DATE, dates.header(now));
    Some(response)
}
