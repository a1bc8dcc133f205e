//! The protocol over HTTP.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use agent_protocol::{BASE_PATH, POLL_AFTER};
use anyhow::Context;
use chrono::{DateTime, Utc};
use http::{HeaderMap, Method, StatusCode, header};
use reqwest::{Certificate, Client, RequestBuilder};
use serde::Serialize;

use super::CONCURRENCY;
use crate::core::{Answer, Call, Fetch, Fetched, Reply, Request};
use crate::platform::Platform;

/// A server that is alive answers within this, even when it is busy.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Requests by kind and status; `unreachable` where no answer came.
pub type Requests = BTreeMap<Cow<'static, str>, BTreeMap<String, u64>>;

/// A server, as all devices of a fleet reach it.
#[derive(Debug)]
pub(super) struct Http {
    client: Client,
    base: String,
    requests: Mutex<Requests>,
}

/// What goes wrong with a download.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Damage {
    /// A byte is wrong.
    pub(super) corrupt: bool,
    /// The connection breaks half way.
    pub(super) cut: bool,
}

impl Http {
    pub(super) fn new(server_url: &str, ca_pem: Option<&str>) -> anyhow::Result<Self> {
        // The provider is chosen once for a process; whoever was first has chosen.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        // HTTP/1: many connections use all cores of a server, one of HTTP/2 uses one.
        let mut builder = Client::builder()
            .http1_only()
            .timeout(TIMEOUT)
            .pool_max_idle_per_host(CONCURRENCY);
        if let Some(pem) = ca_pem {
            let certificates = Certificate::from_pem_bundle(pem.as_bytes())
                .context("reading the CA certificate")?;
            builder = builder.tls_certs_only(certificates);
        }
        Ok(Self {
            client: builder.build().context("setting up HTTP")?,
            base: format!("{}{BASE_PATH}", server_url.trim_end_matches('/')),
            requests: Mutex::default(),
        })
    }

    pub(super) fn requests(&self) -> Requests {
        self.requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Make a call.
    pub(super) async fn call(&self, request: &Request) -> Answer {
        let (kind, builder) = self.build(&request.call);
        let builder = match &request.bearer {
            Some(bearer) => builder.bearer_auth(bearer),
            None => builder,
        };
        let answer = match builder.send().await {
            Ok(response) => {
                let (status, headers) = (response.status(), response.headers().clone());
                response
                    .bytes()
                    .await
                    .ok()
                    .map(|body| reply(status, &headers, body.to_vec()))
            }
            Err(error) => {
                tracing::debug!(kind, %error, "no answer");
                None
            }
        };
        self.count(kind, answer.as_ref().map(|reply| reply.status));
        answer.map_or(Answer::Unreachable, Answer::Reply)
    }

    /// Fetch a package onto a device, going on where an earlier attempt ended.
    pub(super) async fn fetch(
        &self,
        fetch: &Fetch,
        damage: Damage,
        device: &mut impl Platform,
    ) -> Fetched {
        let sha256 = fetch.sha256.as_str();
        let have = device.downloaded_bytes(sha256);
        if have == 0 || have < fetch.size_bytes {
            let mut request = self
                .client
                .get(format!("{}/content/{sha256}", self.base))
                .bearer_auth(&fetch.bearer);
            if have > 0 {
                request = request.header(header::RANGE, format!("bytes={have}-"));
            }
            let response = request.send().await;
            self.count(
                "content",
                response
                    .as_ref()
                    .ok()
                    .map(|response| response.status().as_u16()),
            );
            let Ok(mut response) = response else {
                return Fetched::Cut { bytes: have };
            };
            match response.status() {
                StatusCode::PARTIAL_CONTENT => {}
                StatusCode::OK => device.discard(sha256),
                status => {
                    let retry_after_s = number(response.headers(), header::RETRY_AFTER.as_str());
                    return Fetched::Denied {
                        status: status.as_u16(),
                        retry_after_s,
                    };
                }
            }
            loop {
                match response.chunk().await {
                    Ok(Some(chunk)) if damage.cut => {
                        device.append(sha256, &chunk[..chunk.len() / 2]);
                        return Fetched::Cut {
                            bytes: device.downloaded_bytes(sha256),
                        };
                    }
                    Ok(Some(chunk)) => device.append(sha256, &chunk),
                    Ok(None) => break,
                    Err(_) => {
                        return Fetched::Cut {
                            bytes: device.downloaded_bytes(sha256),
                        };
                    }
                }
            }
            if damage.corrupt {
                device.append(sha256, b"!");
            }
        }
        if device.hash_holds(sha256) {
            Fetched::Complete
        } else {
            Fetched::Corrupt
        }
    }

    fn build(&self, call: &Call) -> (&'static str, RequestBuilder) {
        let request = |method: Method, path: &str| {
            self.client.request(method, format!("{}{path}", self.base))
        };
        match call {
            Call::Nonce => ("nonce", request(Method::GET, "/enroll/nonce")),
            Call::Enrol(body) => ("enroll", json(request(Method::POST, "/enroll"), body)),
            Call::Token(body) => ("token", json(request(Method::POST, "/token"), body)),
            Call::Poll { etag } => {
                let builder = request(Method::GET, "/assignment");
                let builder = match etag {
                    Some(etag) => builder.header(header::IF_NONE_MATCH, etag),
                    None => builder,
                };
                ("poll", builder)
            }
            Call::Permit(body) => ("permit", json(request(Method::POST, "/permits"), body)),
            Call::Inventory(body) => ("inventory", json(request(Method::PUT, "/inventory"), body)),
            Call::Events(body) => ("events", json(request(Method::POST, "/events"), body)),
            Call::Manifest { digest } => (
                "manifest",
                request(Method::GET, &format!("/manifests/{digest}")),
            ),
        }
    }

    fn count(&self, kind: &'static str, status: Option<u16>) {
        let status = status.map_or_else(|| "unreachable".to_owned(), |status| status.to_string());
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        *requests
            .entry(Cow::Borrowed(kind))
            .or_default()
            .entry(status)
            .or_default() += 1;
    }
}

fn json(builder: RequestBuilder, body: &impl Serialize) -> RequestBuilder {
    builder.json(body)
}

fn reply(status: StatusCode, headers: &HeaderMap, body: Vec<u8>) -> Reply {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    Reply {
        status: status.as_u16(),
        date: text("date").and_then(http_date),
        etag: text("etag").map(str::to_owned),
        poll_after_s: number(headers, POLL_AFTER),
        retry_after_s: number(headers, header::RETRY_AFTER.as_str()),
        body,
    }
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

/// `Fri, 27 Mar 2026 08:00:00 GMT`
fn http_date(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc2822(text)
        .ok()
        .map(|date| date.to_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_of_an_answer_is_read_as_servers_write_it() {
        let date = http_date("Fri, 27 Mar 2026 08:00:00 GMT");
        assert_eq!(date, Some("2026-03-27T08:00:00Z".parse().unwrap()));
        assert_eq!(http_date("yesterday"), None);
    }

    #[test]
    fn a_ca_that_is_none_is_an_error_and_not_ignored() {
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(Http::new("https://localhost", Some(broken)).is_err());
    }
}
