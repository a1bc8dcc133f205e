//! Windows servicing as rules: builds, packages, KB sequences, servicing ledgers, plans and error classes.
//!
//! Server and agent share this crate, so that both come to the same plan from the same facts; an agent
//! refuses an order that its own plan does not contain. Everything here is pure: no I/O, no clock, no
//! randomness, no async. Time is an argument.
//!
//! What it leaves to others: who gets an update and when (rings, gates, permits: the crate `engine`), how a
//! package is fetched and installed (the agent), and where anything is stored (the server).
//!
//! Where a rule has a source, its documentation says which: *Microsoft documentation*, *field reports*
//! (seen by several independent public projects), or *our rule* (derived, and chosen to be safe).

#[macro_use]
mod text;

mod class;
mod error_code;
mod facts;
mod known;
mod ledger;
mod manifest;
mod plan;
mod reason;
mod sequence;
mod values;

pub use class::{LedgerClass, classify};
pub use error_code::{ErrorClass, ErrorCode, RetryWhen, error_code, error_codes};
pub use facts::{
    Facts, MOST_ATTRIBUTES, Platform, StoreHealth, UpdateAuthority, is_attribute_name,
    is_attribute_value,
};
pub use known::{BuildKind, KnownBuild, KnownSequence, Withdrawal, known_builds, known_sequences};
pub use ledger::{Ledger, LedgerEntry, PackageState};
pub use manifest::{Manifest, ManifestError, SignedManifest, key_id};
pub use plan::{MIN_FREE_BYTES, Plan, Planned, Step, plan};
pub use reason::{NotApplicable, NotReady};
pub use sequence::{
    CatalogName, Completeness, FieldError, Kind, KnownIssue, MAX_PACKAGES, MAX_VARIANTS, Method,
    Package, RestartRule, Role, Sequence, Variant,
};
pub use text::ParseError;
pub use values::{
    Architecture, Build, Edition, Family, HResult, KbNumber, Product, Series, Sha1, Sha256,
};
