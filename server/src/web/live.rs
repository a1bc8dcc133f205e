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

use crate::app::App;
use crate::auth::Viewer;

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

async fn live(State(app): State<App>, _caller: Viewer) -> impl IntoResponse {
    let changes = unfold(app.picture.changes(), async |mut changes| {
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
