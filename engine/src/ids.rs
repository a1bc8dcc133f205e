//! Identities. Newtypes, so that a stage is never passed where a rollout is meant.

use std::fmt;

use serde::de::{Deserializer, Error, Visitor};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id!(
    /// One content digest going through one track.
    RolloutId
);
id!(
    /// One ring of one rollout.
    StageId
);
id!(
    /// A population with an ordered list of rings.
    TrackId
);
id!(
    /// One step of a track.
    RingId
);
id!(
    /// Someone with an account.
    PersonId
);
id!(
    /// A known issue that holds devices, or devices that a rollout goes on without.
    HoldId
);
id!(
    /// A request to open a stage, or to override a gate.
    RequestId
);

/// Devices alike in one fact. `0` stands for all devices of the rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct CohortId(pub i16);

impl CohortId {
    /// All devices.
    pub const ALL: Self = Self(0);
}

/// By hand: as a key of a JSON object it is text, and serde does not read numbers from text keys inside
/// tagged enums, which is where a stored decision keeps its evidence.
impl<'de> Deserialize<'de> for CohortId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;

        impl Visitor<'_> for Number {
            type Value = CohortId;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a cohort number")
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<CohortId, E> {
                i16::try_from(number).map(CohortId).map_err(E::custom)
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<CohortId, E> {
                i16::try_from(number).map(CohortId).map_err(E::custom)
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<CohortId, E> {
                text.parse().map(CohortId).map_err(E::custom)
            }
        }

        deserializer.deserialize_any(Number)
    }
}
