//! Devices: the list, which is a search, and the page of one.

mod actions;
mod axis;
mod csv;
mod events;
mod lanes;
mod ledger;
mod list;
mod page;
mod rule;
mod shown;
mod standing;

use axum::Router;

use crate::app::App;

/// These routes.
pub fn router() -> Router<App> {
    Router::new()
        .merge(list::router())
        .merge(csv::router())
        .merge(page::router())
        .merge(actions::router())
}

/// A name as people see it: machines may have none.
fn or_dash(text: &str) -> String {
    if text.trim().is_empty() {
        "–".to_owned()
    } else {
        text.to_owned()
    }
}
