//! `/rollouts`: the list, a new one, one rollout, and what people do to it.

mod actions;
mod exclude;
mod forecast;
mod list;
mod new;
mod page;

use axum::Router;

use crate::app::App;

/// These routes.
pub fn router() -> Router<App> {
    Router::new()
        .merge(list::router())
        .merge(new::router())
        .merge(page::router())
        .merge(forecast::router())
        .merge(actions::router())
        .merge(exclude::router())
}
