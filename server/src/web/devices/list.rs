//! `/devices`: a search. Every number elsewhere that counts devices leads here.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use engine::ring::QueryError;
use serde::Deserialize;
use sqlx::PgConnection;
use uuid::Uuid;

use super::or_dash;
use crate::app::App;
use crate::auth::{Viewer, kinds};
use crate::http::Failure;
use crate::store::devices::{self, DeviceQuery, DeviceStatus};
use crate::store::{self, device_kinds, tracks};
use crate::views::device_list::{self, Line, Within};
use crate::web::form::{Filter, Mistakes};
use crate::web::frame::{Frame, Nav, Shown, show};
use crate::web::parts::{Choice, Icon, Link, State as Chip, Tone, When, number};
use crate::web::problem_page::html;

/// Rows of a page.
const ROWS: usize = 50;

/// One more than is shown tells whether there is a further page.
const READ: i64 = 51;

/// Counted to the end up to here.
const COUNTED: i64 = 1000;

/// Terms of which is told what would be found without them.
const TERMS: usize = 8;

/// This route.
pub fn router() -> Router<App> {
    Router::new().route("/devices", get(list))
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    #[serde(default)]
    q: String,
    track: Option<Uuid>,
    #[serde(default)]
    after: i32,
}

/// Queries that people need often.
const SAVED: [(&str, &str); 9] = [
    ("Failed", "state:failed"),
    ("Hang suspected", "state:hang_suspected"),
    ("Silent", "state:lost"),
    ("Not ready", "state:not_ready"),
    ("Not heard of for 2 days", "seen>2d"),
    ("Awaiting admission", "status:awaiting_approval"),
    ("Clone suspected", "clone:yes"),
    ("Revoked", "status:revoked"),
    ("Pinned", "pinned:yes"),
];

/// One device.
struct Row {
    link: Link,
    model: String,
    ring: String,
    track: Option<String>,
    build: String,
    edition: String,
    /// What keeps it from working at all.
    barred: Vec<Chip>,
    state: Option<Chip>,
    kb: Option<Link>,
    why: Vec<String>,
    seen: Option<When>,
}

/// A saved query.
struct Saved {
    word: &'static str,
    href: String,
    here: bool,
}

/// What a list without rows says.
enum Empty {
    /// There is no device that the caller sees.
    Nobody { may_enrol: bool },
    /// None matches; without these terms there would be some.
    NoMatch(Vec<Link>),
    /// None so far: the search goes on.
    NotYet,
}

#[derive(Template)]
#[template(path = "pages/devices.html")]
struct DevicesPage {
    frame: Frame,
    q: String,
    mistakes: Mistakes,
    tracks: Vec<Choice>,
    saved: Vec<Saved>,
    rows: Vec<Row>,
    empty: Empty,
    /// How many match, where that was counted.
    count: Option<String>,
    first: Option<String>,
    next: Option<String>,
    /// The same for spreadsheets.
    csv: String,
}

impl Asked {
    /// Address of the list from a device on.
    fn href(&self, after: i32) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        if !self.q.is_empty() {
            query.append_pair("q", &self.q);
        }
        if let Some(track) = self.track {
            query.append_pair("track", &track.to_string());
        }
        if after > 0 {
            query.append_pair("after", &after.to_string());
        }
        match query.finish() {
            none if none.is_empty() => "/devices".to_owned(),
            some => format!("/devices?{some}"),
        }
    }
}

