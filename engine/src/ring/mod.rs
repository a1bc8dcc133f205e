//! Which ring of a track a device is in: a pin, else the first rule that takes it.
//!
//! Pinning a device to its ring per rollout, so that moving it skips no gate, is left to whoever stores it.

mod grammar;
mod pattern;
mod query;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::ids::{RingId, RolloutId, TrackId};
use crate::policy::Percent;

pub use grammar::{QueryError, Reader, Term, terms};
pub use pattern::Pattern;
pub use query::{Comparison, Field, Query, Subject, Test};

/// How devices come into a ring. Rules are tried in the order of the rings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RingRule {
    /// The ring.
    pub ring: RingId,
    /// Devices that match it; all where there is none.
    #[serde(default)]
    pub query: Option<Query>,
    /// Of these, so many; all where there is none. Shares of several rules add up and never overlap: 5 % and
    /// then 20 % are the first 5 and the next 20 of a hundred.
    #[serde(default)]
    pub share: Option<Percent>,
}

/// The ring of a device. A rule with neither query nor share takes everything.
#[must_use]
pub fn place(
    rules: &[RingRule],
    track: TrackId,
    device: Uuid,
    subject: &Subject<'_>,
    pin: Option<RingId>,
) -> Option<RingId> {
    if pin.is_some() {
        return pin;
    }
    let lot = lot(track, device);
    let mut from = 0.0;
    rules
        .iter()
        .find(|rule| {
            let share = rule.share.is_none_or(|Percent(share)| {
                let to = from + share;
                let within = (from..to).contains(&lot);
                from = to;
                within
            });
            share
                && rule
                    .query
                    .as_ref()
                    .is_none_or(|query| query.matches(subject))
        })
        .map(|rule| rule.ring)
}

/// Where among all devices of a track this one stands, 0 to 100: the same for ever, so that a wider share keeps
/// those who were in the narrower one.
#[allow(clippy::cast_precision_loss)] // 53 bits are kept.
fn lot(track: TrackId, device: Uuid) -> f64 {
    let hash = hash(track.0, device) >> 11;
    hash as f64 / (1_u64 << 53) as f64 * 100.0
}

/// The order of devices in a rollout where nothing else decides: another one in each rollout, so that the same
/// people are not always first.
#[must_use]
pub fn rank(device: Uuid, rollout: RolloutId) -> u64 {
    hash(rollout.0, device)
}

fn hash(within: Uuid, device: Uuid) -> u64 {
    let mut hasher = Sha256::new();
    hasher.update(within.as_bytes());
    hasher.update(device.as_bytes());
    let bytes: [u8; 32] = hasher.finalize().into();
    bytes[..8]
        .iter()
        .fold(0, |n, byte| n << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests;
