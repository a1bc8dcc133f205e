//! `/rollouts/new`: a rollout is written on one page. Its query string is the whole form, so that the preview is an
//! address like any other; saving sends the same fields.

mod choices;
mod page;
mod preview;
mod reading;
mod settings;
#[cfg(test)]
mod tests;
mod typed;
mod warnings;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect};
use axum::routing::{get, post};

use crate::app::App;
use crate::auth::Operator;
use crate::control::Approvals;
use crate::error::OpError;
use crate::web::form::{Filter, Form, Mistakes};
use crate::web::frame::Shown;

use page::NewRolloutPage;
use typed::{Fields, Typed};

/// These routes.
pub fn router() -> Router<App> {
    Router::new()
        .route("/rollouts/new", get(ask))
        .route("/rollouts", post(save))
}

async fn ask(State(app): State<App>, caller: Operator, Filter(fields): Filter<Fields>) -> Shown {
    let (typed, mistakes) = Typed::read(fields);
    Ok(NewRolloutPage::read(&app, &caller, typed, mistakes)
        .await?
        .response())
}

async fn save(State(app): State<App>, caller: Operator, Form(fields): Form<Fields>) -> Shown {
    let (typed, mut mistakes) = Typed::read(fields);
    typed.missing(&mut mistakes);
    let page = NewRolloutPage::read(&app, &caller, typed, mistakes).await?;
    let Some(new) = page.written() else {
        return Ok(page.response());
    };
    let approvals = Approvals::of(caller.caller().account(), new.track);
    let by = caller.on(new.track)?.person();
    let mistakes = match app.control.create(new, by, approvals).await {
        Ok(id) => return Ok(Redirect::to(&format!("/rollouts/{id}")).into_response()),
        Err(OpError::Refused { code, sentence }) if code == "nothing_affected" => {
            let mut mistakes = Mistakes::none();
            mistakes.add("scope", format!("devices that it is for. {sentence}"));
            mistakes
        }
        Err(error) => Mistakes::from_error(error)?,
    };
    Ok(page.with(mistakes).response())
}
