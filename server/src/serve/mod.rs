//! Sockets, routes, health, and an orderly end.
//!
//! A request is first shown to `fast_poll`, which answers what is asked a million times; all others go through
//! `layers` to the routes.

mod fast_poll;
mod layers;

use std::convert::Infallible;
use std::future::ready;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{ConnectInfo, State};
use axum::http::{Request, StatusCode};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{future::RouteFuture, get};
use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use futures::future::Either;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpSocket;
use tower::{BoxError, Service, ServiceBuilder, service_fn};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::decompression::RequestDecompressionLayer;
use tower_http::map_request_body::MapRequestBodyLayer;
use tower_http::request_id::{PropagateRequestIdLayer, SetRequestIdLayer};
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::TraceLayer;

use crate::app::App;
use crate::config::Config;
use crate::fleet::FRESH_FOR;
use crate::http::{Failure, problem};
use crate::{admin_api, agent_api, store, web};
use layers::{Dates, NewIds, REQUEST_ID, Surroundings};

/// A request takes no longer than this; downloads of packages answer at once and stream on.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Longer than proxies and agents keep a connection that they do not use, so that they end it and not the server.
const QUIET: Duration = Duration::from_mins(2);

/// How long connections may take to end when the server stops.
const GRACE: Duration = Duration::from_secs(10);

/// Everything that answers requests.
#[derive(Clone)]
pub struct Front(Arc<Ways>);

struct Ways {
    app: App,
    config: Arc<Config>,
    dates: Dates,
    router: Router,
}

impl Front {
    /// The short way and all routes.
    #[must_use]
    pub fn new(app: App, config: Arc<Config>) -> Self {
        let dates = Dates::default();
        let router = router(app.clone(), Arc::clone(&config), dates.clone());
        Self(Arc::new(Ways {
            app,
            config,
            dates,
            router,
        }))
    }

    /// What answers one connection's requests.
    fn to(&self, peer: SocketAddr) -> Connection {
        Connection {
            ways: Arc::clone(&self.0),
            peer,
            served: layers::is_served(&self.0.config, peer.ip()),
        }
    }
}

/// One connection's view of the [`Front`].
#[derive(Clone)]
struct Connection {
    ways: Arc<Ways>,
    peer: SocketAddr,
    served: bool,
}

impl<B> Service<Request<B>> for Connection
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Either<fast_poll::Answer, RouteFuture<Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let ways = &*self.ways;
        if self.served
            && let Some(answer) = fast_poll::answer(&ways.app, &ways.dates, &request)
        {
            return Either::Left(answer);
        }
        request.extensions_mut().insert(ConnectInfo(self.peer));
        Either::Right(ways.router.clone().call(request))
    }
}

fn router(app: App, config: Arc<Config>, dates: Dates) -> Router {
    let pages = web::router(&app, config.tls.is_some());
    let surroundings = Arc::new(Surroundings {
        config,
        clock: Arc::clone(&app.clock),
        dates,
    });
    let layers = ServiceBuilder::new()
        .layer(SetRequestIdLayer::new(REQUEST_ID, NewIds))
        .layer(TraceLayer::new_for_http().make_span_with(layers::span))
        .layer(PropagateRequestIdLayer::new(REQUEST_ID))
        .layer(from_fn_with_state(surroundings, layers::around))
        .layer(CatchPanicLayer::custom(|_| layers::panicked()))
        .layer(TimeoutLayer::with_status_code(
            StatusCode::SERVICE_UNAVAILABLE,
            TIMEOUT,
        ))
        .layer(RequestDecompressionLayer::new())
        .layer(MapRequestBodyLayer::new(Body::new));
    Router::new()
        .nest(agent_protocol::BASE_PATH, agent_api::router())
        .nest("/api/v1", admin_api::router())
        .merge(pages)
        .route("/healthz", get(async || "alive"))
        .route("/readyz", get(ready_now))
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method)
        .layer(layers)
        .with_state(app)
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

/// Ready means: the database answers, its schema is this program's, and the picture is fresh.
async fn ready_now(State(app): State<App>) -> Response {
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

/// Connections that may wait to be taken: after an outage a whole fleet comes at once, and one that finds no room here
/// tries again after a second, and then after two.
const BACKLOG: u32 = 4096;

/// Listens on an address.
///
/// # Errors
/// When it is taken, or not one of this machine.
pub fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // As the standard library does: a server that was just stopped can be started again.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

/// Serves until the handle is told to stop, then lets open requests end.
///
/// # Errors
/// When the socket fails.
pub async fn serve(
    listener: TcpListener,
    front: Front,
    tls: Option<RustlsConfig>,
    handle: Handle<SocketAddr>,
) -> std::io::Result<()> {
    listener.set_nonblocking(true)?;
    let service = service_fn(move |peer: SocketAddr| ready(Ok::<_, Infallible>(front.to(peer))));
    match tls {
        Some(tls) => {
            let mut server = axum_server::from_tcp_rustls(listener, tls)?.handle(handle);
            end_quiet_ones(server.http_builder(), QUIET);
            server.serve(service).await
        }
        None => {
            let mut server = axum_server::from_tcp(listener)?.handle(handle);
            end_quiet_ones(server.http_builder(), QUIET);
            server.serve(service).await
        }
    }
}

/// Ends connections on which nobody asks, and those that send the head of a request byte by byte.
fn end_quiet_ones(builder: &mut Builder<TokioExecutor>, after: Duration) {
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(after);
}

/// Tells a server to take no more connections, and waits for open requests up to ten seconds.
pub fn stop(handle: &Handle<SocketAddr>, app: &App) {
    app.closing.cancel();
    handle.graceful_shutdown(Some(GRACE));
}

#[cfg(test)]
mod tests;
