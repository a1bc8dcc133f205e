//! The short way of a poll: the common case, answered before routes and layers.
//!
//! What is decided is decided in `agent_api::poll`, the same as on the long way; left out is only what such a request
//! has no use for: a body to unpack, a timer, an id to quote, a line in the log. Whatever is not this very case goes
//! the long way, calls that are turned away included, so that they are told in one place.

use std::convert::Infallible;
use std::future::{Ready, ready};

use axum::body::HttpBody;
use axum::http::{Method, Request, header};
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use futures::future::{BoxFuture, Either};
use tower_http::request_id::MakeRequestId;

use super::layers::{Dates, NewIds, REQUEST_ID};
use crate::agent_api::{POLL_PATH, Source, ask_for_poll, source_of_poll};
use crate::app::App;

/// The answer to an ordinary poll: from memory now, or from the database soon.
pub(super) type Answer = Either<Ready<Answered>, BoxFuture<'static, Answered>>;

type Answered = Result<Response, Infallible>;

/// How an ordinary poll is answered; none for every other request.
pub(super) fn answer<B: HttpBody>(
    app: &App,
    dates: &Dates,
    request: &Request<B>,
) -> Option<Answer> {
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
    let call = match source_of_poll(app, headers, now).ok()? {
        Source::Memory(mut response) => {
            let headers = response.headers_mut();
            headers.insert(header::DATE, dates.header(now));
            return Some(Either::Left(ready(Ok(response))));
        }
        Source::Database(call) => call,
    };
    let (app, dates) = (app.clone(), dates.clone());
    let answer = async move {
        let answered = ask_for_poll(&app, call).await;
        let failed = answered.is_err();
        let mut response = answered.into_response();
        let headers = response.headers_mut();
        headers.insert(header::DATE, dates.header(app.clock.now()));
        if let (true, Some(id)) = (failed, NewIds.make_request_id(&Request::new(()))) {
            headers.insert(REQUEST_ID, id.into_header_value());
        }
        Ok(response)
    };
    Some(Either::Right(answer.boxed()))
}
