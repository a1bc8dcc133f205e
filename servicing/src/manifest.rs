//! Signed manifests: what a publisher allows agents to install. Signed offline with a key that the server
//! does not hold, so a server that is taken over can delay, and not invent, reorder or skip. Where keys are
//! kept and which are pinned is left to publisher and agent; so is validating the sequence.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

use crate::{Sequence, Sha256};

/// What is signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The sequence.
    pub sequence: Sequence,
    /// Revision of the sequence's text and content, as its publisher counts.
    pub revision: u32,
    /// One count per sequence that never goes back: an agent refuses less than it has seen.
    pub counter: u64,
    /// From then on it is not valid any more.
    pub expires_at: DateTime<Utc>,
    /// Where the files may come from, beside the server; hashes hold whatever the source.
    #[serde(default)]
    pub sources: Vec<String>,
}

/// A manifest with its signature, as it is stored and sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedManifest {
    /// The exact JSON bytes that are signed, as base64url without padding.
    pub payload: String,
    /// Which key signed: see [`key_id`].
    pub key_id: String,
    /// Ed25519 signature of the payload's bytes, as base64url without padding.
    pub signature: String,
}

/// Why a signed manifest is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// None of the given keys has that id.
    #[error("the manifest is signed by a key that is not trusted")]
    UnknownKey,
    /// The key did not sign these bytes.
    #[error("the manifest's signature does not fit its content")]
    BadSignature,
    /// Base64 or JSON that cannot be read.
    #[error("the manifest cannot be read")]
    Malformed,
    /// Past its time.
    #[error("the manifest has expired")]
    Expired,
    /// A newer one of this sequence has been seen.
    #[error("the manifest is older than one seen before")]
    OldCounter,
}

impl Manifest {
    /// Signs it.
    #[must_use]
    pub fn sign(&self, key: &SigningKey) -> SignedManifest {
        let bytes = serde_json::to_vec(self).expect("text, numbers and lists always make JSON");
        SignedManifest {
            key_id: key_id(&key.verifying_key()),
            signature: URL_SAFE_NO_PAD.encode(key.sign(&bytes).to_bytes()),
            payload: URL_SAFE_NO_PAD.encode(bytes),
        }
    }
}

impl SignedManifest {
    /// The manifest, if one of `keys` signed it, it has not expired at `now`, and its counter is not below
    /// `newest_counter`, the highest seen for this sequence (0: none). Nothing of the content is read before
    /// the signature holds.
    ///
    /// # Errors
    /// The first of these that fails.
    pub fn verify(
        &self,
        keys: &[VerifyingKey],
        now: DateTime<Utc>,
        newest_counter: u64,
    ) -> Result<Manifest, ManifestError> {
        let key = keys
            .iter()
            .find(|key| key_id(key) == self.key_id)
            .ok_or(ManifestError::UnknownKey)?;
        let bytes = URL_SAFE_NO_PAD
            .decode(&self.payload)
            .map_err(|_| ManifestError::Malformed)?;
        let signature = URL_SAFE_NO_PAD
            .decode(&self.signature)
            .map_err(|_| ManifestError::Malformed)?;
        let signature = Signature::from_slice(&signature).map_err(|_| ManifestError::Malformed)?;
        key.verify_strict(&bytes, &signature)
            .map_err(|_| ManifestError::BadSignature)?;

        let manifest: Manifest =
            serde_json::from_slice(&bytes).map_err(|_| ManifestError::Malformed)?;
        if manifest.expires_at <= now {
            return Err(ManifestError::Expired);
        }
        if manifest.counter < newest_counter {
            return Err(ManifestError::OldCounter);
        }
        Ok(manifest)
    }
}

/// The short name of a key: the first 16 hex digits of the SHA-256 of its 32 bytes. Tells keys apart; trust
/// comes from the key itself.
#[must_use]
pub fn key_id(key: &VerifyingKey) -> String {
    let mut id = Sha256::of(key.as_bytes()).to_string();
    id.truncate(16);
    id
}
