//! A ring from its first permit to its end.

use std::collections::{BTreeMap, VecDeque};

use super::events::{Event, Events, Who};
use super::{Dice, Fault, Fleet, Habits, Minute, SilentTime, Symptom};
use crate::admission::{Admission, Asker, NotAdmitted, admit};
use crate::evidence::{AtRisk, COUNTED_EVERY_S, Counts, Evidence, Silence};
use crate::halt::HaltPolicy;
use crate::ids::CohortId;
use crate::policy::{Growth, Limits};

/// An installation without progress for so long counts as hanging: powered-on time from the permit on.
const HANGS_AFTER: Minute = 240;

/// Without contact for so long a permitted device is lost.
const LOST_AFTER: Minute = 1440;

/// Minutes between two counts of those who can fall silent.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "some minutes"
)]
const COUNTED_EVERY: Minute = (COUNTED_EVERY_S / 60) as Minute;

/// Slow from here on.
const OVERDUE_AFTER: Minute = 150;

/// When a device counts as lost that is silent from then on.
fn lost_at(silent_from: Minute) -> Minute {
    (silent_from + LOST_AFTER).next_multiple_of(COUNTED_EVERY)
}

/// A ring to be played.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ring {
    /// Its machines.
    pub fleet: Fleet,
    /// What they do.
    pub habits: Habits,
    /// What is wrong with the update; none: it is good.
    pub fault: Option<Fault>,
    /// How exposure grows.
    pub growth: Growth,
    /// Limits that people set.
    pub limits: Limits,
    /// When it is given up, minutes.
    pub patience: Minute,
}

/// What came of a ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Course {
    /// Devices that started.
    pub started: u64,
    /// Of these the ones that the update harms, whether it shows by now or not.
    pub harmed: u64,
    /// When it was halted; none: it was not.
    pub halted_at: Option<Minute>,
    /// When the last device had ended or counted as hanging or lost; none: halted before, or given up.
    pub done_at: Option<Minute>,
}

/// Plays a ring until it is halted, every device has ended, or patience is over.
pub fn play(ring: &Ring, dice: &mut impl Dice) -> Course {
    let mut stage = Stage::new(ring, dice);
    for now in 0..ring.patience {
        if stage.pass(now, dice) {
            break;
        }
    }
    stage.course
}

struct Device {
    model: u16,
    cohorts: Vec<CohortId>,
    rank: u64,
    /// When it polls within the hour.
    phase: Minute,
    /// When its restart is.
    agreed_at: Minute,
    /// Switched off in the time that the habits say.
    is_off: bool,
    has_started: bool,
    /// It counts as resolved: ended, hanging or lost.
    is_resolved: bool,
    /// When it went silent.
    silent: Option<Minute>,
}

struct Stage<'a> {
    ring: &'a Ring,
    devices: Vec<Device>,
    /// Devices that did not start, by the minute of the hour in which they poll.
    waiting: Vec<Vec<usize>>,
    not_started: u64,
    evidence: Evidence,
    halt: HaltPolicy,
    caps: BTreeMap<CohortId, u64>,
    events: Events,
    /// Those who could fall silent, count by count.
    at_risk: Vec<AtRisk>,
    /// When devices fell silent that were not updated, in the order in which they will count.
    others_silent: VecDeque<Minute>,
    /// Who is known to have fallen silent within the time after which a device is lost, and when.
    known_silent: VecDeque<(Minute, AtRisk)>,
    /// The evidence changed since it was looked at, or there was room then.
    worth_asking: bool,
    /// Until when the service is away.
    away_until: Minute,
    had_outage: bool,
    course: Course,
}

impl<'a> Stage<'a> {
    fn new(ring: &'a Ring, dice: &mut impl Dice) -> Self {
        let habits = &ring.habits;
        let devices: Vec<Device> = (0..ring.fleet.devices)
            .map(|_| {
                let (model, cohorts) = ring.fleet.draw(dice);
                Device {
                    model,
                    cohorts,
                    rank: u64::from(dice.below(u32::MAX)),
                    phase: dice.below(habits.poll),
                    agreed_at: habits.agrees_at(dice),
                    is_off: habits.off.is_some_and(|off| dice.strikes(off.share)),
                    has_started: false,
                    is_resolved: false,
                    silent: None,
                }
            })
            .collect();
        let mut waiting = vec![Vec::new(); usize::try_from(habits.poll).unwrap_or(1)];
        for (n, device) in devices.iter().enumerate() {
            waiting[usize::try_from(device.phase).unwrap_or(0)].push(n);
        }
        Self {
            ring,
            not_started: u64::from(ring.fleet.devices),
            evidence: ring.fleet.evidence(),
            devices,
            waiting,
            halt: HaltPolicy::default(),
            caps: BTreeMap::new(),
            events: Events::default(),
            at_risk: Vec::new(),
            others_silent: VecDeque::new(),
            known_silent: VecDeque::new(),
            worth_asking: true,
            away_until: 0,
            had_outage: false,
            course: Course {
                started: 0,
                harmed: 0,
                halted_at: None,
                done_at: None,
            },
        }
    }

