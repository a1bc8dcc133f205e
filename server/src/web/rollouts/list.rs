//! `/rollouts`: all rollouts, newest first, and why each waits.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use engine::rollout::RolloutState;
use serde::Deserialize;
use uuid::Uuid;

use crate::app::App;
use crate::auth::{Viewer, kinds};
use crate::store::{self, people, rollouts, tracks};
use crate::views::RolloutLine;
use crate::web::form::Filter;
use crate::web::frame::{Frame, Nav, Shown, show};
use crate::web::parts::{Choice, Link, State as Chip, When};

/// Rows of a page.
const ROWS: i64 = 50;

/// This route.
pub fn router() -> Router<App> {
    Router::new().route("/rollouts", get(list))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    track: Option<Uuid>,
    before: Option<Uuid>,
}

/// One rollout.
struct Row {
    link: Link,
    title: String,
    track: String,
    author: String,
    state: Chip,
    ring: Option<String>,
    reasons: Vec<String>,
    created: When,
}

#[derive(Template)]
#[template(path = "pages/rollouts.html")]
struct RolloutsPage {
    frame: Frame,
    rows: Vec<Row>,
    tracks: Vec<Choice>,
    next: Option<String>,
    may_write: bool,
}

async fn list(State(app): State<App>, caller: Viewer, Filter(asked): Filter<Asked>) -> Shown {
    let person = caller.caller().clone();
    let tracks_asked = caller.asked(asked.track)?;
    let mut here = "/rollouts".to_owned();
    if let Some(track) = asked.track {
        here = format!("/rollouts?track={track}");
    }
    let frame = Frame::read(&app, &person, Nav::Rollouts, "Rollouts", here, None).await?;
    let mut tx = store::reading(&app.pool).await?;
    let mut tracks = tracks::all(&mut tx).await?;
    tracks.retain(|t| person.sees(t.id));
    let people = people::all(&mut tx).await?;
    let found = rollouts::page(&mut tx, tracks_asked.as_deref(), asked.before, ROWS).await?;
    let mut rows = Vec::new();
    let mut last = None;
    for stored in found {
        let id = stored.rollout.id;
        last = Some(id.0);
        let stages = rollouts::stages(&mut tx, id).await?;
        let line = RolloutLine::read(&mut tx, &app.catalogue, stored).await?;
        let current = stages.iter().find(|s| s.state.word() != "passed");
        let state = match (&line.state_detail, current) {
            (RolloutState::Active, Some(stage)) => Chip::of_stage(&stage.state),
            (state, _) => Chip::of_rollout(state),
        };
        let track = tracks.iter().find(|t| t.id == line.track);
        let author = people.iter().find(|p| p.id == line.author.0);
        rows.push(Row {
            link: Link::new(
                line.kb
                    .map_or_else(|| "Unknown".to_owned(), |kb| kb.to_string()),
                format!("/rollouts/{}", line.id),
            ),
            title: line.title.unwrap_or_default(),
            track: track.map(|t| t.name.clone()).unwrap_or_default(),
            author: author.map(|p| p.name.clone()).unwrap_or_default(),
            state,
            ring: current.map(|s| s.ring_name.clone()),
            reasons: line.reasons.into_iter().map(|r| r.sentence).collect(),
            created: frame.when(line.created_at),
        });
    }
    let full = usize::try_from(ROWS).is_ok_and(|n| rows.len() >= n);
    let next = last.filter(|_| full).map(|before| match asked.track {
        Some(track) => format!("/rollouts?track={track}&before={before}"),
        None => format!("/rollouts?before={before}"),
    });
    show(RolloutsPage {
        frame,
        rows,
        tracks: tracks
            .into_iter()
            .map(|t| Choice::new(t.id, t.name, asked.track == Some(t.id)))
            .collect(),
        next,
        may_write: person.tracks_with::<kinds::Operator>() != Some(Vec::new()),
    })
}

#[cfg(test)]
mod tests {
    use engine::stage::StageState;

    use super::*;
    use crate::web::frame::main_of;

    impl RolloutsPage {
        fn sample(rows: Vec<Row>) -> Self {
            Self {
                frame: Frame::sample(Nav::Rollouts, "Rollouts", "/rollouts"),
                rows,
                tracks: vec![Choice::new(Uuid::nil(), "Production", false)],
                next: None,
                may_write: true,
            }
        }
    }

    #[test]
    fn an_empty_list_says_what_to_do_first() {
        insta::assert_snapshot!(main_of(&RolloutsPage::sample(Vec::new())));
    }

    #[test]
    fn a_row_says_where_it_is_and_why_it_waits() {
        let frame = Frame::sample(Nav::Rollouts, "Rollouts", "/rollouts");
        let row = Row {
            link: Link::new("KB5086672", "/rollouts/1"),
            title: "2026-03 OOB".to_owned(),
            track: "Production".to_owned(),
            author: "Kai Fischer".to_owned(),
            state: Chip::of_stage(&StageState::Waiting),
            ring: Some("Broad".to_owned()),
            reasons: vec!["Broad waits. It is 2 days old, 3 are asked for.".to_owned()],
            created: frame.when(frame.now),
        };
        insta::assert_snapshot!(main_of(&RolloutsPage::sample(vec![row])));
    }
}
