//! A simulated device as its agent sees it: actions begun and ended, files, boots.

use std::time::Duration;

use agent_protocol::RemediationAction;
use chrono::{DateTime, Utc};
use servicing::HResult;
use sha2::Digest;

use super::{Outage, REPAIR, SimulatedDevice, Work, windows};
use crate::core::{Action, Boot, Input, Moment, Reading};
use crate::platform::Platform;

impl Platform for SimulatedDevice {
    fn boot(&self) -> Boot {
        Boot {
            id: format!("boot-{}", self.boots),
            rollback_exit_code: self.rollback.map(exit_code),
        }
    }

    fn moment(&self) -> Moment {
        let lived = self.now - self.born;
        let powered = (lived - self.off_for).num_seconds().max(0).unsigned_abs();
        Moment {
            wall: self.wall(),
            steady: lived.to_std().unwrap_or(Duration::ZERO),
            powered_s: powered,
        }
    }

    fn begin(&mut self, action: &Action) {
        let at_once = |answer| Some((self.now, Work::Answer(answer)));
        match action {
            Action::Read => {
                let reading = Reading {
                    hardware: self.hardware.clone(),
                    facts: self.facts.clone(),
                    ledger: self.ledger.clone(),
                };
                self.work = at_once(Input::Read(Box::new(reading)));
            }
            Action::Agree {
                deadline_s,
                grace_s,
            } => {
                let agreement = self.ask_people(*deadline_s, *grace_s);
                self.work = Some((self.now, Work::Answer(Input::Agreed(agreement))));
            }
            Action::Install { step, target, .. } => self.install(step, *target),
            Action::Restart => self.go_down(self.step_time().0),
            Action::Remediate(action) => {
                if matches!(
                    action,
                    RemediationAction::RestoreHealth | RemediationAction::RestoreHealthFromSource
                ) {
                    self.fate.repair_store();
                }
                self.work = Some((
                    self.now + REPAIR,
                    Work::Answer(Input::Remediated { ok: true }),
                ));
            }
            Action::Remove { kb } => {
                self.attempts += 1;
                self.work = Some((self.now + self.step_time().1, Work::Remove { kb: *kb }));
            }
            Action::Fetch(_) | Action::Discard { .. } => {}
        }
    }

    fn ended(&mut self) -> Option<Input> {
        let (_, work) = self.work.take_if(|(at, _)| *at <= self.now)?;
        match work {
            Work::Answer(input) => Some(input),
            Work::Install {
                step,
                target,
                then_power_fails,
            } => {
                let at = self.wall();
                let exit_code =
                    windows::install(&mut self.facts, &mut self.ledger, &step, target, at);
                if then_power_fails {
                    self.lose_power();
                    return None;
                }
                Some(Input::StepEnded { exit_code })
            }
            Work::Remove { kb } => Some(Input::Removed {
                exit_code: windows::remove(&mut self.facts, &mut self.ledger, kb),
            }),
            Work::PowerFails => {
                self.lose_power();
                None
            }
        }
    }

    fn ends_at(&self) -> Option<DateTime<Utc>> {
        match self.outage {
            Some(Outage::Down { until }) => Some(until),
            Some(Outage::Dark) => None,
            None => self.work.as_ref().map(|(at, _)| *at),
        }
    }

    fn downloaded_bytes(&self, sha256: &str) -> u64 {
        self.files.get(sha256).map_or(0, |file| file.bytes)
    }

    fn append(&mut self, sha256: &str, bytes: &[u8]) {
        let file = self.files.entry(sha256.to_owned()).or_default();
        file.bytes += bytes.len() as u64;
        file.hash.update(bytes);
    }

    fn hash_holds(&self, sha256: &str) -> bool {
        self.files
            .get(sha256)
            .is_some_and(|file| hex::encode(file.hash.clone().finalize()) == sha256)
    }

    fn discard(&mut self, sha256: &str) {
        self.files.remove(sha256);
    }
}

/// The way dism.exe returns a code: Win32 errors as their low word, others as a signed number.
pub(super) fn exit_code(code: HResult) -> i64 {
    let HResult(bits) = code;
    if bits & 0xFFFF_0000 == 0x8007_0000 {
        i64::from(bits & 0xFFFF)
    } else {
        i64::from(bits.cast_signed())
    }
}
