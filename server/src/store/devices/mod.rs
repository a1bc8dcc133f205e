//! Devices: who they are, what they really have, and which of them a query takes.

mod askers;
mod columns;
mod enrolling;
mod places;
mod placing;
mod query;
mod registry;
mod search;
mod sketches;
mod summary;
mod terms;
mod walk;

pub use askers::{Applicant, Inventory, applicants, inventories};
pub use enrolling::{Credentials, KnownBy, add, by_identity, credentials, new_epoch};
pub use places::{Candidate, Platform, Progress, candidates, listed, platforms, progress};
pub use placing::{Move, Placing, move_all, placings, placings_of};
pub use query::{Class, DeviceQuery, STATES, Test};
pub use registry::{
    Device, DeviceStatus, Identity, by_id, by_no, by_nos, highest_no, lock, lock_all, save,
    suspect_clone, track_of,
};
pub use search::{Group, Heard, Search};
pub use sketches::{Sketch, each_sketch, sketches, unfinished};
pub use summary::{Summary, summaries};
pub use walk::{Enough, Hits, hits, matching};
