//! Devices while an update goes out to them: who asks, who reports what and when, who falls silent, and what evidence comes
//! of it.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use super::events::{Event, Events, Who};
use super::{Dice, Fault, Habits, Minute, SilentTime, Symptom};
use crate::admission::{Admission, Asker, NotAdmitted, WaitReason, admit};
use crate::evidence::{AtRisk, COUNTED_EVERY_S, Counts, Evidence, Silence};
use crate::halt::HaltPolicy;
use crate::ids::CohortId;
use crate::policy::{Growth, Limits, WeekMinute};

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

/// Permits are asked for so long before the agreed restart.
const ASKED_AHEAD: Minute = 60;

/// Part of an installation that goes into its restart.
const RESTART_PART: f64 = 0.15;

/// When a device counts as lost that is silent from then on.
fn lost_at(silent_from: Minute) -> Minute {
    (silent_from + LOST_AFTER).next_multiple_of(COUNTED_EVERY)
}

/// What admission goes by in one ring.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    /// How exposure grows.
    pub growth: Growth,
    /// Limits that people set.
    pub limits: Limits,
    /// Number of the calendar day.
    pub day: i64,
    /// Time of the week for all devices.
    pub local: WeekMinute,
}

struct Device {
    ring: usize,
    cohorts: Vec<CohortId>,
    rank: u64,
    /// When it polls within the hour.
    phase: Minute,
    /// How long after its ring opens it knows of it.
    notices_after: Minute,
    /// How long after that its restart is.
    agrees_after: Minute,
    /// When its restart is.
    agreed_at: Minute,
    /// When people can not put it off any longer; none: as long as they like.
    latest_at: Option<Minute>,
    /// Switched off in the time that the habits say.
    is_off: bool,
    has_started: bool,
    /// It counts as resolved: ended, hanging or lost.
    is_resolved: bool,
    /// When it went silent.
    silent: Option<Minute>,
}

impl Device {
    /// A restart that people wish for, or the latest that they can have from `now` on.
    fn by_then(&self, wished: Minute, now: Minute) -> Minute {
        self.latest_at
            .map_or(wished, |latest| wished.min(latest.max(now)))
    }
}

/// Devices of one ring.
struct Part {
    /// Places of its devices.
    devices: Range<usize>,
    counts: Counts,
    is_open: bool,
    /// Devices that did not start, by the minute of the hour in which they poll.
    waiting: Vec<Vec<usize>>,
    /// How often the evidence had changed when its devices were answered last; none: never.
    looked: Option<u64>,
    /// The same with the day, when a limit of the whole ring or rollout kept somebody waiting: it keeps everybody.
    closed: Option<(u64, i64)>,
    /// Permits of a day, by its number.
    granted: (i64, u64),
}

impl Part {
    /// Nobody of it is let in before the evidence changes, or the day.
    fn is_closed(&self, changes: u64) -> bool {
        self.closed.is_some_and(|(looked, _)| looked == changes)
    }
}

/// All devices, and what is known of them.
pub(super) struct Field {
    habits: Habits,
    fault: Option<Fault>,
    halt: HaltPolicy,
    devices: Vec<Device>,
    parts: Vec<Part>,
    not_started: u64,
    evidence: Evidence,
    /// How often the evidence changed.
    changes: u64,
    caps: BTreeMap<CohortId, u64>,
    events: Events,
    /// Those who could fall silent, count by count.
    at_risk: Vec<AtRisk>,
    /// When devices fell silent that were not updated, in the order in which they will count.
    others_silent: VecDeque<Minute>,
    /// Who is known to have fallen silent within the time after which a device is lost, and when.
    known_silent: VecDeque<(Minute, AtRisk)>,
    /// Until when the service is away.
    away_until: Minute,
    had_outage: bool,
    started: u64,
    harmed: u64,
}

impl Field {
    /// Rings that are not open yet; `draw` gives the cohorts of a ring's device by its place there.
    pub(super) fn new<D: Dice>(
        (habits, fault): (Habits, Option<Fault>),
        (evidence, halt): (Evidence, HaltPolicy),
        rings: &[u32],
        mut draw: impl FnMut(usize, u32, &mut D) -> Vec<CohortId>,
        dice: &mut D,
    ) -> Self {
        let mut devices = Vec::new();
        let mut parts = Vec::new();
        for (ring, size) in rings.iter().enumerate() {
            let first = devices.len();
            let mut waiting = vec![Vec::new(); usize::try_from(habits.poll).unwrap_or(1)];
            for place in 0..*size {
                let device = Device {
                    ring,
                    cohorts: draw(ring, place, dice),
                    rank: u64::from(dice.below(u32::MAX)),
                    phase: dice.below(habits.poll),
                    notices_after: habits.notices_after(dice),
                    agrees_after: habits.agrees_after(dice),
                    agreed_at: 0,
                    latest_at: None,
                    is_off: habits.off.is_some_and(|off| dice.strikes(off.share)),
                    has_started: false,
                    is_resolved: false,
                    silent: None,
                };
                waiting[usize::try_from(device.phase).unwrap_or(0)].push(devices.len());
                devices.push(device);
            }
            parts.push(Part {
                devices: first..devices.len(),
                counts: Counts::default(),
                is_open: false,
                waiting,
                looked: None,
                closed: None,
                granted: (0, 0),
            });
        }
        Self {
            habits,
            fault,
            halt,
            not_started: u64::try_from(devices.len()).unwrap_or(u64::MAX),
            devices,
            parts,
            evidence,
            changes: 0,
            caps: BTreeMap::new(),
            events: Events::default(),
            at_risk: Vec::new(),
            others_silent: VecDeque::new(),
            known_silent: VecDeque::new(),
            away_until: 0,
            had_outage: false,
            started: 0,
            harmed: 0,
        }
    }

