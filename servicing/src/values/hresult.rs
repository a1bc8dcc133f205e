//! Result codes of servicing, in one spelling. What a code means is left to `error_code`.

use std::{fmt, str::FromStr};

use crate::ParseError;

/// A result code, shown as `0x80073712`. One spelling for what DISM, wusa, CBS and the Windows Update agent
/// print as decimal Win32 codes, signed numbers or hex.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HResult(pub u32);

impl HResult {
    /// Done, nothing else to do.
    pub const OK: Self = Self(0);
    /// Win32 3010: done, a restart is needed.
    pub const RESTART_REQUIRED: Self = Self(3010);
    /// Win32 1641: done, a restart has begun.
    pub const RESTART_INITIATED: Self = Self(1641);
    /// 2359301 of wusa and the Windows Update agent: done, a restart is needed.
    pub const WU_RESTART_REQUIRED: Self = Self(0x0024_0005);
    /// 2359302 of wusa and the Windows Update agent: already there. Microsoft documents it with the packages
    /// still waiting for their restart, so it is no verdict.
    pub const WU_ALREADY_INSTALLED: Self = Self(0x0024_0006);
    /// What an exit code becomes that no Windows process can have: `E_UNEXPECTED`.
    pub const UNEXPECTED: Self = Self(0x8000_FFFF);

    /// Normalises the exit code of dism.exe or wusa.exe. DISM gives Win32 errors as their low word (552 is
    /// 0x80070228, 14098 is 0x80073712) and CBS codes as signed numbers (field reports). The success codes
    /// 0, 3010, 1641, 0x240005 and 0x240006 stay themselves.
    #[must_use]
    pub fn from_exit_code(code: i64) -> Self {
        const WIN32: u32 = 0x8007_0000;
        if let Ok(signed) = i32::try_from(code)
            && signed < 0
        {
            return Self(signed.cast_unsigned());
        }
        match u32::try_from(code).map(Self) {
            Ok(done) if done.is_success() => done,
            Ok(Self(low @ ..=0xFFFF)) => Self(WIN32 | low),
            Ok(whole) => whole,
            Err(_) => Self::UNEXPECTED,
        }
    }

    /// Whether the tool said that it was done. Never the verdict on an update: build and ledger are.
    #[must_use]
    pub fn is_success(self) -> bool {
        self == Self::OK || self == Self::WU_ALREADY_INSTALLED || self.asks_for_restart()
    }

    /// Whether the tool said done, and that a restart is needed or under way.
    #[must_use]
    pub fn asks_for_restart(self) -> bool {
        matches!(
            self,
            Self::RESTART_REQUIRED | Self::RESTART_INITIATED | Self::WU_RESTART_REQUIRED
        )
    }
}

impl fmt::Display for HResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:08X}", self.0)
    }
}

impl FromStr for HResult {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let digits = text
            .strip_prefix("0x")
            .or_else(|| text.strip_prefix("0X"))
            .unwrap_or_default();
        let well_formed =
            (1..=8).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit());
        well_formed
            .then(|| u32::from_str_radix(digits, 16).ok())
            .flatten()
            .map(Self)
            .ok_or(ParseError {
                expected: "a result code such as 0x80073712",
            })
    }
}

text_serde!(HResult);

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(code: i64) -> String {
        HResult::from_exit_code(code).to_string()
    }

    #[test]
    fn dism_prints_14098_and_means_a_corrupt_store() {
        assert_eq!(shown(14098), "0x80073712");
    }

    #[test]
    fn dism_exits_552_when_pointed_at_a_folder_of_packages() {
        assert_eq!(shown(552), "0x80070228");
    }

    #[test]
    fn dism_exits_87_on_a_bad_command_line() {
        assert_eq!(shown(87), "0x80070057");
    }

    #[test]
    fn a_cbs_code_comes_as_a_signed_or_an_unsigned_number() {
        assert_eq!(shown(-2_146_498_530), "0x800F081E");
        assert_eq!(shown(2_148_468_766), "0x800F081E");
        assert_eq!(shown(0x8007_3712), "0x80073712");
    }

    #[test]
    fn success_codes_stay_success_codes() {
        for code in [0, 3010, 1641, 0x24_0005, 0x24_0006] {
            let result = HResult::from_exit_code(code);
            assert_eq!(i64::from(result.0), code);
            assert!(result.is_success());
        }
        assert!(HResult::from_exit_code(3010).asks_for_restart());
        assert!(HResult::from_exit_code(2_359_301).asks_for_restart());
        assert!(!HResult::from_exit_code(2_359_302).asks_for_restart());
        assert!(!HResult::from_exit_code(552).is_success());
    }

    #[test]
    fn an_impossible_exit_code_is_never_success() {
        for code in [1 << 32, i64::MAX, i64::MIN, -(1 << 32)] {
            assert_eq!(HResult::from_exit_code(code), HResult::UNEXPECTED);
        }
    }

    #[test]
    fn a_result_code_reads_back_in_any_case() {
        assert_eq!("0x800f081e".parse(), Ok(HResult(0x800F_081E)));
        for text in ["", "0x", "80073712", "0x+1", "0x123456789", "0xZZ"] {
            assert!(text.parse::<HResult>().is_err(), "{text}");
        }
    }
}
