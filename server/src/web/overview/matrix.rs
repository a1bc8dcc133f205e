//! Tracks and rings: how many devices of each ring are on what the track's newest rollout brings, and what is in its way.

use std::collections::BTreeMap;

use engine::rollout::RolloutState;
use engine::stage::StageState;
use engine::words::ratio;
use servicing::{Family, Sequence, Series, Variant};

use super::world::{Going, World};
use crate::store::levels::{Group, Named};
use crate::store::rollouts::StoredStage;
use crate::web::parts::{Bar, Icon, Link, Slice, State as Chip, Tally, Tone, number, share, term};

/// Tracks that are shown at once; the filter finds the others.
pub(super) const TRACKS: usize = 50;

/// Names of the columns: rings of different tracks are alike by their place only.
const PLACES: [&str; 8] = [
    "First ring",
    "Second",
    "Third",
    "Fourth",
    "Fifth",
    "Sixth",
    "Seventh",
    "Eighth",
];

/// All tracks.
pub(super) struct Matrix {
    pub heads: Vec<String>,
    pub rows: Vec<Row>,
    /// Tracks that are left out.
    pub hidden: usize,
    /// Devices of all tracks, and of these on what their track's newest rollout brings.
    pub all: u64,
    pub total: String,
    pub latest: u64,
    /// Finds the latter, where there is one track and builds tell them.
    pub terms: Vec<String>,
    /// Of these devices, those of tracks without a rollout: nothing is measured there.
    pub unmeasured: u64,
}

/// One track.
pub(super) struct Row {
    pub track: Link,
    pub devices: Tally,
    pub rollout: Option<(Link, String)>,
    pub cells: Vec<Cell>,
    /// Places without a ring.
    pub missing: usize,
}

/// One ring.
pub(super) struct Cell {
    pub ring: String,
    pub devices: Tally,
    pub latest: Option<Latest>,
    pub state: Option<Chip>,
    /// Class of the coloured edge, where the rollout stands here.
    pub front: Option<&'static str>,
    pub exceptions: Vec<Exception>,
}

/// How many are on what the rollout brings.
pub(super) struct Latest {
    pub share: Tally,
    pub of: String,
    pub bar: Bar,
}

/// Devices that are not as they should be.
pub(super) struct Exception {
    pub tone: &'static str,
    pub icon: Icon,
    pub n: Tally,
    pub word: &'static str,
}

/// Stored states that are shown, in order, each with its look.
const EXCEPTIONS: [(&str, &str, Tone, Icon); 7] = [
    ("failed", "failed", Tone::Bad, Icon::X),
    ("remediating", "being repaired", Tone::Bad, Icon::Timer),
    ("rolled_back", "rolled back", Tone::Bad, Icon::X),
    ("hang_suspected", "hung", Tone::Hung, Icon::Hourglass),
    ("lost", "silent", Tone::Mute, Icon::Gone),
    ("not_ready", "not ready", Tone::Wait, Icon::Triangle),
    ("not_applicable", "not applicable", Tone::Mute, Icon::Off),
];

/// Between permit and outcome.
const MOVING: [&str; 5] = [
    "permitted",
    "installing",
    "step_done",
    "restarting",
    "verifying",
];