async fn list(State(app): State<App>, caller: Viewer, Filter(asked): Filter<Asked>) -> Shown {
    let person = caller.caller().clone();
    let own = caller.asked(asked.track)?;
    let now = app.clock.now();
    let within = Within::of(&app.catalogue, &app.picture, now, own.as_deref()).showing(READ);
    let here = asked.href(asked.after);
    let frame = Frame::read(&app, &person, Nav::Devices, "Devices", here, None).await?;
    let mut tx = store::reading(&app.pool).await?;
    let mut all = tracks::all(&mut tx).await?;
    all.retain(|t| person.sees(t.id));
    let mut page = DevicesPage::bare(frame, &asked, &all);
    let query = match DeviceQuery::parse(&asked.q) {
        Ok(query) => query,
        Err(error) => return Ok(page.refused(&asked.q, &error)),
    };
    let hits = device_list::find(&mut tx, &within, &query, asked.after, COUNTED + 1).await?;
    let found = hits.device_nos.len();
    // A search that stopped early has found some of them: only the end, or more than is counted, is a number.
    let most = usize::try_from(COUNTED).unwrap_or(usize::MAX);
    if asked.after == 0 && (hits.next.is_none() || found > most) {
        page.count = Some(counted(found));
    } else if asked.after == 0 && query.is_empty() {
        let all = device_kinds::count_all(&mut tx, own.as_deref()).await?;
        page.count = Some(format!("{} devices", number(all)));
    }
    let shown = &hits.device_nos[..found.min(ROWS)];
    let after = if found > ROWS {
        shown.last().copied()
    } else {
        hits.next
    };
    page.next = after.map(|after| asked.href(after));
    let lines = device_list::lines(&mut tx, &within, &query, shown).await?;
    if lines.is_empty() && page.next.is_none() {
        let may_enrol = person.tracks_with::<kinds::Admin>() != Some(Vec::new());
        page.empty = nothing(&mut tx, &within, &query, may_enrol).await?;
    }
    let mut rings = Vec::new();
    for track in &all {
        rings.extend(tracks::rings(&mut tx, track.id).await?);
    }
    for line in lines {
        let track = all.iter().find(|t| t.id == line.device.track_id);
        let ring = rings.iter().find(|r| r.id == line.device.ring_id);
        let several = track.filter(|_| all.len() > 1).map(|t| t.name.clone());
        let ring = ring.map(|r| r.name.clone()).unwrap_or_default();
        page.rows.push(Row::of(line, ring, several, &page.frame));
    }
    show(page)
}

fn counted(found: usize) -> String {
    let most = usize::try_from(COUNTED).unwrap_or(usize::MAX);
    match found {
        1 => "1 device".to_owned(),
        n if n > most => format!("{}+ devices", number(u64::try_from(most).unwrap_or(0))),
        n => format!("{} devices", number(u64::try_from(n).unwrap_or(0))),
    }
}

/// Why nothing is there, and what would change that.
async fn nothing(
    conn: &mut PgConnection,
    within: &Within<'_>,
    query: &DeviceQuery,
    may_enrol: bool,
) -> Result<Empty, Failure> {
    let within = &within.hurried();
    let all = DeviceQuery::default();
    let anyone = device_list::find(&mut *conn, within, &all, 0, 1).await?;
    if anyone.device_nos.is_empty() {
        return Ok(Empty::Nobody { may_enrol });
    }
    let mut links = Vec::new();
    for (term, rest) in query.without_each().into_iter().take(TERMS) {
        let found = device_list::find(&mut *conn, within, &rest, 0, 1).await?;
        if !found.device_nos.is_empty() {
            links.push(Link::new(
                term,
                crate::web::parts::device_list(&rest.to_string()),
            ));
        }
    }
    Ok(Empty::NoMatch(links))
}

impl DevicesPage {
    /// The page without an answer.
    fn bare(frame: Frame, asked: &Asked, all: &[tracks::Track]) -> Self {
        let saved = |(word, query): &(&'static str, &'static str)| {
            let asked = Asked {
                q: (*query).to_owned(),
                ..asked.clone()
            };
            Saved {
                word,
                href: asked.href(0),
                here: false,
            }
        };
        let mut saved: Vec<Saved> = SAVED.iter().map(saved).collect();
        for (saved, (_, query)) in saved.iter_mut().zip(SAVED) {
            saved.here = asked.q.trim() == query;
        }
        Self {
            frame,
            q: asked.q.clone(),
            mistakes: Mistakes::none(),
            tracks: all
                .iter()
                .map(|t| Choice::new(t.id, t.name.clone(), asked.track == Some(t.id)))
                .collect(),
            saved,
            rows: Vec::new(),
            empty: Empty::NotYet,
            count: None,
            first: (asked.after > 0).then(|| asked.href(0)),
            csv: asked.href(0).replacen("/devices", "/devices.csv", 1),
            next: None,
        }
    }

    /// The page with what is wrong beside the query.
    fn refused(mut self, text: &str, error: &QueryError) -> Response {
        self.mistakes.add("q", device_list::expected(text, error));
        (StatusCode::UNPROCESSABLE_ENTITY, html(&self)).into_response()
    }
}

/// What keeps a device from working at all.
pub(super) fn barred(device: &devices::Device) -> Vec<Chip> {
    let mut chips = Vec::new();
    match device.status {
        DeviceStatus::Admitted => {}
        DeviceStatus::AwaitingApproval => {
            chips.push(Chip::loud(Tone::Ask, Icon::Person, "Awaiting admission"));
        }
        DeviceStatus::Revoked => chips.push(Chip::of_device("revoked")),
    }
    if device.clone_suspected {
        chips.push(Chip::loud(Tone::Wait, Icon::Triangle, "Clone suspected"));
    }
    chips
}

