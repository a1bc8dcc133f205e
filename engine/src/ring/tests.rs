use std::collections::BTreeMap;

use servicing::{Facts, Product, Series, StoreHealth, UpdateAuthority};

use super::*;

fn facts() -> Facts {
    Facts {
        product: Product::Client,
        build: "26200.8000".parse().unwrap(),
        series: Series::Standard,
        edition: "Enterprise".parse().unwrap(),
        architecture: servicing::Architecture::X64,
        manufacturer: "Dell Inc.".to_owned(),
        model: "Latitude 5440".to_owned(),
        bios_version: "1.14.0".to_owned(),
        free_disk_bytes: 50_000_000_000,
        restart_pending: false,
        store_health: StoreHealth::Healthy,
        on_battery: false,
        oobe_complete: true,
        update_authority: UpdateAuthority::Ringfence,
        tags: vec!["Pilot".to_owned(), "finance".to_owned()],
        utc_offset_minutes: 60,
        attributes: BTreeMap::new(),
    }
}

fn matches(query: &str) -> bool {
    matches_of(query, &facts())
}

fn matches_of(query: &str, facts: &Facts) -> bool {
    Query::parse(query).unwrap().matches(&Subject {
        facts,
        host_name: "LAB-0042",
    })
}

#[test]
fn every_term_must_hold() {
    for query in [
        "tag:pilot",
        "model:\"latitude 5440\"",
        "model:\"Latitude *\"",
        "model:*54*0",
        "manufacturer:dell*",
        "bios:1.14.0",
        "edition:ENTERPRISE",
        "arch:x64",
        "product:client",
        "host:lab-*",
        "-tag:kiosk",
        "tag:pilot tag:finance -host:HQ-* build<26100.8117",
    ] {
        assert!(matches(query), "{query}");
    }
    for query in [
        "tag:kiosk",
        "-tag:pilot",
        "arch:arm64",
        "model:latitude",
        "tag:pilot product:server",
    ] {
        assert!(!matches(query), "{query}");
    }
}

#[test]
fn builds_compare_inside_their_family_only() {
    // 26200 and 26100 share their UBRs; the device is on 26200.8000.
    for (query, holds) in [
        ("build<26100.8117", true),
        ("build<=26100.8000", true),
        ("build>=26300.8000", true),
        ("build=26100.8000", true),
        ("build>26100.8000", false),
        ("build<28000.9999", false),
        ("build>28000.1", false),
        ("-build<28000.9999", true),
    ] {
        assert_eq!(matches(query), holds, "{query}");
    }
    // A server on 26100 is another product with UBRs of its own; 26200 is no server.
    let server = Facts {
        product: Product::Server,
        build: "26100.100".parse().unwrap(),
        ..facts()
    };
    assert!(matches_of("build<26100.8117", &server));
    assert!(!matches_of("build<26200.8117", &server));
}

#[test]
fn a_typing_error_is_shown_where_it_is() {
    for (query, at, expected) in [
        ("", 0, "a term"),
        ("tag:pilot colour:red", 10, "a term"),
        ("tag", 3, "a colon"),
        ("tag:", 4, "a value"),
        ("model:\"Latitude", 15, "a closing quotation mark"),
        ("model:\"Latitude\"5440", 16, "a blank"),
        ("model:Lat\"5440\"", 9, "quotation marks"),
        ("arch:x86", 5, "x64 or arm64"),
        ("build~1", 5, "<, <=, >, >= or ="),
        ("build<26100", 6, "a build such as"),
        ("- tag:pilot", 1, "a term"),
    ] {
        let error = Query::parse(query).unwrap_err();
        assert_eq!(error.at, at, "{query}");
        assert!(
            error.expected.starts_with(expected),
            "{query}: {}",
            error.expected
        );
    }
    assert!(Query::parse(&"tag:a ".repeat(400)).is_err());
}

#[test]
fn a_query_is_stored_as_people_wrote_it() {
    let query = Query::parse(" tag:pilot  -model:\"Surface *\" ").unwrap();
    let json = serde_json::to_string(&query).unwrap();
    assert_eq!(json, r#""tag:pilot  -model:\"Surface *\"""#);
    assert_eq!(serde_json::from_str::<Query>(&json).unwrap(), query);
    assert!(serde_json::from_str::<Query>(r#""colour:red""#).is_err());
}

fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

fn rule(ring: u128, query: Option<&str>, share: Option<f64>) -> RingRule {
    RingRule {
        ring: RingId(id(ring)),
        query: query.map(|q| Query::parse(q).unwrap()),
        share: share.map(Percent),
    }
}

fn census(rules: &[RingRule]) -> BTreeMap<u128, usize> {
    let facts = facts();
    let subject = Subject {
        facts: &facts,
        host_name: "PC",
    };
    let mut rings = BTreeMap::new();
    for device in 0..10_000 {
        let ring = place(rules, TrackId(id(1)), id(device), &subject, None);
        *rings.entry(ring.map_or(0, |r| r.0.as_u128())).or_insert(0) += 1;
    }
    rings
}

#[test]
fn shares_take_their_part_each_and_the_last_rule_takes_the_rest() {
    let rings = census(&[
        rule(1, None, Some(5.0)),
        rule(2, None, Some(20.0)),
        rule(3, None, None),
    ]);
    assert!((400..600).contains(&rings[&1]), "{rings:?}");
    assert!((1850..2150).contains(&rings[&2]), "{rings:?}");
    assert_eq!(rings.values().sum::<usize>(), 10_000);
}

#[test]
fn a_wider_share_keeps_those_who_were_in_the_narrower_one() {
    let facts = facts();
    let subject = Subject {
        facts: &facts,
        host_name: "PC",
    };
    let within = |share, device| {
        place(
            &[rule(1, None, Some(share))],
            TrackId(id(1)),
            id(device),
            &subject,
            None,
        )
        .is_some()
    };
    assert!((0..2000).all(|device| !within(5.0, device) || within(10.0, device)));
}

#[test]
fn a_pin_comes_before_every_rule_and_a_device_that_no_rule_takes_has_no_ring() {
    let facts = facts();
    let subject = Subject {
        facts: &facts,
        host_name: "PC",
    };
    let rules = [
        rule(1, Some("tag:kiosk"), None),
        rule(2, Some("tag:finance"), None),
    ];
    let place = |pin| place(&rules, TrackId(id(1)), id(7), &subject, pin);
    assert_eq!(place(None), Some(RingId(id(2))));
    assert_eq!(place(Some(RingId(id(1)))), Some(RingId(id(1))));
    assert_eq!(census(&rules[..1])[&0], 10_000);
}

#[test]
fn the_same_people_are_not_first_in_every_rollout() {
    let first = |rollout: u128| {
        (0..50)
            .min_by_key(|d| rank(id(*d), RolloutId(id(rollout))))
            .unwrap()
    };
    let firsts: std::collections::BTreeSet<u128> = (0..20).map(first).collect();
    assert!(firsts.len() > 5, "{firsts:?}");
    assert_eq!(rank(id(1), RolloutId(id(2))), rank(id(1), RolloutId(id(2))));
}