    /// One minute; true where nothing more is to be seen.
    fn pass(&mut self, now: Minute, dice: &mut impl Dice) -> bool {
        self.begin_outage(now, dice);
        if now.is_multiple_of(COUNTED_EVERY) {
            self.at_risk.push(AtRisk {
                treated: self.unresolved(),
                control: self.not_started,
            });
        }
        let mut due = self.events.due(now);
        // What is known of those that were not updated counts before a loss is judged.
        due.sort_by_key(|(who, _)| who.is_some());
        for (who, event) in due {
            self.happen(now, who, event);
        }
        self.others_fall_silent(now, dice);
        if now >= self.away_until && self.decide(now, dice) {
            self.course.halted_at = Some(now);
            return true;
        }
        let all = &self.evidence.all;
        if self.not_started == 0 && all.resolved >= all.started {
            self.course.done_at = Some(now);
            return true;
        }
        false
    }

    fn unresolved(&self) -> u64 {
        self.evidence.all.started - self.evidence.all.resolved
    }

    fn begin_outage(&mut self, now: Minute, dice: &mut impl Dice) {
        let Some(outage) = self.ring.habits.service_outage else {
            return;
        };
        if self.had_outage || self.unresolved() < outage.under_way {
            return;
        }
        self.had_outage = true;
        self.away_until = now + outage.lasts;
        let poll = self.ring.habits.poll;
        self.events
            .outage((now, self.away_until), 2 * poll, || dice.below(poll));
    }

    fn happen(&mut self, now: Minute, who: Who, event: Event) {
        self.worth_asking = true;
        let Some(n) = who else {
            // One that was not updated and was not heard of since.
            if let Some(since) = self.others_silent.pop_front() {
                self.fell_silent(since, false);
            }
            return;
        };
        let device = &mut self.devices[n];
        let was_resolved = device.is_resolved;
        match event {
            Event::FallsSilent => {
                device.silent = Some(now);
                return;
            }
            // Switched off, it does not hang.
            Event::Hangs if device.silent.is_some() => return,
            Event::Overdue | Event::Hangs | Event::Lost if was_resolved => return,
            Event::Overdue => {}
            Event::Succeeds | Event::Fails | Event::Hangs | Event::Lost => {
                device.is_resolved = true;
            }
        }
        if event == Event::Lost
            && let Some(since) = device.silent
        {
            self.fell_silent(since, true);
        }
        let resolved = u64::from(!was_resolved && event != Event::Overdue);
        self.count(n, |counts| {
            counts.resolved += resolved;
            match event {
                Event::Succeeds => counts.ok += 1,
                Event::Fails | Event::Hangs => counts.failed += 1,
                Event::Overdue => counts.overdue += 1,
                Event::Lost => counts.silent += 1,
                Event::FallsSilent => {}
            }
        });
    }

    fn count(&mut self, n: usize, change: impl Fn(&mut Counts)) {
        change(&mut self.evidence.all);
        for cohort in &self.devices[n].cohorts {
            if let Some(cohort) = self.evidence.cohorts.get_mut(cohort) {
                change(&mut cohort.counts);
            }
        }
    }

    /// A device is known to have fallen silent.
    fn fell_silent(&mut self, since: Minute, treated: bool) {
        let place = |minute: Minute| usize::try_from(minute / COUNTED_EVERY).unwrap_or(usize::MAX);
        let at = |place: usize| self.at_risk.get(place).copied().unwrap_or_default();
        let counts = (at(place(since)), at(place(since + COUNTED_EVERY - 1)));
        while let Some((before, _)) = self.known_silent.front()
            && before + LOST_AFTER <= since
        {
            self.known_silent.pop_front();
        }
        let mut gone = AtRisk::default();
        for (_, who) in self
            .known_silent
            .iter()
            .filter(|(before, _)| *before <= since)
        {
            gone.treated += who.treated;
            gone.control += who.control;
        }
        self.evidence
            .silences
            .push(Silence::between(treated, 1, counts, gone));
        let who = AtRisk {
            treated: u64::from(treated),
            control: u64::from(!treated),
        };
        self.known_silent.push_back((since, who));
    }

    /// Devices that were not updated fall silent as often as those under way do with a good update.
    fn others_fall_silent(&mut self, now: Minute, dice: &mut impl Dice) {
        let habits = &self.ring.habits;
        #[allow(clippy::cast_precision_loss, reason = "devices are far below 2^52")]
        let mut n = dice.poisson(habits.hazard(now) * self.not_started as f64);
        let lost = |off: &SilentTime| off.from == now && lost_at(now) < off.to;
        if habits.off.as_ref().is_some_and(lost) {
            let off = self.devices.iter().filter(|d| d.is_off && !d.has_started);
            n += u32::try_from(off.count()).unwrap_or(u32::MAX);
        }
        for _ in 0..n {
            self.others_silent.push_back(now);
            self.events.add(lost_at(now), None, Event::Lost);
        }
    }

