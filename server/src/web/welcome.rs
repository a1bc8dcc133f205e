//! `/welcome/{link}`: choosing a password with a link that is good once.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};
use axum::routing::get;
use axum::{Extension, Router};
use secrecy::SecretString;
use serde::Deserialize;
use tower_sessions::Session;

use super::form::{Form, Mistakes};
use super::frame::Shown;
use super::parts::Bare;
use super::problem_page::html;
use crate::app::App;
use crate::auth::{self, Browser, browser};

/// This route.
pub fn router() -> Router<App> {
    Router::new().route("/welcome/{link}", get(page).post(choose))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Typed {
    #[serde(default)]
    password: String,
    #[serde(default)]
    again: String,
}

#[derive(Template)]
#[template(path = "pages/welcome.html")]
struct WelcomePage {
    bare: Bare,
    name: String,
    /// Of whoever is signed in at this browser, which need not be the person the link is for.
    csrf: String,
    mistakes: Mistakes,
}

impl WelcomePage {
    fn new(name: String, browser: Option<Browser>, mistakes: Mistakes) -> Self {
        Self {
            bare: Bare::new("Choose a password"),
            name,
            csrf: browser.map(|b| b.csrf).unwrap_or_default(),
            mistakes,
        }
    }
}

async fn page(
    State(app): State<App>,
    Extension(browser): Extension<Option<Browser>>,
    Path(link): Path<String>,
) -> Shown {
    let owner = auth::link_owner(&app.pool, &link, app.clock.now()).await?;
    let page = WelcomePage::new(owner.name, browser, Mistakes::none());
    Ok(html(&page))
}

async fn choose(
    State(app): State<App>,
    session: Session,
    Extension(browser): Extension<Option<Browser>>,
    Path(link): Path<String>,
    Form(typed): Form<Typed>,
) -> Shown {
    let now = app.clock.now();
    let mut mistakes = Mistakes::none();
    if typed.password == typed.again {
        let password = SecretString::from(typed.password);
        match auth::choose_password(&app.pool, &app.passwords, &link, password, now).await {
            Ok(entrant) => {
                browser::enter(&session, &entrant, app.wall_clock.now()).await?;
                return Ok(Redirect::to("/overview").into_response());
            }
            Err(error) => mistakes = Mistakes::from_error(error)?,
        }
    } else {
        mistakes.add("again", "the same password once more");
    }
    let owner = auth::link_owner(&app.pool, &link, now).await?;
    let page = WelcomePage::new(owner.name, browser, mistakes);
    Ok((StatusCode::UNPROCESSABLE_ENTITY, html(&page)).into_response())
}
