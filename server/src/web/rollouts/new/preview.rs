//! Whom a new rollout would reach, ring by ring, and whom not and why.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use engine::words::devices;
use uuid::Uuid;

use crate::store::populations::Group;
use crate::web::parts::{Class, Tally, class_words, term};

/// Devices of one ring.
#[derive(Debug, Clone)]
pub struct Reach {
    pub targeted: u64,
    /// All that are counted for it.
    pub whole: u64,
    pub classes: Vec<Class>,
}

/// A fact of a group by which the list of devices can be asked.
type Term = fn(&Group) -> String;

const TERMS: [Term; 4] = [
    |g| format!("arch:{}", g.architecture),
    |g| term("edition", &g.edition),
    |g| format!("product:{}", g.product),
    |g| format!("build={}.{}", g.base, g.ubr),
];

/// Devices of a ring by class; those for whom it is stand first. `admitted` is how many the list of the ring holds: only
/// where all of them and nobody else is counted, numbers open lists. Devices that started the content and left since, and
/// those of a rollout for listed devices, are found by no fact.
pub fn reach(track: &str, ring: &str, groups: &[(Group, String)], admitted: u64) -> Reach {
    let mut by_class: BTreeMap<&str, Vec<&Group>> = BTreeMap::new();
    for (group, class) in groups {
        by_class.entry(class).or_default().push(group);
    }
    let all: Vec<&Group> = groups.iter().map(|(group, _)| group).collect();
    let in_ring = [
        term("track", track),
        term("ring", ring),
        "status:admitted".to_owned(),
    ];
    let mut classes: Vec<Class> = by_class
        .iter()
        .map(|(class, of)| {
            let n = sum(of);
            let found = (sum(&all) == admitted)
                .then(|| found_by(of, &all))
                .flatten();
            let (terms, detail) = match found {
                Some(Some(term)) => (
                    [&in_ring[..], std::slice::from_ref(&term)].concat(),
                    value(&term),
                ),
                Some(None) => (in_ring.to_vec(), String::new()),
                None => (Vec::new(), String::new()),
            };
            Class {
                devices: Tally::found(n, &terms).said(devices(n)),
                words: class_words(class),
                detail: if *class == "targeted" {
                    String::new()
                } else {
                    detail
                },
                targeted: *class == "targeted",
            }
        })
        .collect();
    classes.sort_by_key(|c| (!c.targeted, Reverse(c.devices.n)));
    Reach {
        targeted: by_class.get("targeted").map_or(0, |of| sum(of)),
        whole: sum(&all),
        classes,
    }
}

fn sum(groups: &[&Group]) -> u64 {
    groups.iter().map(|g| crate::store::count(g.n)).sum()
}

/// The term by which exactly these groups of a ring are found; none inside where they are all of it.
fn found_by(of: &[&Group], all: &[&Group]) -> Option<Option<String>> {
    if of.len() == all.len() {
        return Some(None);
    }
    TERMS.iter().find_map(|of_fact| {
        let values: BTreeSet<String> = of.iter().map(|g| of_fact(g)).collect();
        let [value] = Vec::from_iter(values).try_into().ok()?;
        let found: Vec<&Group> = all
            .iter()
            .copied()
            .filter(|g| of_fact(g) == value)
            .collect();
        (found.len() == of.len()).then_some(Some(value))
    })
}

/// ` (arm64)`.
fn value(term: &str) -> String {
    let value = term.split_once([':', '=']).map_or(term, |(_, value)| value);
    format!(" ({})", value.trim_matches('"'))
}

/// Groups by the ring in which they count.
pub fn by_ring(groups: Vec<(Group, String)>) -> BTreeMap<Uuid, Vec<(Group, String)>> {
    let mut rings: BTreeMap<Uuid, Vec<(Group, String)>> = BTreeMap::new();
    for (group, class) in groups {
        rings.entry(group.ring_id).or_default().push((group, class));
    }
    rings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(architecture: &str, ubr: i32, n: i64) -> Group {
        Group {
            ring_id: Uuid::nil(),
            product: "client".to_owned(),
            base: 26100,
            ubr,
            series: "standard".to_owned(),
            edition: "Enterprise".to_owned(),
            architecture: architecture.to_owned(),
            started: false,
            n,
        }
    }

    #[test]
    fn a_number_links_only_to_a_list_of_exactly_these_devices() {
        let groups = [
            (group("x64", 1, 90), "targeted".to_owned()),
            (group("x64", 9, 20), "complete".to_owned()),
            (
                group("arm64", 1, 9),
                "not_applicable:architecture".to_owned(),
            ),
        ];
        let reach = reach("Production", "Limited", &groups, 119);
        assert_eq!((reach.targeted, reach.whole), (90, 119));
        let shown: Vec<String> = reach
            .classes
            .iter()
            .map(|c| format!("{} {}{}", c.devices, c.words, c.detail))
            .collect();
        assert_eq!(shown[0], "<span>90 devices</span> are offered it");
        let strayed = super::reach("Production", "Limited", &groups, 118);
        assert!(
            strayed
                .classes
                .iter()
                .all(|c| !c.devices.to_string().contains("href"))
        );
        assert!(shown[1].contains("build%3D26100.9") && shown[1].ends_with("(26100.9)"));
        assert!(shown[2].contains("arch%3Aarm64") && shown[2].ends_with("(arm64)"));
    }
}
