//! New rollouts: a draft with its stages and their frozen policies.

use std::collections::BTreeMap;

use engine::halt::HaltPolicy;
use engine::ids::{PersonId, RolloutId, StageId, TrackId};
use engine::policy::{Preset, StagePolicy, preset};
use engine::rollout::{Rollout, RolloutState, Scope};
use engine::stage::StageState;
use serde::Deserialize;
use serde_json::json;
use servicing::FieldError;
use uuid::Uuid;

use super::Control;
use crate::error::OpError;
use crate::store::people::{Account, Role};
use crate::store::rollouts::{self, Stored, StoredStage};
use crate::store::sequences::{self, SequenceState};
use crate::store::{audit, devices, tracks};

/// For whom a new rollout is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NewScope {
    /// Every device of the track.
    Track,
    /// Exactly the devices that have this withdrawn sequence, failed on it or have it pending.
    AffectedBy(Uuid),
}

/// A rollout as people write it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewRollout {
    /// Published sequence.
    pub sequence: Uuid,
    /// Track.
    pub track: Uuid,
    /// Preset.
    pub preset: Preset,
    /// For whom.
    #[serde(default = "whole_track")]
    pub scope: NewScope,
    /// Ticket number.
    #[serde(default)]
    pub ticket: Option<String>,
    /// Policies that differ from the preset, by the ring's name.
    #[serde(default)]
    pub policies: BTreeMap<String, StagePolicy>,
}

/// What is wrong with a ticket number.
#[must_use]
pub fn wrong_ticket(ticket: &str) -> Option<FieldError> {
    let wrong = ticket.trim().is_empty()
        || ticket.chars().count() > 100
        || ticket.chars().any(char::is_control);
    wrong.then(|| FieldError {
        field: "ticket".into(),
        expected: "1 to 100 characters, or nothing".into(),
    })
}

fn whole_track() -> NewScope {
    NewScope::Track
}

/// Whether policies may ask for fewer approvals than the preset does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Approvals {
    /// No: who writes a rollout can not waive its approvals.
    AsPreset,
    /// Yes: an admin writes it.
    MayBeFewer,
}

impl Approvals {
    /// As it is for someone who writes a rollout on this track.
    #[must_use]
    pub fn of(author: &Account, track: Uuid) -> Self {
        if author.has(Role::Admin, Some(track)) {
            Self::MayBeFewer
        } else {
            Self::AsPreset
        }
    }
}

