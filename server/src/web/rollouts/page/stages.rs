//! Rings in order, and every device of them by where it is.

use std::collections::BTreeMap;

use engine::words;

use super::{Read, rail};
use crate::views::StageLine;
use crate::web::frame::Frame;
use crate::web::parts::{Bar, Slice, StageRail, Tally, number, term};

/// One state of devices: word in lists, head of the column, colour, hatched.
struct Kind {
    state: &'static str,
    head: &'static str,
    word: &'static str,
    class: &'static str,
    hatched: bool,
    /// Shown also where no device is in it.
    always: bool,
}

const fn kind(
    state: &'static str,
    head: &'static str,
    word: &'static str,
    class: &'static str,
    always: bool,
) -> Kind {
    Kind {
        state,
        head,
        word,
        class,
        hatched: false,
        always,
    }
}

/// In the order in which the bar shows them: what is done, what is on its way, what went wrong.
const KINDS: [Kind; 22] = [
    kind("succeeded", "Succeeded", "succeeded", "d-succeeded", true),
    kind(
        "earlier_well",
        "Well before",
        "well since an earlier rollout",
        "d-succeeded",
        false,
    ),
    kind(
        "earlier_other",
        "Started before",
        "started in an earlier rollout",
        "f-mute",
        false,
    ),
    kind(
        "installed_elsewhere",
        "Installed elsewhere",
        "installed elsewhere",
        "f-mute",
        false,
    ),
    kind("removed", "Removed", "removed again", "f-mute", false),
    kind(
        "not_removed",
        "Not removed",
        "not removed",
        "d-failed",
        false,
    ),
    kind("verifying", "Verifying", "verifying", "d-restart", false),
    kind("restarting", "Restarting", "restarting", "d-restart", true),
    kind(
        "step_done",
        "Step done",
        "between two steps",
        "d-installing",
        false,
    ),
    kind(
        "installing",
        "Installing",
        "installing",
        "d-installing",
        true,
    ),
    kind("permitted", "Permitted", "permitted", "d-permitted", true),
    kind(
        "restart_agreed",
        "Restart agreed",
        "agreed to a restart",
        "d-offered",
        true,
    ),
    kind("ready", "Ready", "ready", "d-offered", true),
    kind(
        "downloading",
        "Downloading",
        "downloading",
        "d-offered",
        true,
    ),
    kind("targeted", "Targeted", "targeted", "d-targeted", true),
    kind("failed", "Failed", "failed", "d-failed", true),
    kind(
        "remediating",
        "Being repaired",
        "being repaired",
        "d-failed",
        false,
    ),
    kind(
        "rolled_back",
        "Rolled back",
        "rolled back",
        "d-failed",
        false,
    ),
    Kind {
        hatched: true,
        ..kind(
            "hang_suspected",
            "Hung",
            "suspected to hang",
            "d-hung",
            true,
        )
    },
    Kind {
        hatched: true,
        ..kind("lost", "Silent", "silent", "d-silent", true)
    },
    kind("not_ready", "Not ready", "not ready", "f-wait", true),
    kind(
        "not_applicable",
        "Not applicable",
        "not applicable",
        "f-line",
        false,
    ),
];

/// Head of a column.
pub struct Column {
    /// Word.
    pub head: &'static str,
    /// Colour.
    pub class: &'static str,
    /// Hatched as well.
    pub hatched: bool,
}

/// A ring.
pub struct Row {
    /// Its name.
    pub name: String,
    /// The one that is on.
    pub now: bool,
    /// Its devices as one bar.
    pub bar: Bar,
    /// Devices that the rollout is for.
    pub whole: String,
    /// One per column.
    pub cells: Vec<Tally>,
}

/// The panel.
pub struct Stages {
    /// Rings in order.
    pub rail: StageRail,
    /// Columns of the table.
    pub columns: Vec<Column>,
    /// Rings, and their sum where there are several.
    pub rows: Vec<Row>,
    /// Permitted and unresolved devices in words, with what they mean.
    pub exposure: String,
    /// Devices that it is not for, with why.
    pub left_out: Vec<String>,
    /// All of them.
    pub left_out_n: u64,
}

/// Devices that have it and are well, those of earlier rollouts of the same content included.
pub fn done(states: Option<&BTreeMap<String, u64>>) -> u64 {
    let of = |state| states.and_then(|of| of.get(state)).copied().unwrap_or(0);
    of("succeeded") + of("earlier_well")
}

