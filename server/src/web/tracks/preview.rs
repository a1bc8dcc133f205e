//! What a new revision of the rings would do, as it is shown before it is saved.

use std::collections::HashMap;

use engine::words::{self, devices, number, ratio, share};
use sqlx::PgConnection;
use uuid::Uuid;

use super::Rule;
use crate::error::OpError;
use crate::registry::{self, RingInput};
use crate::store::device_kinds;
use crate::store::requests::{self, Listed};
use crate::store::rollouts;
use crate::store::tracks::Ring;
use crate::web::parts::Link;

/// Open requests of a track that are looked at.
const REQUESTS: i64 = 200;

/// A request whose ring grows by more than this may be void: its population is what counts, and it follows.
const GROWTH: f64 = 1.1;

/// A ring as it would be.
pub struct Row {
    /// Place, from 1.
    pub place: usize,
    /// Name.
    pub name: String,
    /// Rule.
    pub rule: Rule,
    /// Devices now; none for a new ring.
    pub now: Option<String>,
    /// Devices then.
    pub then: String,
    /// Their share of the track.
    pub share: String,
    /// `New ring`, `New revision 4`; none where it stays as it is.
    pub change: Option<String>,
}

/// Devices that would move.
pub struct Move {
    /// How many.
    pub devices: String,
    /// Where from.
    pub from: String,
    /// Where to.
    pub to: String,
}

/// A request that would end.
pub struct Voided {
    /// Where it is.
    pub link: Link,
    /// For sure, or only where its population grows as the ring does.
    pub sure: bool,
}

/// What would happen.
pub struct Preview {
    /// Rings.
    pub rows: Vec<Row>,
    /// All devices of the track that were not revoked.
    pub whole: String,
    /// Moves, the largest first.
    pub moves: Vec<Move>,
    /// Requests.
    pub voided: Vec<Voided>,
    /// Devices that rollouts do not reach any more.
    pub left_out: Option<String>,
    /// Nothing at all.
    pub nothing: bool,
}

/// Reads what a definition would do.
///
/// # Errors
/// As [`registry::preview`].
pub async fn read(
    conn: &mut PgConnection,
    track: Uuid,
    inputs: &[RingInput],
    existing: &[Ring],
) -> Result<Preview, OpError> {
    let drawn = registry::preview(&mut *conn, track, inputs).await?;
    let mut now: HashMap<Uuid, u64> = HashMap::new();
    for (ring, status, n) in device_kinds::by_status(&mut *conn, track).await? {
        if status != "revoked" {
            *now.entry(ring).or_default() += n;
        }
    }
    let open = requests::page(&mut *conn, Some(&[track]), None, true, REQUESTS).await?;
    let live = rollouts::live(&mut *conn, Some(track)).await?.len() as u64;
    Ok(Preview {
        left_out: left_out(&drawn, existing, live),
        ..shown(&drawn, existing, &now, &open)
    })
}

/// A rollout has a stage for each ring that was there when it was written, and for no other.
fn left_out(drawn: &registry::Preview, existing: &[Ring], live: u64) -> Option<String> {
    let is_new = |id: &Uuid| existing.iter().all(|r| r.id != *id);
    let n = drawn.devices.iter().filter(|(id, _)| is_new(id));
    let n = n.map(|(_, n)| n).sum();
    (n > 0 && live > 0).then(|| {
        format!(
            "A rollout knows the rings that were there when it was written: the {} in new rings get nothing from the {} \
             written so far, unless they have begun. A new rollout reaches them.",
            devices(n),
            words::count(live, "rollout"),
        )
    })
}

