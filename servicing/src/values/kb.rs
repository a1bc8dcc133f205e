//! The number of a Microsoft Knowledge Base article, by which an update is known.

use std::{fmt, str::FromStr};

use crate::ParseError;

const EXPECTED: ParseError = ParseError {
    expected: "a KB number of six to eight digits such as KB5086672",
};

/// `KB5086672`. Six to eight digits, no leading zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KbNumber(u32);

impl KbNumber {
    /// From the digits alone.
    ///
    /// # Errors
    /// Outside 100 000 to 99 999 999.
    pub const fn new(number: u32) -> Result<Self, ParseError> {
        match number {
            100_000..=99_999_999 => Ok(Self(number)),
            _ => Err(EXPECTED),
        }
    }

    /// The digits alone.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for KbNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KB{}", self.0)
    }
}

impl FromStr for KbNumber {
    type Err = ParseError;

    /// The prefix is read in any case: file names write `kb`, articles write `KB`.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let digits = match text.split_at_checked(2) {
            Some((prefix, digits)) if prefix.eq_ignore_ascii_case("kb") => digits,
            _ => return Err(EXPECTED),
        };
        if digits.starts_with('0') || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(EXPECTED);
        }
        Self::new(digits.parse().map_err(|_| EXPECTED)?)
    }
}

text_serde!(KbNumber);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_without_its_prefix_is_none() {
        for text in ["5086672", "XX5086672", "K5086672", "BK5086672"] {
            assert!(text.parse::<KbNumber>().is_err(), "{text}");
        }
        assert_eq!(
            "kb5086672".parse::<KbNumber>().unwrap().to_string(),
            "KB5086672"
        );
    }

    #[test]
    fn a_kb_number_reads_back_as_it_was_written() {
        let kb: KbNumber = "KB5086672".parse().unwrap();
        assert_eq!(kb, KbNumber::new(5_086_672).unwrap());
        assert_eq!(kb.to_string(), "KB5086672");
        assert_eq!("kb5086672".parse(), Ok(kb));
        assert_eq!(serde_json::to_string(&kb).unwrap(), r#""KB5086672""#);
    }

    #[test]
    fn what_is_not_a_kb_number_is_refused() {
        for text in [
            "",
            "KB",
            "5086672",
            "KB12345",
            "KB0508667",
            "KB+508667",
            "KB999999999",
            "KB50866 2",
            "éB",
        ] {
            assert_eq!(text.parse::<KbNumber>(), Err(EXPECTED), "{text}");
        }
    }
}
