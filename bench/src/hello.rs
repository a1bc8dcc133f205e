//! The ceiling of polls: the smallest axum program, which answers every request with the headers of an unchanged poll.

use std::net::SocketAddr;

use axum::Router;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;

/// Serves until the process ends.
///
/// # Errors
/// When the address is taken.
pub async fn serve(listen: SocketAddr) -> anyhow::Result<()> {
    let router = Router::new().route("/agent/v1/assignment", get(unchanged));
    axum::serve(TcpListener::bind(listen).await?, router).await?;
    Ok(())
}

async fn unchanged() -> impl IntoResponse {
    let headers = [
        (header::ETAG, HeaderValue::from_static("\"12-3456-1\"")),
        (
            HeaderName::from_static(agent_protocol::POLL_AFTER),
            HeaderValue::from_static("900"),
        ),
    ];
    (StatusCode::NOT_MODIFIED, headers)
}
