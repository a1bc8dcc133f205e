//! What a device's reports count for.

mod absence;
mod edges;
mod histories;
mod outcomes;
mod repairs;
mod steps;

use crate::lab::at;
use chrono::{DateTime, Duration, Utc};
use engine::assignment::{
    Assignment, Deadlines, PermitRefused, Powered, Report, State, Suspicion, Times, fold, judge,
};
use engine::evidence::{Counts, Delta};
use proptest::prelude::*;
use servicing::{Build, HResult};

fn build(text: &str) -> Build {
    text.parse().unwrap()
}

fn expected() -> Build {
    build("26100.8117")
}

const CODE: HResult = HResult(0x8007_3712);

/// A device and what it has been counted for.
struct Device {
    now: Assignment,
    counts: Counts,
}

impl Device {
    fn offered() -> Self {
        Self {
            now: Assignment::offered(),
            counts: Counts::default(),
        }
    }

    fn permitted(steps: u16) -> Self {
        let mut device = Self::offered();
        device
            .say(Report::DownloadDone)
            .say(Report::RestartAgreed)
            .permit(steps)
            .unwrap();
        device
    }

    /// The first step runs.
    fn installing() -> Self {
        let mut device = Self::permitted(1);
        device.say(Report::StepStarted {
            permit_no: 1,
            step: 1,
        });
        device
    }

    /// Both steps of the update are done, the last restart included.
    fn verifying() -> Self {
        let mut device = Self::permitted(2);
        device
            .step(1, 1, true)
            .say(Report::Restarted)
            .step(1, 2, true)
            .say(Report::Restarted);
        assert_eq!(device.now.state, State::Verifying);
        device
    }

    fn succeeded() -> Self {
        let mut device = Self::verifying();
        device.verified("26100.8117");
        assert_eq!(device.now.state, State::Succeeded);
        device
    }

    fn permit(&mut self, steps: u16) -> Result<(), PermitRefused> {
        let was = self.now.started;
        self.now = self.now.permit(steps, expected())?;
        self.counts.started += u64::from(!was);
        Ok(())
    }

    fn say(&mut self, report: Report) -> &mut Self {
        let folded = fold(&self.now, &report);
        self.now = folded.next;
        add(&mut self.counts, &folded.delta);
        self
    }

    fn step(&mut self, permit_no: u32, step: u16, restart_needed: bool) -> &mut Self {
        self.say(Report::StepStarted { permit_no, step })
            .say(Report::StepDone {
                step,
                restart_needed,
            })
    }

    fn verified(&mut self, on: &str) -> &mut Self {
        self.say(Report::Verified {
            build: build(on),
            packages_installed: true,
        })
    }
}

fn add(counts: &mut Counts, delta: &Delta) {
    let add = |field: &mut u64, by: i8| {
        *field = field
            .checked_add_signed(i64::from(by))
            .expect("no count below zero");
    };
    add(&mut counts.ok, delta.ok);
    add(&mut counts.failed, delta.failed);
    add(&mut counts.severe, delta.severe);
    add(&mut counts.silent, delta.silent);
    add(&mut counts.overdue, delta.overdue);
    add(&mut counts.resolved, delta.resolved);
    add(&mut counts.drift, delta.drift);
    add(&mut counts.recovered, delta.recovered);
    add(&mut counts.relapsed, delta.relapsed);
}

#[test]
fn a_good_update_goes_all_the_way_and_counts_once() {
    let device = Device::succeeded();
    assert_eq!(
        device.counts,
        Counts {
            started: 1,
            ok: 1,
            resolved: 1,
            ..Counts::default()
        }
    );
}

#[test]
fn a_postponed_restart_takes_the_agreement_back() {
    let mut device = Device::offered();
    device
        .say(Report::DownloadDone)
        .say(Report::RestartAgreed)
        .say(Report::RestartPostponed);
    assert_eq!(device.now.state, State::Ready);
    assert_eq!(device.permit(1), Err(PermitRefused::NotReady));
    device.say(Report::RestartAgreed).permit(1).unwrap();
    device.say(Report::RestartPostponed);
    assert_eq!(
        device.now.state,
        State::Permitted,
        "the permit lapses by itself"
    );
}

#[test]
fn the_words_of_a_state_are_those_of_its_json() {
    for state in [
        State::Downloading,
        State::Ready,
        State::RestartAgreed,
        State::Permitted,
        State::Installing { step: 1 },
        State::StepDone { step: 1 },
        State::Restarting { step: 1 },
        State::Verifying,
        State::Succeeded,
        State::Failed {
            code: Some(CODE),
            step: 2,
        },
        State::Remediating {
            code: CODE,
            step: 2,
        },
        State::RolledBack { code: CODE },
        State::Removed,
        State::NotRemoved { code: Some(CODE) },
        State::NotApplicable,
        State::InstalledElsewhere,
    ] {
        let json = serde_json::to_value(state).unwrap();
        assert_eq!(json["state"], state.word());
        assert_eq!(serde_json::from_value::<State>(json).unwrap(), state);
    }
}