impl Matrix {
    pub fn of(world: &World) -> Self {
        let mut matrix = Self {
            heads: Vec::new(),
            rows: Vec::new(),
            hidden: world.tracks.len().saturating_sub(TRACKS),
            all: 0,
            total: String::new(),
            latest: 0,
            terms: Vec::new(),
            unmeasured: 0,
        };
        for track in &world.tracks {
            let rings: Vec<_> = world.rings.iter().filter(|r| r.track == track.id).collect();
            let front = world.front(track.id);
            let of_track = || world.fleet.iter().filter(|g| g.track == track.id);
            let devices = of_track().map(|g| g.n).sum();
            matrix.all += devices;
            match front.map(Brings::of) {
                Some(Brings::Builds(variants)) => {
                    let groups: Vec<&Group> = of_track().collect();
                    let found = front.and_then(|g| build_term(g.sequence.as_ref()?, &groups));
                    if let (1, Some(found)) = (world.tracks.len(), found) {
                        matrix.terms = admitted(&[term("track", &track.name), found]);
                    }
                    matrix.latest += of_track()
                        .filter(|g| is_on(&variants, g))
                        .map(|g| g.n)
                        .sum::<u64>();
                }
                _ => matrix.unmeasured += devices,
            }
            if matrix.rows.len() == TRACKS {
                continue;
            }
            let name = track.name.as_str();
            let cells = rings.iter().map(|ring| cell(world, name, ring, front));
            matrix.rows.push(Row {
                track: Link::new(name, format!("/tracks/{}", track.id)),
                devices: Tally::found(devices, &admitted(&[term("track", name)])),
                rollout: front.map(|g| (Link::new(g.kb(), href(g)), g.line.state.to_owned())),
                cells: cells.collect(),
                missing: 0,
            });
        }
        matrix.total = number(matrix.all);
        let places = matrix.rows.iter().map(|r| r.cells.len()).max();
        let places = places.unwrap_or_default();
        for row in &mut matrix.rows {
            row.missing = places - row.cells.len();
        }
        let place = |i: usize| match PLACES.get(i) {
            Some(word) => (*word).to_owned(),
            None => format!("Ring {}", i + 1),
        };
        matrix.heads = (0..places).map(place).collect();
        matrix
    }
}

pub(super) fn href(going: &Going) -> String {
    format!("/rollouts/{}", going.line.id)
}

fn admitted(terms: &[String]) -> Vec<String> {
    let mut terms = terms.to_vec();
    terms.push("status:admitted".to_owned());
    terms
}

/// What a rollout brings, as far as a device's build can tell.
enum Brings<'a> {
    /// Builds: whoever has them is on the latest, however they came to it.
    Builds(Vec<&'a Variant>),
    /// Nothing that a build shows.
    Nothing,
}

impl<'a> Brings<'a> {
    fn of(going: &'a Going) -> Self {
        match &going.sequence {
            Some(sequence) if sequence.kind.sets_build() => {
                Self::Builds(sequence.variants.iter().collect())
            }
            _ => Self::Nothing,
        }
    }
}

fn is_on(variants: &[&Variant], group: &Group) -> bool {
    variants.iter().any(|v| {
        v.product == group.product
            && v.series == group.series
            && v.covers_base(group.build.base)
            && v.target_for(group.build)
                .is_some_and(|t| t.base == group.build.base && group.build.ubr >= t.ubr)
    })
}

/// The query term that finds the same devices; none where builds alone do not tell them.
fn build_term(sequence: &Sequence, groups: &[&Group]) -> Option<String> {
    let first = sequence.variants.first()?;
    let (family, ubr) = (first.family()?, first.target_ubr?);
    let alike = sequence.variants.iter().all(|v| {
        v.family() == Some(family)
            && v.target_ubr == Some(ubr)
            && v.enables().is_none()
            && v.series == Series::Standard
    });
    let covered = groups
        .iter()
        .filter(|g| Family::of(g.product, g.build.base) == Some(family))
        .all(|g| {
            g.series == Series::Standard
                && sequence
                    .variants
                    .iter()
                    .any(|v| v.base_builds.contains(&g.build.base))
        });
    let base = first.base_builds.first()?;
    (alike && covered).then(|| format!("build>={base}.{ubr}"))
}

