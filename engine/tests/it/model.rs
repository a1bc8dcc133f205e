//! Every history of a world that is small enough to look at all of it: three devices in two rings, two steps, two approvers,
//! with reports that come twice or late, a decision that another engine made before, a person who halts and one who clears.

use std::hash::{Hash, Hasher};

use chrono::Duration;
use engine::admission::{Admission, Asker, admit};
use engine::approval::RequestState;
use engine::assignment::{Assignment, Report, State, fold};
use engine::decide::{Decision, Input, Snapshot, decide};
use engine::evidence::Counts;
use engine::policy::{FailureLimit, Preset, Sample, WeekMinute};
use engine::rollout::{HaltReason, RolloutState};
use engine::stage::{StageState, may_permit};
use servicing::HResult;
use stateright::{Checker, Model, Property};

use crate::lab::{ADMIN, ANN, AUTHOR, BOB, Lab};

/// Ring of each device.
const RING: [usize; 3] = [0, 0, 1];

/// What a device says when nothing goes wrong, in order.
const SCRIPT: [Report; 5] = [
    Report::StepStarted {
        permit_no: 1,
        step: 1,
    },
    Report::StepDone {
        step: 1,
        restart_needed: false,
    },
    Report::StepStarted {
        permit_no: 1,
        step: 2,
    },
    Report::StepDone {
        step: 2,
        restart_needed: false,
    },
    Report::Verified {
        build: TARGET,
        packages_installed: true,
    },
];

const TARGET: servicing::Build = servicing::Build {
    base: 26100,
    ubr: 8117,
};

const FAILED: Report = Report::Failed {
    code: HResult(0x8007_3712),
    step: 1,
};

/// Soaks take so many hours.
const SOAK_HOURS: u8 = 1;

/// Hours that pass at most: two soaks, and one more for whatever is late.
const HOURS: u8 = 3;

#[derive(Debug, Clone, PartialEq)]
struct Device {
    assignment: Assignment,
    /// So many reports are under way or were heard.
    said: usize,
    /// It failed, and says nothing more.
    failed: bool,
}

#[derive(Debug, Clone, PartialEq)]
struct World {
    snapshot: Snapshot,
    devices: [Device; 3],
    hours: u8,
    /// A decision that an engine made, not saved yet, with the version that it was made on.
    made: Option<(u64, Decision)>,
    /// A person halted it already.
    halted: bool,
    /// A person cleared a halt already.
    cleared: bool,
    /// Devices that had started when it was halted; none while it is not.
    started_at_halt: Option<u64>,
    /// First outcome of each device.
    outcomes: [Option<State>; 3],
}

