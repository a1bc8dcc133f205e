//! Digests as text: SHA-256 is what we trust, SHA-1 is what the Update Catalog writes into file names.

use std::{fmt, str::FromStr};

use sha2::Digest;

use crate::ParseError;

macro_rules! digest {
    ($(#[$meta:meta])* $name:ident, $bytes:literal, $expected:literal) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $bytes]);

        impl $name {
            /// The digest's bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $bytes] {
                &self.0
            }

            /// A digest computed elsewhere.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; $bytes]) -> Self {
                Self(bytes)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl FromStr for $name {
            type Err = ParseError;

            fn from_str(text: &str) -> Result<Self, ParseError> {
                let mut bytes = [0; $bytes];
                hex::decode_to_slice(text, &mut bytes).map_err(|_| ParseError { expected: $expected })?;
                Ok(Self(bytes))
            }
        }

        text_serde!($name);
    };
}

digest! {
    /// SHA-256, as 64 hex digits.
    Sha256, 32, "a SHA-256 of 64 hex digits"
}

digest! {
    /// SHA-1, as 40 hex digits. Tells files of the Update Catalog apart; never a proof of content.
    Sha1, 20, "a SHA-1 of 40 hex digits"
}

impl Sha256 {
    /// The digest of some bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha2::Sha256::digest(bytes).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_reads_back_in_any_case_and_writes_lower_case() {
        let empty = Sha256::of(b"");
        let text = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(empty.to_string(), text);
        assert_eq!(text.to_uppercase().parse(), Ok(empty));
        assert_eq!(Sha256::from_bytes(*empty.as_bytes()), empty);
    }

    #[test]
    fn a_digest_of_the_wrong_length_is_refused() {
        let short = "97df4ed279e18da5b02308a5a3361313520fd34";
        assert!(
            short
                .parse::<Sha1>()
                .unwrap_err()
                .to_string()
                .contains("40 hex digits")
        );
        assert!("g".repeat(64).parse::<Sha256>().is_err());
    }
}
