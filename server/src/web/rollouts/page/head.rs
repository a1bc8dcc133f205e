//! Head of the page: where it is, why it waits, what to do.

use engine::ids::PersonId;
use engine::rollout::{HaltReason, RolloutState};
use engine::stage::StageState;
use engine::words;

use super::Read;
use super::actions::Actions;
use super::policy::preset_word;
use super::stages::done;
use crate::auth::Caller;
use crate::web::frame::Frame;
use crate::web::parts::{GlyphRing, Icon, Link, RingGlyph, State as Chip, Tally, Tone, share};

/// Reasons that the head shows in full; the gate has all of them.
const REASONS: usize = 4;

/// Head of the page.
pub struct Head {
    /// One circle per ring.
    pub glyph: RingGlyph,
    /// KB.
    pub kb: String,
    /// Title of the sequence.
    pub title: String,
    /// Track.
    pub track: String,
    /// State: of the current ring while the rollout is active.
    pub state: Chip,
    /// Devices were counted: it ran.
    pub counted: bool,
    /// Devices that have it.
    pub done: Tally,
    /// Devices it is for.
    pub whole: Tally,
    /// Their share.
    pub share: String,
    /// Why it waits: first the strongest reason.
    pub reasons: Vec<String>,
    /// Reasons that are not shown here.
    pub more_reasons: usize,
    /// `Standard policy`.
    pub preset: &'static str,
    /// Where people agreed that what was left of it soaks and waits less.
    pub expedited: Option<String>,
    /// Who wrote it.
    pub author: String,
    /// Address of the sequence.
    pub sequence: String,
    /// What is possible.
    pub actions: Actions,
    /// What to do where it does not go on by itself.
    pub notice: Option<Notice>,
}

/// One thing that changes what people do on this page.
pub struct Notice {
    /// Colour.
    pub tone: Tone,
    /// Icon.
    pub icon: Icon,
    /// Sentences.
    pub text: String,
    /// Devices or pages that it speaks of.
    pub links: Vec<Link>,
}

impl Head {
    /// The head.
    pub fn new(frame: &Frame, read: &Read, caller: &Caller) -> Self {
        let line = &read.page.line;
        let current = read.page.stages.iter().find(|s| s.state != "passed");
        let state = match (&line.state_detail, current) {
            (RolloutState::Active, Some(stage)) => Chip::of_stage(&stage.state_detail),
            (state, _) => Chip::of_rollout(state),
        };
        let own: u64 = of_state(read, "succeeded");
        let (n, whole) = (own + of_state(read, "earlier_well"), targeted(read));
        let mut reasons: Vec<String> = line.reasons.iter().map(|r| r.sentence.clone()).collect();
        let more_reasons = reasons.len().saturating_sub(REASONS);
        reasons.truncate(REASONS);
        Self {
            glyph: RingGlyph::new(&glyph(read), "lg"),
            kb: read.kb(),
            title: line.title.clone().unwrap_or_default(),
            track: read.track.name.clone(),
            state,
            counted: whole > 0,
            done: match n == own {
                true => Tally::of(n, &read.devices("state:succeeded")),
                false => Tally::plain(n),
            },
            whole: Tally::of(whole, &read.devices("")),
            share: share(words::ratio(n, whole)),
            reasons,
            more_reasons,
            preset: preset_word(line.preset),
            expedited: read.page.expedited.map(|id| format!("/approvals/{id}")),
            author: read.name(line.author),
            sequence: format!("/sequences/{}", line.sequence),
            actions: Actions::new(read, caller),
            notice: notice(frame, read),
        }
    }
}

/// Devices that the rollout is for.
fn targeted(read: &Read) -> u64 {
    let class = read.page.population.get("targeted");
    class.copied().unwrap_or(0)
}

/// Devices of all rings in a state.
fn of_state(read: &Read, state: &str) -> u64 {
    let rings = read.progress.states.values();
    rings.filter_map(|ring| ring.get(state)).sum()
}

fn glyph(read: &Read) -> Vec<GlyphRing> {
    let stages = read.page.stages.iter();
    stages
        .map(|stage| GlyphRing {
            name: stage.ring_name.clone(),
            done: done(read.progress.states.get(&stage.ring)),
            whole: stage.population.get("targeted").copied().unwrap_or(0),
            closed: match stage.state_detail {
                StageState::Waiting => Some(Tone::Mute),
                StageState::AwaitingApproval { .. } => Some(Tone::Ask),
                _ => None,
            },
        })
        .collect()
}

