//! KB sequences: written as drafts, published with a publisher's signature, withdrawn on every track at once.

use ed25519_dalek::VerifyingKey;
use engine::Input;
use engine::ids::PersonId;
use serde_json::json;
use servicing::{Completeness, KbNumber, Sequence, SignedManifest};
use sqlx::PgConnection;
use uuid::Uuid;

use super::Control;
use super::tail::Tail;
use crate::error::OpError;
use crate::store::sequences::{self, SequenceState, Stored};
use crate::store::{audit, rollouts, tracks};

fn invalid(sequence: &Sequence, completeness: Completeness) -> Result<(), OpError> {
    sequence.validate(completeness).map_err(OpError::Invalid)
}

impl Control {
    /// Writes a draft.
    ///
    /// # Errors
    /// [`OpError::Invalid`] naming each field.
    pub async fn add_sequence(&self, sequence: &Sequence, by: PersonId) -> Result<Uuid, OpError> {
        invalid(sequence, Completeness::Draft)?;
        let mut tx = self.pool.begin().await?;
        let id = Uuid::now_v7();
        sequences::add(&mut tx, id, sequence, by.0, self.clock.now()).await?;
        self.record(
            &mut tx,
            "sequence_drafted",
            id,
            by,
            json!({ "kb": sequence.kb, "digest": sequence.content_digest() }),
        )
        .await?;
        tx.commit().await?;
        Ok(id)
    }

    /// Rewrites a draft.
    ///
    /// # Errors
    /// [`OpError::Invalid`], [`OpError::NotFound`], [`OpError::Conflict`] where it is no draft any more.
    pub async fn rewrite_sequence(
        &self,
        id: Uuid,
        sequence: &Sequence,
        by: PersonId,
    ) -> Result<(), OpError> {
        invalid(sequence, Completeness::Draft)?;
        let mut tx = self.pool.begin().await?;
        self.draft(&mut tx, id).await?;
        sequences::rewrite(&mut tx, id, sequence).await?;
        self.record(
            &mut tx,
            "sequence_rewritten",
            id,
            by,
            json!({ "kb": sequence.kb, "digest": sequence.content_digest() }),
        )
        .await?;
        tx.commit().await?;
        Ok(())
    }

    async fn draft(&self, conn: &mut PgConnection, id: Uuid) -> Result<Stored, OpError> {
        let Some(stored) = sequences::lock(conn, id).await? else {
            return Err(OpError::NotFound { what: "sequence" });
        };
        if stored.state != SequenceState::Draft {
            return Err(OpError::Conflict(
                "the sequence is published: its content is fixed; write a new one".into(),
            ));
        }
        Ok(stored)
    }

    /// Publishes a draft with its manifest, signed by a publisher whose key this server knows but does not hold.
    ///
    /// # Errors
    /// [`OpError::Invalid`] where the sequence is incomplete or the manifest does not fit, [`OpError::Conflict`].
    pub async fn publish_sequence(
        &self,
        id: Uuid,
        manifest: &SignedManifest,
        by: PersonId,
    ) -> Result<(), OpError> {
        let now = self.clock.now();
        let mut tx = self.pool.begin().await?;
        let stored = self.draft(&mut tx, id).await?;
        invalid(&stored.sequence, Completeness::Publish)?;
        let keys: Vec<VerifyingKey> = sequences::keys(&mut tx)
            .await?
            .iter()
            .filter_map(|k| VerifyingKey::from_bytes(k.public_key.as_slice().try_into().ok()?).ok())
            .collect();
        let newest = sequences::newest_counter(&mut tx, stored.sequence.kb).await?;
        let content = manifest
            .verify(&keys, now, newest)
            .map_err(|e| OpError::field("manifest", e.to_string()))?;
        if content.sequence.content_digest() != stored.digest {
            return Err(OpError::field(
                "manifest.payload",
                "the content of this sequence: packages, order, hashes and targets differ",
            ));
        }
        if content.counter <= newest && newest > 0 {
            return Err(OpError::field(
                "manifest.payload",
                format!(
                    "a counter above {newest}, the last one published for {}",
                    stored.sequence.kb
                ),
            ));
        }
        if let Some(twin) = sequences::by_digest(&mut tx, stored.digest).await? {
            return Err(OpError::Conflict(format!(
                "the same content is published already, as sequence {}",
                twin.id
            )));
        }
        sequences::publish(&mut tx, id, manifest, content.counter, now).await??;
        let body = json!({ "kb": stored.sequence.kb, "digest": stored.digest, "key_id": manifest.key_id, "counter": content.counter });
        self.record(&mut tx, "sequence_published", id, by, body)
            .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Withdraws a sequence: in one transaction, no track grants another permit for it.
    ///
    /// # Errors
    /// [`OpError::NotFound`], [`OpError::Conflict`] where it is no published sequence, [`OpError::Invalid`] for no reason.
    pub async fn withdraw_sequence(
        &self,
        id: Uuid,
        reason: &str,
        replaced_by: Option<KbNumber>,
        by: PersonId,
    ) -> Result<(), OpError> {
        let reason = reason.trim();
        if reason.is_empty() || reason.len() > 1000 {
            return Err(OpError::field(
                "reason",
                "why it is withdrawn, 1 to 1,000 characters",
            ));
        }
        let mut tx = self.pool.begin().await?;
        // All tracks, in one order: a rollout that starts meanwhile on any of them waits for this.
        let mut all = tracks::all(&mut tx).await?;
        all.sort_by_key(|t| t.id);
        for track in &all {
            tracks::lock(&mut tx, engine::ids::TrackId(track.id)).await?;
        }
        let Some(stored) = sequences::lock(&mut tx, id).await? else {
            return Err(OpError::NotFound { what: "sequence" });
        };
        if stored.state != SequenceState::Published {
            return Err(OpError::Conflict(
                "only a published sequence can be withdrawn".into(),
            ));
        }
        sequences::withdraw(&mut tx, id, reason, replaced_by).await?;
        let mut stopped = Vec::new();
        let mut tail = Tail::default();
        for rollout in rollouts::live(&mut tx, None).await? {
            let concerns = rollouts::by_id(&mut tx, rollout)
                .await?
                .is_some_and(|r| r.rollout.digest == stored.digest);
            if concerns
                && self
                    .step(&mut tx, rollout, Input::Tick, &mut tail)
                    .await?
                    .changed()
            {
                stopped.push(rollout);
            }
        }
        let body = json!({ "kb": stored.sequence.kb, "reason": reason, "replaced_by": replaced_by, "rollouts_stopped": stopped });
        tail.entries
            .push(self.entry("sequence_withdrawn", id, by, body));
        tail.write(&mut tx, self.notify).await?;
        tx.commit().await?;
        self.picture.wake.notify_one();
        Ok(())
    }

    async fn record(
        &self,
        conn: &mut PgConnection,
        action: &str,
        id: Uuid,
        by: PersonId,
        body: serde_json::Value,
    ) -> sqlx::Result<()> {
        let entry = self.entry(action, id, by, body);
        audit::append(conn, &entry).await?;
        Ok(())
    }

    fn entry(&self, action: &str, id: Uuid, by: PersonId, body: serde_json::Value) -> audit::Entry {
        audit::Entry {
            at: self.clock.now(),
            actor: Some(by.0),
            action: action.into(),
            subject: format!("sequence:{id}"),
            body,
        }
    }
}
