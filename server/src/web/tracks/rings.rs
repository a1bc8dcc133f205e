//! `/tracks/{id}/rings`: edits the rings, shows what that would do, and saves it as a new revision.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use engine::ring::Query;
use uuid::Uuid;

use super::crumbs;
use super::draft::{Action, Draft, Sent, sum_of};
use super::preview::{self, Preview};
use crate::app::App;
use crate::auth::{Admin, Caller};
use crate::error::OpError;
use crate::http::{At, Failure};
use crate::store;
use crate::store::tracks::{self, Ring, Track};
use crate::web::form::{Form, Mistakes};
use crate::web::frame::{Frame, Nav, Shown, show};
use crate::web::parts::Link;
use crate::web::problem_page::html;

/// This route.
pub fn router() -> Router<App> {
    Router::new().route("/tracks/{id}/rings", get(page).post(change))
}

/// A ring in the form.
struct RowShown {
    index: usize,
    id: Option<Uuid>,
    name: String,
    query: String,
    share: String,
    /// It takes the rest, and has no fields for a rule.
    is_rest: bool,
    is_first: bool,
    is_last: bool,
    name_mistake: Option<String>,
    query_mistake: Option<String>,
    share_mistake: Option<String>,
    mistake: Option<String>,
}

#[derive(Template)]
#[template(path = "pages/rings.html")]
struct RingsPage {
    frame: Frame,
    crumbs: Vec<Link>,
    track: String,
    is_new: bool,
    rows: Vec<RowShown>,
    seen: String,
    previewed: String,
    refused: Option<String>,
    preview: Option<Preview>,
}

impl RingsPage {
    /// There is nothing to save yet.
    fn may_not_save(&self) -> bool {
        self.preview.as_ref().is_none_or(|p| p.nothing)
    }

    fn response(&self) -> Response {
        let wrong = self.refused.is_some() || self.rows.iter().any(RowShown::is_wrong);
        let status = if wrong {
            StatusCode::UNPROCESSABLE_ENTITY
        } else {
            StatusCode::OK
        };
        (status, html(self)).into_response()
    }
}

impl RowShown {
    fn is_wrong(&self) -> bool {
        let mistakes = [
            &self.name_mistake,
            &self.query_mistake,
            &self.share_mistake,
            &self.mistake,
        ];
        mistakes.into_iter().any(Option::is_some)
    }
}

/// What is known of the track while its rings are edited.
struct Desk {
    track: Track,
    rings: Vec<Ring>,
}

impl Desk {
    async fn read(app: &App, id: Uuid) -> Result<Self, Failure> {
        let mut tx = store::reading(&app.pool).await?;
        let missing = OpError::NotFound { what: "track" };
        let track = tracks::by_id(&mut tx, id).await?.ok_or(missing)?;
        let rings = tracks::rings(&mut tx, id).await?;
        Ok(Self { track, rings })
    }

    async fn page(
        &self,
        app: &App,
        person: &Caller,
        draft: Draft,
        mistakes: &Mistakes,
        preview: Option<Preview>,
    ) -> Result<RingsPage, Failure> {
        let here = format!("/tracks/{}/rings", self.track.id);
        let title = format!("Rings of {}", self.track.name);
        let zone = Some(self.track.time_zone);
        let frame = Frame::read(app, person, Nav::Tracks, title, here, zone).await?;
        let previewed = preview.as_ref().map(|_| draft.sum());
        Ok(RingsPage {
            frame,
            crumbs: crumbs(self.track.id, &self.track.name),
            track: self.track.name.clone(),
            is_new: self.rings.is_empty(),
            rows: rows(&draft, mistakes),
            previewed: previewed.unwrap_or_default(),
            refused: mistakes.of("rings").map(|e| format!("Expected {e}.")),
            seen: draft.seen,
            preview,
        })
    }
}

fn rows(draft: &Draft, mistakes: &Mistakes) -> Vec<RowShown> {
    let last = draft.rows.len().saturating_sub(1);
    let row = |(i, row): (usize, &super::draft::Row)| {
        let of = |field: &str| {
            let expected = mistakes.of(&format!("rings[{i}]{field}"))?;
            Some(format!("Expected {expected}."))
        };
        let blank = row.query.trim().is_empty() && row.share.trim().is_empty();
        RowShown {
            index: i,
            id: row.id,
            name: row.name.clone(),
            query: row.query.clone(),
            share: row.share.clone(),
            is_rest: i == last && blank,
            is_first: i == 0,
            is_last: i == last,
            name_mistake: of(".name"),
            query_mistake: of(".query").map(|other| {
                let place = Query::parse(&row.query).err();
                place.map_or(other, |e| {
                    let before = row.query.get(..e.at).unwrap_or(&row.query);
                    format!(
                        "Expected {}, at character {} of the query of ring {}.",
                        e.expected,
                        before.chars().count() + 1,
                        i + 1
                    )
                })
            }),
            share_mistake: of(".share"),
            mistake: of("").or_else(|| of(".id")),
        }
    };
    draft.rows.iter().enumerate().map(row).collect()
}

