//! What a core knows only while it runs: all of it can be lost at any time.

use std::time::Duration;

/// The call under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CallKind {
    Nonce,
    Enrol,
    Token,
    Poll,
    Permit,
    Inventory,
    Events,
    Manifest,
}

/// The platform action under way, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ActionKind {
    Read(Purpose),
    Fetch,
    Agree,
    Install,
    Remove,
    Remediate,
    Restart,
}

/// What a reading is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Knowing the device after a start.
    Start,
    /// Making the plan.
    Plan,
    /// Making sure that the plan still holds before its first step.
    BeforeFirstStep,
    /// Judging a step that ended so.
    AfterStep { exit_code: i64 },
    /// Judging a removal that ended so.
    AfterRemoval { exit_code: i64 },
    /// Reporting build and ledger.
    Verify,
    /// Sending the inventory.
    Inventory,
}

/// Whether the present order still needs something to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attended {
    /// Yes.
    No,
    /// Not before the next poll, even if that brings the same order.
    UntilNextPoll,
    /// Not unless another order comes.
    Done,
}

/// Why an agent takes and sends nothing any more, until a person has looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stopped {
    /// Another machine reports under the same identity.
    Clone,
}

#[derive(Debug)]
pub(super) struct Token {
    pub(super) bearer: String,
    pub(super) until: Duration,
}

/// What server and device hold, as far as the agent knows.
#[derive(Debug, Default)]
pub(super) struct InventorySync {
    pub(super) own: Option<String>,
    pub(super) server: Option<String>,
    /// Our digest of what was sent last, and what the server called it.
    pub(super) accepted: Option<(String, String)>,
    pub(super) forced: bool,
}

impl InventorySync {
    /// The server holds something else than the device, or asked for it.
    pub(super) fn is_due(&self) -> bool {
        let (Some(own), Some(server)) = (&self.own, &self.server) else {
            return self.forced && self.own.is_some();
        };
        let same_by_another_name = self
            .accepted
            .as_ref()
            .is_some_and(|(ours, theirs)| ours == own && theirs == server);
        self.forced || own != server && !same_by_another_name
    }
}
