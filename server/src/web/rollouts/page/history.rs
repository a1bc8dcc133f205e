//! What happened last: decisions, devices that moved, and requests.

use engine::approval::RequestState;
use engine::ids::PersonId;
use engine::words::ended;

use super::Read;
use crate::views::RequestLine;
use crate::web::frame::Frame;
use crate::web::parts::{Icon, Link, State as Chip, Tone, When, subject};

/// The lists.
pub struct History {
    /// Newest decisions.
    pub decided: Vec<Decided>,
    /// Devices that moved last.
    pub moved: Vec<Moved>,
    /// Newest requests.
    pub requests: Vec<Request>,
}

/// A decision.
pub struct Decided {
    /// When.
    pub at: When,
    /// Colour.
    pub tone: Tone,
    /// Icon.
    pub icon: Icon,
    /// What.
    pub sentence: String,
    /// By whom; none: by the rules.
    pub by: Option<String>,
}

/// A device that moved.
pub struct Moved {
    /// When.
    pub at: When,
    /// The device.
    pub device: Link,
    /// Where it is.
    pub state: Chip,
    /// `step 1 of 2`, `0x80073712`.
    pub detail: Option<String>,
}

/// A request.
pub struct Request {
    /// Its page.
    pub link: Link,
    /// State.
    pub state: Chip,
    /// When it was made.
    pub at: When,
    /// What became of it.
    pub note: String,
}

impl History {
    /// The lists of a rollout.
    pub fn new(frame: &Frame, read: &Read) -> Self {
        let progress = &read.progress;
        Self {
            decided: progress
                .decided
                .iter()
                .map(|happened| {
                    let (tone, icon) = look(&happened.event.code);
                    Decided {
                        at: frame.when(happened.at),
                        tone,
                        icon,
                        sentence: ended(&happened.event.sentence),
                        by: happened.by.map(|by| read.name(PersonId(by))),
                    }
                })
                .collect(),
            moved: progress
                .moved
                .iter()
                .map(|moved| Moved {
                    at: frame.when(moved.at),
                    device: Link::new(moved.host.clone(), format!("/devices/{}", moved.id)),
                    state: Chip::of_device(&moved.state).hushed(),
                    detail: match moved.code {
                        Some(code) => Some(code.to_string()),
                        None if moved.step > 0 => {
                            Some(format!("step {} of {}", moved.step, moved.steps))
                        }
                        None => None,
                    },
                })
                .collect(),
            requests: read
                .page
                .requests
                .iter()
                .map(|request| Request::new(frame, read, request))
                .collect(),
        }
    }
}

/// How a decision looks in the feed.
fn look(code: &str) -> (Tone, Icon) {
    match code {
        "submitted" | "started" | "stage_opened" | "resumed" => (Tone::Run, Icon::Down),
        "stage_passed" | "stage_overridden" | "completed" => (Tone::Ok, Icon::OkRing),
        "soaking" => (Tone::Run, Icon::Timer),
        "approval_requested" | "approved" | "override_requested" => (Tone::Ask, Icon::Person),
        "inconclusive" => (Tone::Ask, Icon::Ask),
        "halted" => (Tone::Bad, Icon::Stop),
        "rejected" => (Tone::Bad, Icon::X),
        "paused" => (Tone::Wait, Icon::Pause),
        "cancelled" | "superseded" | "withdrawn" | "request_void" | "request_expired" => {
            (Tone::Mute, Icon::Slash)
        }
        _ => (Tone::Mute, Icon::Log),
    }
}

impl Request {
    fn new(frame: &Frame, read: &Read, request: &RequestLine) -> Self {
        let given = request.approvals.len();
        let yes = || {
            let names: Vec<String> = request.approvals.iter().map(|a| read.name(a.by)).collect();
            match names.is_empty() {
                true => format!("{given} of {} said yes.", request.needed),
                false => format!(
                    "{given} of {} said yes: {}.",
                    request.needed,
                    names.join(", ")
                ),
            }
        };
        let note = match &request.state_detail {
            RequestState::Open => format!(
                "{} It expires {}.",
                yes(),
                frame.when(request.expires_at).text()
            ),
            RequestState::Approved => yes(),
            RequestState::Rejected { by, reason } => {
                format!("{} said no: {}", read.name(*by), ended(reason))
            }
            RequestState::Void { reason } => reason.sentence().to_owned(),
            RequestState::Expired => "Nobody decided in seven days.".to_owned(),
        };
        let what = subject(&request.ask, &request.ring_name);
        Self {
            link: Link::new(what, format!("/approvals/{}", request.id)),
            state: Chip::of_request(&request.state_detail),
            at: frame.when(request.requested_at),
            note,
        }
    }
}
