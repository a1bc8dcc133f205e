//! The life of a rollout.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use servicing::Sha256;

use crate::halt::{HaltCause, HaltPolicy};
use crate::ids::{PersonId, RolloutId, TrackId};
use crate::policy::Preset;

/// Who decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "by", content = "person")]
pub enum Actor {
    /// The rules of this crate.
    Engine,
    /// Someone.
    Person(PersonId),
}

/// Which devices of the track it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// All of every ring.
    Track,
    /// Only devices listed for it: those that have, failed on, or have pending a withdrawn sequence.
    Listed,
}

/// Why a rollout is halted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "because")]
pub enum HaltReason {
    /// The sequential test.
    Evidence {
        /// Which stream of which cohort.
        cause: HaltCause,
    },
    /// A person.
    Person {
        /// Who.
        by: PersonId,
        /// Why.
        reason: String,
    },
}

/// State of a rollout, with its data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum RolloutState {
    /// Being written.
    Draft,
    /// Submitted; starts by itself.
    Scheduled {
        /// Not before, service clock.
        not_before: DateTime<Utc>,
    },
    /// Going on.
    Active,
    /// Stopped by a person; in-flight devices end, nothing new starts.
    Paused {
        /// Who.
        by: PersonId,
        /// Why.
        reason: String,
        /// Since, service clock.
        since: DateTime<Utc>,
    },
    /// Stopped; only an authorised person with a reason starts it again.
    Halted {
        /// Why.
        reason: HaltReason,
        /// Since, service clock.
        since: DateTime<Utc>,
    },
    /// The last ring passed.
    Completed {
        /// When, service clock.
        at: DateTime<Utc>,
    },
    /// Given up by a person.
    Cancelled {
        /// Why.
        reason: String,
    },
    /// A newer rollout of the same track, product and family took over.
    Superseded {
        /// Which.
        by: RolloutId,
    },
    /// Its sequence was withdrawn.
    Withdrawn {
        /// Why.
        reason: String,
    },
}

/// One content digest going through one track.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rollout {
    /// Id.
    pub id: RolloutId,
    /// Track.
    pub track: TrackId,
    /// Content digest.
    pub digest: Sha256,
    /// For whom.
    pub scope: Scope,
    /// From which preset its stages' policies came.
    pub preset: Preset,
    /// Who wrote it.
    pub author: PersonId,
    /// State.
    pub state: RolloutState,
    /// Halts that a person cleared, as they stood then: the same cause halts again only with more failures.
    #[serde(default)]
    pub cleared: Vec<HaltCause>,
    /// Baselines of its halt test, fixed when it starts.
    #[serde(default, skip_serializing_if = "HaltPolicy::is_default")]
    pub halt: HaltPolicy,
    /// Counts decisions, from 0.
    pub version: u64,
}

impl RolloutState {
    /// The stable word, as in JSON.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Scheduled { .. } => "scheduled",
            Self::Active => "active",
            Self::Paused { .. } => "paused",
            Self::Halted { .. } => "halted",
            Self::Completed { .. } => "completed",
            Self::Cancelled { .. } => "cancelled",
            Self::Superseded { .. } => "superseded",
            Self::Withdrawn { .. } => "withdrawn",
        }
    }

    /// The word as it stands after `is`.
    #[must_use]
    pub const fn is_what(&self) -> &'static str {
        match self {
            Self::Draft => "a draft",
            other => other.word(),
        }
    }

    /// It is over, and stays so. A completed rollout is not: it still serves machines that were switched off, so
    /// it can still be halted, cancelled, withdrawn and superseded.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        matches!(
            self,
            Self::Cancelled { .. } | Self::Superseded { .. } | Self::Withdrawn { .. }
        )
    }
}
