//! `/audit`: entries as sentences, newest first.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeZone, Utc};
use chrono_tz::Tz;
use engine::words::number;
use serde::Deserialize;
use sqlx::PgConnection;
use uuid::Uuid;

use super::words::{ACTIONS, Names, Piece, name_of, sentence};
use crate::app::App;
use crate::auth::Auditor;
use crate::error::OpError;
use crate::http::Failure;
use crate::store::audit::{self, Stored, Wanted};
use crate::store::people::Account;
use crate::store::{self, count, people, tracks};
use crate::web::form::Filter;
use crate::web::frame::{Frame, Nav, Shown, show};
use crate::web::parts::{Choice, When};

/// Rows of a page.
const ROWS: usize = 50;

/// One more than is shown tells whether there is a further page.
const READ: i64 = 51;

/// Stands for the engine and the service where an actor is chosen.
const NOBODY: &str = "engine";

/// This route.
pub fn router() -> Router<App> {
    Router::new().route("/audit", get(list))
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    subject: Option<String>,
    actor: Option<String>,
    action: Option<String>,
    day: Option<NaiveDate>,
    before: Option<i64>,
    after: Option<i64>,
}

/// One entry.
struct Row {
    n: i64,
    at: When,
    sentence: Vec<Piece>,
    subject: String,
    json: String,
}

#[derive(Template)]
#[template(path = "pages/audit.html")]
struct AuditPage {
    frame: Frame,
    length: String,
    is_narrowed: bool,
    subject: String,
    day: String,
    actors: Vec<Choice>,
    actions: Vec<Choice>,
    rows: Vec<Row>,
    newer: Option<String>,
    older: Option<String>,
}

impl Asked {
    /// The address with the same filter, and where it goes on.
    fn address(&self, cursor: Option<(&str, i64)>) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let day = self.day.map(|d| d.to_string());
        let texts = [
            ("subject", self.subject.as_deref()),
            ("actor", self.actor.as_deref()),
            ("action", self.action.as_deref()),
            ("day", day.as_deref()),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                query.append_pair(name, text);
            }
        }
        if let Some((name, n)) = cursor {
            query.append_pair(name, &n.to_string());
        }
        let query = query.finish();
        if query.is_empty() {
            "/audit".to_owned()
        } else {
            format!("/audit?{query}")
        }
    }

    fn wanted(&self, zone: Tz) -> Result<Wanted<'_>, OpError> {
        let by_nobody = self.actor.as_deref() == Some(NOBODY);
        let actor = self.actor.as_deref().filter(|_| !by_nobody);
        let actor = actor.map(str::parse).transpose();
        let day = self
            .day
            .map(|day| (day, day.checked_add_days(Days::new(1))));
        Ok(Wanted {
            subject: self.subject.as_deref().map(str::trim),
            action: self.action.as_deref(),
            actor: actor.map_err(|_| OpError::field("actor", "a person, or the engine"))?,
            by_nobody,
            from: day.and_then(|(day, _)| begins(day, zone)),
            to: day.and_then(|(_, next)| begins(next?, zone)),
        })
    }
}

/// When a day begins in a zone; where midnight does not exist, an hour later.
fn begins(day: NaiveDate, zone: Tz) -> Option<DateTime<Utc>> {
    let midnight = day.and_time(NaiveTime::MIN);
    let local = zone.from_local_datetime(&midnight).earliest().or_else(|| {
        let one = day.and_hms_opt(1, 0, 0)?;
        zone.from_local_datetime(&one).earliest()
    })?;
    Some(local.with_timezone(&Utc))
}

async fn list(State(app): State<App>, caller: Auditor, Filter(asked): Filter<Asked>) -> Shown {
    let person = caller.caller().clone();
    caller.everywhere()?;
    let here = asked.address(None);
    let frame = Frame::read(&app, &person, Nav::Audit, "Audit", here, None).await?;
    let wanted = asked.wanted(frame.zone)?;
    let mut tx = store::reading(&app.pool).await?;
    let length = audit::length(&mut tx).await?;
    let (found, has_newer, has_older) = found(&mut tx, &asked, wanted).await?;
    let people = people::all(&mut tx).await?;
    let names = names(&mut tx, &people, &found).await?;
    drop(tx);
    let (first, last) = (found.first().map(|e| e.n), found.last().map(|e| e.n));
    show(AuditPage {
        length: number(count(length)),
        is_narrowed: asked.address(None) != "/audit",
        newer: first
            .filter(|_| has_newer)
            .map(|n| asked.address(Some(("after", n)))),
        older: last
            .filter(|_| has_older)
            .map(|n| asked.address(Some(("before", n)))),
        rows: rows(&frame, &found, &names)?,
        actors: actors(&people, asked.actor.as_deref()),
        actions: actions(asked.action.as_deref()),
        subject: asked.subject.unwrap_or_default(),
        day: asked.day.map(|d| d.to_string()).unwrap_or_default(),
        frame,
    })
}

