//! The admin API: JSON over HTTPS for people, scripts and pages, with an API token as bearer.
//!
//! Handlers extract, operate and present; rules live in `engine`, writes in `control`, `registry`, `auth` and
//! `operations`; what is shown is read by `views`. A caller sees the tracks on which they have a role: everything else is 404 for them.

mod approvals;
mod audit;
mod devices;
mod enrolment;
mod keys;
mod people;
mod rollouts;
mod sequences;
mod tracks;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderValue, header};
use tower_http::set_header::SetResponseHeaderLayer;

use crate::app::App;

/// Largest body: 1 MiB holds the largest sequence there can be several times.
const LARGEST_BODY: usize = 1024 * 1024;

/// All calls.
pub fn router() -> Router<App> {
    Router::new()
        .merge(tracks::router())
        .merge(sequences::router())
        .merge(keys::router())
        .merge(rollouts::router())
        .merge(approvals::router())
        .merge(enrolment::router())
        .merge(devices::router())
        .merge(people::router())
        .merge(audit::router())
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        // Answers depend on who asks, and some show a token.
        .layer(SetResponseHeaderLayer::overriding(
            header::CACHE_CONTROL,
            HeaderValue::from_static("no-store"),
        ))
}
