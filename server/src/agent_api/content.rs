//! `GET /content/{sha256}` and `GET /manifests/{digest}`.

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use servicing::{Sha256, SignedManifest};
use tower::ServiceExt;
use tower_http::services::ServeFile;

use super::identity::AgentCall;
use crate::app::App;
use crate::error::OpError;
use crate::http::{Failure, busy};
use crate::store::sequences;

fn hash(name: &'static str, text: &str) -> Result<Sha256, OpError> {
    text.parse()
        .map_err(|_| OpError::field(name, "64 hex digits"))
}

/// A package file from the content directory, with ranges. Files are named by their SHA-256, so they never change.
pub async fn package(
    State(app): State<App>,
    _call: AgentCall,
    Path(sha256): Path<String>,
    request: Request,
) -> Result<Response, Failure> {
    // The path is made of the parsed hash: 64 hex digits, nothing that walks.
    let file = app.content_dir.join(hash("sha256", &sha256)?.to_string());
    if !file.is_file() {
        return Err(OpError::NotFound {
            what: "package file",
        }
        .into());
    }
    let mut response = ServeFile::new(file)
        .oneshot(request)
        .await
        .map_err(anyhow::Error::from)?
        .into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("private, immutable, max-age=31536000"),
    );
    Ok(response)
}

/// The signed manifest of a sequence.
pub async fn manifest(
    State(app): State<App>,
    _call: AgentCall,
    Path(digest): Path<String>,
) -> Result<Json<SignedManifest>, Failure> {
    let digest = hash("digest", &digest)?;
    let _place = app.bounds.calls.enter().await.map_err(busy)?;
    let stored = sequences::by_digest(&mut *app.pool.acquire().await?, digest).await?;
    stored
        .and_then(|s| s.manifest)
        .map(Json)
        .ok_or_else(|| OpError::NotFound { what: "manifest" }.into())
}
