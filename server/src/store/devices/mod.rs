//! Devices: who they are, what they really have, and which of them a query takes.

mod askers;
mod places;
mod query;
mod registry;
mod search;
mod sketches;
mod summary;
mod terms;

pub use askers::{Applicant, applicants};
pub use places::{Candidate, Platform, Progress, candidates, listed, platforms, progress};
pub use query::{Class, DeviceQuery, STATES, Test};
pub use registry::{
    Device, DeviceStatus, Identity, add, by_id, by_identity, by_no, by_nos, highest_no, lock,
    new_epoch, page, save, suspect_clone, track_of,
};
pub use search::{Group, Hits, Search, hits};
pub use sketches::{Sketch, sketch_page, sketches};
pub use summary::{Summary, summaries};