    /// A ring opens: its devices learn of it, and agree to their restarts, which they can put off for so long at most.
    pub(super) fn open(&mut self, ring: usize, now: Minute, put_off: Option<Minute>) {
        let part = &mut self.parts[ring];
        part.is_open = true;
        for device in &mut self.devices[part.devices.clone()] {
            let offered_at = now + device.notices_after;
            device.latest_at = put_off.map(|most| offered_at + most);
            device.agreed_at = device.by_then(offered_at + device.agrees_after, offered_at);
        }
    }

    /// One minute: what was to happen happens.
    pub(super) fn pass(&mut self, now: Minute, dice: &mut impl Dice) {
        self.begin_outage(now, dice);
        let at_risk = AtRisk {
            treated: self.unresolved(),
            control: self.not_started,
        };
        // In minutes that were passed over nothing changed.
        let counts = usize::try_from(now / COUNTED_EVERY).unwrap_or(0) + 1;
        self.at_risk.resize(counts, at_risk);
        let mut due = self.events.due(now);
        // What is known of those that were not updated counts before a loss is judged.
        due.sort_by_key(|(who, _)| who.is_some());
        for (who, event) in due {
            self.happen(now, who, event);
        }
        self.others_fall_silent(now, dice);
    }

    /// The next minute after this one in which a device can do anything: until then only time passes. None: until another ring
    /// opens.
    pub(super) fn next(&self, now: Minute) -> Option<Minute> {
        let nobody_may_start = |part: &Part| {
            let all = u64::try_from(part.devices.len()).unwrap_or(u64::MAX);
            let is_closed = part.is_closed(self.changes);
            let is_settled = part.looked == Some(self.changes) && self.is_full();
            !part.is_open || part.counts.started >= all || is_closed || is_settled
        };
        if self.habits.dark_rate > 0.0 || !self.parts.iter().all(nobody_may_start) {
            return Some(now + 1);
        }
        self.events.next()
    }

    /// What is known.
    pub(super) fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    /// How often that changed.
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    /// What is known of one ring.
    pub(super) fn counts(&self, ring: usize) -> Counts {
        self.parts[ring].counts
    }

    /// Devices that started, and those of them that the update harms, whether it shows by now or not.
    pub(super) fn exposed(&self) -> (u64, u64) {
        (self.started, self.harmed)
    }

    /// The service is there.
    pub(super) fn is_served(&self, now: Minute) -> bool {
        now >= self.away_until
    }

    /// All devices of all rings have ended or count as hanging or lost.
    pub(super) fn is_over(&self) -> bool {
        self.not_started == 0 && self.unresolved() == 0
    }

    fn unresolved(&self) -> u64 {
        self.evidence.all.started - self.evidence.all.resolved
    }

    fn begin_outage(&mut self, now: Minute, dice: &mut impl Dice) {
        let Some(outage) = self.habits.service_outage else {
            return;
        };
        if self.had_outage || self.unresolved() < outage.under_way {
            return;
        }
        self.had_outage = true;
        self.away_until = now + outage.lasts;
        let poll = self.habits.poll;
        self.events
            .outage((now, self.away_until), 2 * poll, || dice.below(poll));
    }

