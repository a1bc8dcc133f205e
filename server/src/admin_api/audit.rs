//! `/audit`: the chain of decisions. It speaks of all tracks, so it takes an auditor of all tracks.

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::auth::Auditor;
use crate::error::OpError;
use crate::http::{Failure, Page, Query, limit};
use crate::store;
use crate::store::audit::{self, Stored};

/// Calls of this aggregate.
pub fn router() -> Router<App> {
    Router::new()
        .route("/audit", get(list))
        .route("/audit/verify", get(verify))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    after: Option<i64>,
    subject: Option<String>,
    limit: Option<i64>,
}

/// Whether the chain holds; if not, where it breaks.
#[derive(Debug, Serialize)]
struct Verified {
    holds: bool,
    entries: Option<i64>,
    /// So many of them, the newest, were checked.
    checked: Option<i64>,
    head: Option<String>,
    broken: Option<String>,
}

async fn list(
    State(app): State<App>,
    caller: Auditor,
    Query(asked): Query<Asked>,
) -> Result<Json<Page<Stored, i64>>, Failure> {
    caller.everywhere()?;
    let limit = limit(asked.limit, 100, 1000)?;
    let after = asked.after.unwrap_or(0);
    let items = audit::page(
        &mut *app.pool.acquire().await?,
        asked.subject.as_deref(),
        after,
        limit,
    )
    .await?;
    Ok(Json(Page::of(items, limit, |e| e.n)))
}

async fn verify(State(app): State<App>, caller: Auditor) -> Result<Json<Verified>, Failure> {
    caller.everywhere()?;
    // As of one moment: an entry that is appended meanwhile is no break.
    let mut tx = store::reading(&app.pool).await?;
    match audit::verify_newest(&mut tx).await {
        Ok((checked, entries, head)) => Ok(Json(Verified {
            holds: true,
            entries: Some(entries),
            checked: Some(checked),
            head: Some(head),
            broken: None,
        })),
        Err(error) if error.is::<sqlx::Error>() => Err(OpError::from(error).into()),
        Err(broken) => Ok(Json(Verified {
            holds: false,
            entries: None,
            checked: None,
            head: None,
            broken: Some(broken.to_string()),
        })),
    }
}
