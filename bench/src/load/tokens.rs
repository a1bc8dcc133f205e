//! Access tokens of all devices, made with the server's own secret.

use chrono::{DateTime, Utc};
use server::agent_api::keys::AgentKeys;
use server::secret::ServerSecret;

/// Tokens by device number, in one piece of memory.
#[derive(Debug)]
pub struct Tokens {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Tokens {
    /// Makes the tokens of devices 1 to `devices`, generation 1.
    ///
    /// # Errors
    /// When a token can not be signed, which does not happen.
    pub fn make(secret: &ServerSecret, devices: i32, now: DateTime<Utc>) -> anyhow::Result<Self> {
        let keys = AgentKeys::new(secret);
        let mut tokens = Self {
            bytes: Vec::new(),
            ends: vec![0],
        };
        for device_no in 1..=devices {
            let token = keys.token(device_no, 1, now)?;
            tokens.bytes.extend_from_slice(token.as_bytes());
            tokens.ends.push(tokens.bytes.len());
        }
        Ok(tokens)
    }

    /// Devices.
    #[must_use]
    pub fn len(&self) -> u32 {
        u32::try_from(self.ends.len() - 1).unwrap_or(u32::MAX)
    }

    /// The token of a device, numbered from 1.
    ///
    /// # Panics
    /// When there is no such device.
    #[must_use]
    pub fn of(&self, device_no: u32) -> &[u8] {
        let n = device_no as usize;
        &self.bytes[self.ends[n - 1]..self.ends[n]]
    }
}