impl Control {
    /// Writes a draft.
    ///
    /// # Errors
    /// [`OpError::Invalid`] naming the field, [`OpError::NotFound`], [`OpError::Refused`] where nothing is affected.
    pub async fn create(
        &self,
        new: NewRollout,
        by: PersonId,
        approvals: Approvals,
    ) -> Result<RolloutId, OpError> {
        let mut wrong: Vec<FieldError> = Vec::new();
        for (ring, policy) in &new.policies {
            if let Err(errors) = policy.validate() {
                wrong.extend(errors.into_iter().map(|e| FieldError {
                    field: format!("policies.{ring}.{}", e.field),
                    ..e
                }));
            }
        }
        wrong.extend(new.ticket.as_deref().and_then(wrong_ticket));
        let mut tx = self.pool.begin().await?;
        let track = self.lock_track(&mut tx, TrackId(new.track)).await?;
        let Some(sequence) = sequences::by_id(&mut tx, new.sequence).await? else {
            return Err(OpError::NotFound { what: "sequence" });
        };
        if sequence.state != SequenceState::Published {
            wrong.push(FieldError {
                field: "sequence".into(),
                expected: "a published sequence: neither draft nor withdrawn".into(),
            });
        }
        let mut rings = tracks::rings(&mut tx, new.track).await?;
        for name in new
            .policies
            .keys()
            .filter(|n| rings.iter().all(|r| r.name != **n))
        {
            wrong.push(FieldError {
                field: format!("policies.{name}"),
                expected: "the name of a ring of the track".into(),
            });
        }
        if !wrong.is_empty() {
            return Err(OpError::Invalid(wrong));
        }
        let of_all = rings.len();
        let listed = match new.scope {
            NewScope::Track => Vec::new(),
            NewScope::AffectedBy(withdrawn) => {
                let Some(withdrawn) = sequences::by_id(&mut tx, withdrawn).await? else {
                    return Err(OpError::NotFound { what: "sequence" });
                };
                let listed = rollouts::affected(
                    &mut tx,
                    new.track,
                    &withdrawn.sequence.kb.to_string(),
                    withdrawn.id,
                )
                .await?;
                let with_devices: Vec<Uuid> = devices::by_nos(&mut tx, &listed)
                    .await?
                    .iter()
                    .map(|d| d.ring_id)
                    .collect();
                rings.retain(|r| with_devices.contains(&r.id));
                if listed.is_empty() {
                    let sentence = format!(
                        "No device of {} has {}, failed on it or has it pending.",
                        track.name, withdrawn.sequence.kb
                    );
                    return Err(OpError::Refused {
                        code: "nothing_affected".into(),
                        sentence,
                    });
                }
                listed
            }
        };
        let now = self.clock.now();
        let id = RolloutId(Uuid::now_v7());
        let count = if new.scope == NewScope::Track {
            of_all
        } else {
            rings.len()
        };
        let lax: Vec<FieldError> = rings
            .iter()
            .enumerate()
            .filter_map(|(position, ring)| {
                let least = preset(new.preset, position, count, track.time_zone).approvals;
                let policy = new.policies.get(&ring.name)?;
                (approvals == Approvals::AsPreset && policy.approvals < least).then(|| FieldError {
                    field: format!("policies.{}.approvals", ring.name),
                    expected: format!(
                        "at least {least}, as the preset asks, or an admin who writes it"
                    ),
                })
            })
            .collect();
        if !lax.is_empty() {
            return Err(OpError::Invalid(lax));
        }
        let stages: Vec<StoredStage> = rings
            .iter()
            .enumerate()
            .map(|(position, ring)| StoredStage {
                id: StageId(Uuid::now_v7()),
                ring_id: ring.id,
                ring_name: ring.name.clone(),
                ring_revision: ring.revision,
                policy: new
                    .policies
                    .get(&ring.name)
                    .copied()
                    .unwrap_or_else(|| preset(new.preset, position, count, track.time_zone)),
                state: StageState::Waiting,
                report: None,
            })
            .collect();
        let rollout = Rollout {
            id,
            track: TrackId(new.track),
            digest: sequence.digest,
            scope: if new.scope == NewScope::Track {
                Scope::Track
            } else {
                Scope::Listed
            },
            preset: new.preset,
            author: by,
            state: RolloutState::Draft,
            cleared: Vec::new(),
            halt: HaltPolicy::default(),
            version: 0,
        };
        let stored = Stored {
            rollout,
            sequence_id: sequence.id,
            ticket: new.ticket,
            reasons: Vec::new(),
            created_at: now,
        };
        rollouts::add(&mut tx, &stored, &stages).await?;
        rollouts::list_devices(&mut tx, id, &listed).await?;
        let entry = audit::Entry {
            at: now,
            actor: Some(by.0),
            action: "rollout_created".into(),
            subject: format!("rollout:{id}"),
            body: json!({
                "sequence": sequence.id, "kb": sequence.sequence.kb, "digest": sequence.digest, "track": new.track,
                "preset": new.preset, "listed": listed.len(), "ticket": stored.ticket,
                "policies": stages.iter().map(|s| (s.ring_name.clone(), s.policy)).collect::<BTreeMap<_, _>>(),
            }),
        };
        audit::append(&mut tx, &entry).await?;
        tx.commit().await?;
        Ok(id)
    }
}
