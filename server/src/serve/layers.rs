//! What happens around every request that takes the long way: who may ask, how errors are told, and the time.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use rand::RngExt;
use tower_http::request_id::{MakeRequestId, RequestId};
use uuid::Uuid;

use crate::clock::SharedClock;
use crate::config::Config;
use crate::http::{Failure, problem};
use crate::web;

/// An id of the request: the caller's own, else a new one.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Makes ids of requests. They only have to differ, so no system call is spent on them.
#[derive(Debug, Clone, Copy)]
pub(super) struct NewIds;

impl MakeRequestId for NewIds {
    fn make_request_id<B>(&mut self, _: &axum::http::Request<B>) -> Option<RequestId> {
        let id = uuid::Builder::from_random_bytes(rand::rng().random()).into_uuid();
        let mut text = Uuid::encode_buffer();
        HeaderValue::from_str(id.hyphenated().encode_lower(&mut text))
            .ok()
            .map(RequestId::new)
    }
}

/// The `Date` of answers, written out once a second.
#[derive(Debug, Clone)]
pub(super) struct Dates {
    last: Arc<ArcSwap<(i64, HeaderValue)>>,
}

impl Default for Dates {
    fn default() -> Self {
        Self {
            last: Arc::new(ArcSwap::from_pointee((
                i64::MIN,
                HeaderValue::from_static(""),
            ))),
        }
    }
}

impl Dates {
    /// This time as HTTP writes it.
    pub(super) fn header(&self, now: DateTime<Utc>) -> HeaderValue {
        let second = now.timestamp();
        let last = self.last.load();
        if last.0 == second {
            return last.1.clone();
        }
        let text = now.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let value = HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""));
        self.last.store(Arc::new((second, value.clone())));
        value
    }
}

/// What [`around`] needs.
pub(super) struct Surroundings {
    pub(super) config: Arc<Config>,
    pub(super) clock: SharedClock,
    pub(super) dates: Dates,
}

/// Around every request: turned away where plain HTTP is not for its peer; what fails outside of any handler is told
/// like every other failure; the `Date` is the injected clock's, because agents set their clocks by it.
pub(super) async fn around(
    State(surroundings): State<Arc<Surroundings>>,
    mut request: Request,
    next: Next,
) -> Response {
    let for_people = web::is_for_people(&request);
    let own = request.uri().path() == "/readyz";
    let response = match admitted(&surroundings.config, &mut request) {
        Ok(()) => next.run(request).await,
        Err(failure) => failure.into_response(),
    };
    let response = every_error_is_a_problem(own, response);
    let mut response = if for_people {
        web::for_people(response)
    } else {
        response
    };
    let date = surroundings.dates.header(surroundings.clock.now());
    response.headers_mut().insert(header::DATE, date);
    response
}

/// Plain HTTP is for loopback and for named proxies; a socket with TLS takes everybody.
pub(super) fn is_served(config: &Config, peer: IpAddr) -> bool {
    config.tls.is_some() || config.accepts_plain_http_from(peer)
}

/// Whether the request is served; behind a proxy of ours its peer becomes whom the proxy speaks for.
fn admitted(config: &Config, request: &mut Request) -> Result<(), Failure> {
    let peer = request
        .extensions()
        .get::<ConnectInfo<SocketAddr>>()
        .map(|c| c.0.ip());
    if config.tls.is_none() && !peer.is_some_and(|p| is_served(config, p)) {
        return Err(Failure::Forbidden(
            "Plain HTTP is served on loopback and to trusted proxies only. Use HTTPS.".into(),
        ));
    }
    let proxy = peer.is_some_and(|p| config.speaks_for_others(p));
    if let Some(client) = client(config, request).filter(|_| proxy) {
        let client = ConnectInfo(SocketAddr::new(client, 0));
        request.extensions_mut().insert(client);
    }
    Ok(())
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

/// Layers below answer some requests themselves, with a bare status: a body that can not be unpacked, a request that
/// took too long. What they say becomes a problem like every other; `own` are answers that are meant so.
fn every_error_is_a_problem(own: bool, response: Response) -> Response {
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

/// Requests are logged by the route they took: addresses can hold a link that is good once.
pub(super) fn span(request: &Request) -> tracing::Span {
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("none", MatchedPath::as_str);
    tracing::debug_span!("request", method = %request.method(), route)
}

/// The answer where a handler panicked.
pub(super) fn panicked() -> Response {
    let detail = "The request failed in an unforeseen way; the server goes on.";
    Failure::Problem(Box::new(problem(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal",
        "Internal error",
        detail,
    )))
    .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_written_as_http_wants_it_and_follows_the_clock_both_ways() {
        let dates = Dates::default();
        let at = |seconds| DateTime::from_timestamp(seconds, 999_000_000).unwrap();
        assert_eq!(
            dates.header(at(784_111_777)),
            "Sun, 06 Nov 1994 08:49:37 GMT"
        );
        assert_eq!(
            dates.header(at(784_111_777)),
            "Sun, 06 Nov 1994 08:49:37 GMT"
        );
        assert_eq!(
            dates.header(at(784_111_778)),
            "Sun, 06 Nov 1994 08:49:38 GMT"
        );
        assert_eq!(
            dates.header(at(784_111_777)),
            "Sun, 06 Nov 1994 08:49:37 GMT"
        );
    }
}
