//! Server-sent events: a page that is open learns that something was committed, and asks for itself again.

use std::convert::Infallible;
use std::ops::RangeInclusive;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::sse::{Event, KeepAlive};
use axum::response::{IntoResponse, Sse};
use axum::routing::get;
use futures::stream::{StreamExt, unfold};
use rand::RngExt;
use serde::Deserialize;

use crate::app::App;
use crate::auth::Viewer;
use crate::web::form::Filter;

/// Where the events are.
pub const PATH: &str = "/live";

/// A busy fleet commits many times a second: nobody reads faster than this. Between the two, so that open pages do not
/// all ask in the same moment.
const BREATH: RangeInclusive<u64> = 1_500..=4_000;

/// Streams end after a while and browsers come back: then it is checked anew who is there.
const LONGEST: Duration = Duration::from_secs(600);

/// This route.
pub fn router() -> Router<App> {
    Router::new().route(PATH, get(live))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// Changes that the page knows of, as the server counted them that made it.
    since: Option<u64>,
}

async fn live(
    State(app): State<App>,
    _caller: Viewer,
    Filter(asked): Filter<Asked>,
) -> impl IntoResponse {
    let mut changes = app.picture.changes();
    // What was committed between the page and this stream, or while the stream was broken, is news for the page.
    // Another server counts otherwise: asking once too often does no harm.
    let now = *changes.borrow();
    if asked.since.is_some_and(|since| since != now) {
        changes.mark_changed();
    }
    let changes = unfold(changes, async |mut changes| {
        changes.changed().await.ok()?;
        let pause = rand::rng().random_range(BREATH);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        let n = *changes.borrow_and_update();
        Some((
            Ok::<_, Infallible>(Event::default().event("changed").data(n.to_string())),
            changes,
        ))
    });
    let until = async move {
        tokio::select! {
            () = app.closing.cancelled() => {}
            () = tokio::time::sleep(LONGEST) => {}
        }
    };
    let events = changes.take_until(Box::pin(until)).boxed();
    let events = Sse::new(events).keep_alive(KeepAlive::default());
    ([(header::CACHE_CONTROL, "no-store")], events)
}
