//! Style sheets, scripts, fonts and icons: part of the program, so that it is one file.

use std::fmt::Write;

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use rust_embed::RustEmbed;

use crate::app::App;

#[derive(RustEmbed)]
#[folder = "../static"]
#[exclude = "*.md"]
#[exclude = "*.toml"]
struct Files;

/// `/static/...`.
pub fn router() -> Router<App> {
    Router::new().route("/static/{*path}", get(file))
}

/// Address of a file; it changes with the content, so that browsers keep it for ever.
pub fn address(path: &str) -> String {
    let mut address = format!("/static/{path}");
    if let Some(file) = Files::get(path) {
        address.push_str("?v=");
        for byte in &file.metadata.sha256_hash()[..6] {
            // Writing into a string can not fail.
            let _written = write!(address, "{byte:02x}");
        }
    }
    address
}

async fn file(Path(path): Path<String>, headers: HeaderMap) -> Response {
    let Some(file) = Files::get(&path) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let tag = format!("\"{}\"", hex::encode(file.metadata.sha256_hash()));
    if headers
        .get(header::IF_NONE_MATCH)
        .is_some_and(|t| t.as_bytes() == tag.as_bytes())
    {
        return StatusCode::NOT_MODIFIED.into_response();
    }
    let headers = [
        (header::CONTENT_TYPE, file.metadata.mimetype().to_owned()),
        (
            header::CACHE_CONTROL,
            "public, max-age=31536000, immutable".to_owned(),
        ),
        (header::ETAG, tag),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
    ];
    (headers, file.data).into_response()
}
