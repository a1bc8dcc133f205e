//! Secrets that are shown once: API tokens, enrolment tokens, links to choose a password. Only their SHA-256 is stored.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::RngExt;
use servicing::Sha256;

/// What API tokens begin with, so that scanners of leaked secrets can tell them.
const API: &str = "rf_";

/// What enrolment tokens begin with.
const ENROLMENT: &str = "rfe_";

/// What links to choose a password end with.
const LINK: &str = "rfl_";

/// Length of 32 bytes in base64url without padding.
const ENCODED: usize = 43;

/// A new secret. It is never logged and never stored; [`Secret::hash`] is.
pub struct Secret(String);

impl Secret {
    /// A new API token.
    #[must_use]
    pub fn api() -> Self {
        Self::fresh(API)
    }

    /// A new enrolment token.
    #[must_use]
    pub fn enrolment() -> Self {
        Self::fresh(ENROLMENT)
    }

    /// The end of a new link to choose a password.
    #[must_use]
    pub fn link() -> Self {
        Self::fresh(LINK)
    }

    fn fresh(prefix: &str) -> Self {
        // The thread's generator is a CSPRNG seeded by the operating system.
        let bytes: [u8; 32] = rand::rng().random();
        Self(format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// What is stored. A plain hash is enough: 256 random bits can not be guessed.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        hash_of(&self.0)
    }

    /// The text, for the one answer that shows it.
    #[must_use]
    pub fn show(self) -> String {
        self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// The hash by which a secret is looked up: SHA-256 of its text.
#[must_use]
pub fn hash_of(secret: &str) -> [u8; 32] {
    *Sha256::of(secret.as_bytes()).as_bytes()
}

/// The hash of an API token; none for a text that can not be one, which then costs no query.
pub(super) fn api_hash(token: &str) -> Option<[u8; 32]> {
    let random = token.strip_prefix(API)?;
    let base64url = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    (random.len() == ENCODED && random.bytes().all(base64url)).then(|| hash_of(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_token_is_found_again_by_its_hash_and_by_nothing_else() {
        let secret = Secret::api();
        let hash = secret.hash();
        let text = secret.show();
        assert_eq!(api_hash(&text), Some(hash));
        assert_ne!(Secret::api().hash(), hash);
    }

    #[test]
    fn what_can_not_be_a_token_is_not_looked_up() {
        let text = Secret::api().show();
        let others = [
            "",
            "rf_",
            "rf_short",
            &text[3..],
            &text[..text.len() - 1],
            &format!("{text}="),
            &text.replace("rf_", "RF_"),
        ];
        for other in others {
            assert_eq!(api_hash(other), None, "{other}");
        }
        assert_eq!(api_hash(&Secret::enrolment().show()), None);
        assert_eq!(api_hash(&format!("rf_{}", "é".repeat(22))), None);
    }

    #[test]
    fn a_secret_does_not_reach_logs() {
        assert_eq!(format!("{:?}", Secret::api()), "Secret(..)");
    }
}
