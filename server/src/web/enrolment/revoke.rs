//! `/enrolment-tokens/{id}/revoke`: ends a token.

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect};
use axum::routing::get;
use engine::words;
use uuid::Uuid;

use super::admission;
use crate::app::App;
use crate::auth::Admin;
use crate::error::OpError;
use crate::http::At;
use crate::operations;
use crate::store::{count, enrolment, tracks};
use crate::web::confirm::Confirm;
use crate::web::form::Mistakes;
use crate::web::frame::{Frame, Nav, Shown};
use crate::web::parts::Link;

const WHAT: &str = "enrolment token";

/// This route.
pub fn router() -> Router<App> {
    Router::new().route("/enrolment-tokens/{id}/revoke", get(ask).post(revoke))
}

async fn ask(State(app): State<App>, caller: Admin, At(id): At<Uuid>) -> Shown {
    let person = caller.caller().clone();
    let mut conn = app.pool.acquire().await?;
    let missing = OpError::NotFound { what: WHAT };
    let token = enrolment::token(&mut conn, id).await?.ok_or(missing)?;
    caller.over(WHAT, token.track_id)?;
    let track = tracks::by_id(&mut conn, token.track_id).await?;
    drop(conn);
    let name = track.as_ref().map(|t| t.name.as_str()).unwrap_or_default();
    let heading = format!("Revoke an enrolment token for {name}?");
    let here = format!("/enrolment-tokens/{id}/revoke");
    let zone = track.as_ref().map(|t| t.time_zone);
    let frame = Frame::read(&app, &person, Nav::Enrolment, &heading, &here, zone).await?;
    let left = words::count(count(i64::from(token.uses_left)), "use");
    let until = frame.when(token.expires_at);
    let page = Confirm {
        touches: vec![
            format!(
                "{}; {left} left, until {}.",
                admission(&token.admission),
                until.text()
            ),
            "No further device comes in with it. Devices that it let in stay.".to_owned(),
            "It can not be taken back; a new token can be made.".to_owned(),
        ],
        frame,
        crumbs: vec![Link::new("Enrolment tokens", "/enrolment-tokens")],
        heading,
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

async fn revoke(State(app): State<App>, caller: Admin, At(id): At<Uuid>) -> Shown {
    let track = enrolment::track_of(&mut *app.pool.acquire().await?, id).await?;
    let track = track.ok_or(OpError::NotFound { what: WHAT })?;
    let by = caller.over(WHAT, track)?.person().0;
    operations::revoke_enrolment_token(&app.pool, id, by, app.clock.now()).await?;
    Ok(Redirect::to("/enrolment-tokens").into_response())
}