impl Row {
    fn of(line: Line, ring: String, track: Option<String>, frame: &Frame) -> Self {
        let Line {
            device,
            last_seen,
            stand,
        } = line;
        // What bars it says more than where it would stand.
        let stand = stand.filter(|s| !matches!(s.word.as_str(), "revoked" | "awaiting_approval"));
        let mut why = Vec::new();
        let (mut state, mut kb) = (None, None);
        if let Some(stand) = stand {
            let stuck = !stand.sentences.is_empty() && stand.word != "targeted";
            let chip = Chip::of_device(&stand.word);
            state = (!stand.word.is_empty()).then_some(chip);
            if stuck && !stand.word.starts_with("not_applicable") {
                why.extend(
                    stand
                        .sentences
                        .iter()
                        .map(|s| format!("Not ready: {}.", s.replace('_', " "))),
                );
            } else {
                why.extend(stand.sentences);
            }
            if let Some(code) = stand.code {
                let known = servicing::error_code(code);
                let name = known.map(|k| format!(" {}", k.name)).unwrap_or_default();
                why.push(format!("{code}{name}"));
            }
            let name = stand
                .kb
                .map_or_else(|| "Unknown".to_owned(), |kb| kb.to_string());
            kb = Some(Link::new(name, format!("/rollouts/{}", stand.rollout)));
        }
        Self {
            link: Link::new(
                or_dash(&device.identity.host_name),
                format!("/devices/{}", device.id),
            ),
            model: or_dash(&device.facts.model),
            ring: if device.pin.is_some() {
                format!("{ring}, pinned")
            } else {
                ring
            },
            track,
            build: device.facts.build.to_string(),
            edition: device.facts.edition.to_string(),
            barred: barred(&device),
            state,
            kb,
            why,
            seen: last_seen.map(|at| frame.when(at)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::frame::main_of;

    fn sample(q: &str, rows: Vec<Row>, empty: Empty) -> DevicesPage {
        let asked = Asked {
            q: q.to_owned(),
            track: None,
            after: 0,
        };
        let frame = Frame::sample(Nav::Devices, "Devices", "/devices");
        let mut page = DevicesPage::bare(frame, &asked, &[]);
        page.rows = rows;
        page.empty = empty;
        page
    }

    fn row(name: &str) -> Row {
        let frame = Frame::sample(Nav::Devices, "Devices", "/devices");
        Row {
            link: Link::new(name, "/devices/1"),
            model: "Latitude 5440".to_owned(),
            ring: "Pilot, pinned".to_owned(),
            track: Some("Production".to_owned()),
            build: "26100.8116".to_owned(),
            edition: "Enterprise".to_owned(),
            barred: vec![Chip::loud(Tone::Wait, Icon::Triangle, "Clone suspected")],
            state: Some(Chip::of_device("failed")),
            kb: Some(Link::new("KB5086672", "/rollouts/1")),
            why: vec!["0x80073712 ERROR_SXS_COMPONENT_STORE_CORRUPT".to_owned()],
            seen: Some(frame.when(frame.now)),
        }
    }

    #[test]
    fn a_fleet_of_none_says_how_devices_come() {
        let page = sample("", Vec::new(), Empty::Nobody { may_enrol: true });
        insta::assert_snapshot!(main_of(&page));
    }

    #[test]
    fn a_search_that_finds_nothing_says_which_term_to_drop() {
        let link = Link::new(
            "model:\"Latitude 5440\"",
            crate::web::parts::device_list("ring:Pilot"),
        );
        let page = sample(
            "ring:Pilot model:\"Latitude 5440\"",
            Vec::new(),
            Empty::NoMatch(vec![link]),
        );
        insta::assert_snapshot!(main_of(&page));
    }

    #[test]
    fn a_list_has_the_state_and_why_of_each_device_and_names_of_any_length() {
        let mut page = sample(
            "state:failed",
            vec![row("LAB-1"), row(&"W".repeat(200))],
            Empty::NotYet,
        );
        page.count = Some(counted(1001));
        page.next = Some("/devices?q=state%3Afailed&after=51".to_owned());
        insta::assert_snapshot!(main_of(&page));
    }

    #[test]
    fn a_mistake_stands_beside_the_query_that_was_typed() {
        let mut page = sample("colour:red", Vec::new(), Empty::NotYet);
        let error = DeviceQuery::parse("colour:red").unwrap_err();
        page.mistakes
            .add("q", device_list::expected("colour:red", &error));
        insta::assert_snapshot!(main_of(&page));
    }
}
