//! Classes of devices for a sequence, in words: which of them it goes to, and why not to the others.

use super::Tally;

/// Devices of a ring that are alike in what the sequence does to them.
#[derive(Debug, Clone)]
pub struct Class {
    /// How many; opens their list.
    pub devices: Tally,
    /// What is so of them: `have it already`.
    pub words: &'static str,
    /// Which, where one fact tells: ` (arm64)`.
    pub detail: String,
    /// They are offered it.
    pub targeted: bool,
}

/// What is so of the devices of a class, as it is stored: `targeted`, `complete`, `not_applicable:edition` ...
pub fn class_words(class: &str) -> &'static str {
    match class {
        "targeted" => "are offered it",
        "complete" => "have it already",
        "ahead" => "are on a newer build",
        "not_applicable:product" => "are of the other product, client or server",
        "not_applicable:family" => "run another Windows version",
        "not_applicable:series" => "are of the other series, hotpatch or standard",
        "not_applicable:architecture" => "have another processor architecture",
        "not_applicable:edition" => "have another edition",
        "not_applicable:observed_only" => {
            "can not be offered it: Windows Update installs it during setup"
        }
        "excluded" => "are left out of the rollout",
        "not_listed" => "are not affected by the withdrawn sequence",
        "awaiting_approval" => "wait to be admitted",
        "revoked" => "are revoked",
        _ => "can not take it",
    }
}
