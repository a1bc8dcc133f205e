//! What is coming up, as far as its time is known.

use chrono::{DateTime, Utc};
use engine::gate::working_end;
use engine::rollout::RolloutState;
use engine::stage::StageState;

use super::matrix::href;
use super::world::World;
use crate::web::frame::Frame;
use crate::web::parts::{Link, When};

/// Lines that are shown.
const SHOWN: usize = 8;

/// Something with a date.
pub(super) struct Ahead {
    pub at: When,
    pub words: &'static str,
    pub ring: Option<String>,
    pub link: Link,
    pub track: String,
}

/// The next things, the first one first.
pub(super) fn ahead(world: &World, frame: &Frame) -> Vec<Ahead> {
    let mut all: Vec<(DateTime<Utc>, Ahead)> = Vec::new();
    let mut add = |at, words, ring: Option<&str>, link, track| {
        let ahead = Ahead {
            at: frame.when(at),
            words,
            ring: ring.map(str::to_owned),
            link,
            track: world.track(track).to_owned(),
        };
        all.push((at, ahead));
    };
    for going in world.open() {
        let link = Link::new(going.kb(), href(going));
        let track = going.line.track;
        match &going.line.state_detail {
            RolloutState::Scheduled { not_before } => {
                add(*not_before, "Starts:", None, link, track);
            }
            RolloutState::Active => {
                let Some(stage) = going.current() else {
                    continue;
                };
                if let StageState::Soaking { since, .. } = stage.state {
                    let policy = &stage.policy;
                    let end = working_end(since, policy.soak_hours, policy.time_zone);
                    add(end, "Soak ends of", Some(&stage.ring_name), link, track);
                }
            }
            _ => {}
        }
    }
    for listed in &world.requests {
        let request = &listed.request;
        let rollout = world.open().iter().find(|g| g.line.id == listed.rollout.0);
        let kb = rollout.map_or_else(|| "a request".to_owned(), super::world::Going::kb);
        let link = Link::new(kb, format!("/approvals/{}", request.id));
        let ring = Some(listed.ring.as_str());
        if let Some(at) = request.effective_at() {
            let words = "The only admin's approval counts for";
            add(at, words, ring, link.clone(), listed.track);
        }
        let words = "Request expires for";
        add(request.expires_at(), words, ring, link, listed.track);
    }
    all.sort_by_key(|(at, _)| *at);
    all.into_iter().map(|(_, a)| a).take(SHOWN).collect()
}
