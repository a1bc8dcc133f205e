//! What people are shown of a rollout, a request or a device, read as of one moment. The admin API writes it as JSON,
//! pages show it.

mod admission;
mod device;
pub mod device_list;
mod progress;
mod request;
mod rollout;

pub use admission::{AdmissionLine, Ruling};
pub use device::{AssignmentLine, DevicePage, EventLine, Place};
pub use progress::RolloutProgress;
pub use request::RequestLine;
pub use rollout::{CodeLine, HoldLine, RolloutLine, RolloutPage, StageLine};
