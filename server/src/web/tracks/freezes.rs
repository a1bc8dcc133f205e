//! `/tracks/{id}/freezes`: adds and lifts change freezes of a track.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};
use axum::routing::post;
use chrono::{DateTime, NaiveDateTime, TimeZone, Utc};
use chrono_tz::Tz;
use serde::Deserialize;
use uuid::Uuid;

use super::page::read;
use crate::app::App;
use crate::auth::Admin;
use crate::error::OpError;
use crate::http::{At, Why};
use crate::operations::{self, NewFreeze};
use crate::store::freezes::Planned;
use crate::store::tracks;
use crate::web::form::{Form, Mistakes};
use crate::web::frame::{Frame, Shown};
use crate::web::parts::{Icon, State as Chip, Tone, When};
use crate::web::problem_page::html;

/// These routes.
pub fn router() -> Router<App> {
    Router::new()
        .route("/tracks/{id}/freezes", post(add))
        .route("/tracks/{id}/freezes/{freeze}/lift", post(lift))
}

/// A freeze as people see it.
pub(super) struct FreezeRow {
    pub(super) id: Uuid,
    pub(super) reason: String,
    pub(super) starts: When,
    pub(super) ends: When,
    /// Shown while it is on.
    pub(super) on: Option<Chip>,
}

impl FreezeRow {
    pub(super) fn new(frame: &Frame, freeze: &Planned) -> Self {
        Self {
            id: freeze.id,
            reason: freeze.reason.clone(),
            starts: frame.when(freeze.starts),
            ends: frame.when(freeze.ends),
            on: (freeze.starts <= frame.now).then(on),
        }
    }

    /// One for snapshots.
    #[cfg(test)]
    pub(super) fn sample(reason: &str, is_on: bool) -> Self {
        let frame = Frame::sample(crate::web::frame::Nav::Tracks, "", "");
        Self {
            id: Uuid::nil(),
            reason: reason.to_owned(),
            starts: frame.when(frame.now),
            ends: frame.when(frame.now + chrono::TimeDelta::days(3)),
            on: is_on.then(on),
        }
    }
}

fn on() -> Chip {
    Chip::quiet(Tone::Wait, Icon::Pause, "On")
}

/// A freeze as it was typed, in the time of the track.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TypedFreeze {
    pub(super) starts: String,
    pub(super) ends: String,
    pub(super) reason: String,
}

impl TypedFreeze {
    fn read(&self, zone: Tz) -> Result<NewFreeze, Mistakes> {
        let mut mistakes = Mistakes::none();
        let starts = match self.starts.trim() {
            "" => None,
            text => {
                let at = moment(text, zone);
                if at.is_none() {
                    mistakes.add("starts", TIME);
                }
                at
            }
        };
        let ends = moment(self.ends.trim(), zone);
        if ends.is_none() {
            mistakes.add("ends", TIME);
        }
        let reason = Why::try_from(self.reason.clone());
        if let Err(expected) = &reason {
            mistakes.add("reason", *expected);
        }
        match (ends, reason) {
            (Some(ends), Ok(reason)) if mistakes.is_empty() => Ok(NewFreeze {
                starts,
                ends,
                reason,
            }),
            _ => Err(mistakes),
        }
    }
}

pub(super) const TIME: &str = "a day and a time that there is in the zone of the track";

/// What a browser sends of a day and a time. Where clocks go back and a time is twice, the first of the two.
pub(super) fn moment(text: &str, zone: Tz) -> Option<DateTime<Utc>> {
    let local = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())?;
    let at = zone.from_local_datetime(&local).earliest()?;
    Some(at.to_utc())
}

async fn add(
    State(app): State<App>,
    caller: Admin,
    At(id): At<Uuid>,
    Form(typed): Form<TypedFreeze>,
) -> Shown {
    let person = caller.caller().clone();
    let by = caller.on(id)?.person().0;
    let track = tracks::by_id(&mut *app.pool.acquire().await?, id).await?;
    let track = track.ok_or(OpError::NotFound { what: "track" })?;
    let mistakes = match typed.read(track.time_zone) {
        Err(mistakes) => mistakes,
        Ok(new) => match operations::add_freeze(&app.pool, id, new, by, app.clock.now()).await {
            Ok(_) => return Ok(Redirect::to(&format!("/tracks/{id}#freezes")).into_response()),
            Err(error) => Mistakes::from_error(error)?,
        },
    };
    let mut page = read(&app, &person, id).await?;
    (page.freeze, page.mistakes) = (typed, mistakes);
    Ok((StatusCode::UNPROCESSABLE_ENTITY, html(&page)).into_response())
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

async fn lift(
    State(app): State<App>,
    caller: Admin,
    At((id, freeze)): At<(Uuid, Uuid)>,
    Form(Nothing {}): Form<Nothing>,
) -> Shown {
    let by = caller.on(id)?.person().0;
    operations::lift_freeze(&app.pool, id, freeze, by, app.clock.now()).await?;
    Ok(Redirect::to(&format!("/tracks/{id}#freezes")).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(starts: &str, ends: &str, reason: &str) -> TypedFreeze {
        TypedFreeze {
            starts: starts.to_owned(),
            ends: ends.to_owned(),
            reason: reason.to_owned(),
        }
    }

    #[test]
    fn times_are_those_of_the_track() {
        let zone = Tz::Europe__Berlin;
        let new = typed("2026-12-20T18:00", "2027-01-04T08:00", "End of the year");
        let new = new.read(zone).unwrap();
        assert_eq!(
            new.starts.unwrap().to_rfc3339(),
            "2026-12-20T17:00:00+00:00"
        );
        assert_eq!(new.ends.to_rfc3339(), "2027-01-04T07:00:00+00:00");
        let from_now = typed("", "2027-01-04T08:00", "x").read(zone).unwrap();
        assert!(from_now.starts.is_none());
        // On 25 October 2026 two o'clock is twice; on 29 March it is not at all.
        let twice = typed("", "2026-10-25T02:30", "x").read(zone).unwrap();
        assert_eq!(twice.ends.to_rfc3339(), "2026-10-25T00:30:00+00:00");
        assert!(typed("", "2026-03-29T02:30", "x").read(zone).is_err());
    }

    #[test]
    fn every_field_that_is_wrong_is_named() {
        let wrong = typed("soon", "", " ").read(Tz::UTC).unwrap_err();
        let fields: Vec<_> = wrong.0.iter().map(|e| e.field.as_str()).collect();
        assert_eq!(fields, ["starts", "ends", "reason"]);
    }
}
