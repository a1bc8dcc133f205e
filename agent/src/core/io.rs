//! What goes into the core and what comes out of it.

use std::time::Duration;

use agent_protocol::{
    EnrolRequest, EventBatch, Inventory, PermitRequest, RemediationAction, TokenRequest,
};
use chrono::{DateTime, Utc};
use servicing::{Build, Facts, KbNumber, Ledger, Step};
use uuid::Uuid;

use super::state::Change;

/// When something happens, as the device sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The device's own clock, which may be wrong by years: for people, never for deadlines.
    pub wall: DateTime<Utc>,
    /// Grows steadily while this core lives; its zero means nothing.
    pub steady: Duration,
    /// Seconds the agent was powered on and not in standby since it enrolled.
    pub powered_s: u64,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// The wake-up time has come.
    Wake,
    /// Answer to the one HTTP call under way.
    Answered(Answer),
    /// Answer to [`Action::Read`].
    Read(Box<Reading>),
    /// Answer to [`Action::Fetch`].
    Fetched(Fetched),
    /// Answer to [`Action::Agree`].
    Agreed(Agreement),
    /// Answer to [`Action::Install`]: the servicing tool ended.
    StepEnded {
        /// As the tool returned it.
        exit_code: i64,
    },
    /// Answer to [`Action::Remove`]: the servicing tool ended.
    Removed {
        /// As the tool returned it.
        exit_code: i64,
    },
    /// Answer to [`Action::Restart`] when the machine does not restart.
    RestartFailed,
    /// Answer to [`Action::Remediate`].
    Remediated {
        /// Whether it worked.
        ok: bool,
    },
}

/// Something to do, in the order given. An effect starts only when the one before it is durable or started.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Write to the spool, all or nothing, and durable before the next effect begins.
    Commit(Box<Change>),
    /// Call the server. At most one call is under way.
    Call(Request),
    /// Have the platform do something. At most one action is under way.
    Act(Action),
}

/// An HTTP call.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Which.
    pub call: Call,
    /// Access token, where the call needs one.
    pub bearer: Option<String>,
}

/// The calls of the agent protocol, content excepted: [`Action::Fetch`] fetches it.
#[derive(Debug, Clone, PartialEq)]
pub enum Call {
    /// `GET /enroll/nonce`
    Nonce,
    /// `POST /enroll`
    Enrol(Box<EnrolRequest>),
    /// `POST /token`
    Token(TokenRequest),
    /// `GET /assignment`
    Poll {
        /// For `If-None-Match`.
        etag: Option<String>,
    },
    /// `POST /permits`
    Permit(PermitRequest),
    /// `PUT /inventory`
    Inventory(Box<Inventory>),
    /// `POST /events`
    Events(EventBatch),
    /// `GET /manifests/{digest}`
    Manifest {
        /// Content digest, hex.
        digest: String,
    },
}

/// How an HTTP call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The server answered.
    Reply(Reply),
    /// No answer came: no network, no server, or the connection broke.
    Unreachable,
}

/// An HTTP answer, reduced to what the protocol uses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reply {
    /// Status code.
    pub status: u16,
    /// `Date`: the only time that counts.
    pub date: Option<DateTime<Utc>>,
    /// `ETag`
    pub etag: Option<String>,
    /// `poll-after` in seconds.
    pub poll_after_s: Option<u64>,
    /// `Retry-After` in seconds.
    pub retry_after_s: Option<u64>,
    /// Body.
    pub body: Vec<u8>,
}

/// What the platform can be asked to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Read facts and ledger.
    Read,
    /// Fetch one package, going on where an earlier attempt ended, and check its hash.
    Fetch(Fetch),
    /// Delete what was fetched of one package.
    Discard {
        /// SHA-256 of the package, hex.
        sha256: String,
    },
    /// Agree a restart with whoever uses the machine.
    Agree {
        /// Seconds until it can no longer be postponed; none: no deadline.
        deadline_s: Option<u64>,
        /// Seconds that people get after the deadline.
        grace_s: u64,
    },
    /// Install the packages of one step.
    Install {
        /// From 1.
        number: u16,
        /// What and how.
        step: Box<Step>,
        /// Build that the whole plan ends on.
        target: Build,
    },
    /// Restart the machine. The core does not live to see the end of it.
    Restart,
    /// Run one documented repair other than a restart.
    Remediate(RemediationAction),
    /// Remove a package.
    Remove {
        /// Which.
        kb: KbNumber,
    },
}

/// One package to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetch {
    /// SHA-256, hex: name and check in one.
    pub sha256: String,
    /// Size in bytes.
    pub size_bytes: u64,
    /// Access token.
    pub bearer: String,
}

/// How a fetch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fetched {
    /// All there, and the hash holds.
    Complete,
    /// All there, and the hash does not hold.
    Corrupt,
    /// The connection broke; what came is kept.
    Cut {
        /// Bytes on disk.
        bytes: u64,
    },
    /// The server said no.
    Denied {
        /// Status code.
        status: u16,
        /// `Retry-After` in seconds.
        retry_after_s: Option<u64>,
    },
}

/// What people answered about a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Agreement {
    /// At a time.
    In {
        /// Seconds from now.
        seconds: u32,
    },
    /// Later; ask again.
    Postponed {
        /// Not before so many seconds.
        by_s: u32,
    },
}

/// What the device is and has at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// Which machine it is.
    pub hardware: Hardware,
    /// Facts.
    pub facts: Facts,
    /// Servicing ledger.
    pub ledger: Ledger,
}

/// Which machine it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hardware {
    /// Serial number from SMBIOS.
    pub serial: String,
    /// System UUID from SMBIOS.
    pub smbios_uuid: Uuid,
    /// SHA-256 of the TPM's endorsement key, hex.
    pub tpm_ek_sha256: Option<String>,
    /// Host name.
    pub host_name: String,
}

/// One kernel boot, as the platform tells it when the agent starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Boot {
    /// Different after every kernel boot, and only then: a shutdown with Fast Startup keeps it.
    pub id: String,
    /// Why Windows took pending packages back at this boot, where it did.
    pub rollback_exit_code: Option<i64>,
}
