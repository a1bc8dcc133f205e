//! `/audit.jsonl`: the whole chain, an entry a line, to be kept elsewhere.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use futures::stream::try_unfold;
use sqlx::PgPool;

use crate::app::App;
use crate::auth::Auditor;
use crate::store::audit;
use crate::web::frame::Shown;

/// Entries that are read at once.
const PAGE: i64 = 1000;

/// This route.
pub fn router() -> Router<App> {
    Router::new().route("/audit.jsonl", get(export))
}

async fn export(State(app): State<App>, caller: Auditor) -> Shown {
    caller.everywhere()?;
    // Entries are only ever appended, so page after page up to here is the chain as of now.
    let length = audit::length(&mut *app.pool.acquire().await?).await?;
    let pages = try_unfold(0, move |after| page(app.pool.clone(), after, length));
    let headers = [
        (header::CONTENT_TYPE, "application/jsonl"),
        (
            header::CONTENT_DISPOSITION,
            "attachment; filename=\"ringfence-audit.jsonl\"",
        ),
    ];
    Ok((headers, Body::from_stream(pages)).into_response())
}

/// The lines after `after`, and where to go on; none at the end.
async fn page(pool: PgPool, after: i64, length: i64) -> anyhow::Result<Option<(Bytes, i64)>> {
    let limit = PAGE.min(length - after);
    if limit <= 0 {
        return Ok(None);
    }
    let entries = audit::page(&mut *pool.acquire().await?, None, after, limit).await?;
    let Some(last) = entries.last().map(|e| e.n) else {
        return Ok(None);
    };
    let mut lines = Vec::new();
    for entry in &entries {
        serde_json::to_writer(&mut lines, entry)?;
        lines.push(b'\n');
    }
    Ok(Some((lines.into(), last)))
}
