//! Known issues that hold devices, and devices that a rollout goes on without: added, and ended by people or by time. Once
//! one is added, no replica grants a permit to a device that it takes.

use chrono::{DateTime, TimeDelta, Utc};
use engine::hold::{Hold, HoldKind};
use engine::ids::{HoldId, RolloutId, TrackId};
use engine::ring::Query;
use serde_json::json;
use sqlx::{Connection, PgConnection, PgPool};
use uuid::Uuid;

use super::population;
use crate::error::OpError;
use crate::fleet::{Catalogue, Picture};
use crate::store::holds::{self, Stored};
use crate::store::sequences::{self, SequenceState};
use crate::store::{audit, changes, devices, gates, people, rollouts, service_clock, tracks};

/// Holds of a track that are on at once: each is asked about every device that starts.
const MOST: usize = 50;

/// A known issue is looked at again after so long at the latest.
const LONGEST_DAYS: i64 = 366;

/// A known issue that is to hold devices.
#[derive(Debug, Clone)]
pub struct NewHold {
    /// The query of the devices.
    pub devices: String,
    /// What is known of them.
    pub issue: String,
    /// The published sequence that it is about; none: every update of the track.
    pub sequence: Option<Uuid>,
    /// Who looks after it; none: whoever adds it.
    pub owner: Option<Uuid>,
    /// When it ends by itself.
    pub expires: DateTime<Utc>,
}

/// Devices that a rollout is to go on without.
#[derive(Debug, Clone)]
pub struct NewExclusion {
    /// The query of the devices.
    pub devices: String,
    /// Why.
    pub reason: String,
}

/// What these operations work on.
#[derive(Clone, Copy)]
pub struct Holder<'a> {
    /// Database.
    pub pool: &'a PgPool,
    /// Sequences by digest.
    pub catalogue: &'a Catalogue,
    /// Woken when something changed.
    pub picture: &'a Picture,
}

fn read(devices: &str) -> Result<Query, OpError> {
    Query::parse(devices).map_err(|e| OpError::field("devices", e.to_string()))
}

