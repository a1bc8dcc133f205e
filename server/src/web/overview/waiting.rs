//! What waits for this person, and what was stopped.

use engine::approval::{Ask, Request};
use engine::gate::Verdict;
use engine::rollout::{HaltReason, RolloutState};
use engine::words::{count, devices};

use super::world::{Stopped, World};
use crate::store::levels::Pulled;
use crate::store::requests::Listed;
use crate::web::frame::Frame;
use crate::web::parts::{Icon, Link, State as Chip, Tone, When};

/// Requests that are shown; the list has the others.
const SHOWN: usize = 5;

/// A request that this person may decide on.
pub(super) struct Due {
    pub link: Link,
    pub track: String,
    pub what: String,
    pub ring: String,
    pub will: String,
    pub given: String,
    pub gate: Vec<Chip>,
    pub expires: When,
}

/// The first of them, the oldest first.
pub(super) fn due(world: &World, frame: &Frame) -> Vec<Due> {
    let mine = world.due.iter().filter_map(|id| {
        let listed = world.requests.iter().find(|l| l.request.id.0 == *id)?;
        Some(asked(world, listed, frame))
    });
    mine.take(SHOWN).collect()
}

fn asked(world: &World, listed: &Listed, frame: &Frame) -> Due {
    let request = &listed.request;
    let rollout = world.open().iter().find(|g| g.line.id == listed.rollout.0);
    let (what, will) = match &request.ask {
        Ask::Open => (
            "before",
            format!("Opens it for {}.", devices(request.frozen.targeted)),
        ),
        Ask::Override { reason } => (
            "overrides the gate of",
            format!("Lets it pass although its gate did not: {reason}"),
        ),
        Ask::Expedite { reason } => (
            "expedites, from",
            format!("Rings that have not passed soak and wait less: {reason}"),
        ),
    };
    Due {
        link: Link::new(
            rollout.map_or_else(|| "Request".to_owned(), super::world::Going::kb),
            format!("/approvals/{}", request.id),
        ),
        track: world.track(listed.track).to_owned(),
        what: what.to_owned(),
        ring: listed.ring.clone(),
        will,
        given: format!(
            "{} of {} given.",
            request.approvals.len(),
            count(u64::from(request.needed), "approval")
        ),
        gate: verdicts(request),
        expires: frame.when(request.expires_at()),
    }
}

/// `8 pass`, `1 inconclusive`: the gate as it was frozen.
fn verdicts(request: &Request) -> Vec<Chip> {
    let Some(gate) = &request.frozen.gate else {
        return Vec::new();
    };
    let words = [
        (Verdict::Halt, "against it"),
        (Verdict::Inconclusive, "inconclusive"),
        (Verdict::Wait, "waiting"),
        (Verdict::Pass, "passed"),
    ];
    let chips = words.into_iter().filter_map(|(verdict, word)| {
        let n = gate
            .criteria
            .iter()
            .filter(|c| c.verdict == verdict)
            .count();
        let chip = Chip::of_verdict(verdict).hushed();
        (n > 0).then(|| Chip {
            word: format!("{n} {word}"),
            ..chip
        })
    });
    chips.collect()
}

/// A rollout or a sequence that was stopped.
pub(super) struct Halt {
    pub link: Link,
    /// None: every track.
    pub track: Option<String>,
    pub state: Chip,
    pub by: String,
    pub at: When,
    pub why: String,
}

/// Halts and withdrawals, those that still hold first.
pub(super) fn stopped(world: &World, frame: &Frame) -> Vec<Halt> {
    let (halted, cleared): (Vec<_>, Vec<_>) = world
        .stopped
        .iter()
        .partition(|s| matches!(s.line.state_detail, RolloutState::Halted { .. }));
    let halt = |s: &&Stopped| halt(world, s, frame);
    let pulled = world.pulled.iter().map(|p| withdrawn(world, p, frame));
    let mut all: Vec<Halt> = halted.iter().map(halt).collect();
    all.extend(pulled);
    all.extend(cleared.iter().map(halt));
    all
}

fn halt(world: &World, stopped: &Stopped, frame: &Frame) -> Halt {
    let line = &stopped.line;
    Halt {
        link: Link::new(
            line.kb.map_or_else(|| "–".to_owned(), |kb| kb.to_string()),
            format!("/rollouts/{}", line.id),
        ),
        track: Some(world.track(line.track).to_owned()),
        state: Chip::of_rollout(&line.state_detail),
        by: by(world, stopped.stop.by),
        at: frame.when(stopped.stop.at),
        why: match &line.state_detail {
            RolloutState::Halted { reason, .. } => cause(reason),
            _ => "It is not halted any more.".to_owned(),
        },
    }
}

/// Why a rollout is halted, as a sentence.
pub(super) fn cause(reason: &HaltReason) -> String {
    match reason {
        HaltReason::Evidence { cause } => cause.sentence(),
        HaltReason::Person { reason, .. } => engine::words::ended(reason),
    }
}

fn withdrawn(world: &World, pulled: &Pulled, frame: &Frame) -> Halt {
    let mut why = engine::words::ended(&pulled.reason);
    if let Some(next) = &pulled.replaced_by {
        why += &format!(" {next} replaces it.");
    }
    Halt {
        link: Link::new(
            pulled.kb.as_str(),
            format!("/sequences/{}", pulled.sequence),
        ),
        track: None,
        state: Chip::loud(Tone::Mute, Icon::Slash, "Withdrawn"),
        by: by(world, pulled.by),
        at: frame.when(pulled.at),
        why,
    }
}

fn by(world: &World, who: Option<uuid::Uuid>) -> String {
    who.map_or_else(
        || "its evidence".to_owned(),
        |id| world.person(id).to_owned(),
    )
}
