//! What the overview is made from, read as of one moment.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use engine::ids::RolloutId;
use engine::rollout::{RolloutState, Scope};
use servicing::Sequence;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::app::App;
use crate::store::levels::{self, Group, Named, Pulled, Reach, Standing, Steps, Stop};
use crate::store::people::Account;
use crate::store::requests::{self, Listed};
use crate::store::rollouts::{self as store, StoredStage};
use crate::store::{people, populations, tracks};
use crate::views::RolloutLine;

/// How far back stopped rollouts and withdrawn sequences are shown.
const BACK: TimeDelta = TimeDelta::days(30);

/// Open requests that are looked at.
const REQUESTS: i64 = 200;

/// A rollout with its stages.
pub(super) struct Going {
    pub line: RolloutLine,
    pub stages: Vec<StoredStage>,
    pub sequence: Option<Arc<Sequence>>,
}

impl Going {
    /// `KB5086672`, or a dash where its sequence is not known.
    pub fn kb(&self) -> String {
        self.line
            .kb
            .map_or_else(|| "–".to_owned(), |kb| kb.to_string())
    }

    /// The first ring that has not passed.
    pub fn current(&self) -> Option<&StoredStage> {
        self.stages.iter().find(|s| s.state.word() != "passed")
    }
}

/// A halt with its rollout.
pub(super) struct Stopped {
    pub stop: Stop,
    pub line: RolloutLine,
}

/// Everything.
pub(super) struct World {
    pub now: DateTime<Utc>,
    /// Tracks that the page is about.
    pub tracks: Vec<tracks::Track>,
    pub rings: Vec<Named>,
    pub fleet: Vec<Group>,
    /// Rollouts that go on or are stopped for now, newest first; then completed ones that a track is measured by.
    pub rollouts: Vec<Going>,
    /// How many of them go on or are stopped for now.
    pub open: usize,
    pub standing: Standing,
    /// Devices that a rollout is not for, by rollout and ring.
    pub not_for: BTreeMap<(Uuid, Uuid), u64>,
    pub reach: BTreeMap<(Uuid, Uuid), Reach>,
    pub requests: Vec<Listed>,
    /// Requests that this person may decide on.
    pub due: Vec<Uuid>,
    pub stopped: Vec<Stopped>,
    pub pulled: Vec<Pulled>,
    pub published: Vec<Sequence>,
    pub people: Vec<Account>,
    pub steps: Steps,
}

impl World {
    /// Reads what is on `asked` (none: on all tracks); what waits is for `person`.
    pub async fn read(
        conn: &mut PgConnection,
        app: &App,
        asked: Option<&[Uuid]>,
        person: Uuid,
    ) -> anyhow::Result<Self> {
        let now = app.clock.now();
        let mut all = tracks::all(&mut *conn).await?;
        all.retain(|t| asked.is_none_or(|asked| asked.contains(&t.id)));
        let mut rollouts = Vec::new();
        for id in levels::open(&mut *conn, asked).await? {
            rollouts.extend(going(&mut *conn, app, id).await?);
        }
        let open = rollouts.len();
        let shown: Vec<Uuid> = rollouts.iter().map(|g| g.line.id).collect();
        for id in levels::completed(&mut *conn, asked).await? {
            rollouts.extend(going(&mut *conn, app, id).await?);
        }
        let measured: Vec<Uuid> = all
            .iter()
            .filter_map(|t| front(&rollouts, t.id))
            .map(|g| g.line.id)
            .collect();
        let mut not_for = BTreeMap::new();
        for rollout in &measured {
            let population = populations::of_rollout(&mut *conn, *rollout).await?;
            for ((ring, class), n) in population {
                if class.starts_with("not_applicable") {
                    *not_for.entry((*rollout, ring)).or_default() += n;
                }
            }
        }
        let mut stopped = Vec::new();
        for stop in levels::stops(&mut *conn, asked, now - BACK).await? {
            if let Some(stored) = store::by_id(&mut *conn, stop.rollout).await? {
                let line = RolloutLine::read(&mut *conn, &app.catalogue, stored).await?;
                stopped.push(Stopped { stop, line });
            }
        }
        Ok(Self {
            now,
            tracks: all,
            rings: levels::rings(&mut *conn, asked).await?,
            fleet: levels::fleet(&mut *conn, asked).await?,
            standing: levels::standing(&mut *conn, &measured).await?,
            not_for,
            reach: levels::reach(&mut *conn, &shown).await?,
            requests: requests::page(&mut *conn, asked, None, true, REQUESTS).await?,
            due: requests::due(&mut *conn, person).await?.first,
            pulled: levels::pulled(&mut *conn, now - BACK).await?,
            published: levels::published(&mut *conn).await?,
            people: people::all(&mut *conn).await?,
            steps: levels::steps(conn, asked).await?,
            rollouts,
            open,
            stopped,
        })
    }

    /// Rollouts that go on or are stopped for now, newest first.
    pub fn open(&self) -> &[Going] {
        &self.rollouts[..self.open]
    }

    /// The rollout that a track is measured by.
    pub fn front(&self, track: Uuid) -> Option<&Going> {
        front(&self.rollouts, track)
    }

    /// Name of a track.
    pub fn track(&self, id: Uuid) -> &str {
        let found = self.tracks.iter().find(|t| t.id == id);
        found.map(|t| t.name.as_str()).unwrap_or_default()
    }

    /// Name of a person.
    pub fn person(&self, id: Uuid) -> &str {
        let found = self.people.iter().find(|p| p.id == id);
        found.map_or("someone", |p| p.name.as_str())
    }
}

async fn going(conn: &mut PgConnection, app: &App, id: RolloutId) -> anyhow::Result<Option<Going>> {
    let Some(stored) = store::by_id(&mut *conn, id).await? else {
        return Ok(None);
    };
    let sequence = app.catalogue.get(&mut *conn, stored.rollout.digest).await?;
    Ok(Some(Going {
        stages: store::stages(&mut *conn, id).await?,
        line: RolloutLine::read(conn, &app.catalogue, stored).await?,
        sequence,
    }))
}

/// The rollout that a track is measured by: the newest that started and goes on, else the newest that completed. One
/// for listed devices measures nothing.
fn front(rollouts: &[Going], track: Uuid) -> Option<&Going> {
    let started = |line: &RolloutLine| {
        line.scope == Scope::Track && !matches!(line.state_detail, RolloutState::Scheduled { .. })
    };
    rollouts
        .iter()
        .find(|g| g.line.track == track && started(&g.line))
}
