//! The agent protocol, version 1, as `docs/agent-protocol.md` describes it.

pub mod asking;
mod content;
mod enrol;
pub mod enrolling;
mod events;
mod identity;
pub mod inventory;
pub mod keys;
pub mod nonces;
mod orders;
mod permits;
mod poll;
mod room;
mod token;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post, put};

pub use poll::{POLL_PATH, Source, ask as ask_for_poll, source as source_of_poll};

use crate::app::App;

/// Largest body of an enrolment, a token request or a permit request.
const SMALL: usize = 512 * 1024;

/// Largest inventory.
const INVENTORY: usize = 1024 * 1024;

/// All calls of the protocol.
pub fn router() -> Router<App> {
    Router::new()
        .route("/enroll/nonce", get(enrol::nonce))
        .route("/enroll", post(enrol::enrol))
        .route("/token", post(token::issue))
        .route("/assignment", get(poll::assignment))
        .route("/permits", post(permits::ask))
        .layer(DefaultBodyLimit::max(SMALL))
        .route(
            "/inventory",
            put(inventory::store).layer(DefaultBodyLimit::max(INVENTORY)),
        )
        .route(
            "/events",
            post(events::take).layer(DefaultBodyLimit::max(agent_protocol::MAX_BATCH_BYTES)),
        )
        .route("/content/{sha256}", get(content::package))
        .route("/manifests/{digest}", get(content::manifest))
}