impl Holder<'_> {
    /// Adds a known issue: from when this returns, devices that it takes and that have not started are not permitted to,
    /// and rings with such devices neither open nor pass.
    ///
    /// # Errors
    /// [`OpError::Invalid`] naming each field, [`OpError::NotFound`], [`OpError::Conflict`] where there are too many.
    pub async fn add(
        &self,
        track: Uuid,
        new: NewHold,
        by: Uuid,
        now: DateTime<Utc>,
    ) -> Result<Stored, OpError> {
        let query = read(&new.devices)?;
        let mut conn = self.pool.acquire().await?;
        let service_now = service_clock::time(&mut conn, now).await?;
        if new.expires <= service_now {
            return Err(OpError::field("expires", "a time to come"));
        }
        if new.expires - service_now > TimeDelta::days(LONGEST_DAYS) {
            let expected = format!("at most {LONGEST_DAYS} days from now");
            return Err(OpError::field("expires", expected));
        }
        let owner = new.owner.unwrap_or(by);
        let account = people::by_id(&mut conn, owner).await?;
        if !account.is_some_and(|a| a.enabled) {
            return Err(OpError::field("owner", "someone with an account"));
        }
        let digest = match new.sequence {
            None => None,
            Some(id) => {
                let sequence = sequences::by_id(&mut conn, id).await?;
                let published = sequence.filter(|s| s.state != SequenceState::Draft);
                let expected = || OpError::field("sequence", "a published sequence");
                Some(published.ok_or_else(expected)?.digest)
            }
        };
        let stored = Stored {
            hold: Hold {
                id: HoldId(Uuid::now_v7()),
                kind: HoldKind::Safeguard,
                query,
                issue: new.issue,
            },
            track,
            digest,
            rollout: None,
            owner,
            added_by: by,
            added_at: now,
            expires_at: Some(new.expires),
        };
        self.put_on(&mut conn, stored).await
    }

    /// Lets a rollout go on without devices that have not started: they are not in its denominators any more.
    ///
    /// # Errors
    /// [`OpError::Invalid`] naming the field, [`OpError::NotFound`], [`OpError::Conflict`] where the rollout is over or too
    /// many are excluded.
    pub async fn exclude(
        &self,
        rollout: RolloutId,
        new: NewExclusion,
        by: Uuid,
        now: DateTime<Utc>,
    ) -> Result<Stored, OpError> {
        let query = read(&new.devices)?;
        let mut conn = self.pool.acquire().await?;
        let found = rollouts::by_id(&mut conn, rollout).await?;
        let found = found.ok_or(OpError::NotFound { what: "rollout" })?.rollout;
        if found.state.is_final() {
            let what = found.state.is_what();
            return Err(OpError::Conflict(format!("the rollout is {what}")));
        }
        let stored = Stored {
            hold: Hold {
                id: HoldId(Uuid::now_v7()),
                kind: HoldKind::Exclusion,
                query,
                issue: new.reason,
            },
            track: found.track.0,
            digest: None,
            rollout: Some(rollout.0),
            owner: by,
            added_by: by,
            added_at: now,
            expires_at: None,
        };
        self.put_on(&mut conn, stored).await
    }

    /// Ends a hold before its time: its devices start again. By nobody where its time has come.
    ///
    /// # Errors
    /// [`OpError::NotFound`] where there is none on the track, or it has ended.
    pub async fn end(
        &self,
        track: Uuid,
        id: HoldId,
        by: Option<Uuid>,
        now: DateTime<Utc>,
    ) -> Result<Stored, OpError> {
        let mut conn = self.pool.acquire().await?;
        let missing = || OpError::NotFound {
            what: "known issue",
        };
        let on = holds::on(&mut conn, &[track]).await?;
        let stored = on.into_iter().find(|h| h.hold.id == id);
        let stored = stored.ok_or_else(missing)?;
        let cursors = changes::cursors(&mut conn).await?;
        let mut taken = matching(&mut conn, &stored).await?;
        let mut tx = conn.begin().await?;
        let before = self.lock(&mut tx, track).await?;
        if before.iter().all(|h| h.hold.id != id) {
            return Err(missing());
        }
        let after: Vec<Stored> = before.iter().filter(|h| h.hold.id != id).cloned().collect();
        holds::end(&mut tx, id, now).await?;
        taken.extend(changes::registered_after(&mut tx, &cursors).await?);
        let action = match stored.hold.kind {
            HoldKind::Safeguard => "hold_ended",
            HoldKind::Exclusion => "exclusion_ended",
        };
        let entry = entry(&stored, action, by, now);
        self.turn(&mut tx, track, (&before, &after), taken, entry)
            .await?;
        tx.commit().await?;
        self.picture.wake.notify_one();
        Ok(stored)
    }

    /// Ends every hold whose time has come.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn expire(
        &self,
        service_now: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<(), OpError> {
        let due = holds::due(&mut *self.pool.acquire().await?, service_now).await?;
        for (track, id) in due {
            match self.end(track, id, None, now).await {
                // Somebody ended it meanwhile.
                Ok(_) | Err(OpError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn put_on(&self, conn: &mut PgConnection, new: Stored) -> Result<Stored, OpError> {
        if tracks::by_id(&mut *conn, new.track).await?.is_none() {
            return Err(OpError::NotFound { what: "track" });
        }
        // Found before anything is locked; what changes meanwhile is looked at again under the locks.
        let cursors = changes::cursors(&mut *conn).await?;
        let mut taken = matching(&mut *conn, &new).await?;
        let mut tx = conn.begin().await?;
        let before = self.lock(&mut tx, new.track).await?;
        if before.len() >= MOST {
            let sentence = format!("{MOST} known issues and exclusions are on already");
            return Err(OpError::Conflict(sentence));
        }
        holds::add(&mut tx, &new).await?;
        let mut after = before.clone();
        after.push(new.clone());
        taken.extend(changes::registered_after(&mut tx, &cursors).await?);
        let action = match new.hold.kind {
            HoldKind::Safeguard => "hold_added",
            HoldKind::Exclusion => "devices_excluded",
        };
        let entry = entry(&new, action, Some(new.added_by), new.added_at);
        self.turn(&mut tx, new.track, (&before, &after), taken, entry)
            .await?;
        tx.commit().await?;
        self.picture.wake.notify_one();
        Ok(new)
    }

    /// Waits for permits that are being granted and for devices that are being counted, and keeps both out; returns the
    /// holds that are on.
    async fn lock(&self, tx: &mut PgConnection, track: Uuid) -> anyhow::Result<Vec<Stored>> {
        // First, as everything does that moves rollouts or rings of the track.
        tracks::lock(&mut *tx, TrackId(track)).await?;
        gates::lock_track(&mut *tx, track).await?;
        tracks::hold(&mut *tx, track).await?;
        holds::on(tx, &[track]).await
    }

    /// Counts anew, tells every replica, and writes it down.
    async fn turn(
        &self,
        tx: &mut PgConnection,
        track: Uuid,
        turned: (&[Stored], &[Stored]),
        mut taken: Vec<i32>,
        entry: audit::Entry,
    ) -> anyhow::Result<()> {
        taken.sort_unstable();
        taken.dedup();
        population::held(&mut *tx, self.catalogue, track, turned, &taken).await?;
        let rings = tracks::rings(&mut *tx, track).await?;
        let rings: Vec<Uuid> = rings.iter().map(|r| r.id).collect();
        changes::bump_rings(&mut *tx, &rings).await?;
        changes::announce_control(&mut *tx).await?;
        audit::append(tx, &entry).await?;
        Ok(())
    }
}

/// Devices that a hold takes, as they are now.
async fn matching(conn: &mut PgConnection, hold: &Stored) -> anyhow::Result<Vec<i32>> {
    let mut tx = conn.begin().await?;
    devices::matching(&mut tx, hold.track, &hold.hold.query).await
}

fn entry(stored: &Stored, action: &str, actor: Option<Uuid>, at: DateTime<Utc>) -> audit::Entry {
    let subject = match stored.rollout {
        None => format!("track:{}", stored.track),
        Some(rollout) => format!("rollout:{rollout}"),
    };
    let mut body = json!({
        "hold": stored.hold.id, "devices": stored.hold.query, "reason": stored.hold.issue,
    });
    if stored.rollout.is_none() {
        body["owner"] = json!(stored.owner);
        body["digest"] = json!(stored.digest);
        body["expires_at"] = json!(stored.expires_at);
    }
    audit::Entry {
        at,
        actor,
        action: action.to_owned(),
        subject,
        body,
    }
}
