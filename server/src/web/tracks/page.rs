//! `/tracks/{id}`: its rings with their rules and devices, and the serials that are expected.

use std::collections::HashMap;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};
use axum::routing::{get, post};
use engine::words::number;
use serde::Deserialize;
use uuid::Uuid;

use super::Rule;
use super::cohorts::{TypedCohorts, reported};
use super::freezes::{FreezeRow, TypedFreeze};
use super::holds::TypedHold;
use super::list::{Going, going};
use crate::app::App;
use crate::auth::{Admin, Caller, Viewer, kinds};
use crate::error::OpError;
use crate::http::{At, Failure};
use crate::operations;
use crate::store::{
    self, count, device_kinds, enrolment, freezes, holds, people, service_clock, tracks,
};
use crate::web::form::{Filter, Form, Mistakes};
use crate::web::frame::{Frame, Nav, Shown, show};
use crate::web::parts::{HoldRow, Link, Tally, term};
use crate::web::problem_page::html;

/// These routes.
pub fn router() -> Router<App> {
    Router::new()
        .route("/tracks/{id}", get(page))
        .route("/tracks/{id}/expected-devices", post(expect))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// How many serials were named just now.
    expected: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Typed {
    #[serde(default)]
    serials: String,
}

/// A ring with its devices by status.
struct RingRow {
    place: usize,
    name: String,
    rule: Rule,
    admitted: Tally,
    waiting: Tally,
    revoked: Tally,
    revision: i32,
}

#[derive(Template)]
#[template(path = "pages/track.html")]
pub(super) struct TrackPage {
    frame: Frame,
    crumbs: Vec<Link>,
    id: Uuid,
    name: String,
    zone: String,
    rings: Vec<RingRow>,
    going: Vec<Going>,
    expected: String,
    named: Option<String>,
    may_admin: bool,
    typed: String,
    pub(super) freezes: Vec<FreezeRow>,
    pub(super) freeze: TypedFreeze,
    may_operate: bool,
    holds: Vec<HoldRow>,
    pub(super) hold: TypedHold,
    /// Attributes that devices report.
    reported: String,
    pub(super) cohorts: TypedCohorts,
    pub(super) mistakes: Mistakes,
}

pub(super) async fn read(app: &App, person: &Caller, id: Uuid) -> Result<TrackPage, Failure> {
    let mut tx = store::reading(&app.pool).await?;
    let missing = OpError::NotFound { what: "track" };
    let track = tracks::by_id(&mut tx, id).await?.ok_or(missing)?;
    let counts = device_kinds::by_status(&mut tx, id).await?;
    let devices: HashMap<(Uuid, &str), u64> = counts
        .iter()
        .map(|(ring, status, n)| ((*ring, status.as_str()), *n))
        .collect();
    let rings = tracks::rings(&mut tx, id).await?;
    let going = going(app, &mut tx, Some(id)).await?.remove(&id);
    let expected = enrolment::count_expected(&mut tx, id).await?;
    let now = app.clock.now();
    let service_now = service_clock::time(&mut tx, now).await?;
    let freezes = freezes::planned(&mut tx, id, service_now).await?;
    let on = holds::on(&mut tx, &[id]).await?;
    let judged = tracks::cohort_attributes(&mut tx, id).await?;
    let attributes = tracks::attributes(&mut tx, id).await?;
    let mut known_issues = Vec::new();
    for stored in on.into_iter().filter(|h| h.rollout.is_none()) {
        let owner = people::by_id(&mut tx, stored.owner).await?;
        let about = match stored.digest {
            None => None,
            Some(digest) => app.catalogue.get(&mut tx, digest).await?,
        };
        let name = owner.map_or_else(|| "someone".to_owned(), |o| o.name);
        known_issues.push((stored, name, about.map(|s| s.kb.to_string())));
    }
    drop(tx);
    let last = rings.len();
    let row = |(i, ring): (usize, &tracks::Ring)| {
        let counted = |status: &str| {
            let n = devices.get(&(ring.id, status)).copied().unwrap_or(0);
            let within = format!(
                "{} {}",
                term("track", &track.name),
                term("ring", &ring.name)
            );
            Tally::of(n, &format!("{within} status:{status}"))
        };
        RingRow {
            place: i + 1,
            name: ring.name.clone(),
            rule: Rule::of(ring, i + 1 == last),
            admitted: counted("admitted"),
            waiting: counted("awaiting_approval"),
            revoked: counted("revoked"),
            revision: ring.revision,
        }
    };
    let here = format!("/tracks/{id}");
    let zone = Some(track.time_zone);
    let frame = Frame::read(app, person, Nav::Tracks, &track.name, &here, zone).await?;
    Ok(TrackPage {
        freezes: freezes
            .iter()
            .map(|freeze| FreezeRow::new(&frame, freeze))
            .collect(),
        freeze: TypedFreeze::default(),
        may_operate: person.may::<kinds::Operator>(id),
        holds: known_issues
            .into_iter()
            .map(|(stored, owner, about)| HoldRow::new(&frame, &track.name, &stored, owner, about))
            .collect(),
        hold: TypedHold::default(),
        reported: reported(&attributes),
        cohorts: TypedCohorts::of(&judged),
        crumbs: vec![Link::new("Tracks and rings", "/tracks")],
        id,
        rings: rings.iter().enumerate().map(row).collect(),
        going: going.unwrap_or_default(),
        expected: number(count(expected)),
        named: None,
        may_admin: person.may::<kinds::Admin>(id),
        typed: String::new(),
        mistakes: Mistakes::none(),
        zone: track.time_zone.to_string(),
        name: track.name,
        frame,
    })
}

async fn page(
    State(app): State<App>,
    caller: Viewer,
    At(id): At<Uuid>,
    Filter(asked): Filter<Asked>,
) -> Shown {
    let person = caller.caller().clone();
    let id = caller.on(id)?.track();
    let mut page = read(&app, &person, id).await?;
    page.named = asked.expected.map(|n| engine::words::count(n, "serial"));
    show(page)
}

async fn expect(
    State(app): State<App>,
    caller: Admin,
    At(id): At<Uuid>,
    Form(typed): Form<Typed>,
) -> Shown {
    let person = caller.caller().clone();
    let caller = caller.on(id)?;
    let by = caller.person().0;
    let lines: Vec<(usize, &str)> = typed
        .serials
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
        .collect();
    let serials: Vec<String> = lines.iter().map(|(_, line)| (*line).to_owned()).collect();
    match operations::expect_devices(&app.pool, id, &serials, by, app.clock.now()).await {
        Ok(named) => {
            Ok(Redirect::to(&format!("/tracks/{id}?expected={named}#expected")).into_response())
        }
        Err(error) => {
            let mut page = read(&app, &person, id).await?;
            page.mistakes = by_line(Mistakes::from_error(error)?, &lines);
            page.typed = typed.serials;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, html(&page)).into_response())
        }
    }
}

