//! Pages: one file per page, its page struct beside its handler. A page struct holds values that are ready to be shown;
//! its template lies in `templates/pages`. Parts that pages share are in [`parts`].
//!
//! Every page works without script, and every action is a form. [`guard`] stands before all of them.

mod approvals;
mod assets;
mod audit;
mod confirm;
mod devices;
mod enrolment;
mod form;
mod frame;
mod guard;
mod live;
mod origin;
mod overview;
pub mod parts;
mod people;
mod problem_page;
mod rollouts;
mod secret_page;
mod sequences;
mod sign_in;
mod step_up;
mod tracks;
mod welcome;

use agent_protocol::Problem;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::from_fn_with_state;
use axum::response::{Redirect, Response};
use axum::routing::get;
use tower_http::set_header::SetResponseHeaderLayer;

use crate::app::App;
use crate::auth::browser;

/// Largest form: 1 MiB holds the largest sequence there can be several times.
const LARGEST_FORM: usize = 1024 * 1024;

/// Nothing from elsewhere, nothing inline, no frame around it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
                      connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// What every page is sent with.
const HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    // Not `no-referrer`: browsers then hide the origin of forms, which the guard looks at.
    (header::REFERRER_POLICY, "same-origin"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), geolocation=(), microphone=(), payment=()",
    ),
    // What a page shows depends on who asks.
    (header::CACHE_CONTROL, "no-store"),
];

/// Whether a person asks, with a browser, for something that is no call of an API.
pub fn is_for_people(request: &Request) -> bool {
    let path = request.uri().path();
    !path.starts_with("/api/")
        && !path.starts_with(agent_protocol::BASE_PATH)
        && request
            .headers()
            .get(header::ACCEPT)
            .is_some_and(|a| a.as_bytes().starts_with(b"text/html"))
}

/// A failure outside of pages, such as an address that is nobody's, as people read it.
pub fn for_people(response: Response) -> Response {
    if response.extensions().get::<Problem>().is_none() {
        return response;
    }
    let mut response = problem_page::of(response, None);
    for (name, value) in HEADERS {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    }
    response
}

/// All pages.
pub fn router(app: &App, tls: bool) -> Router<App> {
    let mut pages = Router::new()
        .route("/", get(async || Redirect::to("/overview")))
        .merge(sign_in::router())
        .merge(welcome::router())
        .merge(step_up::router())
        .merge(live::router())
        .merge(overview::router())
        .merge(rollouts::router())
        .merge(approvals::router())
        .merge(sequences::router())
        .merge(devices::router())
        .merge(tracks::router())
        .merge(enrolment::router())
        .merge(people::router())
        .merge(audit::router())
        .layer(DefaultBodyLimit::max(LARGEST_FORM))
        .layer(axum::Extension(origin::Tls(tls)))
        .layer(from_fn_with_state(app.clone(), guard::guard))
        .layer(browser::sessions(app.pool.clone()));
    for (name, value) in HEADERS {
        let value = HeaderValue::from_static(value);
        pages = pages.layer(SetResponseHeaderLayer::if_not_present(name, value));
    }
    if tls {
        let year = HeaderValue::from_static("max-age=31536000");
        pages = pages.layer(SetResponseHeaderLayer::if_not_present(
            header::STRICT_TRANSPORT_SECURITY,
            year,
        ));
    }
    pages.merge(assets::router())
}
