//! `/account`: one's own password, API tokens and sessions.

use std::net::SocketAddr;

use askama::Template;
use axum::Router;
use axum::extract::{ConnectInfo, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};
use axum::routing::{get, post};
use secrecy::SecretString;
use serde::Deserialize;
use tower_sessions::Session;

use super::page::{TokenRow, token_rows};
use crate::app::App;
use crate::auth::{self, Caller, SignIn, browser};
use crate::http::Failure;
use crate::web::form::{Filter, Form, Mistakes};
use crate::web::frame::{Frame, Nav, Shown, show};
use crate::web::parts::When;
use crate::web::problem_page::html;
use crate::web::step_up;

/// These routes.
pub fn router() -> Router<App> {
    Router::new()
        .route("/account", get(page))
        .route("/account/password", post(change_password))
        .route("/account/sign-out-everywhere", post(leave_everywhere))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// What was done just now.
    done: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Passwords {
    #[serde(default)]
    old: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    again: String,
    /// The name, for password managers.
    #[serde(default, rename = "username")]
    _username: String,
}

/// A session.
struct SessionRow {
    since: When,
    used: When,
}

#[derive(Template)]
#[template(path = "pages/account.html")]
pub struct AccountPage {
    frame: Frame,
    done: Option<&'static str>,
    tokens: Vec<TokenRow>,
    sessions: Vec<SessionRow>,
    step_up: String,
    /// What was typed for a new token.
    pub token_name: String,
    /// For how many days.
    pub token_days: String,
    /// What is wrong in either form.
    pub mistakes: Mistakes,
}

/// The page of the caller.
pub async fn read(app: &App, person: &Caller) -> Result<AccountPage, Failure> {
    let here = "/account";
    let frame = Frame::read(app, person, Nav::Account, "Your account", here, None).await?;
    let id = person.person().0;
    let revoke = |token| format!("/account/tokens/{token}/revoke");
    let tokens = token_rows(app, &frame, id, revoke).await?;
    let wall = app.wall_clock.now();
    let sessions = browser::sessions_of(&mut *app.pool.acquire().await?, id, wall).await?;
    let row = |session: browser::OpenSession| SessionRow {
        since: When::near(session.since, frame.zone, wall),
        used: When::near(session.used, frame.zone, wall),
    };
    Ok(AccountPage {
        sessions: sessions.into_iter().map(row).collect(),
        frame,
        done: None,
        tokens,
        step_up: step_up::address(here),
        token_name: String::new(),
        token_days: "90".to_owned(),
        mistakes: Mistakes::none(),
    })
}

async fn page(State(app): State<App>, person: Caller, Filter(asked): Filter<Asked>) -> Shown {
    let mut page = read(&app, &person).await?;
    page.done = match asked.done.as_deref() {
        Some("password") => Some("Your password was changed. Every other session of yours ended."),
        Some("token") => Some("The API token was revoked."),
        _ => None,
    };
    show(page)
}

async fn change_password(
    State(app): State<App>,
    person: Caller,
    session: Session,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Form(typed): Form<Passwords>,
) -> Shown {
    let mut mistakes = Mistakes::none();
    let mut status = StatusCode::UNPROCESSABLE_ENTITY;
    if typed.password == typed.again {
        let words = (
            SecretString::from(typed.old),
            SecretString::from(typed.password),
        );
        let (pool, passwords) = (&app.pool, &*app.passwords);
        let (wall, now) = (app.wall_clock.now(), app.clock.now());
        let account = person.account();
        let tried =
            auth::change_password(pool, passwords, account, words, peer.ip(), wall, now).await;
        match tried {
            Ok(SignIn::Accepted(account)) => {
                browser::enter(&session, account.id, wall).await?;
                return Ok(Redirect::to("/account?done=password").into_response());
            }
            Ok(SignIn::Wrong) => mistakes.add("old", "the password you have now"),
            Ok(SignIn::Wait(seconds)) => {
                status = StatusCode::TOO_MANY_REQUESTS;
                mistakes.add(
                    "old",
                    format!("fewer tries: too many failed. Try again in {seconds} s"),
                );
            }
            Err(error) => mistakes = Mistakes::from_error(error)?,
        }
    } else {
        mistakes.add("again", "the same password once more");
    }
    let mut page = read(&app, &person).await?;
    page.mistakes = mistakes;
    Ok((status, html(&page)).into_response())
}

async fn leave_everywhere(State(app): State<App>, person: Caller, session: Session) -> Shown {
    let person = person.person().0;
    auth::sign_out_everywhere(&app.pool, person, app.clock.now()).await?;
    browser::leave(&session).await?;
    Ok(Redirect::to("/sign-in").into_response())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::frame::main_of;

    impl AccountPage {
        fn sample() -> Self {
            let mut frame = Frame::sample(Nav::Account, "Your account", "/account");
            frame.stepped_up = true;
            Self {
                done: None,
                tokens: vec![TokenRow {
                    name: "nightly <export>".to_owned(),
                    made: frame.when(frame.now),
                    ends: frame.when(frame.now + chrono::TimeDelta::days(90)),
                    revoke: "/account/tokens/2/revoke".to_owned(),
                }],
                sessions: vec![SessionRow {
                    since: frame.when(frame.now),
                    used: frame.when(frame.now),
                }],
                frame,
                step_up: "/step-up?next=%2Faccount".to_owned(),
                token_name: String::new(),
                token_days: "90".to_owned(),
                mistakes: Mistakes::none(),
            }
        }
    }

    #[test]
    fn password_tokens_and_sessions_of_ones_own() {
        insta::assert_snapshot!(main_of(&AccountPage::sample()));
    }

    #[test]
    fn mistakes_stand_beside_their_fields() {
        let mut page = AccountPage::sample();
        page.mistakes.add("old", "the password you have now");
        page.mistakes.add("expires_in_days", "1 to 366 days");
        page.token_days = "0".to_owned();
        insta::assert_snapshot!(main_of(&page));
    }

    #[test]
    fn a_token_takes_the_password_first() {
        let mut page = AccountPage::sample();
        page.frame.stepped_up = false;
        page.tokens.clear();
        page.done = Some("Your password was changed. Every other session of yours ended.");
        insta::assert_snapshot!(main_of(&page));
    }
}
