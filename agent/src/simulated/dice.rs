//! Randomness that does not depend on the order in which things happen: every question has its own dice.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Dice for one question about one device: the same seed, device and question always roll the same.
pub(crate) fn dice(seed: u64, device: u32, question: &str, number: u64) -> ChaCha8Rng {
    let bytes = question
        .bytes()
        .chain(device.to_le_bytes())
        .chain(number.to_le_bytes());
    // FNV-1a: stable across versions and platforms, unlike the hashers of the standard library.
    let hash = bytes.fold(seed ^ 0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    ChaCha8Rng::seed_from_u64(hash)
}

/// A number with a lognormal distribution.
pub(crate) fn lognormal(rng: &mut ChaCha8Rng, median: f64, sigma: f64) -> f64 {
    // Box-Muller; 1 - u is never 0.
    let (one, two): (f64, f64) = (rng.random(), rng.random());
    let normal = (-2.0 * (1.0 - one).ln()).sqrt() * (std::f64::consts::TAU * two).cos();
    median * (sigma * normal).exp()
}

/// One of several, by weight.
pub(crate) fn pick<'a, T>(
    rng: &mut ChaCha8Rng,
    items: &'a [T],
    weight: impl Fn(&T) -> f64,
) -> Option<&'a T> {
    let total: f64 = items.iter().map(&weight).sum();
    let mut left = rng.random::<f64>() * total;
    items
        .iter()
        .find(|item| {
            left -= weight(item);
            left < 0.0
        })
        .or(items.last())
}
