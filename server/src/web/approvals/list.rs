//! `/approvals`: what waits for a decision, and what was decided.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use engine::approval::approve;
use engine::decide::Person;
use engine::ids::PersonId;
use engine::rollout::Actor;
use serde::Deserialize;
use sqlx::PgConnection;
use uuid::Uuid;

use super::words::{Names, outcome, progress, promise, question};
use crate::app::App;
use crate::auth::{Caller, Viewer, kinds};
use crate::store::requests::{self, Listed};
use crate::store::{self, people, rollouts, tracks};
use crate::views::{RequestLine, RolloutLine};
use crate::web::form::Filter;
use crate::web::frame::{Frame, Nav, Shown, show};
use crate::web::parts::{Choice, Link, State as Chip, When};

/// Ended requests of a page.
const ROWS: i64 = 25;

/// Open requests of a page: a stage has one at most, so that more than these are many rollouts at once.
const OPEN: i64 = 200;

/// This route.
pub fn router() -> Router<App> {
    Router::new().route("/approvals", get(list))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    track: Option<Uuid>,
    before: Option<Uuid>,
}

/// One request.
struct Row {
    link: Link,
    title: String,
    track: String,
    state: Chip,
    /// What will happen, or how it ended.
    sentence: String,
    requested_by: String,
    requested_at: When,
    /// Open ones: approvals so far, and when it ends unanswered.
    waits: Option<(String, When)>,
    /// Ended ones: what it asked for, and when it ended.
    asked: Option<(String, Option<When>)>,
}

/// Requests that belong together.
struct Group {
    id: &'static str,
    heading: &'static str,
    rows: Vec<Row>,
    /// What belongs here and why there is nothing.
    empty: &'static str,
}

#[derive(Template)]
#[template(path = "pages/approvals.html")]
struct ApprovalsPage {
    frame: Frame,
    groups: Vec<Group>,
    tracks: Vec<Choice>,
    /// More are open than are shown.
    cut: bool,
    newest: Option<String>,
    next: Option<String>,
}

/// What rows are made with.
struct Reading<'a> {
    app: &'a App,
    frame: &'a Frame,
    names: Names,
    tracks: &'a [tracks::Track],
}

impl Reading<'_> {
    /// The row of a request, and who wrote its rollout.
    async fn row(
        &self,
        conn: &mut PgConnection,
        request: RequestLine,
        rollout: &RolloutLine,
    ) -> anyhow::Result<Row> {
        let kb = rollout
            .kb
            .map_or_else(|| "an unknown update".to_owned(), |kb| kb.to_string());
        let track = self.tracks.iter().find(|t| t.id == request.track);
        let ended = outcome(&request, &self.names);
        let (waits, asked) = if ended.is_none() {
            let expires = self.frame.when(request.expires_at);
            (Some((progress(&request), expires)), None)
        } else {
            let at = requests::ended_at(conn, request.id).await?;
            let at = at.map(|at| self.frame.when(at));
            (None, Some((promise(&request), at)))
        };
        Ok(Row {
            link: Link::new(
                format!("{} for {kb}", question(&request)),
                format!("/approvals/{}", request.id),
            ),
            title: rollout.title.clone().unwrap_or_default(),
            track: track.map(|t| t.name.clone()).unwrap_or_default(),
            state: Chip::of_request(&request.state_detail),
            sentence: ended.unwrap_or_else(|| promise(&request)),
            requested_by: self.names.actor(request.requested_by),
            requested_at: self.frame.when(request.requested_at),
            waits,
            asked,
        })
    }

    async fn rollout(&self, conn: &mut PgConnection, of: &Listed) -> anyhow::Result<RolloutLine> {
        let stored = rollouts::by_id(&mut *conn, of.rollout).await?;
        let stored = stored.ok_or_else(|| anyhow::anyhow!("a request without its rollout"))?;
        RolloutLine::read(conn, &self.app.catalogue, stored).await
    }
}

/// To whom an open request belongs, as someone sees it.
fn group_of(
    caller: &Caller,
    listed: &Listed,
    author: PersonId,
    people: &BTreeMap<PersonId, Person>,
) -> usize {
    let me = caller.person();
    let decides = caller.may::<kinds::Approver>(listed.track)
        && approve(&listed.request, me, author, people).is_ok();
    if decides {
        0
    } else if author == me || listed.request.requested_by == Actor::Person(me) {
        1
    } else {
        2
    }
}

