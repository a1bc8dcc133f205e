//! The server's side of the protocol, as strict as the protocol allows, and a rig that runs one agent against it.

#![allow(
    clippy::unwrap_used,
    dead_code,
    unused_imports,
    reason = "tests may panic, and every test file uses its own part of this"
)]

pub mod facts;
pub mod rig;
pub mod server;

use chrono::{DateTime, Utc};
use ed25519_dalek::SigningKey;
use servicing::{Manifest, Sequence, Sha256, SignedManifest};

pub use rig::Rig;

pub fn start() -> DateTime<Utc> {
    "2026-03-27T08:00:00Z".parse().unwrap()
}

pub fn publisher() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

pub fn checkpoint_file() -> Vec<u8> {
    b"checkpoint ".repeat(300)
}

pub fn target_file() -> Vec<u8> {
    b"target ".repeat(500)
}

/// KB5079391 as a sequence of a checkpoint and the target.
pub fn sequence(method: &str, architecture: &str) -> Sequence {
    serde_json::from_value(serde_json::json!({
        "kb": "KB5079391", "title": "2026-03 Preview", "kind": "preview",
        "variants": [{
            "architecture": architecture, "base_builds": [26100, 26200], "target_ubr": 8116, "method": method,
            "packages": [
                { "ordinal": 1, "kb": "KB5043080", "role": "checkpoint", "build": "26100.1742",
                  "size_bytes": checkpoint_file().len(), "sha256": Sha256::of(&checkpoint_file()) },
                { "ordinal": 2, "kb": "KB5079391", "role": "lcu", "build": "26100.8116",
                  "size_bytes": target_file().len(), "sha256": Sha256::of(&target_file()) },
            ],
        }],
    }))
    .unwrap()
}

pub fn manifest(sequence: Sequence, counter: u64) -> SignedManifest {
    let manifest = Manifest {
        sequence,
        revision: 1,
        counter,
        expires_at: start() + chrono::TimeDelta::days(60),
        sources: Vec::new(),
    };
    manifest.sign(&publisher())
}
