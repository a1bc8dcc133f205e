//! Telemetry as agents send it: batches of twenty events, numbered, some of them sent twice.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use uuid::Uuid;

use super::tokens::Tokens;
use super::{Answer, Source};

/// Events of a batch.
pub const BATCH: u64 = 20;

/// What a batch tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Script {
    /// The download goes on and ends, a restart is agreed.
    Prepare,
    /// The one step of the plan runs under permit 1, the machine restarts, and everything is as it should be.
    Install,
    /// Nothing in particular.
    Alive,
}

#[derive(Debug, Clone, Copy)]
struct Device {
    device_no: u32,
    /// Number before the next batch.
    sent: u64,
    /// What the last batch told.
    told: Script,
}

/// Reports of a share of the devices, round and round.
pub struct Telemetry {
    tokens: Arc<Tokens>,
    rollout: Uuid,
    build: String,
    devices: Vec<Device>,
    /// Who reports next.
    turn: usize,
    /// Devices that have told the script of this run so far.
    told: usize,
    script: Script,
    resent: f64,
    again: VecDeque<u32>,
    is_resent: Vec<bool>,
    rng: StdRng,
    body: Vec<u8>,
    /// Events that were acknowledged for the first time.
    pub events: u64,
    /// Events that were sent again.
    pub repeated: u64,
}

impl Telemetry {
    /// For so many threads, each with its share of these devices. `resent` is the share of batches that are sent twice,
    /// as if their answer had been lost. A good installation ends on `build`.
    #[must_use]
    pub fn split(
        tokens: &Arc<Tokens>,
        devices: std::ops::Range<u32>,
        threads: u32,
        rollout: Uuid,
        build: &str,
        resent: f64,
    ) -> Vec<Self> {
        let share = |first: u32| {
            let of_thread = devices
                .clone()
                .skip(first as usize)
                .step_by(threads as usize);
            let devices: Vec<Device> = of_thread
                .map(|device_no| Device {
                    device_no,
                    sent: 0,
                    told: Script::Alive,
                })
                .collect();
            Self {
                tokens: Arc::clone(tokens),
                rollout,
                build: build.to_owned(),
                is_resent: vec![false; devices.len()],
                devices,
                turn: 0,
                told: 0,
                script: Script::Alive,
                resent,
                again: VecDeque::new(),
                rng: StdRng::seed_from_u64(u64::from(first)),
                body: Vec::new(),
                events: 0,
                repeated: 0,
            }
        };
        (0..threads).map(share).collect()
    }

    /// What the devices tell from now on, each of them once: then a run of [`Script::Prepare`] ends, and one of
    /// [`Script::Install`] goes on with devices that are only alive. Those that told it in an earlier run stay behind.
    pub fn tell(&mut self, script: Script) {
        if self.script != script {
            (self.script, self.turn, self.told) = (script, 0, 0);
        }
    }

    /// Begins to count anew.
    pub fn reset(&mut self) {
        (self.events, self.repeated) = (0, 0);
    }

    fn write(&mut self, request: &mut Vec<u8>, at: usize) -> std::io::Result<()> {
        let device = self.devices[at];
        self.body.clear();
        write_batch(
            &mut self.body,
            device.sent + 1,
            device.told,
            self.rollout,
            &self.build,
        )?;
        request.extend_from_slice(b"POST /agent/v1/events HTTP/1.1\r\nHost: ringfence\r\nContent-Type: application/json\r\nAuthorization: Bearer ");
        request.extend_from_slice(self.tokens.of(device.device_no));
        write!(request, "\r\nContent-Length: {}\r\n\r\n", self.body.len())?;
        request.extend_from_slice(&self.body);
        Ok(())
    }
}