async fn page(State(app): State<App>, caller: Admin, At(id): At<Uuid>) -> Shown {
    let person = caller.caller().clone();
    let id = caller.on(id)?.track();
    let desk = Desk::read(&app, id).await?;
    let draft = Draft::of(&desk.rings);
    let none = Mistakes::none();
    show(desk.page(&app, &person, draft, &none, None).await?)
}

async fn change(
    State(app): State<App>,
    caller: Admin,
    At(id): At<Uuid>,
    Form(fields): Form<Vec<(String, String)>>,
) -> Shown {
    let person = caller.caller().clone();
    let caller = caller.on(id)?;
    let sent = Sent::read(&fields)?;
    let desk = Desk::read(&app, id).await?;
    let none = Mistakes::none();
    let draft = match sent.action {
        Action::Preview | Action::Save => sent.draft,
        other => {
            let draft = sent.draft.changed(other);
            return show(desk.page(&app, &person, draft, &none, None).await?);
        }
    };
    // What is saved is what was looked at.
    let looked_at = sent.previewed == draft.sum();
    let outcome = if sent.action == Action::Save && looked_at {
        save(&app, &desk, &draft, caller.person().0).await
    } else {
        look(&app, &desk, &draft).await.map(Some)
    };
    let (mistakes, preview) = match outcome {
        Ok(None) => return Ok(Redirect::to(&format!("/tracks/{id}")).into_response()),
        Ok(preview) => (none, preview),
        Err(error) => (Mistakes::from_error(error)?, None),
    };
    let page = desk.page(&app, &person, draft, &mistakes, preview).await?;
    Ok(page.response())
}

async fn look(app: &App, desk: &Desk, draft: &Draft) -> Result<Preview, OpError> {
    let inputs = draft.inputs().map_err(|m| OpError::Invalid(m.0))?;
    let mut tx = store::reading(&app.pool).await?;
    preview::read(&mut tx, desk.track.id, &inputs, &desk.rings).await
}

async fn save(app: &App, desk: &Desk, draft: &Draft, by: Uuid) -> Result<Option<Preview>, OpError> {
    if draft.seen != sum_of(&desk.rings) {
        let newer = "the rings as they are now: somebody saved them meanwhile. Open the page again";
        return Err(OpError::field("rings", newer));
    }
    let inputs = draft.inputs().map_err(|m| OpError::Invalid(m.0))?;
    let seen = Some(desk.rings.clone());
    app.define_rings(desk.track.id, inputs, seen, by).await?;
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::frame::main_of;
    use crate::web::tracks::draft::Row;

    fn sample(mistakes: &Mistakes, preview: Option<Preview>) -> RingsPage {
        let row = |id: Option<u128>, name: &str, query: &str, share: &str| Row {
            id: id.map(Uuid::from_u128),
            name: name.to_owned(),
            query: query.to_owned(),
            share: share.to_owned(),
        };
        let draft = Draft {
            rows: vec![
                row(Some(1), "Pilot", "model:\"Latitude 5*\"", "5"),
                row(None, "Early <1>", "tag:", ""),
                row(Some(2), "Broad", "", ""),
            ],
            seen: "seen".to_owned(),
        };
        RingsPage {
            frame: Frame::sample(Nav::Tracks, "Rings of Production", "/tracks/1/rings"),
            crumbs: crumbs(Uuid::nil(), "Production"),
            track: "Production".to_owned(),
            is_new: false,
            rows: rows(&draft, mistakes),
            seen: draft.seen,
            previewed: "looked at".to_owned(),
            refused: mistakes.of("rings").map(str::to_owned),
            preview,
        }
    }

    #[test]
    fn rings_are_rows_that_move() {
        insta::assert_snapshot!(main_of(&sample(&Mistakes::none(), None)));
    }

    #[test]
    fn a_preview_says_what_moves_and_what_becomes_void() {
        let preview = preview::tests::sample();
        insta::assert_snapshot!(main_of(&sample(&Mistakes::none(), Some(preview))));
    }

    #[test]
    fn a_preview_of_nothing_offers_nothing_to_save() {
        let mut preview = preview::tests::sample();
        (preview.nothing, preview.moves, preview.voided) = (true, Vec::new(), Vec::new());
        insta::assert_snapshot!(main_of(&sample(&Mistakes::none(), Some(preview))));
    }

    #[test]
    fn mistakes_name_ring_and_place() {
        let mut mistakes = Mistakes::none();
        mistakes.add("rings[1].query", "at 4: expected a value");
        mistakes.add("rings[0].share", "a number, such as 5 or 2.5");
        mistakes.add("rings[0].name", "a name that no other ring has");
        mistakes.add("rings[2]", "neither query nor share");
        mistakes.add("rings", "1 to 16 rings");
        let page = sample(&mistakes, None);
        assert_eq!(
            page.rows[1].query_mistake.as_deref(),
            Some("Expected a value, at character 5 of the query of ring 2.")
        );
        assert_eq!(page.response().status(), StatusCode::UNPROCESSABLE_ENTITY);
        insta::assert_snapshot!(main_of(&page));
    }
}
