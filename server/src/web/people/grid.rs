//! Roles as boxes to tick: a row for all tracks, and one for each.

use uuid::Uuid;

use crate::auth::Grant;
use crate::error::OpError;
use crate::store::people::Role;
use crate::store::tracks::Track;
use crate::store::{from_word, word};
use crate::web::frame::role_word;

/// From the one that may least.
const ROLES: [Role; 5] = [
    Role::Viewer,
    Role::Operator,
    Role::Approver,
    Role::Auditor,
    Role::Admin,
];

/// The boxes.
pub struct Grid {
    /// Heads of the columns: the role, and what it may.
    pub roles: Vec<(&'static str, &'static str)>,
    /// All tracks first.
    pub rows: Vec<Row>,
}

/// Boxes of one track.
pub struct Row {
    /// Its name; none: all tracks.
    pub track: Option<String>,
    /// In the order of the columns.
    pub boxes: Vec<Tick>,
}

/// One box.
pub struct Tick {
    /// What the form sends.
    pub value: String,
    /// The role.
    pub role: &'static str,
    /// Held.
    pub checked: bool,
}

const fn may(role: Role) -> &'static str {
    match role {
        Role::Viewer => "reads",
        Role::Operator => "writes and steers rollouts",
        Role::Approver => "decides on requests",
        Role::Auditor => "reads; the audit where it is for all tracks",
        Role::Admin => {
            "does what operators and auditors do; rings, devices, tokens, people; clears halts"
        }
    }
}

impl Grid {
    /// Boxes for these tracks, ticked where a role is held.
    pub fn new(tracks: &[Track], held: &[Grant]) -> Result<Self, OpError> {
        let row = |name: Option<String>, track: Option<Uuid>| {
            let tick = |role: Role| {
                let word = word(&role)?;
                Ok::<_, OpError>(Tick {
                    value: track.map_or_else(|| word.clone(), |id| format!("{word}:{id}")),
                    role: role_word(role),
                    checked: held.iter().any(|g| g.role == role && g.track == track),
                })
            };
            let boxes = ROLES.into_iter().map(tick).collect::<Result<_, _>>()?;
            Ok::<_, OpError>(Row { track: name, boxes })
        };
        let mut rows = vec![row(None, None)?];
        for track in tracks {
            rows.push(row(Some(track.name.clone()), Some(track.id))?);
        }
        Ok(Self {
            roles: ROLES.map(|role| (role_word(role), may(role))).to_vec(),
            rows,
        })
    }
}

/// Reads what was ticked.
pub fn grants(ticked: &[String]) -> Result<Vec<Grant>, OpError> {
    ticked.iter().map(|value| grant(value)).collect()
}

fn grant(value: &str) -> Result<Grant, OpError> {
    let wrong = || OpError::field("grant", "a role, and a track or none");
    let (role, track) = match value.split_once(':') {
        Some((role, track)) => (role, Some(track.parse::<Uuid>().map_err(|_| wrong())?)),
        None => (value, None),
    };
    let role = from_word("role", role.to_owned()).map_err(|_| wrong())?;
    Ok(Grant { role, track })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ticked_is_what_is_granted() {
        let track = Track {
            id: Uuid::nil(),
            name: "Production".to_owned(),
            time_zone: chrono_tz::Tz::UTC,
        };
        let held = [
            Grant {
                role: Role::Admin,
                track: None,
            },
            Grant {
                role: Role::Viewer,
                track: Some(track.id),
            },
        ];
        let grid = Grid::new(&[track], &held).unwrap();
        let boxes = grid.rows.iter().flat_map(|r| &r.boxes);
        let ticked: Vec<String> = boxes
            .filter(|b| b.checked)
            .map(|b| b.value.clone())
            .collect();
        assert_eq!(
            ticked,
            ["admin", "viewer:00000000-0000-0000-0000-000000000000"]
        );
        assert_eq!(grants(&ticked).unwrap(), held);
        for wrong in ["", "owner", "admin:", "admin:x", ":"] {
            assert!(grant(wrong).is_err(), "{wrong}");
        }
    }
}
