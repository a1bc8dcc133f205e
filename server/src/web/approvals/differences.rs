//! What changed since the evidence of a request was frozen; what got worse stands on top.

use engine::approval::Frozen;
use engine::evidence::Counts;
use engine::gate::{CriterionReport, GateReport, Verdict};
use engine::stage::Stage;
use engine::words::{number, share};
use servicing::Sha256;

use super::asked::Asked;
use crate::web::parts::{Icon, State, Tone, criterion_name, device_list, isolated};

/// One thing that was frozen, and what it is now.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    pub name: String,
    pub then: String,
    pub now: String,
    pub change: String,
    pub verdict: State,
    /// List of the devices counted now, where a query finds exactly them.
    pub href: Option<String>,
    /// For the order: worst first.
    rank: u8,
}

/// Is more of it bad?
#[derive(Clone, Copy, PartialEq)]
enum More {
    Worse,
    Better,
    Neither,
}

const WORSE: u8 = 0;
const CHANGED: u8 = 1;
const BETTER: u8 = 2;
const SAME: u8 = 3;

impl Difference {
    fn new(name: impl Into<String>, then: String, now: String, change: String, rank: u8) -> Self {
        let verdict = match rank {
            WORSE => State::loud(Tone::Bad, Icon::Triangle, "worse"),
            CHANGED => State::loud(Tone::Wait, Icon::Triangle, "changed"),
            BETTER => State::quiet(Tone::Ok, Icon::OkRing, "better"),
            _ => State::quiet(Tone::Mute, Icon::OkRing, "same"),
        };
        Self {
            name: name.into(),
            then,
            now,
            change,
            verdict,
            href: None,
            rank,
        }
    }

    /// Someone has to look at it.
    pub fn is_loud(&self) -> bool {
        self.rank <= CHANGED
    }

    fn counted(name: &str, then: u64, now: u64, of: Option<(u64, u64)>, more: More) -> Self {
        let rank = match (now.cmp(&then), more) {
            (std::cmp::Ordering::Equal, _) => SAME,
            (std::cmp::Ordering::Greater, More::Worse)
            | (std::cmp::Ordering::Less, More::Better) => WORSE,
            _ => BETTER,
        };
        let text = |n: u64, of: Option<u64>| match of {
            Some(of) => format!("{} of {}", number(n), number(of)),
            None => number(n),
        };
        let mut difference = Self::new(
            name,
            text(then, of.map(|(then, _)| then)),
            text(now, of.map(|(_, now)| now)),
            signed(then, now),
            rank,
        );
        if more == More::Neither && rank != SAME {
            difference.verdict = State::quiet(Tone::Run, Icon::Down, "went on");
        }
        difference
    }

    fn identity(name: &str, then: String, now: String) -> Self {
        let rank = if then == now { SAME } else { CHANGED };
        Self::new(name, then, now, "–".to_owned(), rank)
    }
}

/// `+3`, `−4`, `0`.
fn signed(then: u64, now: u64) -> String {
    match now.cmp(&then) {
        std::cmp::Ordering::Equal => "0".to_owned(),
        std::cmp::Ordering::Greater => format!("+{}", number(now - then)),
        std::cmp::Ordering::Less => format!("\u{2212}{}", number(then - now)),
    }
}

/// Everything that was frozen against what is so now.
pub fn differences(asked: &Asked) -> Vec<Difference> {
    let (frozen, snapshot, review) = (&asked.line.frozen, &asked.snapshot, &asked.review);
    // Evidence is that of the content on the track, a list is that of a rollout: the same only where they count the same.
    let lists = |state: &str, n: u64| {
        let found = asked.rollout.assignments.get(state).copied().unwrap_or(0);
        let query = format!("rollout:{} state:{state}", asked.line.rollout);
        (n > 0 && found == n).then(|| device_list(&query))
    };
    let mut all = counts(&frozen.evidence.all, &snapshot.evidence.all, &lists);
    if let (Some(then), Some(now)) = (&frozen.gate, &review.gate) {
        all.extend(gate(then, now));
    }
    all.push(Difference::identity(
        "Content digest",
        short(&frozen.digest),
        short(&snapshot.rollout.digest),
    ));
    match asked.stage() {
        Some(stage) => all.extend(definition(frozen, stage)),
        None => all.push(Difference::identity("Ring", "there".into(), "gone".into())),
    }
    all.sort_by_key(|d| d.rank);
    all
}

/// The ring that would open, or whose gate would pass.
fn definition(frozen: &Frozen, stage: &Stage) -> Vec<Difference> {
    let revision = |n: u32| format!("revision {n}");
    let policy = if stage.policy == frozen.policy {
        "as frozen"
    } else {
        "another"
    };
    let name = |what: &str| format!("{what} of {}", isolated(&stage.name));
    let mut targeted = Difference::counted(
        &name("Targeted devices"),
        frozen.targeted,
        stage.targeted,
        None,
        More::Neither,
    );
    if targeted.then != targeted.now {
        targeted.verdict = State::quiet(Tone::Wait, Icon::Triangle, "changed");
        targeted.rank = CHANGED;
    }
    vec![
        Difference::identity(&name("Policy"), "as frozen".to_owned(), policy.to_owned()),
        Difference::identity(
            &name("Definition"),
            revision(frozen.ring_revision),
            revision(stage.ring_revision),
        ),
        targeted,
    ]
}

