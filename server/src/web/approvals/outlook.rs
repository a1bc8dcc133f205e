//! What will happen if people say yes: how many devices, how fast, by which rules.

use engine::approval::Ask;
use engine::ids::StageId;
use engine::policy::{FailureLimit, Growth, RestartPolicy, Sample, StagePolicy};
use engine::remediation;
use engine::words::{count, devices, limit, number};
use servicing::Sequence;

use super::asked::Asked;
use crate::views::StageLine;
use crate::web::parts::{Class, Tally, class_words, isolated, term};

/// The panel that says it.
pub struct Outlook {
    /// Devices that are offered it; the sentence goes on behind the number.
    pub targeted: Tally,
    pub sentence: String,
    pub does: Does,
    /// All devices of the ring by class.
    pub classes: Vec<Class>,
    pub policy: Vec<(&'static str, String)>,
}

/// What a yes does.
pub enum Does {
    /// Opens a ring.
    Opens,
    /// Lets a gate pass that does not hold.
    Overrides(Overridden),
    /// Lets rings pass sooner.
    Expedites {
        /// Why.
        reason: String,
        /// Rings that it changes.
        rings: Vec<Sooner>,
    },
}

/// A ring before and after it is expedited.
pub struct Sooner {
    pub ring: String,
    pub soak: String,
    pub opening: String,
    pub restart: String,
}

/// What an override does, said plainly.
pub struct Overridden {
    pub reason: String,
    pub then: String,
}

impl Outlook {
    /// What a request asks for; the policy is the frozen one.
    pub fn new(asked: &Asked) -> Self {
        let (request, page) = (&asked.line, &asked.rollout);
        let (track, sequence) = (&asked.track.name, asked.sequence.as_deref());
        let place = page.stages.iter().position(|s| s.id == request.stage);
        let stage = place.and_then(|at| page.stages.get(at));
        let terms = |class: &str| {
            vec![
                term("track", track),
                term("ring", &request.ring_name),
                format!("rollout:{}", request.rollout),
                format!("class:{class}"),
            ]
        };
        let now = stage.and_then(|s| s.population.get("targeted"));
        let n = now.copied().unwrap_or(request.frozen.targeted);
        let policy = &request.frozen.policy;
        let ring = isolated(&request.ring_name);
        let does = match &request.ask {
            Ask::Open => Does::Opens,
            Ask::Override { reason } => Does::Overrides(Overridden {
                reason: reason.clone(),
                then: after(page.stages.get(place.map_or(usize::MAX, |at| at + 1))),
            }),
            Ask::Expedite { reason } => {
                let policies = request.frozen.policies.iter();
                let ring = |(id, policy): &(StageId, StagePolicy)| {
                    let stage = page.stages.iter().find(|s| s.id == *id)?;
                    Some(Sooner::new(&stage.ring_name, &stage.policy, policy))
                };
                Does::Expedites {
                    reason: reason.clone(),
                    rings: policies.filter_map(ring).collect(),
                }
            }
        };
        let what = sequence.map_or_else(|| "the update".to_owned(), |s| s.kb.to_string());
        let builds = sequence.map(builds).unwrap_or_default();
        let sentence = match does {
            Does::Expedites { .. } => String::new(),
            Does::Opens => format!(
                "in {ring} {} offered {what}{builds}, {}.",
                if n == 1 { "is" } else { "are" },
                pace(policy, n)
            ),
            Does::Overrides(_) => {
                format!("in {ring} are judged by this gate. They go on with {what}{builds}.")
            }
        };
        Self {
            targeted: Tally::found(n, &terms("targeted")).said(devices(n)),
            sentence,
            does,
            classes: stage.map(|s| classes(s, &terms)).unwrap_or_default(),
            policy: rules(policy),
        }
    }
}

impl Outlook {
    /// The policy that is shown does not stay.
    pub fn is_expedite(&self) -> bool {
        matches!(self.does, Does::Expedites { .. })
    }
}

impl Sooner {
    /// Once it is granted there is no before any more.
    fn new(ring: &str, before: &StagePolicy, after: &StagePolicy) -> Self {
        let change = |say: fn(&StagePolicy) -> String| {
            let (before, after) = (say(before), say(after));
            if before == after {
                after
            } else {
                format!("{after} (now {before})")
            }
        };
        Self {
            ring: ring.to_owned(),
            soak: change(|p| format!("{} h", p.soak_hours)),
            opening: change(|p| match (p.approvals, p.minimum_age_days) {
                (0, 0) => "nobody is asked".to_owned(),
                (n, 0) => count(u64::from(n), "approval"),
                (0, days) => format!("{days} d of age"),
                (n, days) => format!("{} and {days} d of age", count(u64::from(n), "approval")),
            }),
            restart: change(|p| match p.restart.deadline_hours {
                None => "no deadline".to_owned(),
                Some(_) => restart(p.restart),
            }),
        }
    }
}

fn after(next: Option<&StageLine>) -> String {
    let Some(next) = next else {
        return "It is the last ring: the rollout completes.".to_owned();
    };
    let targeted = devices(next.population.get("targeted").copied().unwrap_or(0));
    let ring = isolated(&next.ring_name);
    match next.policy.approvals {
        0 => format!("Then {ring} opens at once, for {targeted}."),
        n => format!(
            "Then {ring} asks for {}, for {targeted}.",
            count(u64::from(n), "approval")
        ),
    }
}

fn classes(stage: &StageLine, terms: &dyn Fn(&str) -> Vec<String>) -> Vec<Class> {
    // No query finds those that are left out.
    let tally = |word: &str, n: u64| match word {
        "excluded" => Tally::plain(n),
        word => Tally::found(n, &terms(word)),
    };
    let class = |(word, n): (&String, &u64)| Class {
        devices: tally(word, *n).said(devices(*n)),
        words: class_words(word),
        detail: String::new(),
        targeted: word == "targeted",
    };
    let mut all: Vec<Class> = stage.population.iter().map(class).collect();
    all.sort_by_key(|c| (!c.targeted, std::cmp::Reverse(c.devices.n)));
    all
}

/// ` (26100.8117 or 26200.8117)`.
pub fn builds(sequence: &Sequence) -> String {
    let mut builds: Vec<String> = sequence
        .variants
        .iter()
        .filter_map(|v| Some((v, v.target_ubr?)))
        .flat_map(|(v, ubr)| {
            v.base_builds
                .iter()
                .map(move |base| format!("{base}.{ubr}"))
        })
        .collect();
    builds.sort();
    builds.dedup();
    match builds.as_slice() {
        [] => String::new(),
        [one] => format!(" ({one})"),
        [most @ .., last] => format!(" ({} or {last})", most.join(", ")),
    }
}

/// How fast a ring of `targeted` devices is reached.
fn pace(policy: &StagePolicy, targeted: u64) -> String {
    let mut limits = Vec::new();
    if let Some(n) = policy.limits.devices_at_once {
        limits.push(format!("at most {} at once", number(n)));
    }
    if let Some(share) = policy.limits.percent_per_day {
        let n = share.of(targeted).max(1);
        limits.push(format!("at most {} ({}) a day", limit(share.0), number(n)));
    }
    if let Some(window) = policy.limits.window {
        limits.push(format!("only {window} of each device's time"));
    }
    let growth = match policy.growth {
        Growth::Standard => "each generation twice as large once 95 % of the one before are fine",
        Growth::Cautious => "each generation twice as large once all of the one before have ended",
        Growth::Fast => "each generation twice as large, four times once 299 devices are clean",
    };
    limits.push(growth.to_owned());
    limits.join(", ")
}

/// What the ring is then judged by.
fn rules(policy: &StagePolicy) -> Vec<(&'static str, String)> {
    let none = || "none".to_owned();
    vec![
        (
            "Sample",
            match policy.sample {
                Sample::All => "every targeted device".to_owned(),
                Sample::AtLeast(n) => format!("{} with an outcome", devices(n)),
            },
        ),
        ("Soak", format!("{} h of working days", policy.soak_hours)),
        (
            "Failures",
            match policy.failures {
                FailureLimit::None => none(),
                FailureLimit::Bound(p) => format!("at most {}, with 95 % certainty", limit(p.0)),
            },
        ),
        ("Resolved", format!("at least {}", limit(policy.coverage.0))),
        (
            "At once",
            policy.limits.devices_at_once.map_or_else(none_set, devices),
        ),
        (
            "A day",
            policy
                .limits
                .percent_per_day
                .map_or_else(none_set, |p| format!("{} of the ring", limit(p.0))),
        ),
        ("Restart", restart(policy.restart)),
        ("After a failure", remediation::tries_word(policy.tries)),
        (
            "Window",
            policy.limits.window.map_or_else(
                || "at any time".to_owned(),
                |window| format!("{window}, in the time of each device"),
            ),
        ),
    ]
}

fn restart(policy: RestartPolicy) -> String {
    match (policy.deadline_hours, policy.grace_hours) {
        (None, _) => "people put it off as long as they like".to_owned(),
        (Some(deadline), 0) => format!("within {deadline} h"),
        (Some(deadline), grace) => format!("within {deadline} h, and {grace} h of grace"),
    }
}

fn none_set() -> String {
    "no limit beside the generations".to_owned()
}

#[cfg(test)]
mod tests {
    use engine::policy::{Limits, Percent, Preset, preset};

    use super::*;

    #[test]
    fn the_pace_names_every_limit_that_people_set() {
        let mut policy = preset(Preset::Fast, 3, 4, chrono_tz::Tz::UTC);
        assert!(pace(&policy, 1840).starts_with("each generation"));
        policy.limits = Limits {
            devices_at_once: Some(200),
            percent_per_day: Some(Percent(25.0)),
            ..Limits::default()
        };
        let said = pace(&policy, 1840);
        assert!(
            said.starts_with("at most 200 at once, at most 25 % (460) a day, "),
            "{said}"
        );
    }
}