/// What to do next, for a rollout that does not go on by itself.
fn notice(frame: &Frame, read: &Read) -> Option<Notice> {
    let since = |at| frame.when(at).text().to_owned();
    let in_flight = read
        .page
        .counts
        .started
        .saturating_sub(read.page.counts.resolved);
    let flight = match in_flight {
        0 => "No device is in progress.".to_owned(),
        n => format!(
            "{} in progress finish what they started.",
            words::devices(n)
        ),
    };
    let of = |tone, icon, text: String, links| {
        Some(Notice {
            tone,
            icon,
            text,
            links,
        })
    };
    match &read.page.line.state_detail {
        RolloutState::Draft if read.page.stages.is_empty() => of(
            Tone::Wait,
            Icon::Triangle,
            "The track has no ring, so there is nothing to roll out to. Add rings, then write a new rollout.".to_owned(),
            vec![Link::new("To the track", format!("/tracks/{}", read.track.id))],
        ),
        RolloutState::Draft => of(
            Tone::Mute,
            Icon::Log,
            "No device gets anything before it is started. Look at its rings and their policies below, then start it.".to_owned(),
            Vec::new(),
        ),
        RolloutState::Paused { by, since: at, .. } => of(
            Tone::Wait,
            Icon::Pause,
            format!(
                "Paused by {} since {}. {flight} Its author, an admin, or an operator who also approves can resume it.",
                read.name(*by),
                since(*at)
            ),
            Vec::new(),
        ),
        RolloutState::Halted { reason, since: at } => {
            // What the evidence says stands above it.
            let who = match reason {
                HaltReason::Evidence { .. } => "by the rules".to_owned(),
                HaltReason::Person { by, .. } => format!("by {}", read.name(*by)),
            };
            of(
                Tone::Bad,
                Icon::Stop,
                format!(
                    "Halted {who} since {}. {flight} Look at the devices that were harmed and at what they have in common. \
                     Then either withdraw the KB, or let an admin clear the halt with a reason: the evidence stays, and it \
                     halts again when it worsens.",
                    since(*at)
                ),
                harmed(read),
            )
        }
        RolloutState::Withdrawn { .. } | RolloutState::Cancelled { .. } if read.page.rollback.is_some() => of(
            Tone::Wait,
            Icon::Restart,
            format!("It is over. {flight} {}", removal(frame, read)),
            removed(read),
        ),
        RolloutState::Withdrawn { .. } => of(
            Tone::Mute,
            Icon::Slash,
            format!(
                "It is over: no device gets a permit. {flight} Devices that have it already keep it until a rollout of the replacing KB for \
                 them, or until an admin has it removed again."
            ),
            vec![
                Link::new("Devices that have it", device_list_of(read, "state:succeeded")),
                Link::new("The sequence", format!("/sequences/{}", read.page.line.sequence)),
            ],
        ),
        RolloutState::Superseded { by } => of(
            Tone::Mute,
            Icon::Slash,
            format!("It is over: a newer rollout goes on in its place. {flight}"),
            vec![Link::new("The newer rollout", format!("/rollouts/{by}"))],
        ),
        RolloutState::Cancelled { .. } => of(
            Tone::Mute,
            Icon::Slash,
            format!("It is over. {flight}"),
            Vec::new(),
        ),
        RolloutState::Completed { at } => of(
            Tone::Ok,
            Icon::OkRing,
            format!("Completed {}. Devices that were switched off get it when they come back.", since(*at)),
            Vec::new(),
        ),
        RolloutState::Scheduled { .. } | RolloutState::Active => None,
    }
}

/// How its removal stands.
fn removal(frame: &Frame, read: &Read) -> String {
    let Some(rollback) = &read.page.rollback else {
        return String::new();
    };
    let by = read.name(PersonId(rollback.started_by));
    let since = frame.when(rollback.started_at).text().to_owned();
    let reason = words::ended(&rollback.reason);
    let left = words::devices(of_state(read, "succeeded"));
    match rollback.stopped_at {
        None => format!("{by} has it removed again since {since}: {reason} Left: {left}."),
        Some(at) => format!(
            "{by} had it removed again from {since} on: {reason} That was stopped {}; {left} kept it.",
            frame.when(at).text()
        ),
    }
}

/// Devices by what became of its removal, as links.
fn removed(read: &Read) -> Vec<Link> {
    let states = [
        ("removed", "removed it"),
        ("not_removed", "could not remove it"),
        ("succeeded", "have it"),
    ];
    links(read, &states)
}

fn device_list_of(read: &Read, terms: &str) -> String {
    crate::web::parts::device_list(&read.devices(terms))
}

/// Devices that fared badly, as links.
fn harmed(read: &Read) -> Vec<Link> {
    let states = [
        ("failed", "failed"),
        ("remediating", "being repaired"),
        ("rolled_back", "rolled back"),
        ("hang_suspected", "suspected to hang"),
        ("lost", "silent"),
    ];
    links(read, &states)
}

/// Devices in each of these states, where there are any.
fn links(read: &Read, states: &[(&str, &str)]) -> Vec<Link> {
    let mut links = Vec::new();
    for (state, word) in states {
        let n = of_state(read, state);
        if n > 0 {
            links.push(Link::new(
                format!("{} {word}", words::devices(n)),
                device_list_of(read, &format!("state:{state}")),
            ));
        }
    }
    links
}
