//! Virtual Windows devices: seeded, deterministic, and faulty as a scenario says.

mod check;
mod device;
mod dice;
mod faults;
mod population;
mod scenario;
mod windows;

pub use device::{Outage, SimulatedDevice};
pub use faults::Struck;
pub use population::Profile;
pub use scenario::{
    BuildShare, Delay, EditionShare, Fault, Harm, Model, People, Population, Scenario,
    ScenarioError, TagShare, Timing,
};

pub(crate) use dice::dice;
