//! The rollout rules of Ringfence: when a device may install, when a ring goes on, when it must stop.
//!
//! Pure: no I/O, no clock, no randomness of its own, no async. Time and everything that was read come in as
//! arguments, a [`Decision`] goes out, and whoever calls stores it. So each decision can be recomputed from
//! what was stored with it.
//!
//! | Question | Module |
//! |---|---|
//! | Which ring is a device in? | [`ring`] |
//! | How far is a device, and what does its report count for? | [`assignment`], [`evidence`] |
//! | May this device install now? | [`admission`], [`hold`] |
//! | What does a device do that failed? | [`remediation`] |
//! | Must the rollout stop? | [`halt`] |
//! | May the next ring open? | [`gate`], [`approval`] |
//! | What happens to a rollout now? | [`decide`](decide::decide()) |
//! | What would a bad update harm, and how long does a good one take? | [`simulation`], [`forecast`] |

pub mod admission;
pub mod approval;
pub mod assignment;
pub mod canonical;
pub mod decide;
pub mod evidence;
pub mod forecast;
pub mod gate;
pub mod halt;
pub mod hold;
pub mod ids;
pub mod policy;
pub mod remediation;
pub mod ring;
pub mod rollout;
pub mod simulation;
pub mod stage;
pub mod words;

pub use decide::{Decision, Input, Refused, Snapshot, decide};
