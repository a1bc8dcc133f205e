//! On how many devices a sequence is, by the counters of its rollouts.

use engine::words::{number, ratio};

use crate::store::sequences::RolledOut;
use crate::web::parts::{Bar, Slice, Tally, share};

/// A line of "On devices".
pub(super) struct Level {
    pub class: &'static str,
    pub word: &'static str,
    pub n: Tally,
    pub share: String,
}

/// How many devices have it.
pub(super) struct OnDevices {
    pub bar: Bar,
    pub levels: Vec<Level>,
    /// Devices that it was counted for.
    pub whole: String,
}

/// What the counters of its rollouts say: who started in any of them, and the population of each track's newest one.
pub(super) fn on_devices(used: &[RolledOut]) -> Option<OnDevices> {
    let mut tracks = Vec::new();
    let newest: Vec<&RolledOut> = used
        .iter()
        .filter(|r| !r.listed && !r.population.is_empty())
        .filter(|r| {
            let first = !tracks.contains(&r.track);
            tracks.push(r.track);
            first
        })
        .collect();
    let of = |class: &str| -> u64 { newest.iter().filter_map(|r| r.population.get(class)).sum() };
    let all = |field: fn(&RolledOut) -> u64| -> u64 { used.iter().map(field).sum() };
    let (started, ok) = (all(|r| r.started), all(|r| r.ok));
    let resolved = all(|r| r.resolved).max(ok);
    let not_for: u64 = newest
        .iter()
        .flat_map(|r| &r.population)
        .filter(|(class, _)| class.starts_with("not_applicable"))
        .map(|(_, n)| n)
        .sum();
    let counts = [
        ("d-succeeded", "Verified", ok),
        ("d-permitted", "Had it before", of("complete")),
        ("d-restart", "Ahead of it", of("ahead")),
        (
            "d-installing",
            "In progress",
            started.saturating_sub(resolved),
        ),
        ("d-failed", "Failed, hung or silent", resolved - ok),
        (
            "d-targeted",
            "Not started",
            of("targeted").saturating_sub(started),
        ),
        ("f-mute", "Not applicable", not_for),
    ];
    let whole: u64 = counts.iter().map(|(_, _, n)| n).sum();
    if whole == 0 {
        return None;
    }
    let slices: Vec<Slice> = counts
        .iter()
        .map(|(class, word, n)| Slice {
            word,
            class,
            n: *n,
            hatched: false,
        })
        .collect();
    let only = match used {
        [one] => Some(one.id),
        _ => None,
    };
    let shown = counts
        .iter()
        .filter(|(_, word, n)| *n > 0 || *word == "Verified");
    let levels = shown.map(|(class, word, n)| Level {
        class,
        word,
        n: match only.zip(found_by(word)) {
            Some((id, term)) => Tally::found(*n, &[format!("rollout:{id}"), term.to_owned()]),
            None => Tally::plain(*n),
        },
        share: share(ratio(*n, whole)),
    });
    Some(OnDevices {
        bar: Bar::new("On devices", &slices, whole, "tall"),
        levels: levels.collect(),
        whole: number(whole),
    })
}

/// The query term that finds the devices of a line, where one does.
fn found_by(word: &str) -> Option<&'static str> {
    match word {
        "Verified" => Some("state:succeeded"),
        "Had it before" => Some("class:complete"),
        "Ahead of it" => Some("class:ahead"),
        "Not applicable" => Some("class:not_applicable"),
        _ => None,
    }
}
