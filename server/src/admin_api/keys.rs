//! `/publisher-keys`: whose signatures count.

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::auth::{Admin, Viewer};
use crate::error::OpError;
use crate::http::{All, Body, Failure};
use crate::operations;
use crate::store::sequences::{self, PublisherKey};

/// Calls of this aggregate.
pub fn router() -> Router<App> {
    Router::new().route("/publisher-keys", get(list).post(add))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewKey {
    public_key: String,
}

/// A key as people compare it.
#[derive(Debug, Serialize)]
struct KeyLine {
    key_id: String,
    public_key: String,
    added_at: DateTime<Utc>,
}

impl From<PublisherKey> for KeyLine {
    fn from(key: PublisherKey) -> Self {
        Self {
            key_id: key.key_id,
            public_key: URL_SAFE_NO_PAD.encode(key.public_key),
            added_at: key.added_at,
        }
    }
}

async fn list(State(app): State<App>, _caller: Viewer) -> Result<Json<All<KeyLine>>, Failure> {
    let keys = sequences::keys(&mut *app.pool.acquire().await?).await?;
    Ok(Json(All {
        items: keys.into_iter().map(KeyLine::from).collect(),
    }))
}

async fn add(
    State(app): State<App>,
    caller: Admin,
    Body(new): Body<NewKey>,
) -> Result<(StatusCode, Json<KeyLine>), Failure> {
    let caller = caller.everywhere()?;
    let key = operations::read_key(&new.public_key).ok_or_else(|| {
        OpError::field(
            "public_key",
            "an Ed25519 public key: 32 bytes, base64url without padding",
        )
    })?;
    let added = operations::add_key(&app.pool, &key, caller.person().0, app.clock.now()).await?;
    Ok((StatusCode::CREATED, Json(added.into())))
}
