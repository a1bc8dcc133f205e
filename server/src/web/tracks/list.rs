//! `/tracks`: every track with its rings in order, and what goes on there.

use std::collections::HashMap;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use engine::rollout::RolloutState;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::app::App;
use crate::auth::{Viewer, kinds};
use crate::http::Failure;
use crate::store::tracks::{self, Ring};
use crate::store::{self, device_kinds, rollouts};
use crate::views::RolloutLine;
use crate::web::frame::{Frame, Nav, Shown, show};
use crate::web::parts::{Link, State as Chip, Tally, term};

/// This route.
pub fn router() -> Router<App> {
    Router::new().route("/tracks", get(list))
}

/// A ring with its devices.
struct RingCell {
    name: String,
    devices: Tally,
}

/// A rollout that goes on.
pub struct Going {
    /// Its page.
    pub link: Link,
    /// Where it stands.
    pub state: Chip,
    /// The ring where it stands.
    pub ring: Option<String>,
}

/// A track.
struct Row {
    link: Link,
    zone: String,
    rings: Vec<RingCell>,
    devices: Tally,
    going: Vec<Going>,
}

#[derive(Template)]
#[template(path = "pages/tracks.html")]
struct TracksPage {
    frame: Frame,
    rows: Vec<Row>,
    may_add: bool,
}

/// Rollouts that go on, by track: what is complete only serves stragglers.
pub async fn going(
    app: &App,
    conn: &mut PgConnection,
    track: Option<Uuid>,
) -> Result<HashMap<Uuid, Vec<Going>>, Failure> {
    let mut going: HashMap<Uuid, Vec<Going>> = HashMap::new();
    for id in rollouts::live(&mut *conn, track).await? {
        let Some(stored) = rollouts::by_id(&mut *conn, id).await? else {
            continue;
        };
        if matches!(stored.rollout.state, RolloutState::Completed { .. }) {
            continue;
        }
        let stages = rollouts::stages(&mut *conn, id).await?;
        let current = stages.iter().find(|s| s.state.word() != "passed");
        let line = RolloutLine::read(&mut *conn, &app.catalogue, stored).await?;
        let kb = line
            .kb
            .map_or_else(|| "Rollout".to_owned(), |kb| kb.to_string());
        let state = match (&line.state_detail, current) {
            (RolloutState::Active, Some(stage)) => Chip::of_stage(&stage.state),
            (state, _) => Chip::of_rollout(state),
        };
        going.entry(line.track).or_default().push(Going {
            link: Link::new(kb, format!("/rollouts/{}", line.id)),
            state,
            ring: current.map(|s| s.ring_name.clone()),
        });
    }
    Ok(going)
}

async fn list(State(app): State<App>, caller: Viewer) -> Shown {
    let person = caller.caller();
    let title = "Tracks and rings";
    let frame = Frame::read(&app, person, Nav::Tracks, title, "/tracks", None).await?;
    let mut tx = store::reading(&app.pool).await?;
    let mut found = tracks::all(&mut tx).await?;
    found.retain(|t| person.sees(t.id));
    let rings = tracks::all_rings(&mut tx).await?;
    let devices: HashMap<Uuid, u64> = device_kinds::by_ring(&mut tx).await?.into_iter().collect();
    let mut going = going(&app, &mut tx, None).await?;
    drop(tx);
    let of = |ring: &Ring| devices.get(&ring.id).copied().unwrap_or(0);
    let mut rows = Vec::with_capacity(found.len());
    for track in found {
        let own: Vec<&Ring> = rings.iter().filter(|r| r.track_id == track.id).collect();
        let within = format!("{} -status:revoked", term("track", &track.name));
        let cell = |ring: &&Ring| RingCell {
            name: ring.name.clone(),
            devices: Tally::of(of(ring), &format!("{} {within}", term("ring", &ring.name))),
        };
        rows.push(Row {
            rings: own.iter().map(cell).collect(),
            devices: Tally::of(own.iter().map(|r| of(r)).sum(), &within),
            going: going.remove(&track.id).unwrap_or_default(),
            link: Link::new(track.name, format!("/tracks/{}", track.id)),
            zone: track.time_zone.to_string(),
        });
    }
    show(TracksPage {
        frame,
        rows,
        may_add: person.tracks_with::<kinds::Admin>().is_none(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::frame::main_of;
    use crate::web::parts::{Icon, Tone};

    fn page(rows: Vec<Row>, may_add: bool) -> TracksPage {
        TracksPage {
            frame: Frame::sample(Nav::Tracks, "Tracks and rings", "/tracks"),
            rows,
            may_add,
        }
    }

    #[test]
    fn a_track_shows_its_rings_in_order() {
        let cell = |name: &str, n| RingCell {
            name: name.to_owned(),
            devices: Tally::of(n, &term("ring", name)),
        };
        let row = Row {
            link: Link::new("Production <1>", "/tracks/1"),
            zone: "Europe/Berlin".to_owned(),
            rings: vec![cell("Test", 0), cell("Broad", 2_343)],
            devices: Tally::of(2_343, "track:1"),
            going: vec![Going {
                link: Link::new("KB5086672", "/rollouts/1"),
                state: Chip::quiet(Tone::Run, Icon::Timer, "Soaking"),
                ring: Some("Test".to_owned()),
            }],
        };
        let bare = Row {
            link: Link::new("Lab", "/tracks/2"),
            zone: "UTC".to_owned(),
            rings: Vec::new(),
            devices: Tally::of(0, ""),
            going: Vec::new(),
        };
        insta::assert_snapshot!(main_of(&page(vec![row, bare], true)));
    }

    #[test]
    fn no_track_says_what_one_is() {
        insta::assert_snapshot!(main_of(&page(Vec::new(), true)));
    }

    #[test]
    fn who_may_not_add_one_is_told_who_may() {
        insta::assert_snapshot!(main_of(&page(Vec::new(), false)));
    }
}
