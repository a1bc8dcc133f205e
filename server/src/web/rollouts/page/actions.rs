//! What can be done now, by whom: the engine is asked what it would answer, so the page never offers what it refuses.

use engine::Input;
use engine::approval::Ask;
use engine::decide::decide;
use engine::rollout::RolloutState;

use super::Read;
use crate::auth::{Caller, Right, kinds};
use crate::store::rollbacks::Rollback;
use crate::web::parts::Icon;

/// A link to a page that asks once more.
pub struct Act {
    /// Words.
    pub word: &'static str,
    /// Where.
    pub href: String,
    /// `primary`, `danger` or nothing.
    pub kind: &'static str,
    /// Icon, where it has one.
    pub icon: Option<Icon>,
}

/// What can not be done now, and why: the same reason once.
pub struct Cannot {
    /// Words of what is meant.
    pub words: String,
    /// Why not.
    pub why: String,
}

/// What people may do.
#[derive(Default)]
pub struct Actions {
    /// Often needed.
    pub first: Vec<Act>,
    /// Seldom needed: behind `More`.
    pub more: Vec<Act>,
    /// Not now, or not by this person.
    pub cannot: Vec<Cannot>,
}

/// One of the things that are done to a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Submit,
    Pause,
    Resume,
    Halt,
    Cancel,
    ClearHalt,
    Override,
    Expedite,
    Withdraw,
    RollBack,
    StopRollback,
}

impl What {
    /// What makes sense in a state, the most likely first.
    fn in_state(state: &RolloutState, withdrawn: bool, removing: bool) -> Vec<Self> {
        let mut all = match state {
            RolloutState::Draft => vec![Self::Submit, Self::Cancel],
            RolloutState::Scheduled { .. } | RolloutState::Completed { .. } => {
                vec![Self::Halt, Self::Cancel]
            }
            RolloutState::Active => vec![
                Self::Pause,
                Self::Halt,
                Self::Expedite,
                Self::Override,
                Self::Cancel,
            ],
            RolloutState::Paused { .. } => vec![Self::Resume, Self::Halt, Self::Cancel],
            RolloutState::Halted { .. } => vec![Self::ClearHalt, Self::Cancel],
            RolloutState::Cancelled { .. } | RolloutState::Withdrawn { .. } if removing => {
                vec![Self::StopRollback]
            }
            RolloutState::Cancelled { .. } | RolloutState::Withdrawn { .. } => {
                vec![Self::RollBack]
            }
            RolloutState::Superseded { .. } => Vec::new(),
        };
        if *state != RolloutState::Draft && !withdrawn {
            all.push(Self::Withdraw);
        }
        all
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Submit => "Start",
            Self::Pause => "Pause",
            Self::Resume => "Resume",
            Self::Halt => "Halt…",
            Self::Cancel => "Cancel the rollout…",
            Self::ClearHalt => "Clear the halt…",
            Self::Override => "Override the gate…",
            Self::Expedite => "Expedite…",
            Self::Withdraw => "Withdraw the KB on all tracks…",
            Self::RollBack => "Remove it again…",
            Self::StopRollback => "Stop removing it…",
        }
    }

    const fn path(self) -> &'static str {
        match self {
            Self::Submit => "submit",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Halt => "halt",
            Self::Cancel => "cancel",
            Self::ClearHalt => "clear-halt",
            Self::Override => "request-override",
            Self::Expedite => "request-expedite",
            Self::Withdraw => "withdraw",
            Self::RollBack => "roll-back",
            Self::StopRollback => "stop-roll-back",
        }
    }

    const fn icon(self) -> Option<Icon> {
        match self {
            Self::Pause => Some(Icon::Pause),
            Self::Halt => Some(Icon::Stop),
            _ => None,
        }
    }

    const fn is_rare(self) -> bool {
        matches!(
            self,
            Self::Override | Self::Expedite | Self::Cancel | Self::Withdraw
        )
    }

    /// Why not; none where it can be done.
    fn refusal(self, read: &Read, caller: &Caller) -> Option<String> {
        let (by, reason) = (caller.person(), "asked".to_owned());
        let track = read.track.id;
        let input = match self {
            Self::Submit => Input::Submit {
                by,
                not_before: None,
            },
            Self::Pause => Input::Pause { by, reason },
            Self::Resume => Input::Resume { by, reason },
            Self::Halt => Input::Halt { by, reason },
            Self::Cancel => Input::Cancel { by, reason },
            Self::ClearHalt => Input::ClearHalt { by, reason },
            Self::Override => Input::RequestOverride { by, reason },
            Self::Expedite => Input::RequestExpedite { by, reason },
            Self::Withdraw => {
                let everywhere = caller.tracks_with::<kinds::Admin>().is_none();
                return (!everywhere).then(|| needs(kinds::Admin::NAME, "on all tracks"));
            }
            Self::RollBack | Self::StopRollback => {
                return (!caller.may::<kinds::Admin>(track))
                    .then(|| needs(kinds::Admin::NAME, "on this track"));
            }
        };
        let role = match self {
            Self::ClearHalt | Self::Override => (!caller.may::<kinds::Admin>(track))
                .then(|| needs(kinds::Admin::NAME, "on this track")),
            _ => (!caller.may::<kinds::Operator>(track))
                .then(|| needs(kinds::Operator::NAME, "on this track")),
        };
        let snapshot = &read.snapshot;
        role.or_else(|| {
            let answer = decide(snapshot, input, snapshot.service_now);
            answer.err().map(|refused| refused.sentence)
        })
    }
}

