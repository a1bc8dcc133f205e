//! Arrays by device number. Written by the reader of changes, and by this process's own commits.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use chrono::{DateTime, TimeDelta, Utc};
use servicing::Sha256;
use tokio::sync::{Notify, watch};
use uuid::Uuid;

pub use super::slot::Seen;
use super::slot::Slot;
use crate::store::devices::Sketch;
use crate::store::seen::BLOCK;
use crate::store::tracks::RingOffer;

/// Blocks of [`BLOCK`] devices: room for 16 million, made as devices come.
const BLOCKS: usize = 16 * 1024;

/// Where minutes of contacts start: 2020-01-01.
pub(super) const SEEN_FROM: DateTime<Utc> =
    DateTime::from_timestamp(1_577_836_800, 0).expect("a date");

#[derive(Debug)]
struct Block {
    slots: Box<[Slot]>,
    /// Somebody was heard of since the block was written down.
    heard: AtomicBool,
}

impl Block {
    fn new() -> Self {
        Self {
            slots: (0..BLOCK).map(|_| Slot::default()).collect(),
            heard: AtomicBool::new(false),
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
    /// Its ring is offered nothing, and everything that it began is known to be over.
    pub at_rest: bool,
}

/// The picture of one replica.
pub struct Picture {
    blocks: Box<[OnceLock<Block>]>,
    rings: ArcSwap<Rings>,
    /// When this picture was begun. Real time: its age is about the machine, not about rollouts.
    begun_at: Instant,
    /// Start of the last successful read of changes, nanoseconds after `begun_at` and at least 1; 0 before the first.
    read_at: AtomicU64,
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
            begun_at: Instant::now(),
            read_at: AtomicU64::new(0),
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

    fn block(&self, device_no: i32) -> Option<(&Block, &Slot)> {
        let no = usize::try_from(device_no).ok()?;
        let block = self.blocks.get(no / BLOCK)?.get()?;
        Some((block, block.slots.get(no % BLOCK)?))
    }

    fn slot(&self, device_no: i32) -> Option<&Slot> {
        self.block(device_no).map(|(_, slot)| slot)
    }

    fn slot_or_new(&self, device_no: i32) -> Option<&Slot> {
        let no = usize::try_from(device_no).ok()?;
        let block = self.blocks.get(no / BLOCK)?.get_or_init(Block::new);
        block.slots.get(no % BLOCK)
    }

    /// What a poll needs of an admitted device; none for one that is unknown, waits or was revoked.
    #[must_use]
    pub fn glance(&self, device_no: i32) -> Option<Glance> {
        let slot = self.slot(device_no)?;
        // The version is read first: an answer built from newer content under an older ETag is only asked again.
        let (version, seen) = slot.version();
        let rings = self.rings.load();
        let ring = rings.rings.get(usize::try_from(slot.ring()?).ok()?)?;
        Some(Glance {
            generation: slot.generation(),
            ring_epoch: ring.epoch,
            version,
            idle: !ring.open || seen.idle,
            at_rest: !ring.open && seen.quiet,
        })
    }

    /// The inventory digest of a device for which nothing is going on: its ring is offered nothing, and everything
    /// that it began is over. None where that is not known as of this glance.
    #[must_use]
    pub fn at_rest(&self, device_no: i32, glance: &Glance) -> Option<Sha256> {
        let slot = self.slot(device_no).filter(|_| glance.at_rest)?;
        let digest = slot.digest()?;
        // A change that came in between could have brought another digest.
        (slot.version().0 == glance.version).then_some(digest)
    }

    /// Remembers what a query found for this version of a device.
    pub fn note(&self, device_no: i32, version: i64, seen: Seen, digest: &Sha256) {
        if let Some(slot) = self.slot(device_no) {
            // What is in memory is as old as the last change that was read, the row may be newer.
            let quiet = seen.quiet && slot.digest().as_ref() == Some(digest);
            slot.note(version, Seen { quiet, ..seen });
        }
    }

    /// Notes contact, on the service clock as it was read last: deadlines compare it with that one.
    pub fn touch(&self, device_no: i32) {
        if let Some((block, slot)) = self.block(device_no)
            && slot.touch(self.service_minutes.load(Ordering::Relaxed))
        {
            block.heard.store(true, Ordering::Release);
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
        contact(self.slot(device_no)?)
    }

    /// Every device that may work, with its ring and its last contact with this replica.
    pub(super) fn each(&self, mut see: impl FnMut(i32, Uuid, Option<DateTime<Utc>>)) {
        let rings = self.rings.load();
        for (first, block) in (0..).step_by(BLOCK).zip(&self.blocks) {
            let Some(block) = block.get() else { continue };
            for (device_no, slot) in (first..).zip(&block.slots) {
                let ring = slot.ring().and_then(|i| rings.rings.get(i as usize));
                if let Some(ring) = ring {
                    see(device_no, ring.id, contact(slot));
                }
            }
        }
    }

    /// Takes the blocks in which somebody was heard of since they were taken last: block number, and per device the
    /// minutes since [`SEEN_FROM`], 0 for none.
    pub(super) fn take_heard(&self) -> Vec<(usize, Vec<u32>)> {
        let blocks = self.blocks.iter().enumerate();
        blocks
            .filter_map(|(i, block)| Some((i, block.get()?)))
            .filter(|(_, block)| block.heard.swap(false, Ordering::AcqRel))
            .map(|(i, block)| (i, block.slots.iter().map(Slot::seen).collect()))
            .collect()
    }

    /// Gives back a block that could not be written.
    pub(super) fn give_back(&self, block: usize) {
        if let Some(block) = self.blocks.get(block).and_then(OnceLock::get) {
            block.heard.store(true, Ordering::Release);
        }
    }

    /// Puts a device's own row into the picture.
    pub fn place(&self, sketch: &Sketch) {
        let ring = self.rings.load().index.get(&sketch.ring_id).copied();
        if let Some(slot) = self.slot_or_new(sketch.device_no) {
            let ring = ring.filter(|_| sketch.admitted);
            slot.place(sketch.generation, ring, &sketch.inventory_digest);
        }
    }

    /// Moves devices to a version. Applying one twice, or an older one late, changes nothing.
    pub fn advance(&self, device_nos: &[i32], version: i64) {
        for slot in device_nos.iter().filter_map(|d| self.slot_or_new(*d)) {
            slot.advance(version, false);
        }
    }

    /// The same for a change of the devices' own rows, read in its turn: their assignments stay what they were.
    pub(super) fn advance_registry(&self, device_nos: &[i32], version: i64) {
        for slot in device_nos.iter().filter_map(|d| self.slot_or_new(*d)) {
            slot.advance(version, true);
        }
    }

    /// A device as it was loaded: everything that it began is over, or not.
    pub(super) fn loaded(&self, device_no: i32, version: i64, quiet: bool) {
        if let Some(slot) = self.slot(device_no) {
            slot.advance(version, false);
            slot.note(version, Seen { idle: false, quiet });
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
        let after = started.saturating_duration_since(self.begun_at).as_nanos();
        let after = u64::try_from(after).unwrap_or(u64::MAX).max(1);
        self.read_at.fetch_max(after, Ordering::AcqRel);
        self.reads.fetch_add(1, Ordering::Relaxed);
    }

    /// How old the picture is; none while it was never loaded.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        match self.read_at.load(Ordering::Acquire) {
            0 => None,
            after => Some(
                self.begun_at
                    .elapsed()
                    .saturating_sub(Duration::from_nanos(after)),
            ),
        }
    }

    /// Successful reads so far.
    #[must_use]
    pub fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }
}

fn contact(slot: &Slot) -> Option<DateTime<Utc>> {
    match slot.seen() {
        0 => None,
        minutes => Some(SEEN_FROM + TimeDelta::minutes(i64::from(minutes))),
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
            inventory_digest: Sha256::from_bytes([7; 32]),
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
            inventory_digest: Sha256::from_bytes([7; 32]),
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
            inventory_digest: Sha256::from_bytes([7; 32]),
        });
        assert_eq!(picture.glance(7), None);
        assert_eq!(picture.glance(8), None);
    }
}
