//! `/audit`: who did what, when, and whether the chain of it holds. It speaks of all tracks, so it takes an auditor of
//! all tracks.

mod export;
mod list;
mod verify;
mod words;

use axum::Router;

use crate::app::App;

/// These routes.
pub fn router() -> Router<App> {
    Router::new()
        .merge(list::router())
        .merge(verify::router())
        .merge(export::router())
}