fn needs(role: &str, on: &str) -> String {
    format!("This needs the role {role} {on}.")
}

impl Actions {
    /// What this person may do with this rollout now.
    pub fn new(read: &Read, caller: &Caller) -> Self {
        let mut actions = Self::default();
        for request in &read.snapshot.requests {
            actions.first.push(Act {
                word: match request.ask {
                    Ask::Open => "Review request",
                    Ask::Override { .. } => "Review override",
                    Ask::Expedite { .. } => "Review expediting",
                },
                href: format!("/approvals/{}", request.id),
                kind: if actions.first.is_empty() {
                    "primary"
                } else {
                    ""
                },
                icon: None,
            });
        }
        let state = &read.snapshot.rollout.state;
        let removing = read.page.rollback.as_ref().is_some_and(Rollback::is_on);
        for what in What::in_state(state, read.snapshot.withdrawn.is_some(), removing) {
            if let Some(why) = what.refusal(read, caller) {
                actions.deny(what.word().trim_end_matches('…'), why);
                continue;
            }
            let asked = matches!(what, What::Submit | What::Resume);
            let act = Act {
                word: what.word(),
                href: match what {
                    What::Withdraw => format!("/sequences/{}/withdraw", read.page.line.sequence),
                    _ => format!("/rollouts/{}/{}", read.page.line.id, what.path()),
                },
                kind: match what {
                    What::Halt => "danger",
                    _ if asked && actions.first.is_empty() => "primary",
                    _ => "",
                },
                icon: what.icon(),
            };
            if what.is_rare() {
                actions.more.push(act);
            } else {
                actions.first.push(act);
            }
        }
        if !state.is_final() {
            let word = "Leave devices out…";
            if caller.may::<kinds::Admin>(read.track.id) {
                actions.more.push(Act {
                    word,
                    href: format!("/rollouts/{}/exclude", read.page.line.id),
                    kind: "",
                    icon: None,
                });
            } else {
                let why = needs(kinds::Admin::NAME, "on this track");
                actions.deny(word.trim_end_matches('…'), why);
            }
        }
        let has_begun = !matches!(state, RolloutState::Draft | RolloutState::Scheduled { .. });
        if !has_begun && !read.snapshot.stages.is_empty() {
            actions.first.push(Act {
                word: "Forecast",
                href: format!("/rollouts/{}/forecast", read.page.line.id),
                kind: "",
                icon: None,
            });
        }
        actions
    }

    fn deny(&mut self, word: &str, why: String) {
        match self.cannot.iter_mut().find(|cannot| cannot.why == why) {
            Some(cannot) => {
                cannot.words.push_str(", ");
                cannot.words.push_str(word);
            }
            None => self.cannot.push(Cannot {
                words: word.to_owned(),
                why,
            }),
        }
    }
}
