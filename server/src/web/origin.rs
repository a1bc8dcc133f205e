//! Under which address people reach this server, for links and commands that are copied elsewhere.

use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;

use crate::error::OpError;
use crate::http::Failure;

/// Whether the server speaks TLS itself.
#[derive(Debug, Clone, Copy)]
pub struct Tls(pub bool);

/// Scheme, host and port as the browser knows them: `https://ringfence.example.org:8443`.
#[derive(Debug, Clone)]
pub struct Origin(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Origin {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Failure> {
        let tls = parts.extensions.get::<Tls>().is_some_and(|tls| tls.0);
        // HTTP/2 has it in the address, HTTP/1.1 in a header.
        let of_address = parts.uri.authority().map(|a| a.as_str().to_owned());
        let of_header = parts
            .headers
            .get(header::HOST)
            .and_then(|h| h.to_str().ok());
        let host = of_address.or_else(|| of_header.map(str::to_owned));
        let host = host.ok_or_else(|| OpError::field("Host", "the name of this server"))?;
        Ok(Self(written(tls, &host)))
    }
}

/// Plain HTTP is served on loopback, and to a proxy that speaks TLS to browsers.
fn written(tls: bool, host: &str) -> String {
    let name = host.rsplit_once(':').map_or(host, |(name, port)| {
        if port.bytes().all(|b| b.is_ascii_digit()) {
            name
        } else {
            host
        }
    });
    let loopback = matches!(name, "localhost" | "[::1]") || name.starts_with("127.");
    let scheme = if tls || !loopback { "https" } else { "http" };
    format!("{scheme}://{host}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_without_tls_is_plain() {
        for (tls, host, origin) in [
            (false, "127.0.0.1:8443", "http://127.0.0.1:8443"),
            (false, "localhost", "http://localhost"),
            (false, "[::1]:8443", "http://[::1]:8443"),
            (false, "[::1]", "http://[::1]"),
            (false, "updates.example.org", "https://updates.example.org"),
            (true, "localhost:8443", "https://localhost:8443"),
            (true, "[2001:db8::1]:8443", "https://[2001:db8::1]:8443"),
        ] {
            assert_eq!(written(tls, host), origin);
        }
    }
}
