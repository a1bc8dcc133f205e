//! What stands before every page: who is there, whether a form is ours, and how a failure looks.

use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use tokio::time::timeout;
use tower_sessions::Session;

use super::{LARGEST_FORM, problem_page};
use crate::app::App;
use crate::auth::{Browser, browser};
use crate::error::OpError;
use crate::http::Failure;

/// The fields of a form, without its token.
#[derive(Debug, Clone)]
pub struct Fields(pub Vec<(String, String)>);

/// Name of the field with the token.
const CSRF: &str = "csrf";

/// How long a refresh waits for its turn.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a page asks for by itself is marked so by htmx.
const BY_ITSELF: &str = "hx-request";

/// Lets a request through with a [`Browser`] (or none) and, for a form, its [`Fields`]. No handler can forget the
/// check of the token: without it there are no fields.
pub async fn guard(
    State(app): State<App>,
    session: Session,
    request: Request,
    next: Next,
) -> Response {
    let here = request.uri().clone();
    let by_itself = request.headers().contains_key(BY_ITSELF);
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let back = referer(request.headers()).filter(|_| !is_read);
    // What pages ask for by themselves waits in line, so that permits and telemetry are never kept waiting by screens that
    // nobody looks at. Who waited too long keeps what they see, and asks again after the next change.
    let _turn = if by_itself && is_read {
        let turn = timeout(PATIENCE, app.refreshes.acquire()).await;
        let Ok(Ok(turn)) = turn else {
            return StatusCode::NO_CONTENT.into_response();
        };
        Some(turn)
    } else {
        None
    };
    let response = match admit(&app, &session, request, by_itself).await {
        Ok(request) => next.run(request).await,
        Err(failure) => failure.into_response(),
    };
    if response.status() == StatusCode::UNAUTHORIZED {
        let asked = here.path_and_query().map_or("/overview", |p| p.as_str());
        let next = if is_read { asked } else { "/overview" };
        let query: String = form_urlencoded::Serializer::new(String::new())
            .append_pair("next", next)
            .finish();
        let address = format!("/sign-in?{query}");
        if by_itself {
            // A redirect would put the sign-in into the middle of the page.
            return ([("hx-redirect", address)], "").into_response();
        }
        return Redirect::to(&address).into_response();
    }
    problem_page::of(response, back.as_deref())
}

/// The page of ours from which a form was sent: there people see what is so now.
fn referer(headers: &HeaderMap) -> Option<String> {
    let from: Uri = headers.get(header::REFERER)?.to_str().ok()?.parse().ok()?;
    let host = headers.get(header::HOST)?.to_str().ok()?;
    let ours = from.authority()?.as_str().eq_ignore_ascii_case(host);
    ours.then(|| from.path_and_query().map(ToString::to_string))?
}

async fn admit(
    app: &App,
    session: &Session,
    request: Request,
    by_itself: bool,
) -> Result<Request, Failure> {
    let by_hand = !by_itself && request.uri().path() != super::live::PATH;
    let now = app.wall_clock.now();
    let browser = browser::signed_in(session, &app.pool, now, by_hand).await?;
    let (mut parts, body) = request.into_parts();
    let mut body = body;
    if !matches!(parts.method, Method::GET | Method::HEAD) {
        let fields = form(&parts.headers, body).await?;
        parts.extensions.insert(checked(&fields, browser.as_ref())?);
        if !same_origin(&parts.headers, &parts.uri) {
            return Err(stale());
        }
        body = Body::empty();
    }
    parts.extensions.insert(browser);
    Ok(Request::from_parts(parts, body))
}

fn stale() -> Failure {
    Failure::Forbidden(
        "The form did not come from a page of this session. Open the page again and repeat it."
            .to_owned(),
    )
}

/// Browsers say where a form comes from. What says nothing is no browser, and brings no cookie of a victim along.
fn same_origin(headers: &HeaderMap, uri: &Uri) -> bool {
    let text = |name| headers.get(name).and_then(|v| v.to_str().ok());
    if let Some(site) = text(header::HeaderName::from_static("sec-fetch-site")) {
        return matches!(site, "same-origin" | "none");
    }
    // HTTP/2 names the host in the address.
    let host = uri.authority().map(Authority::as_str);
    match (text(header::ORIGIN), text(header::HOST).or(host)) {
        (Some(origin), Some(host)) => origin
            .split_once("://")
            .is_some_and(|(_, of)| of.eq_ignore_ascii_case(host)),
        (Some(_), None) => false,
        (None, _) => true,
    }
}

async fn form(headers: &HeaderMap, body: Body) -> Result<Bytes, Failure> {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.split(';').next());
    if kind.is_some_and(|k| !k.eq_ignore_ascii_case("application/x-www-form-urlencoded")) {
        return Err(Failure::UnsupportedMedia(
            "Pages take forms, which are application/x-www-form-urlencoded.".to_owned(),
        ));
    }
    to_bytes(body, LARGEST_FORM)
        .await
        .map_err(|_| Failure::TooLarge("The form is larger than 1 MiB.".to_owned()))
}

/// The fields, if the form brings the session's token along. Without a session there is nothing to protect but the
/// sign-in, for which its origin is looked at.
fn checked(body: &[u8], browser: Option<&Browser>) -> Result<Fields, Failure> {
    let (mut fields, mut token) = (Vec::new(), None);
    for (name, value) in form_urlencoded::parse(body) {
        if value.contains('\0') || name.contains('\0') {
            return Err(OpError::field("form", "no NUL character in any field").into());
        }
        if name == CSRF {
            token = Some(value.into_owned());
        } else {
            fields.push((name.into_owned(), value.replace("\r\n", "\n")));
        }
    }
    match browser {
        Some(browser) if token.as_deref() != Some(browser.csrf.as_str()) => Err(stale()),
        _ => Ok(Fields(fields)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn browser() -> Browser {
        Browser {
            person: uuid::Uuid::nil(),
            csrf: "token".to_owned(),
            stepped_up: false,
        }
    }

    #[test]
    fn a_form_without_the_sessions_token_has_no_fields() {
        let check = |body: &str| checked(body.as_bytes(), Some(&browser()));
        let fields = check("csrf=token&reason=a%0D%0Ab").unwrap();
        assert_eq!(fields.0, [("reason".to_owned(), "a\nb".to_owned())]);
        for wrong in [
            "reason=a",
            "csrf=&reason=a",
            "csrf=other",
            "csrf=token&a=%00",
        ] {
            assert!(check(wrong).is_err(), "{wrong}");
        }
        assert!(checked(b"name=a", None).is_ok());
    }

    #[test]
    fn a_form_of_another_site_is_told_by_its_origin() {
        let of = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(*name, value.parse().unwrap());
            }
            same_origin(&headers, &Uri::from_static("/rollouts"))
        };
        assert!(of(&[]));
        assert!(of(&[("sec-fetch-site", "same-origin")]));
        assert!(!of(&[("sec-fetch-site", "cross-site")]));
        assert!(!of(&[("sec-fetch-site", "same-site")]));
        assert!(of(&[("origin", "https://a:8443"), ("host", "a:8443")]));
        assert!(!of(&[("origin", "https://b"), ("host", "a:8443")]));
        assert!(!of(&[("origin", "null"), ("host", "a")]));
        assert!(!of(&[("origin", "https://a")]));
        let headers = HeaderMap::from_iter([(header::ORIGIN, "https://a".parse().unwrap())]);
        assert!(same_origin(&headers, &Uri::from_static("https://a/x")));
        assert!(!same_origin(&headers, &Uri::from_static("https://b/x")));
    }
}
