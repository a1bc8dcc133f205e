//! `/approvals`: requests to open a ring or to override a gate, and what people decide about them.

mod actions;
mod asked;
mod decision;
mod differences;
mod list;
mod outlook;
mod page;
#[cfg(test)]
mod tests;
mod voters;
mod words;

use axum::Router;

use crate::app::App;

/// These routes.
pub fn router() -> Router<App> {
    Router::new()
        .merge(list::router())
        .merge(page::router())
        .merge(actions::router())
}
