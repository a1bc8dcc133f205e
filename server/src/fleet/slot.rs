//! One device in the picture: 56 bytes, read and written without locks.

use std::sync::atomic::{AtomicI32, AtomicI64, AtomicU32, AtomicU64, Ordering};

use servicing::Sha256;

/// A device's ring where it may not work.
const NO_RING: u32 = u32::MAX;

/// What is known of a device at its present version. A new version starts with nothing known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seen {
    /// The answer was "nothing to do": it polls slowly.
    pub idle: bool,
    /// Everything that it began is over.
    pub quiet: bool,
}

const IDLE: i64 = 1;
const QUIET: i64 = 2;
const BITS: u32 = 2;

impl Seen {
    const fn bits(self) -> i64 {
        self.idle as i64 * IDLE + self.quiet as i64 * QUIET
    }
}

/// One device. What a poll reads comes first and lies together.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Slot {
    /// Number of the last change in the device's lane, which is part of the ETag, above the bits of [`Seen`]: what is
    /// known belongs to one version, so both change together.
    version: AtomicI64,
    generation: AtomicI32,
    ring: AtomicU32,
    /// Service minutes of the last contact, 0 for none.
    seen: AtomicU32,
    /// Counts writes of the digest, twice each: odd while one is under way.
    writes: AtomicU32,
    /// In four parts, of which a reader takes all or none: see `writes`.
    digest: [AtomicU64; 4],
}

impl Default for Slot {
    fn default() -> Self {
        Self {
            version: AtomicI64::new(0),
            digest: Default::default(),
            writes: AtomicU32::new(0),
            generation: AtomicI32::new(0),
            ring: AtomicU32::new(NO_RING),
            seen: AtomicU32::new(0),
        }
    }
}

impl Slot {
    /// The version, and what is known for it.
    pub(super) fn version(&self) -> (i64, Seen) {
        let both = self.version.load(Ordering::Acquire);
        let seen = Seen {
            idle: both & IDLE != 0,
            quiet: both & QUIET != 0,
        };
        (both >> BITS, seen)
    }

    /// Moves to a version that is newer; what was known is not known of it, but `keep_quiet` where the change was
    /// not about assignments.
    pub(super) fn advance(&self, version: i64, keep_quiet: bool) {
        let _already_there =
            self.version
                .fetch_update(Ordering::AcqRel, Ordering::Acquire, |both| {
                    let kept = if keep_quiet { both & QUIET } else { 0 };
                    (both >> BITS < version).then_some(version << BITS | kept)
                });
    }

    /// Notes what is known for a version; nothing where the device has moved on.
    pub(super) fn note(&self, version: i64, seen: Seen) {
        let _moved_on = self
            .version
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |both| {
                (both >> BITS == version).then_some(version << BITS | seen.bits())
            });
    }

    pub(super) fn generation(&self) -> i32 {
        self.generation.load(Ordering::Acquire)
    }

    /// Index of its ring; none where it may not work.
    pub(super) fn ring(&self) -> Option<u32> {
        Some(self.ring.load(Ordering::Acquire)).filter(|r| *r != NO_RING)
    }

    /// Writes what the device's own row says.
    pub(super) fn place(&self, generation: i32, ring: Option<u32>, digest: &Sha256) {
        if self.digest().as_ref() != Some(digest) {
            self.write(digest);
        }
        self.generation.store(generation, Ordering::Release);
        self.ring.store(ring.unwrap_or(NO_RING), Ordering::Release);
    }

    fn write(&self, digest: &Sha256) {
        // Of two that write at once the second waits: a few instructions.
        while self
            .writes
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |n| {
                (n % 2 == 0).then_some(n.wrapping_add(1))
            })
            .is_err()
        {
            std::hint::spin_loop();
        }
        let (parts, _) = digest.as_bytes().as_chunks::<8>();
        for (slot, part) in self.digest.iter().zip(parts) {
            slot.store(u64::from_le_bytes(*part), Ordering::Release);
        }
        self.writes.fetch_add(1, Ordering::Release);
    }

    /// The inventory's digest; none while it is being written.
    pub(super) fn digest(&self) -> Option<Sha256> {
        let writes = self.writes.load(Ordering::Acquire);
        let mut bytes = [0; 32];
        let (parts, _) = bytes.as_chunks_mut::<8>();
        for (part, slot) in parts.iter_mut().zip(&self.digest) {
            *part = slot.load(Ordering::Acquire).to_le_bytes();
        }
        let whole = writes.is_multiple_of(2) && self.writes.load(Ordering::Acquire) == writes;
        whole.then_some(Sha256::from_bytes(bytes))
    }

    /// Notes contact in this minute; whether that was news.
    pub(super) fn touch(&self, minute: u32) -> bool {
        // Mostly it was not: reading costs other processors nothing.
        self.seen.load(Ordering::Relaxed) != minute
            && self.seen.swap(minute, Ordering::Relaxed) != minute
    }

    pub(super) fn seen(&self) -> u32 {
        self.seen.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET_ONLY: Seen = Seen {
        idle: false,
        quiet: true,
    };

    #[test]
    fn a_slot_is_small_enough_for_a_million() {
        assert_eq!(size_of::<Slot>(), 56);
    }

    #[test]
    fn what_is_known_is_known_of_one_version() {
        let slot = Slot::default();
        slot.advance(3, false);
        slot.note(3, QUIET_ONLY);
        assert_eq!(slot.version(), (3, QUIET_ONLY));
        slot.advance(2, false);
        slot.note(2, Seen::default());
        assert_eq!(slot.version(), (3, QUIET_ONLY), "late ones change nothing");
        slot.advance(4, true);
        assert_eq!(slot.version(), (4, QUIET_ONLY), "only its row changed");
        slot.advance(5, false);
        assert_eq!(slot.version(), (5, Seen::default()));
        slot.advance(6, true);
        assert_eq!(slot.version(), (6, Seen::default()));
    }

    #[test]
    fn a_digest_is_read_whole_or_not_at_all() {
        let slot = Slot::default();
        let digests = [[1; 32], [2; 32]].map(Sha256::from_bytes);
        slot.place(1, None, &digests[0]);
        std::thread::scope(|scope| {
            for digest in &digests {
                scope.spawn(|| (0..20_000).for_each(|_| slot.write(digest)));
            }
            for _ in 0..20_000 {
                if let Some(read) = slot.digest() {
                    assert!(digests.contains(&read), "{read}");
                }
            }
        });
        assert!(slot.digest().is_some());
    }
}
