//! Devices, ring definitions and populations: the only writer of `device`, `ring` and `population`.

mod enrol;
mod holds;
mod inventory;
mod population;
mod rings;
mod status;
mod update;

pub use enrol::{EnrolmentInput, enrol, names};
pub use holds::{Holder, NewExclusion, NewHold};
pub use inventory::{ParsedInventory, digest_of, parse};
pub use population::{
    class_of, open as open_population, preview as preview_population, preview_held, sample,
};
pub use rings::{NewRings, Preview, RingInput, define, pin, preview};
pub use status::{admit, revoke};
pub use update::{SentInventory, update};
