//! `/step-up`: the password once more, before what can not be taken back.

use askama::Template;
use axum::Router;
use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use secrecy::SecretString;
use serde::Deserialize;
use tower_sessions::Session;

use super::form::{Filter, Form};
use super::frame::Shown;
use super::parts::Bare;
use super::problem_page::html;
use super::sign_in::inside;
use crate::app::App;
use crate::auth::{self, Browser, SignIn, Viewer, browser};

/// This route.
pub fn router() -> Router<App> {
    Router::new().route("/step-up", get(page).post(confirm))
}

/// Where to give the password, and where to come back to.
pub fn address(next: &str) -> String {
    let query: String = form_urlencoded::Serializer::new(String::new())
        .append_pair("next", next)
        .finish();
    format!("/step-up?{query}")
}

/// The password was given a short while ago. A handler that asks for it runs only then; else the password is asked
/// for first, and people come back to the form: to its own address, which every action has a page at.
#[derive(Debug, Clone, Copy)]
pub struct SteppedUp;

impl<S: Send + Sync> FromRequestParts<S> for SteppedUp {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Response> {
        let browser = parts.extensions.get::<Option<Browser>>();
        if browser.is_some_and(|b| b.as_ref().is_some_and(|b| b.stepped_up)) {
            return Ok(Self);
        }
        Err(Redirect::to(&address(parts.uri.path())).into_response())
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    next: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Typed {
    #[serde(default)]
    password: String,
    #[serde(default)]
    next: String,
}

#[derive(Template)]
#[template(path = "pages/step_up.html")]
struct StepUpPage {
    bare: Bare,
    csrf: String,
    name: String,
    next: String,
    refused: Option<String>,
}

impl StepUpPage {
    fn new(caller: &Viewer, next: &str, refused: Option<String>) -> Self {
        let caller = caller.caller();
        Self {
            bare: Bare::new("Confirm it is you"),
            csrf: caller.browser().map(|b| b.csrf.clone()).unwrap_or_default(),
            name: caller.account().name.clone(),
            next: inside(next).to_owned(),
            refused,
        }
    }
}

async fn page(caller: Viewer, Filter(asked): Filter<Asked>) -> Response {
    html(&StepUpPage::new(
        &caller,
        &asked.next.unwrap_or_default(),
        None,
    ))
}

async fn confirm(
    State(app): State<App>,
    caller: Viewer,
    session: Session,
    Form(typed): Form<Typed>,
) -> Shown {
    let now = app.wall_clock.now();
    let person = caller.caller().person().0;
    let password = SecretString::from(typed.password);
    let tried = auth::confirm(&app.pool, &app.passwords, person, password, now).await?;
    let (status, refused) = match tried {
        SignIn::Accepted(_) => {
            browser::step_up(&session, now).await?;
            return Ok(Redirect::to(inside(&typed.next)).into_response());
        }
        SignIn::Wrong => (
            StatusCode::UNPROCESSABLE_ENTITY,
            "That is not your password.".to_owned(),
        ),
        SignIn::Wait(seconds) => (
            StatusCode::TOO_MANY_REQUESTS,
            format!("Too many tries failed. Try again in {seconds} s."),
        ),
    };
    let page = StepUpPage::new(&caller, &typed.next, Some(refused));
    Ok((status, html(&page)).into_response())
}
