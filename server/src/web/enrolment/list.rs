//! `/enrolment-tokens`: tokens that were not revoked, newest first.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use engine::words::number;
use serde::Deserialize;
use uuid::Uuid;

use super::admission;
use crate::app::App;
use crate::auth::{Admin, kinds};
use crate::store::enrolment::{self, Token};
use crate::store::{count, tracks};
use crate::web::form::Filter;
use crate::web::frame::{Frame, Nav, Shown, show};
use crate::web::parts::{Choice, Icon, Link, State as Chip, Tone, When};

/// Rows of a page.
const ROWS: i64 = 50;

/// This route.
pub fn router() -> Router<App> {
    Router::new().route("/enrolment-tokens", get(list))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    track: Option<Uuid>,
    before: Option<Uuid>,
}

/// A token.
struct Row {
    track: Link,
    admission: &'static str,
    uses_left: String,
    state: Chip,
    ends: When,
    revoke: String,
}

#[derive(Template)]
#[template(path = "pages/enrolment.html")]
struct EnrolmentPage {
    frame: Frame,
    rows: Vec<Row>,
    tracks: Vec<Choice>,
    new: String,
    newest: Option<String>,
    next: Option<String>,
}

async fn list(State(app): State<App>, caller: Admin, Filter(asked): Filter<Asked>) -> Shown {
    let person = caller.caller().clone();
    let within = caller.asked(asked.track)?;
    let here = address("/enrolment-tokens", asked.track, None);
    let title = "Enrolment tokens";
    let frame = Frame::read(&app, &person, Nav::Enrolment, title, &here, None).await?;
    let mut conn = app.pool.acquire().await?;
    let mut tracks = tracks::all(&mut conn).await?;
    tracks.retain(|t| person.may::<kinds::Admin>(t.id));
    let found = enrolment::token_page(&mut conn, within.as_deref(), asked.before, ROWS).await?;
    drop(conn);
    let full = usize::try_from(ROWS).is_ok_and(|n| found.len() >= n);
    let last = found.last().map(|t| t.id).filter(|_| full);
    let row = |token: Token| Row {
        track: {
            let name = tracks.iter().find(|t| t.id == token.track_id);
            let name = name.map(|t| t.name.as_str()).unwrap_or_default();
            Link::new(name, format!("/tracks/{}", token.track_id))
        },
        admission: admission(&token.admission),
        uses_left: number(count(i64::from(token.uses_left))),
        state: state(&token, frame.now),
        ends: frame.when(token.expires_at),
        revoke: format!("/enrolment-tokens/{}/revoke", token.id),
    };
    show(EnrolmentPage {
        rows: found.into_iter().map(row).collect(),
        next: last.map(|id| address("/enrolment-tokens", asked.track, Some(id))),
        newest: asked.before.map(|_| here),
        new: address("/enrolment-tokens/new", asked.track, None),
        tracks: tracks
            .iter()
            .map(|t| Choice::new(t.id, &t.name, asked.track == Some(t.id)))
            .collect(),
        frame,
    })
}

fn state(token: &Token, now: chrono::DateTime<chrono::Utc>) -> Chip {
    if token.expires_at <= now {
        Chip::quiet(Tone::Mute, Icon::Clock, "Expired")
    } else if token.uses_left == 0 {
        Chip::quiet(Tone::Mute, Icon::Off, "Used up")
    } else {
        Chip::quiet(Tone::Ok, Icon::OkRing, "Good")
    }
}

fn address(path: &str, track: Option<Uuid>, before: Option<Uuid>) -> String {
    let named = [("track", track), ("before", before)];
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, id) in named {
        if let Some(id) = id {
            query.append_pair(name, &id.to_string());
        }
    }
    let query = query.finish();
    if query.is_empty() {
        path.to_owned()
    } else {
        format!("{path}?{query}")
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::web::frame::main_of;

    fn page(rows: Vec<Row>, frame: Frame) -> EnrolmentPage {
        EnrolmentPage {
            frame,
            rows,
            tracks: vec![
                Choice::new(Uuid::nil(), "Production", false),
                Choice::new(Uuid::from_u128(1), "Lab", true),
            ],
            new: "/enrolment-tokens/new".to_owned(),
            newest: None,
            next: Some("/enrolment-tokens?before=1".to_owned()),
        }
    }

    fn frame() -> Frame {
        Frame::sample(Nav::Enrolment, "Enrolment tokens", "/enrolment-tokens")
    }

    #[test]
    fn tokens_say_how_they_let_devices_in_and_whether_they_are_good() {
        let frame = frame();
        let row = |word: &str, uses_left, hours| {
            let token = Token {
                id: Uuid::nil(),
                track_id: Uuid::nil(),
                admission: word.to_owned(),
                uses_left,
                expires_at: frame.now + TimeDelta::hours(hours),
            };
            Row {
                track: Link::new("Production <1>", "/tracks/1"),
                admission: admission(word),
                uses_left: number(count(i64::from(uses_left))),
                state: state(&token, frame.now),
                ends: frame.when(token.expires_at),
                revoke: "/enrolment-tokens/1/revoke".to_owned(),
            }
        };
        let rows = vec![
            row("let_in", 1_600, 24),
            row("approval", 0, 1),
            row("listed", 5, -1),
        ];
        insta::assert_snapshot!(main_of(&page(rows, frame)));
    }

    #[test]
    fn no_token_says_what_one_is_for() {
        let mut page = page(Vec::new(), frame());
        page.next = None;
        insta::assert_snapshot!(main_of(&page));
    }
}
