//! Polls of devices that are drawn uniformly, each with its own token and the ETag of its last answer.

use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::tokens::Tokens;
use super::{Answer, Source};

/// An ETag, short enough to keep a million of them.
#[derive(Debug, Clone, Copy, Default)]
pub struct ETag {
    bytes: [u8; 31],
    len: u8,
}

impl ETag {
    /// Keeps an ETag; one that is too long is forgotten, and its device asks without.
    #[must_use]
    pub fn new(text: &[u8]) -> Self {
        let mut tag = Self::default();
        if let (Some(room), Ok(len)) = (tag.bytes.get_mut(..text.len()), u8::try_from(text.len())) {
            room.copy_from_slice(text);
            tag.len = len;
        }
        tag
    }

    fn text(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// Polls of every `of`-th device.
pub struct Polls {
    tokens: Arc<Tokens>,
    etags: Vec<ETag>,
    first: u32,
    of: u32,
    changed: f64,
    rng: StdRng,
}

impl Polls {
    /// Of devices 1 to `devices`, for so many threads, each with its share of them. `etags` are those of devices with an even and with an odd
    /// number, `changed` is the share of polls whose device has an older one.
    #[must_use]
    pub fn split(
        tokens: &Arc<Tokens>,
        devices: u32,
        threads: u32,
        etags: [ETag; 2],
        changed: f64,
    ) -> Vec<Self> {
        let share = |first: u32| Self {
            etags: (1 + first..=devices)
                .step_by(threads as usize)
                .map(|device_no| etags[device_no as usize % 2])
                .collect(),
            tokens: Arc::clone(tokens),
            first,
            of: threads,
            changed,
            rng: StdRng::seed_from_u64(u64::from(first)),
        };
        (0..threads).map(share).collect()
    }

    /// The share of polls whose device has an older ETag.
    pub fn set_changed(&mut self, share: f64) {
        self.changed = share;
    }
}

/// A poll.
pub fn write(request: &mut Vec<u8>, token: &[u8], etag: &[u8]) {
    request.extend_from_slice(
        b"GET /agent/v1/assignment HTTP/1.1\r\nHost: ringfence\r\nAuthorization: Bearer ",
    );
    request.extend_from_slice(token);
    if !etag.is_empty() {
        request.extend_from_slice(b"\r\nIf-None-Match: ");
        request.extend_from_slice(etag);
    }
    request.extend_from_slice(b"\r\n\r\n");
}

impl Source for Polls {
    fn next(&mut self, request: &mut Vec<u8>) -> Option<u32> {
        let at = self.rng.random_range(0..self.etags.len());
        let device_no = 1 + self.first + u32::try_from(at).ok()? * self.of;
        let changed = self.changed > 0.0 && self.rng.random_bool(self.changed);
        let etag = if changed {
            &b"\"0-0-0\""[..]
        } else {
            self.etags[at].text()
        };
        write(request, self.tokens.of(device_no), etag);
        u32::try_from(at).ok()
    }

    fn answered(&mut self, what: u32, answer: &Answer<'_>) {
        if let (200, Some(etag)) = (answer.status, answer.etag) {
            self.etags[what as usize] = ETag::new(etag);
        }
    }
}