fn shown(
    drawn: &registry::Preview,
    existing: &[Ring],
    now: &HashMap<Uuid, u64>,
    open: &[Listed],
) -> Preview {
    let old = |id: Uuid| existing.iter().find(|r| r.id == id);
    let then = |id: Uuid| drawn.devices.get(&id).copied().unwrap_or(0);
    let before = |id: Uuid| now.get(&id).copied().unwrap_or(0);
    let whole: u64 = drawn.devices.values().sum();
    let last = drawn.rings.len();
    let row = |(i, ring): (usize, &Ring)| Row {
        place: i + 1,
        name: ring.name.clone(),
        rule: Rule::of(ring, i + 1 == last),
        now: old(ring.id).map(|_| number(before(ring.id))),
        then: number(then(ring.id)),
        share: share(ratio(then(ring.id), whole)),
        change: match old(ring.id) {
            None => Some("New ring".to_owned()),
            Some(old) if old.revision != ring.revision => {
                Some(format!("New revision {}", ring.revision))
            }
            Some(old) if old.name != ring.name => Some(format!("Was {}", old.name)),
            Some(_) => None,
        },
    };
    let name = |id: Uuid| {
        let found = drawn.rings.iter().find(|r| r.id == id);
        found.map(|r| r.name.clone()).unwrap_or_default()
    };
    let mut moves: Vec<_> = drawn.moves.iter().collect();
    moves.sort_by_key(|(_, n)| std::cmp::Reverse(**n));
    let ends = |listed: &Listed| {
        // A request knows its ring by the name that it has now.
        let old = existing.iter().find(|r| r.name == listed.ring)?;
        let new = drawn.rings.iter().find(|r| r.id == old.id)?;
        let sure = old.revision != new.revision;
        let grows = ratio(then(old.id), before(old.id).max(1)) > GROWTH;
        (sure || grows).then(|| Voided {
            link: Link::new(
                format!("Request for {}", listed.ring),
                format!("/approvals/{}", listed.request.id.0),
            ),
            sure,
        })
    };
    let rows: Vec<Row> = drawn.rings.iter().enumerate().map(row).collect();
    Preview {
        nothing: moves.is_empty() && rows.iter().all(|r| r.change.is_none()),
        rows,
        whole: devices(whole),
        moves: moves
            .into_iter()
            .map(|((from, to), n)| Move {
                devices: devices(*n),
                from: name(*from),
                to: name(*to),
            })
            .collect(),
        voided: open.iter().filter_map(ends).collect(),
        left_out: None,
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    fn ring(n: u128, name: &str, query: Option<&str>, revision: i32) -> Ring {
        Ring {
            id: Uuid::from_u128(n),
            track_id: Uuid::nil(),
            position: 0,
            name: name.to_owned(),
            query: query.map(str::to_owned),
            share: None,
            revision,
        }
    }

    /// A pilot ring whose query changes and which takes ten devices from the broad one.
    pub fn sample() -> Preview {
        let existing = [
            ring(1, "Pilot", Some("tag:pilot"), 1),
            ring(2, "Broad", None, 1),
        ];
        let drawn = registry::Preview {
            rings: vec![
                ring(1, "Pilot", Some("tag:pilot model:X*"), 2),
                ring(3, "Early <1>", None, 1),
                ring(2, "Broad", None, 1),
            ],
            devices: [(1, 20), (3, 10), (2, 70)]
                .map(|(ring, n)| (Uuid::from_u128(ring), n))
                .into(),
            moves: [((2, 3), 10), ((2, 1), 12)]
                .map(|((a, b), n)| ((Uuid::from_u128(a), Uuid::from_u128(b)), n))
                .into(),
        };
        let now = [(1, 8), (2, 92)].map(|(ring, n)| (Uuid::from_u128(ring), n));
        let mut preview = shown(&drawn, &existing, &now.into(), &[]);
        preview.left_out = left_out(&drawn, &existing, 1);
        preview.voided = [true, false]
            .map(|sure| Voided {
                link: Link::new("Request for Pilot", "/approvals/1"),
                sure,
            })
            .into();
        preview
    }

    #[test]
    fn the_largest_move_stands_first_and_shares_are_of_the_whole() {
        let preview = sample();
        assert_eq!(preview.moves[0].devices, "12 devices");
        assert_eq!(preview.whole, "100 devices");
        assert_eq!(preview.rows[1].change.as_deref(), Some("New ring"));
        assert_eq!(preview.rows[0].change.as_deref(), Some("New revision 2"));
        assert_eq!(
            (preview.rows[2].change.as_ref(), preview.nothing),
            (None, false)
        );
    }

    #[test]
    fn what_changes_nothing_says_so() {
        let rings = vec![ring(1, "Broad", None, 1)];
        let drawn = registry::Preview {
            rings: rings.clone(),
            devices: [(Uuid::from_u128(1), 5)].into(),
            moves: std::collections::BTreeMap::new(),
        };
        let now = HashMap::from([(Uuid::from_u128(1), 5)]);
        assert!(shown(&drawn, &rings, &now, &[]).nothing);
        assert_eq!(left_out(&drawn, &rings, 1), None);
    }
}
