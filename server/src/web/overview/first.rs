//! A new installation: what to do, in order.

use crate::store::levels::Steps;
use crate::web::parts::{Icon, State as Chip, Tone};

/// One step.
pub(super) struct Step {
    pub state: Chip,
    pub done: bool,
    pub next: bool,
    pub words: &'static str,
    pub why: &'static str,
    pub href: &'static str,
    pub button: &'static str,
}

/// Steps until the first rollout; none once there is one.
pub(super) fn steps(done: &Steps) -> Vec<Step> {
    if done.rollout {
        return Vec::new();
    }
    let all = [
        (
            done.rings,
            "Define a track and its rings",
            "A track is a fleet that is updated together; its rings take an update one after the other. An admin does this.",
            "/tracks",
            "To the tracks",
        ),
        // Before any device: it learns the keys when it enrols, and refuses what others signed.
        (
            done.key,
            "Add a publisher's key",
            "Devices install only what one of these keys signed. The private half stays with its owner. An admin does this.",
            "/publisher-keys",
            "To the keys",
        ),
        (
            done.enrolment,
            "Make an enrolment token",
            "Devices join a track with it. An admin does this.",
            "/enrolment-tokens",
            "To the tokens",
        ),
        (
            done.sequence,
            "Publish a KB sequence",
            "The packages of one update in order, with their hashes. An operator writes it; a publisher's signature fixes it.",
            "/sequences",
            "To the sequences",
        ),
        (
            done.rollout,
            "Write the first rollout",
            "It takes the sequence through the rings of one track. An operator does this.",
            "/rollouts/new",
            "New rollout",
        ),
    ];
    let next = all.iter().position(|(done, ..)| !done);
    let step = |(i, (done, words, why, href, button)): (usize, _)| {
        let next = next == Some(i);
        let state = match (done, next) {
            (true, _) => Chip::quiet(Tone::Ok, Icon::OkRing, "Done"),
            (false, true) => Chip::loud(Tone::Ask, Icon::Person, "Next"),
            (false, false) => Chip::quiet(Tone::Mute, Icon::Clock, "Later"),
        };
        Step {
            state,
            done,
            next,
            words,
            why,
            href,
            button,
        }
    };
    all.into_iter().enumerate().map(step).collect()
}