fn write_batch(
    body: &mut Vec<u8>,
    first: u64,
    script: Script,
    rollout: Uuid,
    build: &str,
) -> std::io::Result<()> {
    write!(body, r#"{{"epoch":1,"events":["#)?;
    for n in 0..BATCH {
        let seq = first + n;
        if n > 0 {
            body.push(b',');
        }
        let (minute, second) = (seq / 60 % 60, seq % 60);
        write!(
            body,
            r#"{{"seq":{seq},"at":"2026-11-20T09:{minute:02}:{second:02}Z","powered_s":{},"kind":"#,
            3600 + seq * 30
        )?;
        match (script, n) {
            (Script::Prepare, 19) => write!(
                body,
                r#""restart_agreed","body":{{"rollout":"{rollout}","restart_in_s":1800}}}}"#
            ),
            (Script::Prepare, 18) => write!(
                body,
                r#""download_done","body":{{"rollout":"{rollout}"}}}}"#
            ),
            (Script::Prepare, n) => write!(
                body,
                r#""download_progress","body":{{"rollout":"{rollout}","bytes":{},"total":4639422594}}}}"#,
                257_745_699 * (n + 1)
            ),
            (Script::Install, 0) => {
                write!(
                    body,
                    r#""step_started","body":{{"rollout":"{rollout}","permit_no":1,"step":1,"of":1}}}}"#
                )
            }
            (Script::Install, 17) => write!(
                body,
                r#""step_done","body":{{"rollout":"{rollout}","step":1,"exit_code":3010,"code":"0x00000BC2","package_state":"install_pending","restart_needed":true}}}}"#
            ),
            (Script::Install, 18) => write!(
                body,
                r#""restarted","body":{{"rollout":"{rollout}","step":1}}}}"#
            ),
            (Script::Install, 19) => write!(
                body,
                r#""verified","body":{{"rollout":"{rollout}","build":"{build}","packages_installed":true}}}}"#
            ),
            (Script::Install, n) => write!(
                body,
                r#""heartbeat","body":{{"rollout":"{rollout}","phase":"installing {n}"}}}}"#
            ),
            (Script::Alive, _) => write!(body, r#""heartbeat","body":{{"phase":"idle"}}}}"#),
        }?;
    }
    body.extend_from_slice(b"]}");
    Ok(())
}

impl Source for Telemetry {
    fn next(&mut self, request: &mut Vec<u8>) -> Option<u32> {
        let at = if let Some(again) = self.again.pop_front() {
            again as usize
        } else {
            let fresh = self.told < self.devices.len();
            if !fresh && self.script == Script::Prepare {
                return None;
            }
            let at = self.turn;
            self.turn = (self.turn + 1) % self.devices.len();
            self.told += usize::from(fresh);
            self.devices[at].told = if fresh { self.script } else { Script::Alive };
            at
        };
        self.write(request, at).ok()?;
        u32::try_from(at).ok()
    }

    fn answered(&mut self, what: u32, answer: &Answer<'_>) {
        let at = what as usize;
        if answer.status != 200 {
            // Turned away for the moment: the same comes again.
            self.again.push_back(what);
            return;
        }
        if self.is_resent[at] {
            self.repeated += BATCH;
        } else {
            self.events += BATCH;
            if self.rng.random_bool(self.resent) {
                self.is_resent[at] = true;
                self.again.push_back(what);
                return;
            }
        }
        self.is_resent[at] = false;
        self.devices[at].sent += BATCH;
    }
}

#[cfg(test)]
mod tests {
    use agent_protocol::EventBatch;

    use super::*;

    #[test]
    fn every_script_is_a_batch_of_the_protocol() {
        for script in [Script::Prepare, Script::Install, Script::Alive] {
            let mut body = Vec::new();
            write_batch(&mut body, 41, script, Uuid::from_u128(7), "26100.8117").unwrap();
            let batch: EventBatch = serde_json::from_slice(&body).unwrap();
            assert_eq!(batch.events.len() as u64, BATCH);
            assert_eq!(batch.events[19].seq, 60);
        }
    }
}
