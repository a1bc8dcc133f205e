//! `/tracks/{id}/holds`: adds and ends known issues that hold devices of a track.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};
use axum::routing::post;
use chrono_tz::Tz;
use engine::ids::HoldId;
use serde::Deserialize;
use servicing::KbNumber;
use sqlx::PgConnection;
use uuid::Uuid;

use super::freezes::{TIME, moment};
use super::page::read;
use crate::app::App;
use crate::auth::{Admin, Operator};
use crate::error::OpError;
use crate::http::{At, Failure, Why};
use crate::registry::NewHold;
use crate::store::{sequences, tracks};
use crate::web::form::{Form, Mistakes};
use crate::web::frame::Shown;
use crate::web::problem_page::html;

/// These routes.
pub fn router() -> Router<App> {
    Router::new()
        .route("/tracks/{id}/holds", post(add))
        .route("/tracks/{id}/holds/{hold}/end", post(end))
}

/// A known issue as it was typed, in the time of the track.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TypedHold {
    pub(super) issue: String,
    pub(super) devices: String,
    pub(super) kb: String,
    pub(super) expires: String,
}

impl TypedHold {
    async fn read(
        &self,
        conn: &mut PgConnection,
        zone: Tz,
    ) -> Result<Result<NewHold, Mistakes>, Failure> {
        let mut mistakes = Mistakes::none();
        let issue = Why::try_from(self.issue.clone());
        if issue.is_err() {
            mistakes.add("issue", "what is known, in 1 to 1,000 characters");
        }
        if self.devices.trim().is_empty() {
            mistakes.add("devices", "a query, such as model:\"Latitude 5440\"");
        }
        let sequence = match self.kb.trim() {
            "" => None,
            text => {
                let found = match text.parse::<KbNumber>() {
                    Ok(kb) => sequences::by_kb(conn, kb).await?,
                    Err(_) => None,
                };
                if found.is_none() {
                    mistakes.add("kb", "the KB of a published sequence, or nothing");
                }
                found.map(|(id, _)| id)
            }
        };
        let expires = moment(self.expires.trim(), zone);
        if expires.is_none() {
            mistakes.add("expires", TIME);
        }
        Ok(match (issue, expires) {
            (Ok(issue), Some(expires)) if mistakes.is_empty() => Ok(NewHold {
                devices: self.devices.clone(),
                issue: issue.as_str().to_owned(),
                sequence,
                owner: None,
                expires,
            }),
            _ => Err(mistakes),
        })
    }
}

async fn add(
    State(app): State<App>,
    caller: Operator,
    At(id): At<Uuid>,
    Form(typed): Form<TypedHold>,
) -> Shown {
    let person = caller.caller().clone();
    let by = caller.on(id)?.person().0;
    let mut conn = app.pool.acquire().await?;
    let track = tracks::by_id(&mut conn, id).await?;
    let track = track.ok_or(OpError::NotFound { what: "track" })?;
    let new = typed.read(&mut conn, track.time_zone).await?;
    drop(conn);
    let mistakes = match new {
        Err(mistakes) => mistakes,
        Ok(new) => match app.hold_devices(id, new, by).await {
            Ok(_) => return Ok(Redirect::to(&format!("/tracks/{id}#holds")).into_response()),
            Err(error) => Mistakes::from_error(error)?,
        },
    };
    let mut page = read(&app, &person, id).await?;
    (page.hold, page.mistakes) = (typed, mistakes);
    Ok((StatusCode::UNPROCESSABLE_ENTITY, html(&page)).into_response())
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

async fn end(
    State(app): State<App>,
    caller: Admin,
    At((id, hold)): At<(Uuid, Uuid)>,
    Form(Nothing {}): Form<Nothing>,
) -> Shown {
    let by = caller.on(id)?.person().0;
    app.end_hold(id, HoldId(hold), by).await?;
    Ok(Redirect::to(&format!("/tracks/{id}#holds")).into_response())
}
