//! What end-to-end tests are written with: a fleet, a rollout and its incidents, in a few lines.
//!
//! ```ignore
//! let lab = Lab::start().await;
//! let pilot = lab.ring("pilot", 20).await;
//! let rollout = lab.rollout("KB5079391").await;
//! pilot.fail(rollout, 2, "0x80073712").await;
//! ```
//!
//! A [`Lab`] has a database of its own and one or more servers on it, in this process or as processes of their
//! own. What is not the subject of a test is set up by library calls or SQL; the subject itself goes over HTTP.

#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a test fails by panicking, also in its helpers"
)]

mod admin;
pub mod browser;
mod clock;
mod cluster;
mod content;
mod crowd;
mod device;
mod facts;
mod fleet;
mod lab;
mod life;
mod node;
mod pages;
mod people;
mod process;
mod steering;
mod visitor;
mod wire;

pub use admin::{
    Api, Desk, Holder, Place, ROUTES, Reach, Route, Things, World, assert_names, assert_problem,
    routes_in_sources, shape,
};
pub use browser::Browser;
pub use clock::{ManualClock, START};
pub use cluster::Database;
pub use crowd::Member;
pub use device::{TestDevice, is_later};
pub use facts::{inventory, steps_of};
pub use fleet::Ring;
pub use lab::{Lab, Setup};
pub use life::{codes, kinds};
pub use node::Node;
pub use pages::{OPEN, PAGES, pages_in_sources};
pub use people::People;
pub use process::Process;
pub use visitor::{PASSWORD, SESSION, Visitor, encoded};
pub use wire::{Answer, Poll, Wire};

use std::time::{Duration, Instant};

/// How long a test waits for something that must happen. Far more than it ever takes.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until something holds.
///
/// # Panics
/// When it does not within [`PATIENCE`].
pub async fn eventually<F: Future<Output = bool>>(what: &str, condition: impl Fn() -> F) {
    let deadline = Instant::now() + PATIENCE;
    while !condition().await {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
