//! `/account/tokens`: API tokens of one's own.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};
use axum::routing::get;
use serde::Deserialize;
use uuid::Uuid;

use super::{account, page};
use crate::app::App;
use crate::auth::{self, Caller, NewToken};
use crate::error::OpError;
use crate::http::At;
use crate::web::confirm::Confirm;
use crate::web::form::{Form, Mistakes};
use crate::web::frame::{Frame, Nav, Shown, show};
use crate::web::origin::Origin;
use crate::web::parts::Link;
use crate::web::problem_page::html;
use crate::web::secret_page::SecretPage;
use crate::web::step_up::SteppedUp;

/// These routes.
pub fn router() -> Router<App> {
    Router::new()
        .route("/account/tokens", get(back).post(add))
        .route(
            "/account/tokens/{token}/revoke",
            get(ask_revoke).post(revoke),
        )
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Typed {
    #[serde(default)]
    token_name: String,
    #[serde(default)]
    expires_in_days: String,
}

/// The form is on the account page: who comes back to its address after giving the password finds it there.
async fn back(_person: Caller) -> Redirect {
    Redirect::to("/account")
}

async fn add(
    State(app): State<App>,
    person: Caller,
    _step_up: SteppedUp,
    Origin(origin): Origin,
    Form(typed): Form<Typed>,
) -> Shown {
    let id = person.person().0;
    let new = NewToken {
        name: typed.token_name.clone(),
        // What is no number is out of bounds, and said so beside the field.
        expires_in_days: typed.expires_in_days.trim().parse().unwrap_or(0),
    };
    let made = auth::add_token(&app.pool, id, &new, id, app.clock.now()).await;
    let token = match made {
        Ok(token) => token,
        Err(error) => {
            let mut page = account::read(&app, &person).await?;
            page.mistakes = Mistakes::from_error(error)?;
            // The page has another field of that name for nobody: the person's own.
            for mistake in page.mistakes.0.iter_mut().filter(|m| m.field == "name") {
                "token_name".clone_into(&mut mistake.field);
            }
            (page.token_name, page.token_days) = (typed.token_name, typed.expires_in_days);
            return Ok((StatusCode::UNPROCESSABLE_ENTITY, html(&page)).into_response());
        }
    };
    let heading = format!("API token “{}”", new.name.trim());
    let frame = Frame::read(&app, &person, Nav::Account, &heading, "/account", None).await?;
    let command = format!(
        "curl -H \"Authorization: Bearer {}\" {origin}/api/v1/tracks",
        token.token
    );
    show(SecretPage {
        expires: frame.when(token.expires_at),
        frame,
        crumbs: vec![Link::new("Your account", "/account")],
        heading,
        lead: "Whoever has it may what you may, through the API.".to_owned(),
        label: "Token",
        secret: token.token,
        command: Some(("To try it", command)),
    })
}

async fn ask_revoke(State(app): State<App>, person: Caller, At(token): At<Uuid>) -> Shown {
    let id = person.person().0;
    let tokens = auth::tokens(&app.pool, id, app.clock.now(), page::TOKENS).await?;
    let found = tokens.into_iter().find(|t| t.id == token);
    let missing = OpError::NotFound { what: "token" };
    let heading = format!("Revoke your API token “{}”?", found.ok_or(missing)?.name);
    let here = format!("/account/tokens/{token}/revoke");
    let frame = Frame::read(&app, &person, Nav::Account, &heading, &here, None).await?;
    let page = Confirm {
        frame,
        crumbs: vec![Link::new("Your account", "/account")],
        heading,
        touches: vec!["What uses it is turned away from now on. It can not be taken back.".into()],
        action: here,
        button: "Revoke 1 token".to_owned(),
        danger: true,
        reason: None,
        fields: Vec::new(),
        mistakes: Mistakes::none(),
        needs_step_up: false,
    };
    Ok(page.response())
}

async fn revoke(State(app): State<App>, person: Caller, At(token): At<Uuid>) -> Shown {
    let own = person.person().0;
    auth::revoke_token(&app.pool, own, token, own, app.clock.now()).await?;
    Ok(Redirect::to("/account?done=token").into_response())
}