    /// Answers those who ask; true for a halt.
    fn decide(&mut self, now: Minute, dice: &mut impl Dice) -> bool {
        if !self.worth_asking && self.is_full() {
            return false;
        }
        let askers = self.askers(now);
        if !self.worth_asking && askers.is_empty() {
            return false;
        }
        let admission = Admission {
            evidence: &self.evidence,
            caps: &self.caps,
            growth: self.ring.growth,
            limits: self.ring.limits,
            ring_size: u64::from(self.ring.fleet.devices),
            unresolved: self.unresolved(),
            cleared: &[],
            halt: &self.halt,
            today: 0,
        };
        match admit(&admission, &askers) {
            Err(NotAdmitted::Halt(_)) => true,
            Ok(admitted) => {
                self.caps = admitted.caps;
                self.worth_asking = false;
                for device_no in admitted.granted {
                    self.start(now, usize::try_from(device_no).unwrap_or(0), dice);
                }
                false
            }
        }
    }

    /// The rollout's own generation has no room. Caps grow only with the evidence.
    fn is_full(&self) -> bool {
        let cap = self.caps.get(&CohortId::ALL);
        cap.is_some_and(|cap| self.evidence.all.started >= *cap)
    }

    /// Those whose poll is now and whose restart is within the hour.
    fn askers(&mut self, now: Minute) -> Vec<Asker> {
        let habits = &self.ring.habits;
        let Some(every) = habits.asking(now) else {
            return Vec::new();
        };
        let devices = &self.devices;
        let mut askers = Vec::new();
        for phase in (now % every..habits.poll).step_by(usize::try_from(every).unwrap_or(1)) {
            let waiting = &mut self.waiting[usize::try_from(phase).unwrap_or(0)];
            waiting.retain(|n| !devices[*n].has_started);
            for n in waiting.iter().copied() {
                let device = &devices[n];
                let off = habits
                    .off
                    .is_some_and(|off| device.is_off && off.contains(now));
                if off || device.agreed_at > now + 60 {
                    continue;
                }
                askers.push(Asker {
                    device_no: i32::try_from(n).unwrap_or(i32::MAX),
                    cohorts: device.cohorts.clone(),
                    restart_in_s: 60 * device.agreed_at.saturating_sub(now),
                    rank: device.rank,
                });
            }
        }
        askers
    }

    fn start(&mut self, now: Minute, n: usize, dice: &mut impl Dice) {
        let (ring, habits) = (self.ring, &self.ring.habits);
        let device = &mut self.devices[n];
        device.has_started = true;
        self.not_started -= 1;
        self.course.started += 1;
        let begins = now.max(device.agreed_at);
        let takes = habits.install_time(dice);
        let symptom = ring
            .fault
            .filter(|fault| fault.hits(device.model, dice))
            .map(|fault| fault.symptom);
        self.course.harmed += u64::from(symptom.is_some());
        let mut ends_at = begins + takes;
        let fails = dice.strikes(habits.failure_rate);
        let hangs = dice.strikes(habits.hang_rate);
        let silent_at = match symptom {
            Some(Symptom::GoesDark) => Some(now + 1 + dice.below(takes)),
            Some(_) => None,
            None => habits.falls_silent((now + 1, ends_at), dice),
        };
        let ends = match symptom {
            _ if silent_at.is_some() => None,
            Some(Symptom::Reports) => Some(Event::Fails),
            Some(Symptom::Hangs | Symptom::GoesDark) => None,
            None if hangs => None,
            None if fails => Some(Event::Fails),
            None => Some(Event::Succeeds),
        };
        // Powered off, it goes on where it was when it is switched on again.
        let off = habits.off.filter(|_| device.is_off);
        let off = off.filter(|off| off.from < ends_at && now < off.to);
        if let Some(off) = off {
            ends_at = off.to + (ends_at - off.from.max(now));
            let since = off.from.max(now + 1);
            self.events.add(since, Some(n), Event::FallsSilent);
            if lost_at(since) < off.to {
                self.events.add(lost_at(since), Some(n), Event::Lost);
            }
        }
        if let Some(at) = silent_at {
            self.events.add(at, Some(n), Event::FallsSilent);
            self.events.add(lost_at(at), Some(n), Event::Lost);
        }
        if let Some(event) = ends {
            self.events.add(ends_at, Some(n), event);
        } else if silent_at.is_none() {
            self.events.add(begins + HANGS_AFTER, Some(n), Event::Hangs);
        }
        if ends.is_none() || ends_at > begins + OVERDUE_AFTER {
            self.events
                .add(begins + OVERDUE_AFTER, Some(n), Event::Overdue);
        }
        self.count(n, |counts| counts.started += 1);
    }
}
