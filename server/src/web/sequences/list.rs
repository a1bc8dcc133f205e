//! `/sequences`: all sequences, newest first.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use serde::Deserialize;
use uuid::Uuid;

use super::content::{kind, targets};
use crate::app::App;
use crate::auth::{Viewer, kinds};
use crate::store::sequences;
use crate::web::form::Filter;
use crate::web::frame::{Frame, Nav, Shown, show};
use crate::web::parts::{Link, State as Chip, When};

/// Rows of a page.
const ROWS: i64 = 50;

/// This route.
pub fn router() -> Router<App> {
    Router::new().route("/sequences", get(list))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    before: Option<Uuid>,
}

/// One sequence.
struct Row {
    link: Link,
    title: String,
    kind: &'static str,
    label: String,
    builds: Vec<String>,
    state: Chip,
    replaced_by: Option<String>,
    rollouts: u64,
    open: u64,
    created: When,
}

#[derive(Template)]
#[template(path = "pages/sequences.html")]
struct SequencesPage {
    frame: Frame,
    rows: Vec<Row>,
    paged: bool,
    next: Option<String>,
    may_write: bool,
}

async fn list(State(app): State<App>, caller: Viewer, Filter(asked): Filter<Asked>) -> Shown {
    let person = caller.caller().clone();
    let here = asked.before.map_or_else(
        || "/sequences".to_owned(),
        |before| format!("/sequences?before={before}"),
    );
    let frame = Frame::read(&app, &person, Nav::Sequences, "KB sequences", here, None).await?;
    let mut conn = app.pool.acquire().await?;
    let tracks = caller.tracks();
    let found = sequences::listed(&mut conn, tracks.as_deref(), asked.before, ROWS).await?;
    let full = usize::try_from(ROWS).is_ok_and(|n| found.len() >= n);
    let next = found.last().filter(|_| full);
    let next = next.map(|s| format!("/sequences?before={}", s.id));
    let row = |s: sequences::Listed| Row {
        link: Link::new(s.sequence.kb.to_string(), format!("/sequences/{}", s.id)),
        kind: kind(s.sequence.kind),
        builds: targets(&s.sequence),
        title: s.sequence.title,
        label: s.sequence.label,
        state: Chip::of_sequence(s.state),
        replaced_by: s.replaced_by.map(|kb| kb.to_string()),
        rollouts: s.rollouts,
        open: s.open,
        created: frame.when(s.created_at),
    };
    let rows = found.into_iter().map(row).collect();
    show(SequencesPage {
        rows,
        paged: asked.before.is_some(),
        next,
        may_write: person.tracks_with::<kinds::Operator>() != Some(Vec::new()),
        frame,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sequences::SequenceState;
    use crate::web::frame::main_of;

    fn page(rows: Vec<Row>) -> SequencesPage {
        SequencesPage {
            frame: Frame::sample(Nav::Sequences, "KB sequences", "/sequences"),
            rows,
            paged: false,
            next: None,
            may_write: true,
        }
    }

    fn row(state: SequenceState) -> Row {
        let frame = Frame::sample(Nav::Sequences, "", "");
        Row {
            link: Link::new("KB5079391", "/sequences/1"),
            title: "2026-03 Cumulative Update Preview".to_owned(),
            kind: "Preview",
            label: "2026-03 D".to_owned(),
            builds: vec!["26100.8116".to_owned(), "26200.8116".to_owned()],
            state: Chip::of_sequence(state),
            replaced_by: None,
            rollouts: 0,
            open: 0,
            created: frame.when(frame.now),
        }
    }

    #[test]
    fn an_empty_list_says_what_to_do_first() {
        insta::assert_snapshot!(main_of(&page(Vec::new())));
    }

    #[test]
    fn a_withdrawn_one_names_what_replaces_it() {
        let withdrawn = Row {
            replaced_by: Some("KB5086672".to_owned()),
            rollouts: 3,
            open: 1,
            ..row(SequenceState::Withdrawn)
        };
        insta::assert_snapshot!(main_of(&page(vec![withdrawn, row(SequenceState::Draft)])));
    }

    #[test]
    fn names_that_run_away_stay_in_their_place() {
        let long = Row {
            title: "x".repeat(200),
            label: "مارس".to_owned(),
            ..row(SequenceState::Draft)
        };
        let mut page = page(vec![long]);
        page.next = Some("/sequences?before=2".to_owned());
        page.paged = true;
        page.may_write = false;
        insta::assert_snapshot!(main_of(&page));
    }
}
