//! Synthetic package files. Their names are made from their own SHA-1, as the Catalog's are; the names and hashes of
//! the real packages stay facts and are never given to made-up bytes.

use std::path::Path;

use anyhow::Context;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use servicing::{Architecture, KbNumber, Sequence, Sha256, known_sequences};
use sha1::Digest;

/// Size of a synthetic file: large enough to be downloaded in pieces, small enough for two thousand devices.
const SIZE: usize = 12 * 1024;

/// A known sequence whose packages are made up, with their files in the content directory: for simulated devices.
///
/// # Errors
/// When the KB is not known, or a file can not be written.
pub fn synthetic(kb: &str, content_dir: &Path) -> anyhow::Result<Sequence> {
    let known = known_sequences()
        .iter()
        .find(|k| k.sequence.kb.to_string() == kb)
        .with_context(|| format!("{kb} is not known"))?;
    let mut sequence = known.sequence.clone();
    for variant in &mut sequence.variants {
        let architecture = match variant.architecture {
            Architecture::X64 => "x64",
            Architecture::Arm64 => "arm64",
        };
        for package in &mut variant.packages {
            let bytes = bytes_of(package.kb, architecture);
            let sha1 = hex::encode(sha1::Sha1::digest(&bytes));
            let sha256 = Sha256::of(&bytes);
            std::fs::write(content_dir.join(sha256.to_string()), &bytes)?;
            package.file_name = Some(format!(
                "windows11.0-{}-{architecture}_{sha1}.msu",
                package.kb.to_string().to_lowercase()
            ));
            package.file_sha1 = Some(sha1.parse()?);
            package.sha256 = Some(sha256);
            package.size_bytes = Some(u64::try_from(bytes.len())?);
        }
    }
    Ok(sequence)
}

/// The same bytes for the same package, in every sequence that contains it.
fn bytes_of(kb: KbNumber, architecture: &str) -> Vec<u8> {
    let seed = Sha256::of(format!("{kb} {architecture}").as_bytes());
    let mut random = StdRng::from_seed(*seed.as_bytes());
    (0..SIZE).map(|_| random.random()).collect()
}
