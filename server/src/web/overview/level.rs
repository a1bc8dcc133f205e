//! Patch level: builds of the fleet against the releases that are known. Builds compare inside one family and series
//! only, so each has a picture of its own.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use engine::words::ratio;
use servicing::{Build, BuildKind, Family, Kind, Product, Sequence, Series, known_builds};

use crate::store::levels::Group;
use crate::web::parts::{Bar, Slice, Tally, number, share, term};

/// Devices of one family and series.
pub(super) struct Level {
    /// `Windows 11 24H2, 25H2, 26H2`.
    pub name: String,
    /// How many devices.
    pub total: String,
    /// What is newest: build, with its release label where that is known.
    pub newest: Option<String>,
    pub bar: Option<Bar>,
    pub lines: Vec<Line>,
    /// Every build, the highest first, and how many devices are on builds that are left out.
    pub builds: Vec<OnBuild>,
    pub others: u64,
}

/// Devices on one UBR.
pub(super) struct OnBuild {
    pub builds: Vec<String>,
    pub label: String,
    pub n: Tally,
}

/// Builds that are listed.
const BUILDS: usize = 15;

/// Devices that are as far behind.
pub(super) struct Line {
    pub class: &'static str,
    pub word: &'static str,
    pub n: Tally,
    pub share: String,
}

/// Picture of each family and series that has devices; `track` narrows the links.
pub(super) fn levels(
    fleet: &[Group],
    published: &[Sequence],
    track: Option<&str>,
    now: DateTime<Utc>,
) -> Vec<Level> {
    let mut groups: BTreeMap<(Product, Option<Family>, Series), Vec<&Group>> = BTreeMap::new();
    for group in fleet {
        let family = Family::of(group.product, group.build.base);
        groups
            .entry((group.product, family, group.series))
            .or_default()
            .push(group);
    }
    let mixed: Vec<(Product, Option<Family>)> = groups.keys().map(|(p, f, _)| (*p, *f)).collect();
    let one_series = |product, family| {
        mixed
            .iter()
            .filter(|one| **one == (product, family))
            .count()
            == 1
    };
    groups
        .into_iter()
        .map(|((product, family, series), groups)| {
            let linked = one_series(product, family);
            let mut terms = vec![format!("product:{product}"), "status:admitted".to_owned()];
            terms.extend(track.map(|name| term("track", name)));
            let releases = family.map_or_else(BTreeMap::new, |family| {
                releases(family, series, published, now)
            });
            level(
                product,
                family,
                series,
                &groups,
                &releases,
                linked.then_some(terms.as_slice()),
            )
        })
        .collect()
}

/// UBRs of the releases of a family and series that are out, with their labels. Previews are optional: nobody is behind
/// for want of one.
fn releases(
    family: Family,
    series: Series,
    published: &[Sequence],
    now: DateTime<Utc>,
) -> BTreeMap<u32, String> {
    let today = now.date_naive();
    let mut releases = BTreeMap::new();
    let known = known_builds().iter().filter(|k| {
        family.product() == Product::Client
            && family.bases().contains(&k.base)
            && k.kind.series() == series
            && matches!(
                k.kind,
                BuildKind::Security | BuildKind::OutOfBand | BuildKind::Hotpatch
            )
            && k.released.is_some_and(|day| day <= today)
    });
    for release in known {
        if let Some(build) = release.build {
            releases.insert(build.ubr, release.label.clone());
        }
    }
    let own = published
        .iter()
        .filter(|s| s.kind.is_cumulative() && s.kind != Kind::Preview);
    for sequence in own {
        for variant in &sequence.variants {
            let fits = variant.family() == Some(family) && variant.series == series;
            if let Some(ubr) = variant.target_ubr.filter(|_| fits) {
                releases
                    .entry(ubr)
                    .or_insert_with(|| sequence.label.clone());
            }
        }
    }
    releases
}

