//! Sockets, routes, health, and an orderly end.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::decompression::RequestDecompressionLayer;
use tower_http::map_request_body::MapRequestBodyLayer;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::TraceLayer;

use crate::app::App;
use crate::clock::SharedClock;
use crate::config::Config;
use crate::fleet::FRESH_FOR;
use crate::http::{Failure, problem};
use crate::{admin_api, agent_api, store, web};

/// A request takes no longer than this; downloads of packages answer at once and stream on.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How long connections may take to end when the server stops.
const GRACE: Duration = Duration::from_secs(10);

/// All routes.
pub fn router(app: App, config: Arc<Config>) -> Router {
    let id = HeaderName::from_static("x-request-id");
    let pages = web::router(&app, config.tls.is_some());
    let layers = ServiceBuilder::new()
        .layer(SetRequestIdLayer::new(id.clone(), MakeRequestUuid))
        .layer(TraceLayer::new_for_http().make_span_with(span))
        .layer(PropagateRequestIdLayer::new(id))
        .layer(from_fn(every_error_is_told))
        .layer(CatchPanicLayer::custom(|_| panicked()))
        .layer(TimeoutLayer::with_status_code(
            StatusCode::SERVICE_UNAVAILABLE,
            TIMEOUT,
        ))
        .layer(from_fn_with_state(config, only_where_allowed))
        .layer(from_fn_with_state(app.clock.clone(), tell_time))
        .layer(RequestDecompressionLayer::new())
        .layer(MapRequestBodyLayer::new(Body::new));
    Router::new()
        .nest(agent_protocol::BASE_PATH, agent_api::router())
        .nest("/api/v1", admin_api::router())
        .merge(pages)
        .route("/healthz", get(async || "alive"))
        .route("/readyz", get(ready))
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method)
        .layer(layers)
        .with_state(app)
}

/// Requests are logged by the route they took: addresses can hold a link that is good once.
fn span(request: &Request) -> tracing::Span {
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("none", MatchedPath::as_str);
    tracing::debug_span!("request", method = %request.method(), route)
}

async fn not_found() -> Failure {
    Failure::Problem(Box::new(problem(
        StatusCode::NOT_FOUND,
        "not-found",
        "Not found",
        "There is nothing at this address.",
    )))
}

async fn wrong_method() -> Failure {
    Failure::Problem(Box::new(problem(
        StatusCode::METHOD_NOT_ALLOWED,
        "method",
        "Method not allowed",
        "This address takes other methods.",
    )))
}

fn panicked() -> Response {
    let detail = "The request failed in an unforeseen way; the server goes on.";
    Failure::Problem(Box::new(problem(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal",
        "Internal error",
        detail,
    )))
    .into_response()
}

/// Who is behind a proxy of ours: the last address in `X-Forwarded-For` that is none of our proxies. What stands before
/// it was written by whoever it is.
fn client(config: &Config, request: &Request) -> Option<IpAddr> {
    let hops = request.headers().get_all("x-forwarded-for").iter();
    let hops: Vec<&str> = hops
        .map(|value| value.to_str())
        .collect::<Result<Vec<_>, _>>()
        .ok()?
        .into_iter()
        .flat_map(|value| value.split(','))
        .collect();
    for hop in hops.into_iter().rev() {
        let hop = hop.trim();
        let address = hop
            .parse()
            .or_else(|_| hop.parse().map(|a: SocketAddr| a.ip()));
        let address: IpAddr = address.ok()?;
        if !config.speaks_for_others(address) {
            return Some(address);
        }
    }
    None
}

/// Plain HTTP is for loopback and for named proxies; a socket with TLS takes everybody.
async fn only_where_allowed(
    State(config): State<Arc<Config>>,
    mut request: Request,
    next: Next,
) -> Response {
    let peer = request
        .extensions()
        .get::<ConnectInfo<SocketAddr>>()
        .map(|c| c.0.ip());
    if config.tls.is_some() || peer.is_some_and(|p| config.accepts_plain_http_from(p)) {
        let proxy = peer.is_some_and(|p| config.speaks_for_others(p));
        if let Some(client) = client(&config, &request).filter(|_| proxy) {
            let client = ConnectInfo(SocketAddr::new(client, 0));
            request.extensions_mut().insert(client);
        }
        return next.run(request).await;
    }
    Failure::Forbidden(
        "Plain HTTP is served on loopback and to trusted proxies only. Use HTTPS.".into(),
    )
    .into_response()
}

/// What fails outside of any handler is a page for people and a problem for programs, like every other failure.
async fn every_error_is_told(request: Request, next: Next) -> Response {
    let for_people = web::is_for_people(&request);
    let response = every_error_is_a_problem(request, next).await;
    if for_people {
        web::for_people(response)
    } else {
        response
    }
}

/// Layers below answer some requests themselves, with a bare status: a body that can not be unpacked, a request that
/// took too long. What they say becomes a problem like every other.
async fn every_error_is_a_problem(request: Request, next: Next) -> Response {
    let own = request.uri().path() == "/readyz";
    let response = next.run(request).await;
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    let says_more = response.headers().get(header::CONTENT_TYPE).is_some();
    if own || !is_error || says_more {
        return response;
    }
    let title = status.canonical_reason().unwrap_or("Error");
    let detail = match status {
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "The body must be plain, gzip or zstd.",
        StatusCode::SERVICE_UNAVAILABLE => {
            "The request took too long. Nothing is known of it; asking again is harmless."
        }
        _ => "The request can not be answered as it is.",
    };
    Failure::Problem(Box::new(problem(
        status,
        &status.as_u16().to_string(),
        title,
        detail,
    )))
    .into_response()
}

/// The `Date` of every answer is the injected clock's: agents set their clocks by it.
async fn tell_time(State(clock): State<SharedClock>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let date = clock.now().format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    if let Ok(date) = HeaderValue::try_from(date) {
        response.headers_mut().insert(header::DATE, date);
    }
    response
}

/// Ready means: the database answers, its schema is this program's, and the picture is fresh.
async fn ready(State(app): State<App>) -> Response {
    let fresh = app.picture.age().is_some_and(|age| age <= FRESH_FOR);
    let migrated = store::is_migrated(&app.pool).await;
    let (database, schema) = (migrated.is_ok(), migrated.unwrap_or(false));
    let body = axum::Json(serde_json::json!({
        "database": database, "schema": schema, "picture_fresh": fresh, "picture_reads": app.picture.reads(),
    }));
    let status = if fresh && database && schema {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, body).into_response()
}

/// Serves until the handle is told to stop, then lets open requests end.
///
/// # Errors
/// When the socket fails.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    tls: Option<RustlsConfig>,
    handle: Handle<SocketAddr>,
) -> std::io::Result<()> {
    listener.set_nonblocking(true)?;
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    match tls {
        Some(tls) => {
            axum_server::from_tcp_rustls(listener, tls)?
                .handle(handle)
                .serve(service)
                .await
        }
        None => {
            axum_server::from_tcp(listener)?
                .handle(handle)
                .serve(service)
                .await
        }
    }
}

/// Tells a server to take no more connections, and waits for open requests up to ten seconds.
pub fn stop(handle: &Handle<SocketAddr>, app: &App) {
    app.closing.cancel();
    handle.graceful_shutdown(Some(GRACE));
}
