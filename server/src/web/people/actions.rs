//! `/people/{id}/<action>`: keeps someone out, lets them in, makes a link, ends a token. Each asks once more.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};
use axum::routing::get;
use uuid::Uuid;

use super::new::link_page;
use super::{page, said};
use crate::app::App;
use crate::auth::{self, Admin, Caller};
use crate::error::OpError;
use crate::http::{At, Failure};
use crate::store::people::{self, Account};
use crate::web::confirm::Confirm;
use crate::web::form::Mistakes;
use crate::web::frame::{Frame, Nav, Shown, show};
use crate::web::origin::Origin;
use crate::web::parts::Link;
use crate::web::problem_page::html;
use crate::web::step_up::SteppedUp;

/// These routes.
pub fn router() -> Router<App> {
    Router::new()
        .route("/people/{id}/disable", get(ask_disable).post(disable))
        .route("/people/{id}/enable", get(ask_enable).post(enable))
        .route("/people/{id}/link", get(ask_link).post(link))
        .route(
            "/people/{id}/tokens/{token}/revoke",
            get(ask_revoke).post(revoke),
        )
}

/// What is asked.
struct Question {
    heading: String,
    touches: Vec<String>,
    path: String,
    button: &'static str,
    danger: bool,
    needs_step_up: bool,
}

async fn someone(app: &App, id: Uuid) -> Result<Account, Failure> {
    let missing = OpError::NotFound { what: "person" };
    let mut conn = app.pool.acquire().await?;
    Ok(people::by_id(&mut conn, id).await?.ok_or(missing)?)
}

async fn ask(app: &App, person: &Caller, account: &Account, question: Question) -> Shown {
    let above = format!("/people/{}", account.id);
    let here = format!("{above}/{}", question.path);
    let heading = question.heading;
    let frame = Frame::read(app, person, Nav::People, &heading, &here, None).await?;
    let page = Confirm {
        frame,
        crumbs: vec![
            Link::new("People", "/people"),
            Link::new(&account.name, above),
        ],
        heading,
        touches: question.touches,
        action: here,
        button: question.button.to_owned(),
        danger: question.danger,
        reason: None,
        fields: Vec::new(),
        mistakes: Mistakes::none(),
        needs_step_up: question.needs_step_up,
    };
    Ok(page.response())
}

async fn ask_disable(State(app): State<App>, caller: Admin, At(id): At<Uuid>) -> Shown {
    let person = caller.caller().clone();
    caller.everywhere()?;
    let account = someone(&app, id).await?;
    let mut touches = vec![
        "Their sessions end, and their API tokens are worth nothing while they are disabled.".to_owned(),
        "What they wrote, approved and asked for stays. Their roles stay too, for when they are enabled again.".to_owned(),
    ];
    if person.person().0 == id {
        let own = "This is your own account: you are signed out, and only another admin can enable you again.";
        touches.insert(0, own.to_owned());
    }
    let question = Question {
        heading: format!("Disable {}?", account.name),
        touches,
        path: "disable".to_owned(),
        button: "Disable 1 person",
        danger: true,
        needs_step_up: false,
    };
    ask(&app, &person, &account, question).await
}

async fn ask_enable(State(app): State<App>, caller: Admin, At(id): At<Uuid>) -> Shown {
    let person = caller.caller().clone();
    caller.everywhere()?;
    let account = someone(&app, id).await?;
    let question = Question {
        heading: format!("Enable {}?", account.name),
        touches: vec![
            "They can sign in again with the password they had, and have the roles they had."
                .to_owned(),
            "API tokens of theirs that were not ended and have not expired work again.".to_owned(),
        ],
        path: "enable".to_owned(),
        button: "Enable 1 person",
        danger: false,
        needs_step_up: false,
    };
    ask(&app, &person, &account, question).await
}

async fn ask_link(State(app): State<App>, caller: Admin, At(id): At<Uuid>) -> Shown {
    let person = caller.caller().clone();
    caller.everywhere()?;
    let account = someone(&app, id).await?;
    let question = Question {
        heading: format!("Make a sign-in link for {}?", account.name),
        touches: vec![
            "Whoever has the link chooses a password and is signed in as them. It is good once, for 24 hours."
                .to_owned(),
            "Links that were made for them before end. The password they have works until they choose another."
                .to_owned(),
        ],
        path: "link".to_owned(),
        button: "Make 1 link",
        danger: false,
        needs_step_up: true,
    };
    ask(&app, &person, &account, question).await
}

async fn ask_revoke(
    State(app): State<App>,
    caller: Admin,
    At((id, token)): At<(Uuid, Uuid)>,
) -> Shown {
    let person = caller.caller().clone();
    caller.everywhere()?;
    let account = someone(&app, id).await?;
    let now = app.clock.now();
    let tokens = auth::tokens(&app.pool, id, now, page::TOKENS).await?;
    let found = tokens.into_iter().find(|t| t.id == token);
    let missing = OpError::NotFound { what: "token" };
    let name = found.ok_or(missing)?.name;
    let question = Question {
        heading: format!("Revoke the API token “{name}” of {}?", account.name),
        touches: vec!["What uses it is turned away from now on. It can not be taken back.".into()],
        path: format!("tokens/{token}/revoke"),
        button: "Revoke 1 token",
        danger: true,
        needs_step_up: false,
    };
    ask(&app, &person, &account, question).await
}

async fn disable(State(app): State<App>, caller: Admin, At(id): At<Uuid>) -> Shown {
    set_enabled(&app, caller, id, false).await
}

async fn enable(State(app): State<App>, caller: Admin, At(id): At<Uuid>) -> Shown {
    set_enabled(&app, caller, id, true).await
}

async fn set_enabled(app: &App, caller: Admin, id: Uuid, enabled: bool) -> Shown {
    let person = caller.caller().clone();
    let by = caller.everywhere()?.person().0;
    match auth::set_enabled(&app.pool, id, enabled, by, app.clock.now()).await {
        Ok(_) => Ok(Redirect::to(&format!("/people/{id}")).into_response()),
        Err(error) => refused(app, &person, id, error).await,
    }
}

/// The person's page, with what stands against it.
async fn refused(app: &App, person: &Caller, id: Uuid, error: OpError) -> Shown {
    let page = page::read(app, person, id, Some(said(error)?)).await?;
    Ok((StatusCode::CONFLICT, html(&page)).into_response())
}

async fn link(
    State(app): State<App>,
    caller: Admin,
    _step_up: SteppedUp,
    origin: Origin,
    At(id): At<Uuid>,
) -> Shown {
    let person = caller.caller().clone();
    caller.everywhere()?;
    let account = someone(&app, id).await?;
    match link_page(&app, &person, &account, &origin).await {
        Ok(page) => show(page),
        Err(Failure::Op(error)) => refused(&app, &person, id, error).await,
        Err(other) => Err(other),
    }
}

async fn revoke(State(app): State<App>, caller: Admin, At((id, token)): At<(Uuid, Uuid)>) -> Shown {
    let by = caller.everywhere()?.person().0;
    auth::revoke_token(&app.pool, id, token, by, app.clock.now()).await?;
    Ok(Redirect::to(&format!("/people/{id}")).into_response())
}