fn level(
    product: Product,
    family: Option<Family>,
    series: Series,
    groups: &[&Group],
    releases: &BTreeMap<u32, String>,
    terms: Option<&[String]>,
) -> Level {
    let devices: u64 = groups.iter().map(|g| g.n).sum();
    let (builds, others) = builds(groups, releases, terms);
    let name = name(product, family, series, groups);
    let base = family.and_then(|f| f.bases().first().copied());
    let mut newest = releases.iter().rev();
    let (Some(base), Some((top, label))) = (base, newest.next()) else {
        return Level {
            name,
            total: number(devices),
            newest: None,
            bar: None,
            lines: Vec::new(),
            builds,
            others,
        };
    };
    let before = newest.next().map(|(ubr, _)| *ubr);
    let (mut at_top, mut one, mut several) = (0, 0, 0);
    for group in groups {
        let ubr = group.build.ubr;
        if ubr >= *top {
            at_top += group.n;
        } else if before.is_none_or(|before| ubr >= before) {
            one += group.n;
        } else {
            several += group.n;
        }
    }
    let at = |ubr: u32| Build { base, ubr };
    let found = |n: u64, mine: Vec<String>| match terms {
        Some(terms) => {
            let mut all = terms.to_vec();
            all.extend(mine);
            Tally::found(n, &all)
        }
        None => Tally::plain(n),
    };
    let mut middle = vec![format!("build<{}", at(*top))];
    middle.extend(before.map(|ubr| format!("build>={}", at(ubr))));
    let last = before.map(|ubr| format!("build<{}", at(ubr)));
    let line = |class, word, n: Tally| Line {
        class,
        word,
        share: share(ratio(n.n, devices)),
        n,
    };
    let lines = vec![
        line(
            "d-succeeded",
            "Newest",
            found(at_top, vec![format!("build>={}", at(*top))]),
        ),
        line("d-targeted", "One release behind", found(one, middle)),
        line(
            "f-wait",
            "Several behind",
            found(several, last.into_iter().collect()),
        ),
    ];
    let slices: Vec<Slice> = lines
        .iter()
        .map(|l| Slice {
            word: l.word,
            class: l.class,
            n: l.n.n,
            hatched: false,
        })
        .collect();
    let label = if label.is_empty() {
        String::new()
    } else {
        format!(", {label}")
    };
    Level {
        newest: Some(format!("{}{label}", at(*top))),
        bar: Some(Bar::new(&name, &slices, devices, "tall")),
        name,
        total: number(devices),
        lines,
        builds,
        others,
    }
}

/// Devices by UBR, the highest first: builds of a family compare whatever their base, so one query finds them all.
fn builds(
    groups: &[&Group],
    releases: &BTreeMap<u32, String>,
    terms: Option<&[String]>,
) -> (Vec<OnBuild>, u64) {
    let mut by_ubr: BTreeMap<u32, (BTreeSet<u32>, u64)> = BTreeMap::new();
    for group in groups {
        let (bases, n) = by_ubr.entry(group.build.ubr).or_default();
        bases.insert(group.build.base);
        *n += group.n;
    }
    let others = by_ubr.values().rev().skip(BUILDS).map(|(_, n)| n).sum();
    let on = |(ubr, (bases, n)): (&u32, &(BTreeSet<u32>, u64))| {
        let ubr = *ubr;
        let builds = bases.iter().map(|base| Build { base: *base, ubr });
        let builds: Vec<String> = builds.map(|b| b.to_string()).collect();
        let mut all = terms.map_or_else(Vec::new, <[_]>::to_vec);
        if let (false, Some(first)) = (all.is_empty(), builds.first()) {
            all.push(format!("build={first}"));
        }
        OnBuild {
            builds,
            label: releases.get(&ubr).cloned().unwrap_or_default(),
            n: Tally::found(*n, &all),
        }
    };
    (by_ubr.iter().rev().take(BUILDS).map(on).collect(), others)
}

/// `Windows 11 24H2, 25H2, hotpatch`; builds where the family is not known.
fn name(product: Product, family: Option<Family>, series: Series, groups: &[&Group]) -> String {
    let bases: BTreeSet<u32> = groups.iter().map(|g| g.build.base).collect();
    let version = |base: &u32| {
        let known = known_builds()
            .iter()
            .find(|k| k.base == *base && product == Product::Client);
        known.map_or_else(|| base.to_string(), |k| k.version.clone())
    };
    let versions: Vec<String> = bases.iter().map(version).collect();
    let windows = match (product, family) {
        (Product::Server, Some(_)) => "Windows Server 2025".to_owned(),
        (Product::Server, None) => format!("Windows Server {}", versions.join(", ")),
        (Product::Client, _) => format!("Windows 11 {}", versions.join(", ")),
    };
    match series {
        Series::Standard => windows,
        Series::Hotpatch => format!("{windows}, hotpatch"),
    }
}

#[cfg(test)]
#[path = "level_tests.rs"]
mod tests;