impl Hash for World {
    fn hash<H: Hasher>(&self, to: &mut H) {
        let ghosts = (self.hours, self.halted, self.cleared, self.started_at_halt);
        let told: Vec<_> = self
            .devices
            .iter()
            .map(|d| (d.assignment, d.said, d.failed))
            .collect();
        let made = self.made.as_ref();
        let all = (&self.snapshot, told, self.outcomes, ghosts, made);
        serde_json::to_vec(&all).unwrap().hash(to);
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Act {
    Ask(usize),
    Say(usize),
    Fail(usize),
    /// The report of this place arrives, for the first time or again.
    Hear(usize, usize),
    HearFailure(usize),
    Decide,
    Save,
    Approve(usize),
    Halt,
    Clear,
    Hour,
}

const PEOPLE: [engine::ids::PersonId; 3] = [ANN, BOB, AUTHOR];

struct Rollout;

impl World {
    fn new() -> Self {
        let mut lab = Lab::of(Preset::Standard, &[("Test", 2), ("Broad", 1)]);
        for (stage, approvals) in lab.snapshot.stages.iter_mut().zip([0, 2]) {
            stage.policy.soak_hours = SOAK_HOURS.into();
            stage.policy.sample = Sample::All;
            stage.policy.failures = FailureLimit::None;
            stage.policy.approvals = approvals;
        }
        lab.submit();
        let device = Device {
            assignment: Assignment {
                state: State::RestartAgreed,
                ..Assignment::offered()
            },
            said: 0,
            failed: false,
        };
        Self {
            snapshot: lab.snapshot,
            devices: [device.clone(), device.clone(), device],
            hours: 0,
            made: None,
            halted: false,
            cleared: false,
            started_at_halt: None,
            outcomes: [None; 3],
        }
    }

    fn is_stopped(&self) -> bool {
        matches!(self.snapshot.rollout.state, RolloutState::Halted { .. })
    }

    fn started(&self) -> u64 {
        self.snapshot.evidence.all.started
    }

    /// A person or an engine does it at once; whether it was done.
    fn act(&mut self, input: Input) -> bool {
        let now = self.snapshot.service_now;
        let Ok(decision) = decide(&self.snapshot, input, now) else {
            return false;
        };
        self.apply(&decision);
        decision.changed()
    }

    fn apply(&mut self, decision: &Decision) {
        let was_stopped = self.is_stopped();
        self.snapshot.apply(decision);
        if self.is_stopped() && !was_stopped {
            self.started_at_halt = Some(self.started());
        } else if !self.is_stopped() {
            self.started_at_halt = None;
        }
    }

    /// Asks as the permit transaction does: stage, then admission.
    fn ask(&mut self, n: usize) -> bool {
        let stage = &self.snapshot.stages[RING[n]];
        if may_permit(&self.snapshot.rollout.state, &stage.state).is_err() {
            return false;
        }
        let evidence = &self.snapshot.evidence;
        let rollout = &self.snapshot.rollout;
        let admission = Admission {
            evidence,
            caps: &std::collections::BTreeMap::new(),
            growth: stage.policy.growth,
            limits: stage.policy.limits,
            ring_size: stage.targeted,
            unresolved: stage.counts.started - stage.counts.resolved,
            cleared: &rollout.cleared,
            halt: &rollout.halt,
            today: 0,
            freeze: None,
        };
        let asker = Asker {
            local: WeekMinute::default(),
            device_no: 1,
            cohorts: Vec::new(),
            restart_in_s: 600,
            rank: 1,
        };
        let Ok(admitted) = admit(&admission, &[asker]) else {
            return false;
        };
        if admitted.granted.is_empty() {
            return false;
        }
        let Ok(next) = self.devices[n].assignment.permit(2, TARGET) else {
            return false;
        };
        self.devices[n].assignment = next;
        self.count(n, |counts| counts.started += 1);
        true
    }

    fn hear(&mut self, n: usize, report: &Report) -> bool {
        let before = self.devices[n].assignment;
        let folded = fold(&before, report);
        self.devices[n].assignment = folded.next;
        if self.outcomes[n].is_none() && folded.next.state.is_outcome() {
            self.outcomes[n] = Some(folded.next.state);
        }
        self.count(n, |counts| {
            let add = |to: &mut u64, by: i8| *to = to.saturating_add_signed(by.into());
            add(&mut counts.ok, folded.delta.ok);
            add(&mut counts.failed, folded.delta.failed);
            add(&mut counts.resolved, folded.delta.resolved);
            add(&mut counts.drift, folded.delta.drift);
        });
        folded.next != before
    }

    fn count(&mut self, n: usize, change: impl Fn(&mut Counts)) {
        let stage = &mut self.snapshot.stages[RING[n]];
        change(&mut stage.counts);
        stage.telemetry.of = stage.counts.started;
        stage.telemetry.heard = stage.counts.started;
        change(&mut self.snapshot.evidence.all);
    }

    /// Counted again from the devices themselves.
    fn recounted(&self, ring: Option<usize>) -> Counts {
        let mut counts = Counts::default();
        for (device, of) in self.devices.iter().zip(RING) {
            if ring.is_none_or(|ring| ring == of) {
                let a = &device.assignment;
                counts.started += u64::from(a.started);
                counts.ok += u64::from(a.ok);
                counts.failed += u64::from(a.failed);
                counts.resolved += u64::from(a.resolved);
                counts.drift += u64::from(a.drift);
            }
        }
        counts
    }
}

impl Model for Rollout {
    type State = World;
    type Action = Act;

    fn init_states(&self) -> Vec<World> {
        vec![World::new()]
    }

    fn actions(&self, world: &World, acts: &mut Vec<Act>) {
        for (n, device) in world.devices.iter().enumerate() {
            let a = &device.assignment;
            if !a.started {
                acts.push(Act::Ask(n));
                continue;
            }
            // The agent runs the next step when the server has heard of the one before.
            let may_go_on = device.said != 2 || a.state == (State::StepDone { step: 1 });
            if !device.failed && device.said < SCRIPT.len() && may_go_on {
                acts.push(Act::Say(n));
                if device.said == 1 {
                    acts.push(Act::Fail(n));
                }
            }
            acts.extend((0..device.said).map(|place| Act::Hear(n, place)));
            if device.failed {
                acts.push(Act::HearFailure(n));
            }
        }
        acts.push(Act::Decide);
        if world.made.is_some() {
            acts.push(Act::Save);
        }
        if world
            .snapshot
            .requests
            .iter()
            .any(engine::approval::Request::is_open)
        {
            acts.extend((0..PEOPLE.len()).map(Act::Approve));
        }
        if !world.halted {
            acts.push(Act::Halt);
        }
        if world.is_stopped() && !world.cleared {
            acts.push(Act::Clear);
        }
        if world.hours < HOURS {
            acts.push(Act::Hour);
        }
    }

    fn next_state(&self, before: &World, act: Act) -> Option<World> {
        let mut world = before.clone();
        let because = || "because".to_owned();
        let done = match act {
            Act::Ask(n) => world.ask(n),
            Act::Say(n) => {
                world.devices[n].said += 1;
                true
            }
            Act::Fail(n) => {
                world.devices[n].failed = true;
                true
            }
            Act::Hear(n, place) => world.hear(n, &SCRIPT[place]),
            Act::HearFailure(n) => world.hear(n, &FAILED),
            Act::Decide => {
                let now = world.snapshot.service_now;
                let decision = decide(&world.snapshot, Input::Tick, now).unwrap();
                let version = world.snapshot.rollout.version;
                // What is only read again is not kept: it would make worlds differ that do not.
                let decision = Decision {
                    report: None,
                    reasons: Vec::new(),
                    ..decision
                };
                let changes = decision.changed();
                world.made = Some((version, decision));
                changes
            }
            Act::Save => {
                let (version, decision) = world.made.take()?;
                // Guarded by the version that was decided on.
                if version == world.snapshot.rollout.version {
                    world.apply(&decision);
                }
                true
            }
            Act::Approve(n) => {
                let request = world.snapshot.requests.iter().find(|r| r.is_open())?;
                let (by, request, hash) = (PEOPLE[n], request.id, request.hash);
                world.act(Input::Approve { by, request, hash })
            }
            Act::Halt => {
                world.halted = true;
                world.act(Input::Halt {
                    by: ANN,
                    reason: because(),
                })
            }
            Act::Clear => {
                world.cleared = true;
                world.act(Input::ClearHalt {
                    by: ADMIN,
                    reason: because(),
                })
            }
            Act::Hour => {
                world.hours += 1;
                world.snapshot.service_now += Duration::hours(1);
                true
            }
        };
        (done && world != *before).then_some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(
                "1: who started is in a ring that is open",
                |_, w: &World| {
                    w.devices.iter().zip(RING).all(|(device, ring)| {
                        let state = &w.snapshot.stages[ring].state;
                        let closed = matches!(
                            state,
                            StageState::Waiting | StageState::AwaitingApproval { .. }
                        );
                        !device.assignment.started || !closed
                    })
                },
            ),
            Property::always(
                "2, 16: a ring opened after a pass and two others' yes",
                |_, w: &World| {
                    let open = !matches!(
                        w.snapshot.stages[1].state,
                        StageState::Waiting | StageState::AwaitingApproval { .. }
                    );
                    let passed = matches!(w.snapshot.stages[0].state, StageState::Passed { .. });
                    let approved = w.snapshot.requests.iter().any(|r| {
                        let by: std::collections::BTreeSet<_> =
                            r.approvals.iter().map(|a| a.by).collect();
                        matches!(r.state, RequestState::Approved)
                            && by.len() == 2
                            && !by.contains(&AUTHOR)
                    });
                    !open || passed && approved
                },
            ),
            Property::always(
                "3: no ring passes in which a step came out of turn",
                |_, w: &World| {
                    w.snapshot.stages.iter().all(|stage| {
                        !matches!(stage.state, StageState::Passed { .. }) || stage.counts.drift == 0
                    })
                },
            ),
            Property::always("5, 19: nobody starts in a halt", |_, w: &World| {
                w.started_at_halt.is_none_or(|n| n == w.started())
            }),
            Property::always("6: two start before either is known", |_, w: &World| {
                let counts = w.snapshot.evidence.all;
                counts.resolved > 1 || counts.started <= 2
            }),
            Property::always("9, 14: counters are what devices are", |_, w: &World| {
                let stages = &w.snapshot.stages;
                let of_ring = |ring: usize| w.recounted(Some(ring)) == stages[ring].counts;
                of_ring(0) && of_ring(1) && w.recounted(None) == w.snapshot.evidence.all
            }),
            Property::always("10: outcomes never regress", |_, w: &World| {
                let now = w.devices.iter().map(|d| d.assignment.state);
                now.zip(w.outcomes)
                    .all(|(now, first)| first.is_none_or(|first| first == now))
            }),
            Property::always(
                "11, 12: what passed had every device, and all were fine",
                |_, w: &World| {
                    w.snapshot.stages.iter().all(|stage| {
                        !matches!(stage.state, StageState::Passed { .. })
                            || stage.counts.ok == stage.targeted
                    })
                },
            ),
            Property::always("18: one request at a time", |_, w: &World| {
                w.snapshot.requests.iter().filter(|r| r.is_open()).count() <= 1
            }),
            Property::sometimes("it completes", |_, w: &World| {
                matches!(w.snapshot.rollout.state, RolloutState::Completed { .. })
            }),
            Property::sometimes("its evidence halts it", |_, w: &World| {
                matches!(
                    w.snapshot.rollout.state,
                    RolloutState::Halted {
                        reason: HaltReason::Evidence { .. },
                        ..
                    }
                )
            }),
            Property::sometimes("it goes on after a halt", |_, w: &World| {
                w.cleared && matches!(w.snapshot.stages[1].state, StageState::Passed { .. })
            }),
        ]
    }
}

#[test]
fn every_history_of_a_small_world_keeps_the_promises() {
    let checker = Rollout.checker().threads(2).spawn_bfs().join();
    println!(
        "{} worlds, {} unlike, depth {}",
        checker.state_count(),
        checker.unique_state_count(),
        checker.max_depth()
    );
    checker.assert_properties();
}
