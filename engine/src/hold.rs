//! Devices that do not start although their ring is open: known issues that hold them, and cohorts that a rollout goes on
//! without.

use serde::{Deserialize, Serialize};

use crate::ids::HoldId;
use crate::ring::{Query, Subject};
use crate::words;

/// What becomes of the devices that a hold takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldKind {
    /// A safeguard hold: they wait until it ends, stay in the denominator of coverage, and their ring neither opens nor
    /// passes meanwhile.
    Safeguard,
    /// An exclusion: the rollout goes on without them.
    Exclusion,
}

/// A hold that is on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Id.
    pub id: HoldId,
    /// What becomes of the devices.
    pub kind: HoldKind,
    /// Which devices.
    pub query: Query,
    /// What is known of them.
    pub issue: String,
}

impl Hold {
    /// Why a device does not start: `Held by a known issue: BitLocker asks for its key.`
    #[must_use]
    pub fn sentence(&self) -> String {
        let issue = words::ended(&self.issue);
        match self.kind {
            HoldKind::Safeguard => format!("Held by a known issue: {issue}"),
            HoldKind::Exclusion => format!("Left out of the rollout: {issue}"),
        }
    }
}

/// The hold that a device is under: an exclusion before a safeguard hold, the older before the newer. Exclusions are about those that
/// have not started: a device that had a permit is under known issues alone. `holds` in the order in which they were added.
#[must_use]
pub fn on<'a>(holds: &'a [Hold], device: &Subject<'_>, has_started: bool) -> Option<&'a Hold> {
    let first = |kind: HoldKind| {
        holds
            .iter()
            .find(|hold| hold.kind == kind && hold.query.matches(device))
    };
    let exclusion = (!has_started).then(|| first(HoldKind::Exclusion)).flatten();
    exclusion.or_else(|| first(HoldKind::Safeguard))
}

/// Devices of a ring that a known issue holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// What is known of them.
    pub issue: String,
    /// How many have not started.
    pub devices: u64,
}

impl Held {
    /// `Known issue: BitLocker asks for its key. It holds 12 devices of the ring.`
    #[must_use]
    pub fn sentence(&self) -> String {
        let devices = words::devices(self.devices);
        let issue = words::ended(&self.issue);
        format!("Known issue: {issue} It holds {devices} of the ring.")
    }
}
