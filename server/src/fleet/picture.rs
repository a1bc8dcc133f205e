//! Arrays by device number. Written by the reader of changes, and by this process's own commits.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI32, AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, RwLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::{Notify, watch};
use uuid::Uuid;

use crate::store::devices::Sketch;
use crate::store::seen::BLOCK;
use crate::store::tracks::RingOffer;

/// Blocks of [`BLOCK`] devices: room for 16 million, made as devices come.
const BLOCKS: usize = 16 * 1024;

/// A device's ring where it may not work.
const NO_RING: u32 = u32::MAX;

/// Where the minutes of [`Slot::seen`] start: 2020-01-01.
const SEEN_FROM: DateTime<Utc> = DateTime::from_timestamp(1_577_836_800, 0).expect("a date");

/// One device: 32 bytes.
#[derive(Debug)]
struct Slot {
    /// Number of the last change in the device's lane: part of the ETag.
    version: AtomicI64,
    /// The version whose answer was "nothing to do": such a device polls slowly.
    idle_version: AtomicI64,
    generation: AtomicI32,
    ring: AtomicU32,
    /// Service minutes since [`SEEN_FROM`].
    seen: AtomicU32,
}

impl Slot {
    fn new() -> Self {
        Self {
            version: AtomicI64::new(0),
            idle_version: AtomicI64::new(-1),
            generation: AtomicI32::new(0),
            ring: AtomicU32::new(NO_RING),
            seen: AtomicU32::new(0),
        }
    }
}

#[derive(Debug, Default)]
struct Rings {
    index: HashMap<Uuid, u32>,
    rings: Vec<RingOffer>,
}

/// What a poll learns of a device without asking the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Glance {
    /// Tokens of another generation are worth nothing.
    pub generation: i32,
    /// Part of the ETag: what the device's ring is offered.
    pub ring_epoch: i64,
    /// Part of the ETag: the device's own rows.
    pub version: i64,
    /// Nothing is going on for it.
    pub idle: bool,
}

/// The picture of one replica.
pub struct Picture {
    blocks: Box<[OnceLock<Box<[Slot]>>]>,
    rings: ArcSwap<Rings>,
    /// Start of the last successful read of changes. Real time: this is about the machine, not about rollouts.
    read_at: RwLock<Option<Instant>>,
    reads: AtomicU64,
    /// Service minutes since [`SEEN_FROM`], 0 before the first tick.
    service_minutes: AtomicU32,
    /// Wakes the reader early.
    pub wake: Notify,
    /// Counts the reads that found something new.
    changed: watch::Sender<u64>,
}

impl Default for Picture {
    fn default() -> Self {
        Self {
            blocks: (0..BLOCKS).map(|_| OnceLock::new()).collect(),
            rings: ArcSwap::default(),
            read_at: RwLock::new(None),
            reads: AtomicU64::new(0),
            service_minutes: AtomicU32::new(0),
            wake: Notify::new(),
            changed: watch::Sender::new(0),
        }
    }
}

impl Picture {
    /// Tells those who watch that something was committed.
    pub(super) fn tell_change(&self) {
        self.changed.send_modify(|n| *n += 1);
    }