/// The entries of a page, and whether there are newer and older ones.
async fn found(
    conn: &mut PgConnection,
    asked: &Asked,
    wanted: Wanted<'_>,
) -> Result<(Vec<Stored>, bool, bool), Failure> {
    if let Some(after) = asked.after {
        let mut found = audit::newer(conn, wanted, after, READ).await?;
        let more = found.len() > ROWS;
        found.drain(..found.len().saturating_sub(ROWS));
        return Ok((found, more, true));
    }
    let before = asked.before.unwrap_or(i64::MAX);
    let mut found = audit::older(conn, wanted, before, READ).await?;
    let more = found.len() > ROWS;
    found.truncate(ROWS);
    Ok((found, asked.before.is_some(), more))
}

async fn names(
    conn: &mut PgConnection,
    people: &[Account],
    entries: &[Stored],
) -> Result<Names, Failure> {
    let id = |entry: &Stored| entry.subject.split_once(':')?.1.parse().ok();
    let ids: Vec<Uuid> = entries.iter().filter_map(id).collect();
    let tracks = tracks::all(&mut *conn).await?;
    Ok(Names {
        people: people.iter().map(|a| (a.id, a.name.clone())).collect(),
        tracks: tracks.into_iter().map(|t| (t.id, t.name)).collect(),
        called: audit::called(conn, &ids).await?,
    })
}

fn rows(frame: &Frame, entries: &[Stored], names: &Names) -> Result<Vec<Row>, Failure> {
    let row = |entry: &Stored| {
        Ok(Row {
            n: entry.n,
            at: frame.when(entry.at),
            sentence: sentence(entry, names),
            subject: Asked {
                subject: Some(entry.subject.clone()),
                ..Asked::default()
            }
            .address(None),
            json: serde_json::to_string_pretty(entry).map_err(anyhow::Error::from)?,
        })
    };
    entries.iter().map(row).collect()
}

fn actors(people: &[Account], chosen: Option<&str>) -> Vec<Choice> {
    let choice = |value: String, text: &str| {
        let selected = chosen == Some(value.as_str());
        Choice::new(value, text, selected)
    };
    let mut choices = vec![choice(NOBODY.to_owned(), "The engine and the service")];
    choices.extend(people.iter().map(|a| choice(a.id.to_string(), &a.name)));
    choices
}

fn actions(chosen: Option<&str>) -> Vec<Choice> {
    let choice = |word: &str| Choice::new(word, name_of(word), chosen == Some(word));
    let mut choices: Vec<Choice> = ACTIONS.iter().map(|(word, _)| choice(word)).collect();
    choices.sort_by(|a, b| a.text.cmp(&b.text));
    choices
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::web::frame::main_of;

    fn page(entries: &[Stored]) -> AuditPage {
        let frame = Frame::sample(Nav::Audit, "Audit", "/audit");
        AuditPage {
            rows: rows(&frame, entries, &Names::default()).unwrap(),
            frame,
            length: "1,204".to_owned(),
            is_narrowed: true,
            subject: "rollout:1".to_owned(),
            day: "2026-04-07".to_owned(),
            actors: actors(&[], Some(NOBODY)),
            actions: actions(Some("halted")).into_iter().take(2).collect(),
            newer: Some("/audit?after=1".to_owned()),
            older: Some("/audit?before=1".to_owned()),
        }
    }

    #[test]
    fn an_entry_is_a_sentence_with_its_json_behind_it() {
        let entry = Stored {
            n: 7,
            at: DateTime::from_timestamp(1_775_542_327, 0).unwrap(),
            actor: None,
            action: "halted".to_owned(),
            subject: format!("rollout:{}", Uuid::nil()),
            body: json!({ "sentence": "Halted by its evidence: <4> failures." }),
            prev_hash: "00".to_owned(),
            hash: "11".to_owned(),
        };
        insta::assert_snapshot!(main_of(&page(&[entry])));
    }

    #[test]
    fn nothing_found_says_how_to_see_all() {
        let mut page = page(&[]);
        (page.newer, page.older) = (None, None);
        insta::assert_snapshot!(main_of(&page));
    }

    #[test]
    fn a_day_is_the_zones_day() {
        let asked = Asked {
            day: NaiveDate::from_ymd_opt(2026, 3, 29),
            actor: Some(NOBODY.to_owned()),
            ..Asked::default()
        };
        let wanted = asked.wanted(Tz::Europe__Berlin).unwrap();
        // 23 hours: the clocks go forward.
        assert_eq!(
            wanted.from.unwrap().to_rfc3339(),
            "2026-03-28T23:00:00+00:00"
        );
        assert_eq!(wanted.to.unwrap().to_rfc3339(), "2026-03-29T22:00:00+00:00");
        assert!(wanted.by_nobody && wanted.actor.is_none());
        assert_eq!(
            asked.address(Some(("before", 9))),
            "/audit?actor=engine&day=2026-03-29&before=9"
        );
        let wrong = Asked {
            actor: Some("x".to_owned()),
            ..Asked::default()
        };
        assert!(wrong.wanted(Tz::UTC).is_err());
    }
}
