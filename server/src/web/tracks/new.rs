//! `/tracks/new`: a name and a time zone.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};
use axum::routing::get;
use chrono_tz::{TZ_VARIANTS, Tz};
use serde::Deserialize;

use crate::app::App;
use crate::auth::{Admin, Caller};
use crate::error::OpError;
use crate::http::Failure;
use crate::operations;
use crate::web::form::{Form, Mistakes};
use crate::web::frame::{Frame, Nav, Shown, show};
use crate::web::parts::Link;
use crate::web::problem_page::html;

/// This route.
pub fn router() -> Router<App> {
    Router::new().route("/tracks/new", get(page).post(add))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Typed {
    #[serde(default)]
    name: String,
    #[serde(default)]
    time_zone: String,
}

#[derive(Template)]
#[template(path = "pages/track_new.html")]
struct NewPage {
    frame: Frame,
    crumbs: Vec<Link>,
    typed: Typed,
    zones: Vec<&'static str>,
    mistakes: Mistakes,
}

async fn form(
    app: &App,
    person: &Caller,
    typed: Typed,
    mistakes: Mistakes,
) -> Result<NewPage, Failure> {
    let here = "/tracks/new";
    let frame = Frame::read(app, person, Nav::Tracks, "New track", here, None).await?;
    Ok(NewPage {
        frame,
        crumbs: vec![Link::new("Tracks and rings", "/tracks")],
        typed,
        zones: TZ_VARIANTS.iter().map(|zone| zone.name()).collect(),
        mistakes,
    })
}

async fn page(State(app): State<App>, caller: Admin) -> Shown {
    let person = caller.caller().clone();
    caller.everywhere()?;
    let typed = Typed {
        name: String::new(),
        time_zone: "UTC".to_owned(),
    };
    show(form(&app, &person, typed, Mistakes::none()).await?)
}

async fn add(State(app): State<App>, caller: Admin, Form(typed): Form<Typed>) -> Shown {
    let person = caller.caller().clone();
    let by = caller.everywhere()?.person().0;
    let mut mistakes = Mistakes::none();
    if let Ok(zone) = typed.time_zone.trim().parse::<Tz>() {
        match operations::add_track(&app.pool, &typed.name, zone, by, app.clock.now()).await {
            // Without rings it takes no device, so they come next.
            Ok(track) => {
                return Ok(Redirect::to(&format!("/tracks/{}/rings", track.id)).into_response());
            }
            Err(OpError::Conflict(why)) if why.contains("name") => {
                mistakes.add("name", "a name that no other track has");
            }
            Err(error) => mistakes = Mistakes::from_error(error)?,
        }
    } else {
        mistakes.add(
            "time_zone",
            "a name of the IANA time zone database, such as Europe/Berlin",
        );
    }
    let page = form(&app, &person, typed, mistakes).await?;
    Ok((StatusCode::UNPROCESSABLE_ENTITY, html(&page)).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::frame::main_of;

    #[test]
    fn a_track_has_a_name_and_a_zone() {
        let mut page = NewPage {
            frame: Frame::sample(Nav::Tracks, "New track", "/tracks/new"),
            crumbs: vec![Link::new("Tracks and rings", "/tracks")],
            typed: Typed {
                name: "Production".to_owned(),
                time_zone: "Berlin".to_owned(),
            },
            zones: vec!["Europe/Berlin", "UTC"],
            mistakes: Mistakes::none(),
        };
        let asked = main_of(&page);
        page.mistakes.add("time_zone", "a name of the database");
        page.mistakes.add("name", "a name that no other track has");
        insta::assert_snapshot!(format!("{asked}\n---\n{}", main_of(&page)));
    }
}