/// Says the line of a serial, as the person who typed it counts.
fn by_line(mistakes: Mistakes, lines: &[(usize, &str)]) -> Mistakes {
    let mut said = Mistakes::none();
    for mistake in mistakes.0 {
        let index = mistake
            .field
            .strip_prefix("serials[")
            .and_then(|rest| rest.strip_suffix(']'))
            .and_then(|i| i.parse::<usize>().ok());
        match index.and_then(|i| lines.get(i)) {
            Some((line, _)) => {
                said.add(
                    "serials",
                    format!("{} in line {}", mistake.expected, line + 1),
                );
            }
            None => said.add(&mistake.field, mistake.expected),
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::frame::main_of;
    use crate::web::parts::{Icon, State as Chip, Tone};

    impl TrackPage {
        fn sample() -> Self {
            let row = |place, name: &str, query, share, n| RingRow {
                place,
                name: name.to_owned(),
                rule: Rule::new(query, share, place == 2),
                admitted: Tally::of(n, "admitted"),
                waiting: Tally::of(1, "awaiting"),
                revoked: Tally::of(0, ""),
                revision: 3,
            };
            Self {
                frame: Frame::sample(Nav::Tracks, "Production", "/tracks/1"),
                crumbs: vec![Link::new("Tracks and rings", "/tracks")],
                id: Uuid::nil(),
                name: "Production".to_owned(),
                zone: "Europe/Berlin".to_owned(),
                rings: vec![
                    row(1, "Pilot <1>", Some("model:\"Latitude 5*\""), Some(5.0), 31),
                    row(2, "Broad", None, None, 2_312),
                ],
                going: vec![Going {
                    link: Link::new("KB5086672", "/rollouts/1"),
                    state: Chip::quiet(Tone::Run, Icon::Timer, "Soaking"),
                    ring: Some("Pilot".to_owned()),
                }],
                expected: "1,204".to_owned(),
                named: None,
                may_admin: true,
                typed: String::new(),
                freezes: Vec::new(),
                freeze: TypedFreeze::default(),
                may_operate: true,
                holds: Vec::new(),
                hold: TypedHold::default(),
                reported: reported(&[("edr".to_owned(), 3), ("vpn".to_owned(), 1)]),
                cohorts: TypedCohorts::of(&["edr".to_owned()]),
                mistakes: Mistakes::none(),
            }
        }
    }

    #[test]
    fn rings_in_order_with_their_rules_in_words() {
        insta::assert_snapshot!(main_of(&TrackPage::sample()));
    }

    #[test]
    fn a_viewer_changes_nothing() {
        let mut page = TrackPage::sample();
        (page.may_admin, page.may_operate) = (false, false);
        page.holds = vec![HoldRow::sample(
            &page.frame,
            "BitLocker asks for its key",
            false,
        )];
        page.going.clear();
        insta::assert_snapshot!(main_of(&page));
    }

    #[test]
    fn a_track_without_rings_says_what_comes_first() {
        let mut page = TrackPage::sample();
        page.rings.clear();
        page.going.clear();
        page.expected = "0".to_owned();
        page.typed = "x".to_owned();
        page.mistakes
            .add("serials", "1 to 256 characters in line 3");
        insta::assert_snapshot!(main_of(&page));
    }

    #[test]
    fn a_freeze_that_is_on_and_one_that_was_typed_wrong() {
        let mut page = TrackPage::sample();
        page.freezes = vec![
            FreezeRow::sample("End of the <year>", true),
            FreezeRow::sample("Inventory", false),
        ];
        page.freeze.ends = "2026-13-01T08:00".to_owned();
        page.mistakes.add("ends", "a day and a time");
        insta::assert_snapshot!(main_of(&page));
    }

    #[test]
    fn a_known_issue_that_holds_devices_and_one_that_was_typed_wrong() {
        let mut page = TrackPage::sample();
        page.holds = vec![HoldRow::sample(
            &page.frame,
            "BitLocker <asks> for its key",
            false,
        )];
        page.hold.devices = "modle:x".to_owned();
        page.mistakes.add("devices", "a term");
        insta::assert_snapshot!(main_of(&page));
    }

    #[test]
    fn a_wrong_serial_is_named_by_its_line() {
        let mut wrong = Mistakes::none();
        wrong.add("serials[1]", "1 to 256 characters");
        wrong.add("serials", "1 to 10,000 serials");
        let said = by_line(wrong, &[(0, "a"), (4, "b")]);
        assert_eq!(said.0[0].expected, "1 to 256 characters in line 5");
        assert_eq!(said.0[1].expected, "1 to 10,000 serials");
    }
}