impl Stages {
    /// The panel of a rollout.
    pub fn new(frame: &Frame, read: &Read) -> Self {
        let stages = &read.page.stages;
        let devices: Vec<BTreeMap<&str, u64>> = stages.iter().map(|s| partition(read, s)).collect();
        let shown: Vec<&Kind> = KINDS
            .iter()
            .filter(|k| k.always || devices.iter().any(|of| of.contains_key(k.state)))
            .collect();
        let current = stages.iter().position(|s| s.state != "passed");
        let rows = stages.iter().zip(&devices).enumerate();
        let counts = read.page.counts;
        let latent = counts.started.saturating_sub(counts.resolved);
        Self {
            rail: rail::of(frame, read),
            columns: shown
                .iter()
                .map(|k| Column {
                    head: k.head,
                    class: k.class,
                    hatched: k.hatched,
                })
                .collect(),
            rows: rows
                .map(|(at, (stage, of))| row(read, stage, of, &shown, current == Some(at)))
                .collect(),
            exposure: exposure(latent),
            left_out: left_out(read),
            left_out_n: read
                .page
                .population
                .iter()
                .filter(|(class, _)| *class != "targeted")
                .map(|(_, n)| n)
                .sum(),
        }
    }
}

fn exposure(latent: u64) -> String {
    match latent {
        0 => "No device has a permit and no outcome yet.".to_owned(),
        1 => "Latent exposure: 1 device has a permit and no outcome yet. If the update were bad, it is where harm would still appear.".to_owned(),
        n => format!(
            "Latent exposure: {} have a permit and no outcome yet. If the update were bad, they are where harm would still appear.",
            words::devices(n)
        ),
    }
}

/// Devices of a stage, each in one state. Those that nobody heard of yet are targeted.
fn partition<'a>(read: &'a Read, stage: &StageLine) -> BTreeMap<&'a str, u64> {
    let states = read.progress.states.get(&stage.ring);
    let mut of: BTreeMap<&str, u64> = states
        .into_iter()
        .flatten()
        .map(|(state, n)| (state.as_str(), *n))
        .collect();
    let whole = stage.population.get("targeted").copied().unwrap_or(0);
    let known: u64 = of
        .iter()
        .filter(|(state, _)| **state != "installed_elsewhere")
        .map(|(_, n)| n)
        .sum();
    if whole > known {
        *of.entry("targeted").or_default() += whole - known;
    }
    of
}

fn row(
    read: &Read,
    stage: &StageLine,
    of: &BTreeMap<&str, u64>,
    shown: &[&Kind],
    now: bool,
) -> Row {
    let n = |kind: &&Kind| of.get(kind.state).copied().unwrap_or(0);
    let slices: Vec<Slice> = shown
        .iter()
        .map(|kind| Slice {
            word: kind.word,
            class: kind.class,
            n: n(kind),
            hatched: kind.hatched,
        })
        .collect();
    let ring = term("ring", &stage.ring_name);
    let whole: u64 = slices.iter().map(|s| s.n).sum();
    Row {
        name: stage.ring_name.clone(),
        now,
        bar: Bar::new(&stage.ring_name, &slices, whole, "tall"),
        whole: number(whole),
        cells: shown
            .iter()
            .map(|kind| {
                if kind.state.starts_with("earlier") {
                    // They belong to other rollouts: no query of this one finds them.
                    return Tally::plain(n(kind));
                }
                let query = read.devices(&format!("{ring} state:{}", kind.state));
                Tally::of(n(kind), &query)
            })
            .collect(),
    }
}

/// Devices that it is not for, by why. No query finds them by it.
fn left_out(read: &Read) -> Vec<String> {
    let why = |class: &str| match class {
        "complete" => "are on the target build already".to_owned(),
        "ahead" => "are on a newer build".to_owned(),
        "excluded" => "are left out of it".to_owned(),
        class => match class.split_once(':').map(|(_, why)| why) {
            Some("product") => "are of another product".to_owned(),
            Some("family") => "run other Windows versions".to_owned(),
            Some("series") => "are of another series, Hotpatch or standard".to_owned(),
            Some("architecture") => "have another processor architecture".to_owned(),
            Some("edition") => "have another edition of Windows".to_owned(),
            Some("observed_only") => "get it from Windows Update during setup".to_owned(),
            _ => class.replace('_', " "),
        },
    };
    let population = read.page.population.iter();
    population
        .filter(|(class, n)| *class != "targeted" && **n > 0)
        .map(|(class, n)| format!("{} {}", number(*n), why(class)))
        .collect()
}