    fn happen(&mut self, now: Minute, who: Who, event: Event) {
        self.changes += 1;
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
            // Nobody knows that it was powered on for so long.
            Event::Overdue | Event::Hangs if device.silent.is_some() => return,
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
        let device = &self.devices[n];
        change(&mut self.evidence.all);
        change(&mut self.parts[device.ring].counts);
        for cohort in &device.cohorts {
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
        let habits = &self.habits;
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

    /// Answers those of an open ring who ask now; true for a halt.
    pub(super) fn ask(
        &mut self,
        ring: usize,
        now: Minute,
        terms: Terms,
        dice: &mut impl Dice,
    ) -> bool {
        if !self.parts[ring].is_open {
            return false;
        }
        // With the day its limit is new, for whoever polls at any minute of it.
        if self.parts[ring]
            .closed
            .is_some_and(|(_, day)| day != terms.day)
        {
            self.parts[ring].closed = None;
        }
        let window = terms.limits.window;
        if window.is_some_and(|window| window.left(terms.local).is_none()) {
            return false;
        }
        // Caps grow only with the evidence, and limits only with the day.
        let is_news = self.parts[ring].looked != Some(self.changes);
        let is_closed = self.parts[ring].is_closed(self.changes);
        if is_closed || !is_news && self.is_full() {
            return false;
        }
        let askers = self.askers(ring, now, terms.local, dice);
        if !is_news && askers.is_empty() {
            return false;
        }
        let part = &self.parts[ring];
        let (day, granted) = part.granted;
        let admission = Admission {
            evidence: &self.evidence,
            caps: &self.caps,
            growth: terms.growth,
            limits: terms.limits,
            ring_size: u64::try_from(part.devices.len()).unwrap_or(u64::MAX),
            unresolved: part.counts.started - part.counts.resolved,
            cleared: &[],
            halt: &self.halt,
            today: if day == terms.day { granted } else { 0 },
            freeze: None,
        };
        let Ok(admitted) = admit(&admission, &askers).map_err(|NotAdmitted::Halt(_)| ()) else {
            return true;
        };
        let granted = admission.today + u64::try_from(admitted.granted.len()).unwrap_or(0);
        // Of these the others may start.
        let closes = |reason: &WaitReason| {
            !matches!(
                reason,
                WaitReason::CohortGeneration { .. } | WaitReason::Window { .. }
            )
        };
        let is_closed = admitted.waiting.iter().any(|(_, reason)| closes(reason));
        self.caps = admitted.caps;
        let part = &mut self.parts[ring];
        part.granted = (terms.day, granted);
        part.looked = Some(self.changes);
        part.closed = is_closed.then_some((self.changes, terms.day));
        for device_no in admitted.granted {
            self.start(now, usize::try_from(device_no).unwrap_or(0), dice);
        }
        false
    }

    /// The rollout's own generation has no room.
    fn is_full(&self) -> bool {
        let cap = self.caps.get(&CohortId::ALL);
        cap.is_some_and(|cap| self.evidence.all.started >= *cap)
    }

    /// Those of a ring whose poll is now and whose restart is within the hour.
    fn askers(
        &mut self,
        ring: usize,
        now: Minute,
        local: WeekMinute,
        dice: &mut impl Dice,
    ) -> Vec<Asker> {
        let habits = &self.habits;
        let Some(every) = habits.asking(now) else {
            return Vec::new();
        };
        let devices = &mut self.devices;
        let mut askers = Vec::new();
        for phase in (now % every..habits.poll).step_by(usize::try_from(every).unwrap_or(1)) {
            let waiting = &mut self.parts[ring].waiting[usize::try_from(phase).unwrap_or(0)];
            waiting.retain(|n| !devices[*n].has_started);
            for n in waiting.iter().copied() {
                let device = &mut devices[n];
                let off = habits
                    .off
                    .is_some_and(|off| device.is_off && off.contains(now));
                if off {
                    continue;
                }
                if habits.has_lapsed(device.agreed_at, now) {
                    device.agreed_at = device.by_then(now + habits.agrees_after(dice), now);
                }
                if device.agreed_at > now + ASKED_AHEAD {
                    continue;
                }
                askers.push(Asker {
                    device_no: i32::try_from(n).unwrap_or(i32::MAX),
                    cohorts: device.cohorts.clone(),
                    restart_in_s: 60 * device.agreed_at.saturating_sub(now),
                    local,
                    rank: device.rank,
                });
            }
        }
        askers
    }

    fn start(&mut self, now: Minute, n: usize, dice: &mut impl Dice) {
        let habits = &self.habits;
        let overdue_s = self.halt.deadlines().overdue_s;
        let overdue_at = now + Minute::try_from(overdue_s / 60).unwrap_or(Minute::MAX / 2);
        let device = &mut self.devices[n];
        device.has_started = true;
        self.not_started -= 1;
        self.started += 1;
        let takes = habits.install_time(dice);
        let symptom = self
            .fault
            .filter(|fault| fault.hits(&device.cohorts, dice))
            .map(|fault| fault.symptom);
        self.harmed += u64::from(symptom.is_some());
        let mut ends_at = restarted_at(now, takes, device.agreed_at);
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
            self.events.add(now + HANGS_AFTER, Some(n), Event::Hangs);
        }
        if ends.is_none() || ends_at > overdue_at {
            self.events.add(overdue_at, Some(n), Event::Overdue);
        }
        self.count(n, |counts| counts.started += 1);
    }
}

/// When an installation that takes so long is through its restart, which comes at the agreed time or later.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a part of some minutes"
)]
fn restarted_at(now: Minute, takes: Minute, agreed_at: Minute) -> Minute {
    let restart = (f64::from(takes) * RESTART_PART).round() as Minute;
    (now + takes - restart).max(agreed_at) + restart
}
