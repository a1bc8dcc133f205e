//! A ring in virtual time, on the rules of admission and halt that decide about real ones: what a bad update harms before it
//! is halted, and how long a good one takes.
//!
//! Nothing here decides: devices ask, [`admit`](crate::admission::admit) answers, reports change the evidence. Time passes in
//! minutes. Randomness comes in as an argument; the same dice give the same course.

mod course;
mod dice;
mod events;
mod fleet;
mod habits;

pub use course::{Course, Ring, play};
pub use dice::Dice;
pub use fleet::Fleet;
pub use habits::{Agreement, Fault, Habits, ServiceOutage, SilentTime, Symptom, Victims, Window};

/// A minute of the simulation, from 0.
pub type Minute = u32;