/// Devices over all rings so far.
fn counts(
    then: &Counts,
    now: &Counts,
    lists: &dyn Fn(&str, u64) -> Option<String>,
) -> Vec<Difference> {
    let of = Some((then.started, now.started));
    let line = |name, state, pick: fn(&Counts) -> u64, more| Difference {
        href: lists(state, pick(now)),
        ..Difference::counted(name, pick(then), pick(now), of, more)
    };
    vec![
        line("Failed or hung", "failed", |c| c.failed, More::Worse),
        line("Unusable", "", |c| c.severe, More::Worse),
        line("Silent", "lost", |c| c.silent, More::Worse),
        line("Out of order", "", |c| c.drift, More::Worse),
        line("Slow", "", |c| c.overdue, More::Worse),
        line("Succeeded", "succeeded", |c| c.ok, More::Better),
        line("With an outcome", "", |c| c.resolved, More::Neither),
        Difference::counted("Started", then.started, now.started, None, More::Neither),
    ]
}

/// Lines of the gate that read differently now, and its bound.
fn gate(then: &GateReport, now: &GateReport) -> Vec<Difference> {
    let mut all = Vec::new();
    for before in &then.criteria {
        let Some(after) = now.criterion(before.criterion) else {
            continue;
        };
        if before.observed != after.observed || before.verdict != after.verdict {
            all.push(criterion(before, after));
        }
        if let (Some(a), Some(b)) = (before.bound, after.bound) {
            all.push(bound(before, a, b));
        }
    }
    all
}

fn criterion(before: &CriterionReport, after: &CriterionReport) -> Difference {
    let rank = match after.verdict.cmp(&before.verdict) {
        _ if holds(before.verdict) && !holds(after.verdict) => WORSE,
        std::cmp::Ordering::Greater if !holds(after.verdict) => WORSE,
        std::cmp::Ordering::Less => BETTER,
        _ => SAME,
    };
    let mut difference = Difference::new(
        format!("Gate: {}", criterion_name(before.criterion)),
        before.observed.clone(),
        after.observed.clone(),
        "–".to_owned(),
        rank,
    );
    if rank == SAME {
        difference.verdict = State::of_verdict(after.verdict).hushed();
    }
    difference
}

fn holds(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Pass | Verdict::Off)
}

fn bound(line: &CriterionReport, then: f64, now: f64) -> Difference {
    // As it is shown: a change that nobody can read is none.
    let (then_text, now_text) = (share(then), share(now));
    let rank = if then_text == now_text {
        SAME
    } else if now > then {
        WORSE
    } else {
        BETTER
    };
    let sign = if now > then { "+" } else { "\u{2212}" };
    let change = match rank {
        SAME => "0".to_owned(),
        _ => format!("{sign}{:.1}", (now - then).abs() * 100.0),
    };
    let name = format!("Gate: {}, 95 % bound", criterion_name(line.criterion));
    Difference::new(name, then_text, now_text, change, rank)
}

/// Its first eight digits, as people compare them.
fn short(digest: &Sha256) -> String {
    let text = digest.to_string();
    let (a, rest) = text.split_at(4.min(text.len()));
    format!("{a} {}", &rest[..4.min(rest.len())])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(failed: u64, ok: u64) -> Counts {
        Counts {
            started: 424,
            ok,
            failed,
            ..Counts::default()
        }
    }

    #[test]
    fn one_more_failure_is_worse_and_one_less_pending_is_not() {
        let mut all = counts(&seen(2, 411), &seen(3, 414), &|_, _| None);
        all.sort_by_key(|d| d.rank);
        assert_eq!(all[0].name, "Failed or hung");
        assert_eq!(
            (
                all[0].then.as_str(),
                all[0].now.as_str(),
                all[0].change.as_str()
            ),
            ("2 of 424", "3 of 424", "+1")
        );
        assert!(all[0].is_loud() && !all[1].is_loud());
        let ok = all.iter().find(|d| d.name == "Succeeded").unwrap();
        assert_eq!(
            (ok.change.as_str(), ok.verdict.word.as_str()),
            ("+3", "better")
        );
    }

    #[test]
    fn a_regression_takes_a_success_away() {
        let all = counts(&seen(0, 10), &seen(0, 9), &|_, _| None);
        let ok = all.iter().find(|d| d.name == "Succeeded").unwrap();
        assert_eq!((ok.change.as_str(), ok.rank), ("\u{2212}1", WORSE));
    }
}
