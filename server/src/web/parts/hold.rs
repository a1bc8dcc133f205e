//! Known issues that hold devices, and devices that a rollout goes on without, as lists show them.

use engine::hold::HoldKind;
use engine::words;
use uuid::Uuid;

use super::tally::device_list;
use super::{Icon, State, Tone, When, term};
use crate::store::holds::Stored;
use crate::web::frame::Frame;

/// One of them.
pub struct HoldRow {
    /// Id.
    pub id: Uuid,
    /// What is known.
    pub issue: String,
    /// Whether devices wait or are left out.
    pub kind: State,
    /// The query of its devices.
    pub query: String,
    /// List of the devices that it takes.
    pub href: String,
    /// `12 devices have not started`, where it is about one rollout.
    pub not_started: Option<String>,
    /// Update that it is about; none: every update.
    pub about: Option<String>,
    /// Who looks after it.
    pub owner: String,
    /// When it ends by itself.
    pub ends: Option<When>,
}

impl HoldRow {
    /// Of a track, with the names of its owner and of what it is about.
    pub fn new(
        frame: &Frame,
        track: &str,
        stored: &Stored,
        owner: String,
        about: Option<String>,
    ) -> Self {
        let query = stored.hold.query.to_string();
        Self {
            id: stored.hold.id.0,
            issue: stored.hold.issue.clone(),
            kind: match stored.hold.kind {
                HoldKind::Safeguard => State::quiet(Tone::Wait, Icon::Pause, "Held"),
                HoldKind::Exclusion => State::quiet(Tone::Mute, Icon::Off, "Left out"),
            },
            href: device_list(&format!("{} {query}", term("track", track))),
            query,
            not_started: None,
            about,
            owner,
            ends: stored.expires_at.map(|at| frame.when(at)),
        }
    }

    /// The same in a rollout, of which it takes so many devices that have not started.
    #[must_use]
    pub fn taking(mut self, devices: u64) -> Self {
        let verb = if devices == 1 { "has" } else { "have" };
        let devices = words::devices(devices);
        self.not_started = Some(format!("{devices} {verb} not started"));
        self
    }

    /// One for snapshots.
    #[cfg(test)]
    pub fn sample(frame: &Frame, issue: &str, is_exclusion: bool) -> Self {
        use engine::hold::Hold;
        use engine::ids::HoldId;
        let rollout = is_exclusion.then(Uuid::nil);
        let stored = Stored {
            hold: Hold {
                id: HoldId(Uuid::nil()),
                kind: match rollout {
                    None => HoldKind::Safeguard,
                    Some(_) => HoldKind::Exclusion,
                },
                query: "model:\"Latitude <5440>\" bios:1.2*".parse().unwrap(),
                issue: issue.to_owned(),
            },
            track: Uuid::nil(),
            digest: None,
            rollout,
            owner: Uuid::nil(),
            added_by: Uuid::nil(),
            added_at: frame.now,
            expires_at: rollout
                .is_none()
                .then(|| frame.now + chrono::TimeDelta::days(9)),
        };
        let about = is_exclusion.then(|| "KB5086672".to_owned());
        Self::new(frame, "Production", &stored, "Anna Novak".to_owned(), about)
    }
}
