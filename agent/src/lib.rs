//! The Ringfence agent, and the fleet simulator that runs the same agent on virtual devices.
//!
//! - [`core`]: the agent's state machine, without I/O and without a clock.
//! - [`platform`]: what an agent asks of the machine it runs on.
//! - [`spool`]: what outlives a power loss.
//! - [`inventory`]: what goes to the server about the machine, and its digest.
//! - [`simulated`]: a virtual Windows device, with faults.
//! - [`simulate`]: a fleet of them against a real server over real HTTP.

pub mod core;
pub mod inventory;
pub mod platform;
pub mod simulate;
pub mod simulated;
pub mod spool;
