//! What else happens when a rollout starts: cohorts are fixed, devices are counted, older rollouts give way.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use engine::Input;
use engine::halt::{HaltPolicy, learn, learn_slow};
use engine::rollout::{Rollout, RolloutState, Scope};
use servicing::Sequence;
use sqlx::PgConnection;
use uuid::Uuid;

use super::Control;
use super::tail::Tail;
use crate::error::OpError;
use crate::registry;
use crate::store::rollouts::{self, Fixed, Stored};
use crate::store::{cohorts, history, rollbacks, tracks};

impl Control {
    /// Counts devices, in the transaction that makes the rollout active. Returns what is fixed with it: cohorts, and what
    /// earlier updates of the track taught.
    pub(super) async fn prepare(
        &self,
        conn: &mut PgConnection,
        stored: &Stored,
    ) -> Result<Fixed, OpError> {
        let rollout = &stored.rollout;
        if rollbacks::is_on(&mut *conn, rollout.track.0, rollout.digest).await? {
            let sentence =
                "its content is being removed from devices of this track: stop that first";
            return Err(OpError::Conflict(sentence.to_owned()));
        }
        let sequence = self.content(&mut *conn, stored).await?;
        let attributes = tracks::cohort_attributes(&mut *conn, rollout.track.0).await?;
        let mut cohorts = cohorts::of_track(&mut *conn, rollout.track).await?;
        cohorts.extend(cohorts::of_attributes(&mut *conn, rollout.track, &attributes).await?);
        let fixed = Fixed {
            cohorts,
            attributes,
            halt: learned(&mut *conn, rollout, self.clock.now()).await?,
        };
        registry::open_population(
            &mut *conn,
            rollout.track.0,
            rollout.id.0,
            rollout.scope == Scope::Listed,
            &sequence,
        )
        .await?;
        Ok(fixed)
    }

    /// Lets older rollouts for the same product and family give way: they grant no more permits, what is in flight
    /// ends. Those that run give way when this one starts; those that are complete serve stragglers until this one
    /// is complete too.
    pub(super) async fn supersede_older(
        &self,
        conn: &mut PgConnection,
        stored: &Stored,
        completed: bool,
        tail: &mut Tail,
    ) -> Result<(), OpError> {
        let newer = &stored.rollout;
        let sequence = self.content(&mut *conn, stored).await?;
        for id in rollouts::live(&mut *conn, Some(newer.track.0)).await? {
            let Some(older) = rollouts::by_id(&mut *conn, id)
                .await?
                .filter(|o| id != newer.id && (!completed || o.created_at <= stored.created_at))
            else {
                continue;
            };
            let gives_way = match (&older.rollout.state, GivesWay::of(&older.rollout.state)) {
                (RolloutState::Scheduled { .. }, _) => older.created_at <= stored.created_at,
                (_, Some(GivesWay::AtItsStart)) => true,
                (_, Some(GivesWay::AtItsEnd)) => completed,
                (_, None) => false,
            };
            if gives_way && compete(&sequence, &*self.content(&mut *conn, &older).await?) {
                let _superseded =
                    Box::pin(self.step(&mut *conn, id, Input::Supersede { newer: newer.id }, tail))
                        .await?;
            }
        }
        Ok(())
    }

    /// Rollouts of a track that give way to a new one of this sequence, and when. For people who write it: as things
    /// are now.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn would_give_way(
        &self,
        conn: &mut PgConnection,
        track: Uuid,
        sequence: &Sequence,
    ) -> Result<Vec<(Stored, GivesWay)>, OpError> {
        let mut found = Vec::new();
        for id in rollouts::live(&mut *conn, Some(track)).await? {
            let Some(older) = rollouts::by_id(&mut *conn, id).await? else {
                continue;
            };
            if let Some(when) = GivesWay::of(&older.rollout.state)
                && compete(sequence, &*self.content(&mut *conn, &older).await?)
            {
                found.push((older, when));
            }
        }
        Ok(found)
    }

    async fn content(
        &self,
        conn: &mut PgConnection,
        stored: &Stored,
    ) -> Result<Arc<Sequence>, OpError> {
        let found = self.catalogue.get(conn, stored.rollout.digest).await?;
        found.ok_or_else(|| OpError::Conflict("the sequence is not published any more".into()))
    }
}

/// What earlier updates of its track taught a rollout that starts at `now`.
///
/// # Errors
/// When the database fails.
pub async fn learned(
    conn: &mut PgConnection,
    rollout: &Rollout,
    now: DateTime<Utc>,
) -> anyhow::Result<HaltPolicy> {
    let after = now - TimeDelta::days(history::DAYS);
    let history = history::of_track(&mut *conn, rollout.track, rollout.digest, after).await?;
    let pace = history::pace(conn, rollout.track, rollout.digest, after).await?;
    Ok(HaltPolicy {
        overdue_after_s: learn_slow(&pace),
        ..learn(&HaltPolicy::default(), &history)
    })
}

/// When a rollout gives way to a newer one that it competes with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GivesWay {
    /// When the newer one starts.
    AtItsStart,
    /// When the newer one completes: until then it serves stragglers.
    AtItsEnd,
}

impl GivesWay {
    fn of(state: &RolloutState) -> Option<Self> {
        match state {
            RolloutState::Scheduled { .. }
            | RolloutState::Active
            | RolloutState::Paused { .. }
            | RolloutState::Halted { .. } => Some(Self::AtItsStart),
            RolloutState::Completed { .. } => Some(Self::AtItsEnd),
            _ => None,
        }
    }
}

/// Two quality updates compete where they are for the same product and family: a device can follow only one.
fn compete(a: &Sequence, b: &Sequence) -> bool {
    a.kind.is_cumulative()
        && b.kind.is_cumulative()
        && a.variants.iter().any(|x| {
            b.variants
                .iter()
                .any(|y| x.product == y.product && x.family().is_some() && x.family() == y.family())
        })
}
