//! Wire types of the agent protocol, version 1, and nothing else: no I/O, no rules, no types of ours.
//!
//! These are promises to agents in the field. Evolution is additive: a reader ignores fields it does not
//! know, a new field has a default, and a golden JSON file per message (`tests/golden/`) guards the shape.
//! Values that need judging (builds, KB numbers, hashes, result codes) travel as text and are parsed by
//! whoever receives them.
//!
//! [`docs/agent-protocol.md`](../../docs/agent-protocol.md) tells how the calls follow each other.

mod assignment;
mod enrolment;
mod events;
mod inventory;
mod permit;
mod problem;

pub use assignment::{Assignment, Order, RemediationAction};
pub use enrolment::{
    ENROLMENT_CONTEXT, EnrolAnswer, EnrolRequest, EnrolStatus, Nonce, PublisherKey, Settings,
    TokenAnswer, TokenRequest, enrolment_message,
};
pub use events::{
    Event, EventBatch, EventKind, EventsAnswer, MAX_BATCH_BYTES, MAX_BATCH_EVENTS, OobePhase,
};
pub use inventory::{Inventory, InventoryAnswer, LedgerEntry};
pub use permit::{PermitAnswer, PermitRequest};
pub use problem::{FieldProblem, Problem};

/// Where version 1 of the protocol lives below the server's address.
pub const BASE_PATH: &str = "/agent/v1";

/// Header of a poll's answer: seconds until the agent should poll again.
pub const POLL_AFTER: &str = "poll-after";
