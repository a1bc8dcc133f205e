//! What a publisher does offline, with a key that no server holds: make it, and sign a sequence with it.

mod example;

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey};
use rand::RngExt;
use servicing::{Completeness, Manifest, Sequence, SignedManifest, key_id};

use crate::http::parse_json;

pub use example::synthetic;

/// What is signed, and for how long it is good.
#[derive(Debug, Clone, clap::Args)]
pub struct ToSign {
    /// The publisher's private key, as `publisher key` wrote it
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// One more than that of the last manifest of this KB: agents refuse to go back
    #[arg(long)]
    pub counter: u64,
    /// Revision of the sequence, as its publisher counts
    #[arg(long, default_value_t = 1)]
    pub revision: u32,
    /// Days until agents take it no more
    #[arg(long, default_value_t = 180, value_parser = clap::value_parser!(u32).range(1..=3650))]
    pub valid_days: u32,
    /// The sequence, as JSON
    pub sequence: PathBuf,
}

/// Makes a key and writes it where no file is yet, readable by its owner alone. Returns the public key as servers take it,
/// and its id.
///
/// # Errors
/// When the file is there already or can not be written.
pub fn make_key(file: &Path) -> anyhow::Result<(String, String)> {
    let random: [u8; 32] = rand::rng().random();
    let key = SigningKey::from_bytes(&random);
    let pem = key
        .to_pkcs8_pem(LineEnding::LF)
        .map_err(|e| anyhow::anyhow!("the key can not be written: {e}"))?;
    let mut open = OpenOptions::new();
    let mut written = open
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
        .with_context(|| format!("can not make {}", file.display()))?;
    written.write_all(pem.as_bytes())?;
    written.sync_all()?;
    let public = key.verifying_key();
    Ok((URL_SAFE_NO_PAD.encode(public.as_bytes()), key_id(&public)))
}

/// Signs a sequence that is complete.
///
/// # Errors
/// When key or sequence can not be read, or the sequence is not ready to be published: every field that is wrong.
pub fn sign(what: &ToSign, now: DateTime<Utc>) -> anyhow::Result<SignedManifest> {
    let pem = fs::read_to_string(&what.key)
        .with_context(|| format!("can not read {}", what.key.display()))?;
    let key = SigningKey::from_pkcs8_pem(&pem)
        .map_err(|e| anyhow::anyhow!("{} is no Ed25519 key: {e}", what.key.display()))?;
    let sequence = read(&what.sequence)?;
    if let Err(wrong) = sequence.validate(Completeness::Publish) {
        let lines: Vec<String> = wrong.iter().map(|e| format!("  {e}")).collect();
        bail!(
            "{} is not ready to be published:\n{}",
            what.sequence.display(),
            lines.join("\n")
        );
    }
    let manifest = Manifest {
        sequence,
        revision: what.revision,
        counter: what.counter,
        expires_at: now + TimeDelta::days(i64::from(what.valid_days)),
        sources: Vec::new(),
    };
    Ok(manifest.sign(&key))
}

fn read(file: &Path) -> anyhow::Result<Sequence> {
    let bytes = fs::read(file).with_context(|| format!("can not read {}", file.display()))?;
    parse_json(&bytes).map_err(|error| match error {
        crate::error::OpError::Invalid(fields) => {
            let lines: Vec<String> = fields.iter().map(ToString::to_string).collect();
            anyhow::anyhow!("{}: {}", file.display(), lines.join("; "))
        }
        other => other.into(),
    })
}

#[cfg(test)]
mod tests {
    use servicing::known_sequences;

    use super::*;

    fn what(directory: &Path, sequence: &Sequence) -> ToSign {
        let file = directory.join("sequence.json");
        fs::write(&file, serde_json::to_vec(sequence).unwrap()).unwrap();
        ToSign {
            key: directory.join("publisher.pem"),
            counter: 3,
            revision: 1,
            valid_days: 180,
            sequence: file,
        }
    }

    #[test]
    fn what_is_signed_verifies_with_the_key_that_was_shown() {
        let directory = tempfile::tempdir().unwrap();
        let key = directory.path().join("publisher.pem");
        let (public, id) = make_key(&key).unwrap();
        assert!(make_key(&key).is_err(), "a key is never overwritten");
        let sequence = synthetic("KB5086672", directory.path()).unwrap();
        let now = DateTime::from_timestamp(1_775_000_000, 0).unwrap();
        let signed = sign(&what(directory.path(), &sequence), now).unwrap();
        let bytes: [u8; 32] = URL_SAFE_NO_PAD.decode(public).unwrap().try_into().unwrap();
        let shown = ed25519_dalek::VerifyingKey::from_bytes(&bytes).unwrap();
        let manifest = signed.verify(&[shown], now, 3).unwrap();
        assert_eq!((manifest.sequence, signed.key_id), (sequence, id));
    }

    #[test]
    fn a_draft_is_not_signed_and_says_what_is_missing() {
        let directory = tempfile::tempdir().unwrap();
        make_key(&directory.path().join("publisher.pem")).unwrap();
        let draft = &known_sequences()[0].sequence;
        let now = DateTime::from_timestamp(1_775_000_000, 0).unwrap();
        let error = sign(&what(directory.path(), draft), now).unwrap_err();
        assert!(error.to_string().contains("sha256"), "{error}");
    }
}