    /// Counts the reads that found something new: for pages that show it.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn slot(&self, device_no: i32) -> Option<&Slot> {
        let no = usize::try_from(device_no).ok()?;
        self.blocks.get(no / BLOCK)?.get()?.get(no % BLOCK)
    }

    fn slot_or_new(&self, device_no: i32) -> Option<&Slot> {
        let no = usize::try_from(device_no).ok()?;
        let block = self
            .blocks
            .get(no / BLOCK)?
            .get_or_init(|| (0..BLOCK).map(|_| Slot::new()).collect());
        block.get(no % BLOCK)
    }

    /// What a poll needs of an admitted device; none for one that is unknown, waits or was revoked.
    #[must_use]
    pub fn glance(&self, device_no: i32) -> Option<Glance> {
        let slot = self.slot(device_no)?;
        // The version is read first: an answer built from newer content under an older ETag is only asked again.
        let version = slot.version.load(Ordering::Acquire);
        let rings = self.rings.load();
        let ring = rings
            .rings
            .get(usize::try_from(slot.ring.load(Ordering::Acquire)).ok()?)?;
        Some(Glance {
            generation: slot.generation.load(Ordering::Acquire),
            ring_epoch: ring.epoch,
            version,
            idle: !ring.open || slot.idle_version.load(Ordering::Relaxed) == version,
        })
    }

    /// Remembers that the answer for this version was "nothing to do".
    pub fn set_idle(&self, device_no: i32, version: i64, idle: bool) {
        if let Some(slot) = self.slot(device_no) {
            slot.idle_version
                .store(if idle { version } else { -1 }, Ordering::Relaxed);
        }
    }

    /// Notes contact, on the service clock as it was read last: deadlines compare it with that one.
    pub fn touch(&self, device_no: i32) {
        if let Some(slot) = self.slot(device_no) {
            slot.seen.store(
                self.service_minutes.load(Ordering::Relaxed),
                Ordering::Relaxed,
            );
        }
    }

    /// Notes the service clock.
    pub fn set_service_now(&self, service_now: DateTime<Utc>) {
        self.service_minutes
            .store(minutes(service_now), Ordering::Relaxed);
    }

    /// Last contact with this replica.
    #[must_use]
    pub fn last_seen(&self, device_no: i32) -> Option<DateTime<Utc>> {
        match self.slot(device_no)?.seen.load(Ordering::Relaxed) {
            0 => None,
            minutes => Some(SEEN_FROM + TimeDelta::minutes(i64::from(minutes))),
        }
    }

    /// Last contacts of every block that exists: block number and time per device.
    #[must_use]
    pub fn seen_blocks(&self) -> Vec<(usize, Vec<Option<DateTime<Utc>>>)> {
        let at = |slot: &Slot| match slot.seen.load(Ordering::Relaxed) {
            0 => None,
            minutes => Some(SEEN_FROM + TimeDelta::minutes(i64::from(minutes))),
        };
        self.blocks
            .iter()
            .enumerate()
            .filter_map(|(i, block)| Some((i, block.get()?.iter().map(at).collect())))
            .collect()
    }

    /// Puts a device's own row into the picture.
    pub fn place(&self, sketch: &Sketch) {
        let ring = self.rings.load().index.get(&sketch.ring_id).copied();
        if let Some(slot) = self.slot_or_new(sketch.device_no) {
            slot.generation.store(sketch.generation, Ordering::Release);
            slot.ring.store(
                ring.filter(|_| sketch.admitted).unwrap_or(NO_RING),
                Ordering::Release,
            );
        }
    }

    /// Moves devices to a version. Applying one twice, or an older one late, changes nothing.
    pub fn advance(&self, device_nos: &[i32], version: i64) {
        for device_no in device_nos {
            if let Some(slot) = self.slot_or_new(*device_no) {
                slot.version.fetch_max(version, Ordering::AcqRel);
            }
        }
    }

    /// Puts the rings into the picture. A ring keeps its index: devices refer to it.
    pub fn place_rings(&self, offers: Vec<RingOffer>) {
        let old = self.rings.load();
        let mut next = Rings {
            index: old.index.clone(),
            rings: old.rings.clone(),
        };
        for offer in offers {
            if let Some(ring) = next
                .index
                .get(&offer.id)
                .and_then(|i| next.rings.get_mut(*i as usize))
            {
                *ring = offer;
            } else if let Ok(index) = u32::try_from(next.rings.len()) {
                next.index.insert(offer.id, index);
                next.rings.push(offer);
            }
        }
        self.rings.store(Arc::new(next));
    }

    /// Notes a successful read of changes that began at `started`.
    pub fn read_done(&self, started: Instant) {
        if let Ok(mut at) = self.read_at.write() {
            *at = Some(at.map_or(started, |a| a.max(started)));
        }
        self.reads.fetch_add(1, Ordering::Relaxed);
    }

    /// How old the picture is; none while it was never loaded.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        self.read_at
            .read()
            .ok()
            .and_then(|at| at.map(|a| a.elapsed()))
    }

    /// Successful reads so far.
    #[must_use]
    pub fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }
}

fn minutes(at: DateTime<Utc>) -> u32 {
    u32::try_from((at - SEEN_FROM).num_minutes()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(id: u128, epoch: i64) -> RingOffer {
        RingOffer {
            id: Uuid::from_u128(id),
            epoch,
            open: true,
        }
    }

    #[test]
    fn a_change_that_is_read_late_does_not_bring_an_old_answer_back() {
        let picture = Picture::default();
        picture.place_rings(vec![offer(1, 1)]);
        picture.place(&Sketch {
            device_no: 7,
            ring_id: Uuid::from_u128(1),
            generation: 1,
            admitted: true,
        });
        picture.advance(&[7], 12);
        picture.advance(&[7], 11);
        assert_eq!(picture.glance(7).map(|g| g.version), Some(12));
    }

    #[test]
    fn a_ring_keeps_its_devices_when_rings_are_loaded_again() {
        let picture = Picture::default();
        picture.place_rings(vec![offer(1, 1), offer(2, 1)]);
        picture.place(&Sketch {
            device_no: 7,
            ring_id: Uuid::from_u128(2),
            generation: 1,
            admitted: true,
        });
        picture.place_rings(vec![offer(2, 5), offer(1, 3)]);
        assert_eq!(picture.glance(7).map(|g| g.ring_epoch), Some(5));
    }

    #[test]
    fn a_revoked_device_is_not_in_the_picture() {
        let picture = Picture::default();
        picture.place_rings(vec![offer(1, 1)]);
        picture.place(&Sketch {
            device_no: 7,
            ring_id: Uuid::from_u128(1),
            generation: 2,
            admitted: false,
        });
        assert_eq!(picture.glance(7), None);
        assert_eq!(picture.glance(8), None);
    }
}