async fn list(State(app): State<App>, caller: Viewer, Filter(asked): Filter<Asked>) -> Shown {
    let person = caller.caller().clone();
    let tracks_asked = caller.asked(asked.track)?;
    let address = |before: Option<Uuid>| match (asked.track, before) {
        (None, None) => "/approvals".to_owned(),
        (Some(track), None) => format!("/approvals?track={track}"),
        (None, Some(before)) => format!("/approvals?before={before}"),
        (Some(track), Some(before)) => format!("/approvals?track={track}&before={before}"),
    };
    let here = address(asked.before);
    let frame = Frame::read(&app, &person, Nav::Approvals, "Approvals", here, None).await?;
    let mut tx = store::reading(&app.pool).await?;
    let mut tracks = tracks::all(&mut tx).await?;
    tracks.retain(|t| person.sees(t.id));
    let reading = Reading {
        app: &app,
        frame: &frame,
        names: Names::new(&people::all(&mut tx).await?),
        tracks: &tracks,
    };
    let scope = tracks_asked.as_deref();
    let open = requests::page(&mut tx, scope, None, true, OPEN).await?;
    let cut = is_full(open.len(), OPEN);
    let mut deciders = BTreeMap::new();
    let mut grouped = [const { Vec::new() }; 3];
    for listed in open {
        let deciders = match deciders.entry(listed.track) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(people::of_track(&mut tx, listed.track).await?),
        };
        let rollout = reading.rollout(&mut tx, &listed).await?;
        let group = group_of(&person, &listed, rollout.author, deciders);
        grouped[group].push(reading.row(&mut tx, listed.into(), &rollout).await?);
    }
    let ended = requests::ended(&mut tx, scope, asked.before, ROWS).await?;
    let last = ended
        .last()
        .filter(|_| is_full(ended.len(), ROWS))
        .map(|l| l.request.id.0);
    let mut decided = Vec::new();
    for listed in ended {
        let rollout = reading.rollout(&mut tx, &listed).await?;
        decided.push(reading.row(&mut tx, listed.into(), &rollout).await?);
    }
    show(ApprovalsPage {
        groups: groups(grouped, decided),
        tracks: tracks
            .iter()
            .map(|t| Choice::new(t.id, &t.name, asked.track == Some(t.id)))
            .collect(),
        cut,
        newest: asked.before.map(|_| address(None)),
        next: last.map(|last| address(Some(last))),
        frame,
    })
}

fn is_full(rows: usize, of: i64) -> bool {
    usize::try_from(of).is_ok_and(|of| rows >= of)
}

/// What others decide is shown only where there is something: it asks nothing of the reader.
fn groups([mine, own, others]: [Vec<Row>; 3], decided: Vec<Row>) -> Vec<Group> {
    let mut groups = vec![
        Group {
            id: "mine",
            heading: "Yours to decide",
            rows: mine,
            empty: "Nothing waits for you. A request comes here when a ring passed its gate and the next one needs approval.",
        },
        Group {
            id: "own",
            heading: "Your requests",
            rows: own,
            empty: "None is open. Requests of rollouts that you wrote, and overrides that you asked for, stand here until others decide.",
        },
    ];
    if !others.is_empty() {
        groups.push(Group {
            id: "others",
            heading: "Others decide",
            rows: others,
            empty: "",
        });
    }
    groups.push(Group {
        id: "decided",
        heading: "Decided",
        rows: decided,
        empty: "Nothing was decided yet.",
    });
    groups
}

#[cfg(test)]
mod tests {
    use engine::approval::RequestState;

    use super::super::words::tests::{KAI, names, request};
    use super::*;
    use crate::web::frame::main_of;

    fn frame() -> Frame {
        Frame::sample(Nav::Approvals, "Approvals", "/approvals")
    }

    fn row(state: RequestState) -> Row {
        let (frame, request) = (frame(), request(state));
        let ended = outcome(&request, &names());
        let open = ended.is_none();
        Row {
            link: Link::new("Open Broad for KB5086672", "/approvals/118"),
            title: "2026-03 Cumulative Update".to_owned(),
            track: "ייצור".to_owned(),
            state: Chip::of_request(&request.state_detail),
            sentence: ended.unwrap_or_else(|| promise(&request)),
            requested_by: names().actor(request.requested_by),
            requested_at: frame.when(request.requested_at),
            waits: open.then(|| (progress(&request), frame.when(request.expires_at))),
            asked: (!open).then(|| (promise(&request), Some(frame.when(frame.now)))),
        }
    }

    fn page(grouped: [Vec<Row>; 3], decided: Vec<Row>) -> ApprovalsPage {
        ApprovalsPage {
            frame: frame(),
            groups: groups(grouped, decided),
            tracks: vec![
                Choice::new(Uuid::nil(), "Production", true),
                Choice::new(Uuid::from_u128(1), "Kiosks", false),
            ],
            cut: false,
            newest: None,
            next: None,
        }
    }

    #[test]
    fn an_empty_list_says_what_comes_here() {
        insta::assert_snapshot!(main_of(&page([vec![], vec![], vec![]], vec![])));
    }

    #[test]
    fn every_group_says_who_when_and_what_will_happen() {
        let open = || vec![row(RequestState::Open)];
        let rejected = RequestState::Rejected {
            by: KAI,
            reason: "x".repeat(200),
        };
        let decided = vec![row(RequestState::Approved), row(rejected)];
        let mut page = page([open(), open(), open()], decided);
        page.next = Some("/approvals?before=1".to_owned());
        page.newest = Some("/approvals".to_owned());
        page.cut = true;
        insta::assert_snapshot!(main_of(&page));
    }
}
