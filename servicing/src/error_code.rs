//! What result codes of servicing mean, how sure that is, and when a retry makes sense. The table is data;
//! which repair follows, and how often, is left to the engine.

use std::sync::LazyLock;

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use crate::{HResult, known::embedded_csv};

words! {
    /// What sort of failure, or success, a code stands for. Gates and remediation go by class.
    pub enum ErrorClass, expected "an error class such as store_corruption" {
        /// The component store is damaged.
        StoreCorruption = "store_corruption",
        /// An earlier package or servicing stack is missing.
        MissingPrerequisite = "missing_prerequisite",
        /// The update is not for this device.
        NotApplicable = "not_applicable",
        /// It is there already.
        AlreadyInstalled = "already_installed",
        /// Something newer is there.
        Superseded = "superseded",
        /// The downloaded file is damaged or missing.
        CorruptPayload = "corrupt_payload",
        /// An installer failed, for reasons the code does not tell.
        InstallFailed = "install_failed",
        /// Done; a restart is needed or under way.
        SuccessReboot = "success_reboot",
        /// A restart has to come first.
        RebootPending = "reboot_pending",
        /// Servicing is busy.
        Busy = "busy",
        /// Too little disk space.
        DiskSpace = "disk_space",
        /// A system resource is exhausted.
        Resources = "resources",
        /// Access, a policy or a disabled service stands in the way.
        Access = "access",
        /// The command line was wrong.
        BadCommand = "bad_command",
        /// It took too long, or hung.
        Timeout = "timeout",
        /// Somebody cancelled it.
        Cancelled = "cancelled",
        /// Somebody has to be signed in.
        UserRequired = "user_required",
        /// Network, proxy or update source.
        Network = "network",
        /// Setup undid the installation.
        Rollback = "rollback",
        /// Done.
        Success = "success",
    }
}

words! {
    /// When trying the same step again can help.
    pub enum RetryWhen, expected "now_with_backoff, after_reboot, after_remediation or never_same_step" {
        /// At once, with growing pauses.
        NowWithBackoff = "now_with_backoff",
        /// After a restart.
        AfterReboot = "after_reboot",
        /// After a repair.
        AfterRemediation = "after_remediation",
        /// Not this step.
        NeverSameStep = "never_same_step",
    }
}

/// One row of the table of result codes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorCode {
    /// Code.
    pub code: HResult,
    /// Symbolic name, or a description where the name is not known.
    #[serde(rename(deserialize = "symbolic_name"))]
    pub name: String,
    /// Part of Windows that it comes from, such as `CBS`.
    pub component: String,
    /// Class.
    pub class: ErrorClass,
    /// What it means, in a sentence.
    pub meaning: String,
    /// Whether trying again can help at all.
    #[serde(deserialize_with = "yes_or_no")]
    pub retryable: bool,
    /// When.
    pub retry_when: RetryWhen,
    /// What helps.
    pub remediation: String,
    /// How sure name and meaning are: `yes` (Microsoft documentation), `partial`, `no` (field reports only).
    pub verified: String,
    /// What else is worth knowing.
    pub note: String,
    /// Where it is documented.
    pub source: String,
}

static TABLE: LazyLock<Vec<ErrorCode>> =
    LazyLock::new(|| embedded_csv(include_str!("../data/error_codes.csv")));

fn yes_or_no<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err(D::Error::custom("expected yes or no")),
    }
}

/// What is known of a code.
#[must_use]
pub fn error_code(code: HResult) -> Option<&'static ErrorCode> {
    TABLE.iter().find(|row| row.code == code)
}

/// All known codes, as the table lists them.
#[must_use]
pub fn error_codes() -> &'static [ErrorCode] {
    &TABLE
}
