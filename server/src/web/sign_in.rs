//! `/sign-in`, `/sign-out`: coming in with a name and a password, and leaving.

use std::net::SocketAddr;

use askama::Template;
use axum::Router;
use axum::extract::{ConnectInfo, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use secrecy::SecretString;
use serde::Deserialize;
use tower_sessions::Session;

use super::form::{Filter, Form};
use super::frame::Shown;
use super::parts::Bare;
use super::problem_page::html;
use crate::app::App;
use crate::auth::{self, Browser, SignIn, browser};

/// These routes.
pub fn router() -> Router<App> {
    Router::new()
        .route("/sign-in", get(page).post(enter))
        .route("/sign-out", post(leave))
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// Where to go afterwards.
    next: Option<String>,
    /// Name to start with.
    name: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Typed {
    #[serde(default)]
    name: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    next: String,
}

#[derive(Template)]
#[template(path = "pages/sign_in.html")]
struct SignInPage {
    bare: Bare,
    name: String,
    next: String,
    refused: Option<String>,
}

impl SignInPage {
    fn new(name: String, next: &str, refused: Option<String>) -> Self {
        Self {
            bare: Bare::new("Sign in"),
            name,
            next: inside(next).to_owned(),
            refused,
        }
    }
}

/// An address of ours; everything else leads to the overview, so that no link brings people elsewhere after sign-in.
pub fn inside(next: &str) -> &str {
    let ours = next.starts_with('/')
        && !next.starts_with("//")
        && !next.contains('\\')
        // What browsers and headers take as it is; everything else comes percent-encoded.
        && next.bytes().all(|b| b.is_ascii_graphic());
    if ours { next } else { "/overview" }
}

async fn page(
    axum::Extension(browser): axum::Extension<Option<Browser>>,
    Filter(asked): Filter<Asked>,
) -> Response {
    let next = asked.next.unwrap_or_default();
    if browser.is_some() {
        return Redirect::to(inside(&next)).into_response();
    }
    html(&SignInPage::new(
        asked.name.unwrap_or_default(),
        &next,
        None,
    ))
}

async fn enter(
    State(app): State<App>,
    session: Session,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Form(typed): Form<Typed>,
) -> Shown {
    let now = app.wall_clock.now();
    let password = SecretString::from(typed.password);
    let tried = auth::sign_in(
        &app.pool,
        &app.passwords,
        &typed.name,
        password,
        peer.ip(),
        now,
    )
    .await?;
    let (status, refused) = match tried {
        SignIn::Accepted(entrant) => {
            browser::enter(&session, &entrant, now).await?;
            return Ok(Redirect::to(inside(&typed.next)).into_response());
        }
        SignIn::Wrong => (
            StatusCode::UNPROCESSABLE_ENTITY,
            "Name and password do not fit. If you have no password yet, ask an admin for a link."
                .to_owned(),
        ),
        SignIn::Wait(seconds) => (
            StatusCode::TOO_MANY_REQUESTS,
            format!("Too many tries failed. Try again in {seconds} s."),
        ),
    };
    let page = SignInPage::new(typed.name, &typed.next, Some(refused));
    Ok((status, html(&page)).into_response())
}

async fn leave(session: Session) -> Shown {
    browser::leave(&session).await?;
    Ok(Redirect::to("/sign-in").into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_led_elsewhere_after_signing_in() {
        assert_eq!(inside("/rollouts/1?x=2"), "/rollouts/1?x=2");
        for elsewhere in [
            "",
            "https://example.org",
            "//example.org",
            "/\\example.org",
            "/a\nb",
            "/\t/example.org",
            "/\u{e9}",
        ] {
            assert_eq!(inside(elsewhere), "/overview", "{elsewhere}");
        }
    }
}
