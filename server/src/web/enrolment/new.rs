//! `/enrolment-tokens/new`: makes a token and shows it, once.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;
use serde::Deserialize;
use uuid::Uuid;

use crate::app::App;
use crate::auth::{Admin, Caller, kinds};
use crate::error::OpError;
use crate::http::Failure;
use crate::operations::{self, Admission, NewEnrolmentToken};
use crate::store::from_word;
use crate::store::tracks::{self, Track};
use crate::web::form::{Filter, Form, Mistakes};
use crate::web::frame::{Frame, Nav, Shown, show};
use crate::web::origin::Origin;
use crate::web::parts::{Choice, Link};
use crate::web::problem_page::html;
use crate::web::secret_page::SecretPage;

/// This route.
pub fn router() -> Router<App> {
    Router::new().route("/enrolment-tokens/new", get(page).post(add))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    track: Option<Uuid>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Typed {
    track: Option<Uuid>,
    #[serde(default)]
    admission: String,
    #[serde(default)]
    uses: String,
    #[serde(default)]
    expires_in_hours: String,
}

#[derive(Template)]
#[template(path = "pages/enrolment_new.html")]
struct NewPage {
    frame: Frame,
    crumbs: Vec<Link>,
    tracks: Vec<Choice>,
    typed: Typed,
    mistakes: Mistakes,
}

async fn own_tracks(app: &App, person: &Caller) -> Result<Vec<Track>, Failure> {
    let mut all = tracks::all(&mut *app.pool.acquire().await?).await?;
    all.retain(|t| person.may::<kinds::Admin>(t.id));
    Ok(all)
}

async fn form(
    app: &App,
    person: &Caller,
    typed: Typed,
    mistakes: Mistakes,
) -> Result<NewPage, Failure> {
    let (title, here) = ("New enrolment token", "/enrolment-tokens/new");
    let frame = Frame::read(app, person, Nav::Enrolment, title, here, None).await?;
    let tracks = own_tracks(app, person).await?;
    Ok(NewPage {
        frame,
        crumbs: vec![Link::new("Enrolment tokens", "/enrolment-tokens")],
        tracks: tracks
            .into_iter()
            .map(|t| Choice::new(t.id, t.name, typed.track == Some(t.id)))
            .collect(),
        typed,
        mistakes,
    })
}

async fn page(State(app): State<App>, caller: Admin, Filter(asked): Filter<Asked>) -> Shown {
    let typed = Typed {
        track: asked.track,
        admission: "let_in".to_owned(),
        uses: "100".to_owned(),
        expires_in_hours: "24".to_owned(),
    };
    show(form(&app, caller.caller(), typed, Mistakes::none()).await?)
}

/// What is to be made. What is no number is out of bounds, and said so beside its field.
fn read(typed: &Typed) -> Result<NewEnrolmentToken, OpError> {
    let track = typed
        .track
        .ok_or_else(|| OpError::field("track", "a track"))?;
    let admission = from_word::<Admission>("admission", typed.admission.clone());
    Ok(NewEnrolmentToken {
        track,
        admission: admission
            .map_err(|_| OpError::field("admission", "one of the ways to let devices in"))?,
        uses: typed.uses.trim().parse().unwrap_or(0),
        expires_in_hours: typed.expires_in_hours.trim().parse().unwrap_or(0),
    })
}

async fn add(
    State(app): State<App>,
    caller: Admin,
    Origin(origin): Origin,
    Form(typed): Form<Typed>,
) -> Shown {
    let person = caller.caller().clone();
    let made = match read(&typed) {
        Ok(new) => {
            let by = caller.on(new.track)?.person().0;
            operations::add_enrolment_token(&app.pool, new, by, app.clock.now()).await
        }
        Err(error) => Err(error),
    };
    let (token, secret) = match made {
        Ok(made) => made,
        Err(error) => {
            let page = form(&app, &person, typed, Mistakes::from_error(error)?).await?;
            return Ok((StatusCode::UNPROCESSABLE_ENTITY, html(&page)).into_response());
        }
    };
    let tracks = own_tracks(&app, &person).await?;
    let track = tracks.iter().find(|t| t.id == token.track_id);
    let name = track.map(|t| t.name.as_str()).unwrap_or_default();
    let heading = format!("Enrolment token for {name}");
    let here = "/enrolment-tokens";
    let zone = track.map(|t| t.time_zone);
    let frame = Frame::read(&app, &person, Nav::Enrolment, &heading, here, zone).await?;
    let secret = secret.show();
    show(SecretPage {
        expires: frame.when(token.expires_at),
        frame,
        crumbs: vec![Link::new("Enrolment tokens", here)],
        heading,
        lead: "Give it to the machines that are to come in, for example by your deployment tool. Every device that enrols takes one use."
            .to_owned(),
        label: "Token",
        command: Some((
            "To try it with simulated devices",
            format!(
                "RINGFENCE_ENROLMENT_TOKEN={secret} ringfence-agent simulate --server {origin} --devices 10"
            ),
        )),
        secret,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::frame::main_of;

    fn typed(admission: &str, uses: &str) -> Typed {
        Typed {
            track: Some(Uuid::nil()),
            admission: admission.to_owned(),
            uses: uses.to_owned(),
            expires_in_hours: "24".to_owned(),
        }
    }

    fn sample(tracks: Vec<Choice>, typed: Typed, mistakes: Mistakes) -> NewPage {
        NewPage {
            frame: Frame::sample(Nav::Enrolment, "New", "/enrolment-tokens/new"),
            crumbs: vec![Link::new("Enrolment tokens", "/enrolment-tokens")],
            tracks,
            typed,
            mistakes,
        }
    }

    #[test]
    fn each_way_in_is_explained() {
        let tracks = vec![Choice::new(Uuid::nil(), "Production <1>", true)];
        let page = sample(tracks, typed("let_in", "100"), Mistakes::none());
        insta::assert_snapshot!(main_of(&page));
    }

    #[test]
    fn what_was_typed_stays_beside_its_mistake() {
        let tracks = vec![Choice::new(Uuid::nil(), "Production", true)];
        let mut mistakes = Mistakes::none();
        mistakes.add("uses", "1 to 1,000,000");
        mistakes.add("admission", "one of the ways to let devices in");
        mistakes.add("track", "a track");
        let page = sample(tracks, typed("listed", "many"), mistakes);
        insta::assert_snapshot!(main_of(&page));
    }

    #[test]
    fn without_a_track_there_is_nothing_to_come_into() {
        let page = sample(Vec::new(), typed("let_in", "1"), Mistakes::none());
        insta::assert_snapshot!(main_of(&page));
    }

    #[test]
    fn what_is_no_number_is_out_of_bounds() {
        assert_eq!(read(&typed("listed", "many")).unwrap().uses, 0);
        assert_eq!(read(&typed("listed", " 5 ")).unwrap().uses, 5);
        assert!(read(&typed("anyhow", "1")).is_err());
        let nowhere = Typed {
            track: None,
            ..typed("listed", "1")
        };
        assert!(read(&nowhere).is_err());
    }
}