fn cell(world: &World, track: &str, ring: &Named, front: Option<&Going>) -> Cell {
    let groups: Vec<&Group> = world.fleet.iter().filter(|g| g.ring == ring.id).collect();
    let devices: u64 = groups.iter().map(|g| g.n).sum();
    let here = [term("track", track), term("ring", &ring.name)];
    let stage = front.and_then(|g| g.stages.iter().find(|s| s.ring_id == ring.id));
    let nobody = BTreeMap::new();
    let states = front
        .and_then(|g| world.standing.get(&(g.line.id, ring.id)))
        .unwrap_or(&nobody);
    let (state, edge) = match front.zip(stage) {
        Some((going, stage)) => standing(going, stage),
        None => (None, None),
    };
    Cell {
        ring: ring.name.clone(),
        devices: Tally::found(devices, &admitted(&here)),
        latest: front.and_then(|g| latest(g, &ring.name, &groups, &here, devices, states)),
        state,
        front: edge,
        exceptions: front.map_or_else(Vec::new, |g| exceptions(world, g, ring, states)),
    }
}

fn exceptions(
    world: &World,
    going: &Going,
    ring: &Named,
    states: &BTreeMap<String, u64>,
) -> Vec<Exception> {
    let id = going.line.id;
    let not_for = world.not_for.get(&(id, ring.id)).copied();
    let count = |word: &str| match word {
        "not_applicable" => not_for.unwrap_or_default(),
        _ => states.get(word).copied().unwrap_or_default(),
    };
    let shown = EXCEPTIONS.iter().filter(|(word, ..)| count(word) > 0);
    shown
        .map(|(word, said, tone, icon)| {
            let terms = [
                format!("rollout:{id}"),
                term("ring", &ring.name),
                match *word {
                    "not_applicable" => format!("class:{word}"),
                    _ => format!("state:{word}"),
                },
            ];
            Exception {
                tone: tone.class(),
                icon: *icon,
                n: Tally::found(count(word), &terms),
                word: said,
            }
        })
        .collect()
}

fn latest(
    going: &Going,
    ring: &str,
    groups: &[&Group],
    here: &[String],
    devices: u64,
    states: &BTreeMap<String, u64>,
) -> Option<Latest> {
    let count = |word: &str| states.get(word).copied().unwrap_or_default();
    let Brings::Builds(variants) = Brings::of(going) else {
        return None;
    };
    let on: u64 = groups
        .iter()
        .filter(|g| is_on(&variants, g))
        .map(|g| g.n)
        .sum();
    let terms = going.sequence.as_ref().and_then(|s| build_term(s, groups));
    let terms = terms.map_or_else(Vec::new, |term| {
        let mut terms = admitted(here);
        terms.push(term);
        terms
    });
    let slice = |word, class, n, hatched| Slice {
        word,
        class,
        n,
        hatched,
    };
    let slices = [
        slice("on the latest", "d-succeeded", on, false),
        slice(
            "in progress",
            "d-installing",
            MOVING.iter().map(|w| count(w)).sum(),
            false,
        ),
        slice(
            "failed",
            "d-failed",
            count("failed") + count("remediating") + count("rolled_back"),
            false,
        ),
        slice("hung", "d-hung", count("hang_suspected"), true),
        slice("silent", "d-silent", count("lost"), true),
    ];
    Some(Latest {
        share: Tally::found(on, &terms).said(share(ratio(on, devices))),
        of: format!("{} of {}", number(on), number(devices)),
        bar: Bar::new(ring, &slices, devices, ""),
    })
}

/// The state of a ring in its track's rollout, and the edge where the rollout stands there.
fn standing(going: &Going, stage: &StoredStage) -> (Option<Chip>, Option<&'static str>) {
    let here = going.current().is_some_and(|s| s.id == stage.id);
    let rollout = &going.line.state_detail;
    match rollout {
        RolloutState::Halted { .. } if here => {
            (Some(Chip::of_rollout(rollout)), Some("front halted"))
        }
        RolloutState::Paused { .. } if here => {
            (Some(Chip::of_rollout(rollout)), Some("front held"))
        }
        RolloutState::Active if here => {
            let edge = match stage.state {
                StageState::AwaitingApproval { .. } => "front",
                StageState::Waiting => "front held",
                _ => "front soak",
            };
            (Some(Chip::of_stage(&stage.state)), Some(edge))
        }
        _ => (Some(Chip::of_stage(&stage.state)), None),
    }
}
