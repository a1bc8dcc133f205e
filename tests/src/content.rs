//! What is rolled out: real sequences with made-up files, signed by a publisher's key.

use std::path::Path;

use ed25519_dalek::SigningKey;
use servicing::{Manifest, Sequence, Sha256, SignedManifest, known_sequences};
use sha1::Digest;

/// Size of a made-up file.
const SIZE: u64 = 12 * 1024;

/// The publisher's key of every lab; the server does not hold it.
pub(crate) fn publisher() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

/// A known sequence whose packages are made up, with their files in the content directory.
pub(crate) fn synthetic(kb: &str, content_dir: &Path) -> Sequence {
    let known = known_sequences()
        .iter()
        .find(|k| k.sequence.kb.to_string() == kb);
    let mut sequence = known.expect("a known sequence").sequence.clone();
    for package in sequence.variants.iter_mut().flat_map(|v| &mut v.packages) {
        let bytes = bytes_of(&package.kb.to_string());
        let (sha1, sha256) = (hex::encode(sha1::Sha1::digest(&bytes)), Sha256::of(&bytes));
        std::fs::write(content_dir.join(sha256.to_string()), &bytes).unwrap();
        let kb = package.kb.to_string().to_lowercase();
        package.file_name = Some(format!("windows11.0-{kb}-x64_{sha1}.msu"));
        package.file_sha1 = Some(sha1.parse().unwrap());
        package.sha256 = Some(sha256);
        package.size_bytes = Some(SIZE);
    }
    sequence
}

/// The same bytes for the same package, in every sequence that contains it.
pub(crate) fn bytes_of(kb: &str) -> Vec<u8> {
    let mut block = *Sha256::of(kb.as_bytes()).as_bytes();
    let mut bytes = Vec::new();
    while bytes.len() < usize::try_from(SIZE).unwrap() {
        bytes.extend_from_slice(&block);
        block = *Sha256::of(&block).as_bytes();
    }
    bytes
}

pub(crate) fn signed(
    sequence: &Sequence,
    counter: u64,
    expires_at: chrono::DateTime<chrono::Utc>,
) -> SignedManifest {
    let manifest = Manifest {
        sequence: sequence.clone(),
        revision: 1,
        counter,
        expires_at,
        sources: Vec::new(),
    };
    manifest.sign(&publisher())
}
