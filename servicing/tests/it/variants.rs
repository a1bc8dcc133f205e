//! Which variant is for which device, and what supersedes what.

use serde_json::json;
use servicing::{Architecture, Facts, NotApplicable, Platform, Product, Sequence, Series};

use crate::lab::{device, known, long_sequence};

fn refused(sequence: &Sequence, facts: &Facts) -> NotApplicable {
    sequence.variant_for(facts).expect_err("not applicable")
}

#[test]
fn server_2025_never_matches_a_client_variant() {
    let server = Facts {
        product: Product::Server,
        ..device("26100.8037")
    };
    assert_eq!(
        refused(&known("KB5086672"), &server),
        NotApplicable::Product
    );
}

#[test]
fn a_device_enrolled_in_hotpatch_is_not_offered_the_standard_update() {
    let enrolled = Facts {
        series: Series::Hotpatch,
        ..device("26100.7979")
    };
    assert_eq!(
        refused(&known("KB5086672"), &enrolled),
        NotApplicable::Series
    );
}

#[test]
fn windows_11_26h1_is_another_family() {
    assert_eq!(
        refused(&known("KB5086672"), &device("28000.1719")),
        NotApplicable::Family
    );
    assert_eq!(
        refused(&known("KB5077868"), &device("26100.8037")),
        NotApplicable::Family
    );
}

#[test]
fn a_base_build_that_is_not_listed_is_refused_even_inside_the_family() {
    assert_eq!(
        refused(&known("KB5086672"), &device("26300.8037")),
        NotApplicable::Family
    );
}

#[test]
fn an_unknown_base_build_is_no_family_even_when_a_draft_lists_it() {
    let mut draft = known("KB5086672");
    draft.variants[0].base_builds.push(19045);
    assert_eq!(refused(&draft, &device("19045.1")), NotApplicable::Family);
    assert_eq!(device("19045.1").platform(), None);
}

#[test]
fn arm64_is_refused_where_only_x64_is_published() {
    let arm = Facts {
        architecture: Architecture::Arm64,
        ..device("26100.8037")
    };
    assert_eq!(
        refused(&known("KB5086672"), &arm),
        NotApplicable::Architecture
    );
}

#[test]
fn an_edition_out_of_scope_is_refused() {
    let mut update = known("KB5086672");
    update.variants[0].editions = vec!["Enterprise".parse().unwrap()];
    assert_eq!(
        refused(&update, &device("26100.8037")),
        NotApplicable::Edition
    );
    update.variants[0]
        .editions
        .push("Professional".parse().unwrap());
    assert!(update.variant_for(&device("26100.8037")).is_ok());
}

#[test]
fn the_variant_that_came_closest_tells_the_reason() {
    let mut update = known("KB5086672");
    let mut server = update.variants[0].clone();
    server.product = Product::Server;
    server.base_builds = vec![26100];
    update.variants.insert(0, server);
    let arm = Facts {
        architecture: Architecture::Arm64,
        ..device("26200.8037")
    };
    assert_eq!(refused(&update, &arm), NotApplicable::Architecture);
}

#[test]
fn a_platform_is_what_decides_for_ever() {
    let platform = device("26200.8037").platform().unwrap();
    let written = serde_json::to_value(&platform).unwrap();
    assert_eq!(
        written,
        json!({"product": "client", "family": "client_24h2", "series": "standard", "architecture": "x64", "edition": "Professional"})
    );
    assert_eq!(
        serde_json::from_value::<Platform>(written).unwrap(),
        platform
    );
}

#[test]
fn a_higher_ubr_of_the_same_family_supersedes() {
    assert!(known("KB5086672").supersedes_derived(&known("KB5079391")));
    assert!(known("KB5129195").supersedes_derived(&known("KB5086672")));
    assert!(!known("KB5079391").supersedes_derived(&known("KB5086672")));
    assert!(!known("KB5086672").supersedes_derived(&known("KB5086672")));
}

#[test]
fn an_update_that_leaves_devices_behind_does_not_supersede() {
    let older = known("KB5079391");
    let newer = known("KB5086672");
    let mut narrow = newer.clone();
    narrow.variants[0].base_builds = vec![26100];
    assert!(!narrow.supersedes_derived(&older), "25H2 devices are left");
    let mut limited = newer.clone();
    limited.variants[0].editions = vec!["Enterprise".parse().unwrap()];
    assert!(
        !limited.supersedes_derived(&older),
        "other editions are left"
    );
    let mut both = older;
    both.variants.push(servicing::Variant {
        architecture: Architecture::Arm64,
        ..both.variants[0].clone()
    });
    assert!(!newer.supersedes_derived(&both), "arm64 devices are left");
}

#[test]
fn series_and_kinds_without_builds_do_not_supersede_each_other() {
    let standard = long_sequence("together");
    let mut hotpatch = standard.clone();
    hotpatch.variants[0].series = Series::Hotpatch;
    hotpatch.variants[0].target_ubr = Some(9000);
    assert!(!hotpatch.supersedes_derived(&standard));
    assert!(!standard.supersedes_derived(&known("KB5077868")));
}

#[test]
fn what_an_article_names_can_be_removed_again_but_for_servicing_stacks_and_checkpoints() {
    assert_eq!(
        known("KB5086672").removable(),
        Some(crate::lab::kb("KB5086672"))
    );
    let named_after = |role: &str| {
        let packages = serde_json::json!([{"ordinal": 1, "kb": "KB5043080", "role": role, "build": "26100.1742"}]);
        crate::lab::sequence("security", Some(1742), &packages, |_| ()).removable()
    };
    assert_eq!(named_after("lcu"), Some(crate::lab::kb("KB5043080")));
    assert_eq!(named_after("ssu"), None);
    assert_eq!(named_after("checkpoint"), None);
    let mut other = known("KB5086672");
    other.kb = crate::lab::kb("KB5999999");
    assert_eq!(other.removable(), None, "none of its packages");
}

#[test]
fn why_an_update_is_not_for_a_device_is_a_sentence_and_each_has_its_own() {
    use servicing::{NotApplicable, NotReady, UpdateAuthority};
    let reasons = [
        NotApplicable::Product,
        NotApplicable::Family,
        NotApplicable::Series,
        NotApplicable::Architecture,
        NotApplicable::Edition,
        NotApplicable::ObservedOnly,
    ];
    let mut sentences: Vec<String> = reasons.iter().map(ToString::to_string).collect();
    let others = [
        UpdateAuthority::WindowsUpdate,
        UpdateAuthority::Wsus,
        UpdateAuthority::Configmgr,
        UpdateAuthority::Autopatch,
        UpdateAuthority::Conflict,
    ];
    sentences.extend(others.map(|other| NotReady::Authority(other).to_string()));
    assert!(
        sentences.iter().all(|s| s.ends_with('.') && s.len() > 40),
        "{sentences:?}"
    );
    assert!(sentences[7].contains(": WSUS."), "{}", sentences[7]);
    let count = sentences.len();
    sentences.sort();
    sentences.dedup();
    assert_eq!(sentences.len(), count);
}
