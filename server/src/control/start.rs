//! What else happens when a rollout starts: cohorts are fixed, devices are counted, older rollouts give way.

use std::sync::Arc;

use engine::Input;
use servicing::Sequence;
use sqlx::PgConnection;

use super::Control;
use super::tail::Tail;
use crate::error::OpError;
use crate::registry;
use crate::store::rollouts::{self, Stored};
use engine::rollout::{RolloutState, Scope};

impl Control {
    /// Fixes cohorts and counts devices, in the transaction that makes the rollout active.
    pub(super) async fn prepare(
        &self,
        conn: &mut PgConnection,
        stored: &Stored,
    ) -> Result<(), OpError> {
        let rollout = &stored.rollout;
        let sequence = self.content(&mut *conn, stored).await?;
        rollouts::fix_cohorts(&mut *conn, rollout.id, rollout.track).await?;
        registry::open_population(
            &mut *conn,
            rollout.track.0,
            rollout.id.0,
            rollout.scope == Scope::Listed,
            &sequence,
        )
        .await?;
        Ok(())
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
            let gives_way = match older.rollout.state {
                RolloutState::Scheduled { .. } => older.created_at <= stored.created_at,
                RolloutState::Active
                | RolloutState::Paused { .. }
                | RolloutState::Halted { .. } => true,
                RolloutState::Completed { .. } => completed,
                _ => false,
            };
            if gives_way && compete(&sequence, &*self.content(&mut *conn, &older).await?) {
                let _superseded =
                    Box::pin(self.step(&mut *conn, id, Input::Supersede { newer: newer.id }, tail))
                        .await?;
            }
        }
        Ok(())
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
