//! Devices that ask for a permit, each once.

use std::io::Write;
use std::sync::Arc;

use agent_protocol::PermitAnswer;
use uuid::Uuid;

use super::tokens::Tokens;
use super::{Answer, Source};

/// Requests of a share of the devices.
pub struct Permits {
    tokens: Arc<Tokens>,
    rollout: Uuid,
    left: Vec<u32>,
    /// Granted.
    pub granted: u64,
    /// Told to wait.
    pub waiting: u64,
    /// Told no.
    pub refused: u64,
}

impl Permits {
    /// For so many threads, each with its share of these devices.
    #[must_use]
    pub fn split(
        tokens: &Arc<Tokens>,
        devices: &std::ops::Range<u32>,
        threads: u32,
        rollout: Uuid,
    ) -> Vec<Self> {
        let share = |first: u32| Self {
            tokens: Arc::clone(tokens),
            rollout,
            left: devices
                .clone()
                .rev()
                .skip(first as usize)
                .step_by(threads as usize)
                .collect(),
            granted: 0,
            waiting: 0,
            refused: 0,
        };
        (0..threads).map(share).collect()
    }
}

impl Source for Permits {
    fn next(&mut self, request: &mut Vec<u8>) -> Option<u32> {
        let device_no = self.left.pop()?;
        let body = format!(r#"{{"rollout":"{}","restart_in_s":600}}"#, self.rollout);
        request.extend_from_slice(b"POST /agent/v1/permits HTTP/1.1\r\nHost: ringfence\r\nContent-Type: application/json\r\nAuthorization: Bearer ");
        request.extend_from_slice(self.tokens.of(device_no));
        write!(request, "\r\nContent-Length: {}\r\n\r\n{body}", body.len()).ok()?;
        Some(device_no)
    }

    fn answered(&mut self, what: u32, answer: &Answer<'_>) {
        match serde_json::from_slice(answer.body) {
            Ok(PermitAnswer::Granted { .. }) => self.granted += 1,
            Ok(PermitAnswer::Wait { .. }) => self.waiting += 1,
            Ok(PermitAnswer::Refused { .. }) => self.refused += 1,
            // Turned away for the moment: it comes again.
            Err(_) => self.left.push(what),
        }
    }
}
