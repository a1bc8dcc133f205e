//! The panel in which people decide: what the reader's yes does, or why they may not give it.

use engine::approval::{Ask, LONE_ADMIN_DELAY, VoidReason};
use engine::gate::{Criterion, GateReport, Verdict};
use engine::words;

use super::asked::Asked;
use super::voters::{Involved, Reader, Voter, part_in, voters};
use crate::web::frame::Frame;
use crate::web::parts::{criterion_name, isolated};

/// A line of the gate that did not hold: to be ticked as seen before a yes.
pub struct Unheld {
    pub word: &'static str,
    pub name: &'static str,
    pub verdict: &'static str,
    pub sentence: String,
    pub ticked: bool,
}

/// What the reader can do.
pub enum Choice {
    /// Say yes: what it does.
    Approve(String),
    /// Why not.
    No(String),
}

/// The panel of an open request.
pub struct Panel {
    pub voters: Vec<Voter>,
    /// More who can decide.
    pub more: usize,
    pub choice: Choice,
    pub unheld: Vec<Unheld>,
    pub may_reject: bool,
    /// What a no does.
    pub no_means: &'static str,
}

/// Lines that do not hold, of the gate that is approved. Expediting lets no gate pass: of its lines only a halt or a brake is of
/// weight.
pub fn unheld(ask: &Ask, gate: Option<&GateReport>, ticked: &[String]) -> Vec<Unheld> {
    let all = !matches!(ask, Ask::Expedite { .. });
    let lines = gate.into_iter().flat_map(|g| &g.criteria);
    lines
        .filter(|line| all || line.criterion == Criterion::NotHalted)
        .filter_map(|line| {
            let verdict = match line.verdict {
                Verdict::Pass | Verdict::Off => return None,
                Verdict::Wait => "not there yet",
                Verdict::Inconclusive => "inconclusive",
                Verdict::Halt => "a halt",
            };
            let word = line.criterion.word();
            Some(Unheld {
                word,
                name: criterion_name(line.criterion),
                verdict,
                sentence: line.sentence.clone(),
                ticked: ticked.iter().any(|t| t == word),
            })
        })
        .collect()
}

impl Panel {
    pub fn new(asked: &Asked, reader: &Reader, frame: &Frame, ticked: &[String]) -> Self {
        let (request, review) = (&asked.line, &asked.review);
        let (voters, more) = voters(asked, reader, frame);
        Self {
            voters,
            more,
            choice: choice(asked, reader, frame),
            unheld: unheld(&request.ask, request.frozen.gate.as_ref(), ticked),
            may_reject: reader.decides && review.void.is_none() && !review.expired,
            no_means: match request.ask {
                Ask::Open => "The rollout is paused until someone resumes it.",
                Ask::Override { .. } => {
                    "The gate stays closed until its criteria hold; the rollout goes on waiting."
                }
                Ask::Expedite { .. } => "The rollout goes on as it is.",
            },
        }
    }
}

/// Whether the reader may say yes, what that does, or why not.
fn choice(asked: &Asked, reader: &Reader, frame: &Frame) -> Choice {
    let (request, snapshot, review) = (&asked.line, &asked.snapshot, &asked.review);
    if review.expired {
        return Choice::No(
            "Seven days went by: it expires now, and is asked again while the gate holds.".into(),
        );
    }
    if let Some(reason) = review.void {
        return Choice::No(format!("{} {}", reason.sentence(), void_means(reason)));
    }
    let ring = isolated(&request.ring_name);
    let vote = review.votes.get(&reader.person);
    let involved = part_in(reader.person, asked);
    match vote {
        Some(Err(_)) if involved == Involved::Author => Choice::No(
            "Four eyes: you wrote this rollout, so another approver of the track has to."
                .to_owned(),
        ),
        Some(Err(_)) if involved == Involved::Requester => Choice::No(
            "Four eyes: you asked for this, so another approver of the track has to.".to_owned(),
        ),
        Some(Ok(_)) if !reader.decides => Choice::No(NO_ROLE.to_owned()),
        None => Choice::No(NO_ROLE.to_owned()),
        Some(Err(refused)) if refused.code == "role" => Choice::No(NO_ROLE.to_owned()),
        Some(Err(refused)) => Choice::No(refused.sentence.clone()),
        Some(Ok(yes)) if yes.alone => {
            let counts = frame.when(snapshot.service_now + LONE_ADMIN_DELAY);
            Choice::Approve(format!(
                "You are the only one who could approve. Your yes counts four hours later, about {}, and is marked as given alone.",
                counts.text()
            ))
        }
        Some(Ok(yes)) if yes.done => match review.blocks.first() {
            Some(block) => Choice::No(format!(
                "Yours would be the last approval, but the ring can not open yet: {block} Come back then."
            )),
            None => {
                let does = match request.ask {
                    Ask::Open => format!("opens {ring}"),
                    Ask::Override { .. } => format!("lets the gate of {ring} pass"),
                    Ask::Expedite { .. } => "expedites it at once".to_owned(),
                };
                Choice::Approve(match request.needed {
                    1 => format!("Your approval {does}."),
                    n => format!(
                        "{} of {n}: your approval {does}.",
                        ordinal(review.given + 1)
                    ),
                })
            }
        },
        Some(Ok(_)) => {
            let left = usize::from(request.needed).saturating_sub(review.given + 1);
            let left = words::count(u64::try_from(left).unwrap_or(u64::MAX), "approval");
            Choice::Approve(format!(
                "{} of {}: after yours {left} more {} needed.",
                ordinal(review.given + 1),
                request.needed,
                if request.needed > 2 { "are" } else { "is" },
            ))
        }
    }
}

const NO_ROLE: &str =
    "You can not approve here: it takes the role approver on this track. An admin can give it.";

const fn void_means(reason: VoidReason) -> &'static str {
    match reason {
        VoidReason::RolloutStopped => "Nothing can be decided until it goes on.",
        _ => "The request ends within seconds; there is nothing left to decide.",
    }
}

fn ordinal(n: usize) -> String {
    match n {
        1 => "First".to_owned(),
        2 => "Second".to_owned(),
        3 => "Third".to_owned(),
        4 => "Fourth".to_owned(),
        n => format!("Number {n}"),
    }
}
