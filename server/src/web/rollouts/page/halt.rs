//! How far it is from a halt, in whole numbers.

use chrono::TimeDelta;
use engine::evidence::CohortKind;
use engine::halt::{HaltPolicy, Stream, Watch};
use engine::ids::CohortId;
use engine::words::{count, devices, duration, share};

use super::Read;
use crate::web::parts::{Bar, HaltChart, Link, Slice, device_list, number, term};

/// First numbers of the caption: the line is steepest where it begins.
const FIRST: usize = 5;

/// The panel.
pub struct Halt {
    /// Picture; none before the first device started.
    pub chart: Option<HaltChart>,
    /// `Halts at 2 failures of the first 2, 3 of 6 ...`
    pub caption: String,
    /// What is watched.
    pub rows: Vec<Row>,
}

/// One watch.
pub struct Row {
    /// What is watched; its devices, where a query finds them.
    pub name: Link,
    /// `nearest model`.
    pub note: Option<&'static str>,
    /// Failures now.
    pub now: String,
    /// Started devices.
    pub started: String,
    /// Fewest that brake.
    pub brakes: String,
    /// Fewest that halt.
    pub halts: String,
    /// `17 more to the halt`.
    pub left: String,
    /// How far it got.
    pub bar: Option<Bar>,
}

impl Halt {
    /// The panel of a rollout.
    pub fn new(read: &Read) -> Self {
        let progress = &read.progress;
        let all = progress.all.iter().find(|w| w.stream == Stream::Failure);
        let mut rows: Vec<Row> = progress
            .all
            .iter()
            .map(|watch| Row::all(read, watch))
            .collect();
        rows.extend(
            progress
                .nearest
                .iter()
                .map(|(kind, watch)| Row::nearest(read, *kind, watch)),
        );
        Self {
            chart: all.map(|all| HaltChart::new(&progress.boundary, progress.up_to, all)),
            caption: caption(read),
            rows,
        }
    }
}

fn caption(read: &Read) -> String {
    let line = &read.progress.boundary.halts;
    let mut text = String::new();
    for (failures, largest) in line.iter().take(FIRST) {
        if text.is_empty() {
            text = format!(
                "Halts at {} of the first {}",
                count(*failures, "failure"),
                number(*largest)
            );
        } else {
            text += &format!(", {} of {}", number(*failures), number(*largest));
        }
    }
    if let Some((failures, largest)) = line.last().filter(|_| line.len() > FIRST) {
        text += &format!(" ... {} of {}", number(*failures), number(*largest));
    }
    text + &usual(&read.snapshot.rollout.halt)
}

/// What a good update is, and where that was learned.
fn usual(policy: &HaltPolicy) -> String {
    let rate = share(policy.baseline(Stream::Failure, CohortId::ALL, None));
    let learned = policy.learned.get(&CohortId::ALL).map(|of| {
        format!(
            " That is what {} on {} taught.",
            count(of.updates.into(), "update"),
            devices(of.devices)
        )
    });
    let slow = policy.overdue_after_s.map(|seconds| {
        let time = duration(TimeDelta::seconds(seconds));
        format!(" Slow is what takes longer than {time}, as they did in one of a hundred cases.")
    });
    format!(
        ". A good update, with at most {rate} failures, is halted in at most 1 % of rollouts.{}{}",
        learned.unwrap_or_default(),
        slow.unwrap_or_default()
    )
}

/// `attribute:edr="Contoso 7.2"`; no query finds those that report none, or another value.
fn attribute_term(cohort: &str) -> String {
    match cohort.split_once(' ') {
        Some((_, "not reported")) | None => String::new(),
        Some(("edition", edition)) => term("edition", edition),
        Some((name, value)) => format!("attribute:{name}=\"{value}\""),
    }
}

impl Row {
    fn all(read: &Read, watch: &Watch) -> Self {
        let name = match watch.stream {
            Stream::Failure => "All devices, failures",
            Stream::Severe => "All devices, unusable",
            Stream::Silence => "All devices, silent",
            Stream::Overdue => "All devices, slow",
            Stream::Relapse => "Repaired, failed again",
        };
        let mut watch = watch.clone();
        if watch.stream == Stream::Silence && watch.halts_at.is_none() {
            // Without a control nothing is judged; those that are silent are shown all the same.
            watch.failures = read.page.counts.silent;
        }
        Self::new(
            Link::new(name, device_list(&read.devices(""))),
            None,
            &watch,
        )
    }

    fn nearest(read: &Read, kind: CohortKind, watch: &Watch) -> Self {
        let (note, terms) = match kind {
            CohortKind::Model => ("nearest model", term("model", &watch.name)),
            CohortKind::Bios => ("nearest BIOS version", String::new()),
            CohortKind::Architecture => ("nearest architecture", format!("arch:{}", watch.name)),
            CohortKind::Build => ("nearest build before", String::new()),
            CohortKind::Edition => ("nearest edition", format!("edition:{}", watch.name)),
            CohortKind::Attribute1
            | CohortKind::Attribute2
            | CohortKind::Attribute3
            | CohortKind::Attribute4 => ("nearest by attribute", attribute_term(&watch.name)),
        };
        let name = match watch.stream {
            Stream::Severe => format!("{}, unusable", watch.name),
            _ => watch.name.clone(),
        };
        let name = match terms.as_str() {
            "" => Link::new(name, ""),
            terms => Link::new(name, device_list(&read.devices(terms))),
        };
        Self::new(name, Some(note), watch)
    }

    fn new(name: Link, note: Option<&'static str>, watch: &Watch) -> Self {
        let dash = || "–".to_owned();
        let left = match (watch.halts_at, watch.brakes_at) {
            (Some(at), _) if at <= watch.failures => "Halts".to_owned(),
            (Some(at), _) => format!("{} more to the halt", number(at - watch.failures)),
            (None, Some(at)) if at <= watch.failures => "Brakes, never halts".to_owned(),
            (None, Some(at)) => format!("{} more to the brake", number(at - watch.failures)),
            (None, None) => "Shown only: there is no control to compare with.".to_owned(),
        };
        let whole = watch.halts_at.or(watch.brakes_at);
        Self {
            note,
            now: number(watch.failures),
            started: number(watch.started),
            brakes: watch.brakes_at.map_or_else(dash, number),
            halts: watch.halts_at.map_or_else(dash, number),
            left,
            bar: whole.map(|whole| {
                let slice = Slice {
                    word: "counted",
                    class: if watch.failures >= whole {
                        "f-bad"
                    } else {
                        "f-text"
                    },
                    n: watch.failures,
                    hatched: false,
                };
                Bar::new(&name.text, &[slice], whole, "thin")
            }),
            name,
        }
    }
}
