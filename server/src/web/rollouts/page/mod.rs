//! `/rollouts/{id}`: where a rollout is, why it waits, how far it is from a halt, and what can be done.

mod actions;
mod admission;
mod gates;
mod halt;
mod head;
mod history;
mod policy;
mod rail;
mod record;
mod stages;
#[cfg(test)]
mod tests;
mod trouble;

use std::collections::BTreeMap;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use engine::Snapshot;
use engine::ids::{PersonId, RolloutId};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::app::App;
use crate::auth::{Caller, Viewer, kinds};
use crate::error::OpError;
use crate::http::At;
use crate::store::rollouts::Stored;
use crate::store::{self, people, rollouts, tracks};
use crate::views::{HoldLine, RolloutPage, RolloutProgress};
use crate::web::frame::{Frame, Nav, Shown, show};
use crate::web::parts::{HoldRow, Link};

/// This route.
pub fn router() -> Router<App> {
    Router::new().route("/rollouts/{id}", get(page))
}

/// Everything that is shown, as of one moment.
struct Read {
    page: RolloutPage,
    progress: RolloutProgress,
    snapshot: Snapshot,
    track: tracks::Track,
    names: BTreeMap<PersonId, String>,
}

#[derive(Template)]
#[template(path = "pages/rollout.html")]
struct Page {
    frame: Frame,
    crumbs: Vec<Link>,
    head: head::Head,
    stages: stages::Stages,
    gates: Vec<gates::Panel>,
    halt: halt::Halt,
    admission: Option<admission::Admission>,
    trouble: trouble::Trouble,
    holds: Vec<HoldRow>,
    track_id: Uuid,
    may_admin: bool,
    history: history::History,
    record: record::Record,
}

async fn page(State(app): State<App>, caller: Viewer, At(id): At<Uuid>) -> Shown {
    let person = caller.caller().clone();
    let mut tx = store::reading(&app.pool).await?;
    let stored = rollouts::by_id(&mut tx, RolloutId(id)).await?;
    let stored = stored.ok_or(OpError::NotFound { what: "rollout" })?;
    caller.over("rollout", stored.rollout.track.0)?;
    let read = Read::of(&mut tx, &app, stored).await?;
    drop(tx);
    let here = format!("/rollouts/{id}");
    let zone = Some(read.track.time_zone);
    let frame = Frame::read(&app, &person, Nav::Rollouts, read.title(), here, zone).await?;
    show(Page::new(frame, &read, &person))
}

impl Read {
    async fn of(conn: &mut PgConnection, app: &App, stored: Stored) -> anyhow::Result<Self> {
        let snapshot = app.control.look(&mut *conn, &stored).await?;
        let track = tracks::by_id(&mut *conn, stored.rollout.track.0).await?;
        let people = people::all(&mut *conn).await?;
        Ok(Self {
            progress: RolloutProgress::read(&mut *conn, &snapshot).await?,
            page: RolloutPage::read(conn, &app.catalogue, stored).await?,
            snapshot,
            track: track.ok_or_else(|| anyhow::anyhow!("a rollout without its track"))?,
            names: people
                .into_iter()
                .map(|person| (PersonId(person.id), person.name))
                .collect(),
        })
    }

    /// Name of a person.
    fn name(&self, id: PersonId) -> String {
        let name = self.names.get(&id).cloned();
        name.unwrap_or_else(|| "someone".to_owned())
    }

    /// Known issues and exclusions, with how many devices each keeps from starting.
    fn holds(&self, frame: &Frame) -> Vec<HoldRow> {
        let row = |line: &HoldLine| {
            let owner = self.name(PersonId(line.stored.owner));
            let about = line
                .stored
                .digest
                .or(line.stored.rollout.map(|_| self.page.line.digest));
            let about = about.map(|_| self.kb());
            HoldRow::new(frame, &self.track.name, &line.stored, owner, about).taking(line.held)
        };
        self.page.holds.iter().map(row).collect()
    }

    /// `KB5086672`.
    fn kb(&self) -> String {
        let kb = self.page.line.kb;
        kb.map_or_else(|| "Unknown KB".to_owned(), |kb| kb.to_string())
    }

    /// Title of the window.
    fn title(&self) -> String {
        format!("{}, {}", self.kb(), self.track.name)
    }

    /// Query of this rollout's devices that also meet `terms`.
    fn devices(&self, terms: &str) -> String {
        let query = format!("rollout:{} {terms}", self.page.line.id);
        query.trim_end().to_owned()
    }
}

impl Page {
    fn new(frame: Frame, read: &Read, caller: &Caller) -> Self {
        Self {
            crumbs: vec![
                Link::new("Rollouts", "/rollouts"),
                Link::new(
                    read.track.name.clone(),
                    format!("/rollouts?track={}", read.track.id),
                ),
            ],
            head: head::Head::new(&frame, read, caller),
            stages: stages::Stages::new(&frame, read),
            gates: gates::Panel::all(read),
            halt: halt::Halt::new(read),
            admission: admission::Admission::new(read),
            trouble: trouble::Trouble::new(read),
            holds: read.holds(&frame),
            track_id: read.track.id,
            may_admin: caller.may::<kinds::Admin>(read.track.id),
            history: history::History::new(&frame, read),
            record: record::Record::new(
                &frame,
                read,
                caller.tracks_with::<kinds::Auditor>().is_none(),
            ),
            frame,
        }
    }
}
