//! What a device that failed does next: a documented repair by the class of its error, or another try; capped, and then people.
//!
//! A ladder has a rung for each try. Two tries that end alike prove that the third will, so no ladder is longer; what is not
//! known, or can not be helped by trying again, has none.

use serde::{Deserialize, Serialize};
use servicing::{ErrorClass, HResult, RetryWhen, error_code};

/// A documented repair. An enum, never free text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Repair {
    /// `DISM /Online /Cleanup-Image /RestoreHealth`.
    RestoreHealth,
    /// The same with a local source of the same build and `/LimitAccess`.
    RestoreHealthFromSource,
    /// Downloaded files are deleted and fetched again.
    ClearDownloads,
    /// Space on the system volume is freed by the documented means.
    FreeDiskSpace,
}

impl Repair {
    /// What is done, for people.
    #[must_use]
    pub const fn what(self) -> &'static str {
        match self {
            Self::RestoreHealth => "repair of the component store",
            Self::RestoreHealthFromSource => "repair of the component store from a local source",
            Self::ClearDownloads => "new download",
            Self::FreeDiskSpace => "freeing of disk space",
        }
    }
}

/// One rung of a ladder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rung {
    /// A repair, and then another try.
    Repair(Repair),
    /// Another try with the next restart that people agree to, which is hours away: no pause is needed beyond that.
    Again,
}

/// The rungs for a code, by the table of result codes.
#[must_use]
pub fn ladder(code: Option<HResult>) -> &'static [Rung] {
    use Repair::{ClearDownloads, FreeDiskSpace, RestoreHealth, RestoreHealthFromSource};
    let Some(known) = code.and_then(error_code).filter(|known| known.retryable) else {
        return &[];
    };
    match (known.class, known.retry_when) {
        (_, RetryWhen::NeverSameStep) => &[],
        // Source: the documented ladder of store repair; an in-place upgrade follows, and that takes people.
        (ErrorClass::StoreCorruption, _)
        | (ErrorClass::InstallFailed, RetryWhen::AfterRemediation) => &[
            Rung::Repair(RestoreHealth),
            Rung::Repair(RestoreHealthFromSource),
        ],
        // What is missing is planned anew from what the device has; its files are laid out anew.
        (ErrorClass::CorruptPayload | ErrorClass::MissingPrerequisite, _) => {
            &[Rung::Repair(ClearDownloads), Rung::Repair(RestoreHealth)]
        }
        (ErrorClass::DiskSpace, _) => &[Rung::Repair(FreeDiskSpace)],
        // "Retry once": a hang that Windows itself detected.
        (ErrorClass::Timeout, RetryWhen::AfterRemediation) => &[Rung::Again],
        // Where a restart is pending, the plan waits for it.
        (_, RetryWhen::NowWithBackoff | RetryWhen::AfterReboot) => &[Rung::Again, Rung::Again],
        (_, RetryWhen::AfterRemediation) => &[],
    }
}

/// The rung that follows so many tries; none where people have to look.
#[must_use]
pub fn next(code: Option<HResult>, tries: u8) -> Option<Rung> {
    ladder(code).get(usize::from(tries)).copied()
}

/// What a policy's number of tries comes to, for people.
#[must_use]
pub fn tries_word(tries: u8) -> String {
    match tries {
        0 => "no repair; people look at each".to_owned(),
        1 => "one documented repair or try, by its error".to_owned(),
        n => format!("up to {n} documented repairs or tries, by its error"),
    }
}

#[cfg(test)]
mod tests {
    use servicing::error_codes;

    use super::*;
    use crate::policy::MOST_TRIES;

    fn of(code: &str) -> &'static [Rung] {
        ladder(Some(code.parse().unwrap()))
    }

    #[test]
    fn a_damaged_store_is_repaired_online_and_then_from_a_source() {
        let rungs = of("0x80073712");
        assert_eq!(
            rungs,
            [
                Rung::Repair(Repair::RestoreHealth),
                Rung::Repair(Repair::RestoreHealthFromSource)
            ]
        );
        assert_eq!(next("0x80073712".parse().ok(), 2), None);
    }

    #[test]
    fn files_are_fetched_anew_space_is_freed_and_what_passes_by_itself_is_tried_again() {
        assert_eq!(of("0x800f0805")[0], Rung::Repair(Repair::ClearDownloads));
        assert_eq!(of("0x80070070"), [Rung::Repair(Repair::FreeDiskSpace)]);
        assert_eq!(of("0x80240009"), [Rung::Again, Rung::Again]);
        assert_eq!(of("0x800f0920"), [Rung::Again]);
    }

    #[test]
    fn what_is_not_known_or_can_not_be_helped_is_left_to_people() {
        assert!(ladder(None).is_empty());
        assert!(of("0x8abcdef0").is_empty());
        for code in ["0x800f081e", "0x800f0830", "0xc1900101", "0x80070005"] {
            assert!(of(code).is_empty(), "{code}");
        }
    }

    #[test]
    fn no_ladder_is_longer_than_a_policy_may_allow_and_none_tries_what_never_helps() {
        for known in error_codes() {
            let rungs = ladder(Some(known.code));
            assert!(rungs.len() <= usize::from(MOST_TRIES), "{}", known.code);
            let can_help = known.retryable && known.retry_when != RetryWhen::NeverSameStep;
            assert!(can_help || rungs.is_empty(), "{}", known.code);
        }
    }
}
