//! What devices go through: preparing, installing, failing.

use agent_protocol::{EventKind, PermitAnswer};
use chrono::TimeDelta;
use engine::ids::RolloutId;
use servicing::known_sequences;
use uuid::Uuid;

use crate::device::TestDevice;
use crate::facts::steps_of;
use crate::fleet::Ring;
use crate::lab::Lab;

/// Result codes that tests speak of.
pub mod codes {
    /// The component store is corrupt.
    pub const STORE: &str = "0x80073712";
}

/// Reports of one installation.
pub mod kinds {
    use super::{EventKind, Uuid};

    /// Everything on disk, and a restart agreed.
    #[must_use]
    pub fn ready(rollout: Uuid) -> Vec<EventKind> {
        let restart_in_s = 900;
        vec![
            EventKind::DownloadDone { rollout },
            EventKind::RestartAgreed {
                rollout,
                restart_in_s,
            },
        ]
    }

    /// A step began.
    #[must_use]
    pub fn started(rollout: Uuid, permit_no: u32, step: u16) -> EventKind {
        EventKind::StepStarted {
            rollout,
            permit_no,
            step,
            of: 2,
        }
    }

    /// A step ended well.
    #[must_use]
    pub fn done(rollout: Uuid, step: u16, restart_needed: bool) -> EventKind {
        EventKind::StepDone {
            rollout,
            step,
            exit_code: 0,
            code: "0x00000000".into(),
            package_state: "installed".into(),
            restart_needed,
        }
    }

    /// A step failed.
    #[must_use]
    pub fn failed(rollout: Uuid, step: u16, code: &str) -> EventKind {
        EventKind::Failed {
            rollout,
            step,
            code: code.to_owned(),
        }
    }

    /// Build and ledger were read.
    #[must_use]
    pub fn verified(rollout: Uuid, build: &str) -> EventKind {
        EventKind::Verified {
            rollout,
            build: build.to_owned(),
            packages_installed: true,
        }
    }

    /// Alive.
    #[must_use]
    pub fn heartbeat(phase: &str) -> EventKind {
        EventKind::Heartbeat {
            rollout: None,
            phase: Some(phase.to_owned()),
        }
    }

    /// Steps 1 to `of` under a permit, with the restart at the end and the verdict.
    #[must_use]
    pub fn installation(rollout: Uuid, permit_no: u32, of: u16, target: &str) -> Vec<EventKind> {
        let mut all = Vec::new();
        for step in 1..=of {
            all.push(started(rollout, permit_no, step));
            all.push(done(rollout, step, step == of));
        }
        all.push(EventKind::Restarted { rollout, step: of });
        all.push(verified(rollout, target));
        all
    }
}

/// Build on which a good installation of a known sequence ends.
#[must_use]
pub(crate) fn target_of(kb: &str) -> String {
    let known = known_sequences()
        .iter()
        .find(|k| k.sequence.kb.to_string() == kb)
        .expect("a known sequence");
    format!("26100.{}", known.sequence.variants[0].target_ubr.unwrap())
}

impl TestDevice {
    /// Downloads, and agrees a restart.
    pub async fn make_ready(&self, rollout: RolloutId) {
        self.report(&kinds::ready(rollout.0)).await;
    }

    /// Makes ready and asks; the number of the permit, if it got one.
    pub async fn start(&self, rollout: RolloutId) -> Option<u32> {
        self.make_ready(rollout).await;
        match self.ask(rollout).await {
            PermitAnswer::Granted { permit_no, .. } => Some(permit_no),
            _ => None,
        }
    }

    /// Makes ready and asks; it must get a permit.
    pub async fn permit(&self, rollout: RolloutId) -> u32 {
        self.start(rollout).await.expect("a permit")
    }

    /// Installs to the end under a permit that it holds, and ends on the build it should.
    pub async fn finish(&self, rollout: RolloutId, permit_no: u32, target: &str) {
        let of = steps_of(&self.inventory().build);
        self.report(&kinds::installation(rollout.0, permit_no, of, target))
            .await;
    }

    /// Begins step 1 under a permit that it holds, and fails.
    pub async fn break_down(&self, rollout: RolloutId, permit_no: u32, code: &str) {
        let events = [
            kinds::started(rollout.0, permit_no, 1),
            kinds::failed(rollout.0, 1, code),
        ];
        self.report(&events).await;
    }
}

impl Ring {
    /// Every device installs and ends well, as admission lets them in.
    pub async fn install(&self, rollout: RolloutId, kb: &str) {
        let target = target_of(kb);
        let mut left: Vec<&TestDevice> = self.devices.iter().collect();
        while !left.is_empty() {
            let mut waiting = Vec::new();
            for device in &left {
                match device.start(rollout).await {
                    Some(permit_no) => device.finish(rollout, permit_no, &target).await,
                    None => waiting.push(*device),
                }
            }
            assert!(waiting.len() < left.len(), "nobody is let in any more");
            left = waiting;
        }
    }

    /// Two minutes later every device is heard of again, so that none is missed after its outcome.
    pub async fn stays(&self, lab: &Lab) {
        lab.pass(TimeDelta::minutes(2)).await;
        lab.settle().await;
        for device in &self.devices {
            assert_eq!(device.look().await.status, 200);
        }
    }

    /// Every device gets a new token: the old ones end after half a day.
    pub async fn sign_in(&self) {
        for device in &self.devices {
            device.sign_in().await;
        }
    }

    /// So many devices, the first ones, get a permit and fail.
    pub async fn fail(&self, rollout: RolloutId, n: usize, code: &str) {
        for device in &self.devices[..n] {
            let permit_no = device.permit(rollout).await;
            device.break_down(rollout, permit_no, code).await;
        }
    }
}
