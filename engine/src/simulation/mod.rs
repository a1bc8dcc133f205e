//! Rings and rollouts in virtual time, on the rules that decide about real ones: what a bad update harms before it is halted,
//! and how long a good one takes.
//!
//! Nothing here decides: devices ask, [`admit`](crate::admission::admit) answers, reports change the evidence,
//! [`decide`](crate::decide::decide()) opens rings and passes gates. Time passes in minutes. Randomness comes in as an argument;
//! the same dice give the same course.

mod course;
mod dice;
mod events;
mod field;
mod fleet;
mod habits;
mod rollout;

pub use course::{Course, Ring, play};
pub use dice::Dice;
pub use fleet::Fleet;
pub use habits::{Agreement, Fault, Habits, ServiceOutage, SilentTime, Symptom, Victims, Window};
pub use rollout::{End, MOST_DEVICES, Passage, Plan, PlannedRing, Played, roll_out};

/// A minute of the simulation, from 0.
pub type Minute = u32;
