//! `/sequences`: updates as ordered packages, written as drafts, fixed by a publisher's signature, withdrawn on every
//! track at once; and `/publisher-keys`, whose signatures count.

mod check;
mod content;
mod devices;
mod keys;
mod lines;
mod list;
mod page;
mod publish;
mod withdraw;
mod write;

use axum::Router;
use uuid::Uuid;

use crate::app::App;
use crate::error::OpError;
use crate::store::sequences::{self, Stored};

/// These routes.
pub fn router() -> Router<App> {
    Router::new()
        .merge(list::router())
        .merge(page::router())
        .merge(write::router())
        .merge(publish::router())
        .merge(withdraw::router())
        .merge(keys::router())
}

/// One sequence. They belong to no track: whoever may read anything reads them.
async fn stored(app: &App, id: Uuid) -> Result<Stored, OpError> {
    let found = sequences::by_id(&mut *app.pool.acquire().await?, id).await?;
    found.ok_or(OpError::NotFound { what: "sequence" })
}
