//! What a machine is for servicing: product, series, architecture, edition.

use std::{fmt, str::FromStr};

use crate::ParseError;

words! {
    /// Client and server share base build 26100 and nothing else: their UBRs and packages are apart.
    pub enum Product, expected "client or server" {
        /// Windows 11.
        Client = "client",
        /// Windows Server.
        Server = "server",
    }
}

words! {
    /// The line of updates a device follows. A hotpatch brings a lower UBR than the update of the same day,
    /// so UBRs compare only inside one series (Microsoft documentation, Hotpatch calendar).
    pub enum Series, expected "standard or hotpatch" {
        /// Monthly cumulative updates, each with a restart.
        Standard = "standard",
        /// Enrolled in Hotpatch: quarterly baselines, hotpatches without restart between them.
        Hotpatch = "hotpatch",
    }
}

words! {
    /// Processor architecture of the running Windows.
    pub enum Architecture, expected "x64 or arm64" {
        /// 64-bit Intel and AMD; `amd64` in package identities.
        X64 = "x64",
        /// 64-bit Arm.
        Arm64 = "arm64",
    }
}

const EDITION: ParseError = ParseError {
    expected: "an EditionID of 1 to 64 printable characters such as Professional",
};

/// `EditionID` of the registry, such as `Professional` or `EnterpriseS`: 1 to 64 printable characters
/// without blanks. Compared as written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Edition(String);

impl Edition {
    /// Longest accepted, in characters.
    pub const MAX_CHARS: usize = 64;

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Edition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Edition {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let well_formed = (1..=Self::MAX_CHARS).contains(&text.chars().count())
            && !text.chars().any(|c| c.is_control() || c.is_whitespace());
        if well_formed {
            Ok(Self(text.to_owned()))
        } else {
            Err(EDITION)
        }
    }
}

text_serde!(Edition);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_reads_back() {
        for product in Product::ALL {
            assert_eq!(product.word().parse(), Ok(*product));
        }
        assert_eq!(
            serde_json::to_string(&Architecture::X64).unwrap(),
            r#""x64""#
        );
        let error = serde_json::from_str::<Series>(r#""fast""#).unwrap_err();
        assert!(error.to_string().contains("expected standard or hotpatch"));
    }

    #[test]
    fn an_edition_has_1_to_64_printable_characters() {
        assert_eq!(
            "Professional".parse::<Edition>().unwrap().as_str(),
            "Professional"
        );
        for text in ["", "Pro fessional", "Pro\0", &"a".repeat(65)] {
            assert_eq!(text.parse::<Edition>(), Err(EDITION));
        }
        assert!("a".repeat(64).parse::<Edition>().is_ok());
    }
}
