//! Takes an update back from the devices on which it succeeded, where its package can be removed.

use engine::ids::{PersonId, RolloutId};
use engine::rollout::RolloutState;
use serde_json::json;
use sqlx::PgConnection;

use super::Control;
use crate::error::OpError;
use crate::store::rollbacks::{self, Rollback};
use crate::store::{assignments, audit, changes, rollouts, tracks};

impl Control {
    /// Has devices remove what a rollout rolled out: those on which it succeeded and that still have it, each with a restart
    /// that its people agree to. Only of a rollout that is over, so that none installs what another removes.
    ///
    /// # Errors
    /// [`OpError::NotFound`]; [`OpError::Conflict`] where the rollout goes on or may go on again, where nothing of it can be
    /// removed, or where it is being removed already.
    pub async fn roll_back(
        &self,
        id: RolloutId,
        reason: &str,
        by: PersonId,
    ) -> Result<(), OpError> {
        let now = self.clock.now();
        let mut tx = self.pool.begin().await?;
        let stored = self.hold_rollout(&mut tx, id).await?;
        if let Some(why) = rolls_back_not(&stored.rollout.state) {
            return Err(OpError::Conflict(why.to_owned()));
        }
        for other in rollouts::live(&mut tx, Some(stored.rollout.track.0)).await? {
            let found = rollouts::by_id(&mut tx, other).await?;
            if found.is_some_and(|o| o.rollout.digest == stored.rollout.digest) {
                let sentence = "another rollout of the same content goes on on this track";
                return Err(OpError::Conflict(sentence.to_owned()));
            }
        }
        let sequence = self.catalogue.get(&mut tx, stored.rollout.digest).await?;
        let kb = sequence.and_then(|s| s.removable());
        let kb = kb.ok_or_else(|| OpError::Conflict(NOT_REMOVABLE.to_owned()))?;
        if rollbacks::of(&mut tx, id.0)
            .await?
            .is_some_and(|r| r.is_on())
        {
            let sentence = "it is being removed again already";
            return Err(OpError::Conflict(sentence.to_owned()));
        }
        let new = Rollback {
            kb: kb.to_string(),
            reason: reason.to_owned(),
            started_by: by.0,
            started_at: now,
            stopped_at: None,
        };
        rollbacks::start(&mut tx, id.0, &new).await?;
        let body = json!({ "kb": kb, "reason": reason });
        self.tell(&mut tx, id, "rollback_started", by, body).await?;
        tx.commit().await?;
        self.picture.wake.notify_one();
        Ok(())
    }

    /// Orders no further removal; a device that has begun one brings it to its end.
    ///
    /// # Errors
    /// [`OpError::NotFound`], [`OpError::Conflict`] where it is not being removed.
    pub async fn stop_rollback(
        &self,
        id: RolloutId,
        reason: &str,
        by: PersonId,
    ) -> Result<(), OpError> {
        let mut tx = self.pool.begin().await?;
        self.hold_rollout(&mut tx, id).await?;
        if !rollbacks::stop(&mut tx, id.0, self.clock.now()).await? {
            return Err(OpError::Conflict("it is not being removed".to_owned()));
        }
        let body = json!({ "reason": reason });
        self.tell(&mut tx, id, "rollback_stopped", by, body).await?;
        tx.commit().await?;
        self.picture.wake.notify_one();
        Ok(())
    }

    /// Keeps everything else from moving the rollout.
    async fn hold_rollout(
        &self,
        conn: &mut PgConnection,
        id: RolloutId,
    ) -> Result<rollouts::Stored, OpError> {
        let missing = || OpError::NotFound { what: "rollout" };
        let track = rollouts::track_of(&mut *conn, id).await?;
        tracks::lock(&mut *conn, track.ok_or_else(missing)?).await?;
        rollouts::by_id(conn, id).await?.ok_or_else(missing)
    }

    /// Orders change: those of devices on which it succeeded, or may succeed while this is written.
    async fn tell(
        &self,
        conn: &mut PgConnection,
        id: RolloutId,
        action: &str,
        by: PersonId,
        body: serde_json::Value,
    ) -> Result<(), OpError> {
        let device_nos = assignments::have_it(&mut *conn, id.0).await?;
        changes::announce_devices(&mut *conn, &device_nos, false).await?;
        let entry = audit::Entry {
            at: self.clock.now(),
            actor: Some(by.0),
            action: action.to_owned(),
            subject: format!("rollout:{id}"),
            body,
        };
        audit::append(conn, &entry).await?;
        Ok(())
    }
}

/// Said where the sequence brings nothing that can be removed.
const NOT_REMOVABLE: &str =
    "nothing of it can be removed: servicing stacks and checkpoints stay on a device";

/// Why nothing can be taken back in a state; none where it can.
const fn rolls_back_not(state: &RolloutState) -> Option<&'static str> {
    match state {
        RolloutState::Withdrawn { .. } | RolloutState::Cancelled { .. } => None,
        RolloutState::Draft | RolloutState::Scheduled { .. } => {
            Some("no device has anything of it yet")
        }
        RolloutState::Superseded { .. } => Some("a newer rollout goes on in its place"),
        RolloutState::Active
        | RolloutState::Paused { .. }
        | RolloutState::Halted { .. }
        | RolloutState::Completed { .. } => Some("cancel it or withdraw its KB first"),
    }
}
