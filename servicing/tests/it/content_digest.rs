//! The content digest changes with what is installed, and with nothing else.

use serde_json::json;
use servicing::{KnownIssue, Sequence, Sha1, Sha256};

use crate::lab::{known, long_sequence};

#[test]
fn the_digest_of_a_real_sequence_never_changes_between_versions() {
    insta::assert_snapshot!(known("KB5086672").content_digest(), @"4481b1e433f984b5a2217d50641ea0ed77d05797382f11f7b3da336afa1ac6e0");
}

#[test]
fn text_changes_without_changing_the_digest() {
    let before = known("KB5086672");
    let mut after = before.clone();
    after.title.push_str(" (revised)");
    after.label = "2026-03 OOB, again".into();
    after.release_date = None;
    after.supersedes.clear();
    after.known_issues.push(KnownIssue {
        id: "wsl".into(),
        text: "Shares are slow.".into(),
    });
    let package = &mut after.variants[0].packages[1];
    package.file_name = Some("KB5086672.msu".into());
    package.size_bytes = Some(1);
    assert_eq!(after.content_digest(), before.content_digest());
}

#[test]
fn the_order_in_which_variants_bases_and_editions_are_written_is_of_no_account() {
    let mut one = known("KB5077868");
    one.variants[0].base_builds = vec![26100, 26200];
    one.variants[0].editions = vec![
        "Professional".parse().unwrap(),
        "Enterprise".parse().unwrap(),
    ];
    let mut other = one.clone();
    other.variants.reverse();
    other.variants[1].base_builds.reverse();
    other.variants[1].editions.reverse();
    assert_eq!(one.content_digest(), other.content_digest());
}

#[test]
fn everything_that_is_installed_is_covered() {
    let changes = [
        ("/variants/0/product", json!("server")),
        ("/variants/0/architecture", json!("arm64")),
        ("/variants/0/series", json!("hotpatch")),
        ("/variants/0/base_builds", json!([26100])),
        ("/variants/0/editions", json!(["Enterprise"])),
        ("/variants/0/target_ubr", json!(8118)),
        ("/variants/0/target_ubr", json!(null)),
        ("/variants/0/method", json!("together")),
        ("/variants/0/packages", json!([])),
        ("/variants/0/packages/2/kb", json!("KB5086673")),
        ("/variants/0/packages/0/role", json!("ssu")),
        ("/variants/0/packages/2/sha256", json!(Sha256::of(b"file"))),
        (
            "/variants/0/packages/2/file_sha1",
            json!(Sha1::from_bytes([7; 20])),
        ),
        ("/variants/0/packages/2/build", json!("26100.8118")),
        ("/variants/0/packages/0/restart", json!("always")),
    ];
    let before = long_sequence("one_by_one");
    let mut seen = vec![before.content_digest()];
    for (place, change) in changes {
        let mut value = serde_json::to_value(&before).unwrap();
        *value.pointer_mut(place).unwrap() = change;
        let digest = serde_json::from_value::<Sequence>(value)
            .unwrap()
            .content_digest();
        assert!(!seen.contains(&digest), "{place}");
        seen.push(digest);
    }
}

#[test]
fn the_order_of_packages_is_covered() {
    let before = long_sequence("one_by_one");
    let mut after = before.clone();
    after.variants[0].packages[0].ordinal = 2;
    after.variants[0].packages[1].ordinal = 1;
    assert_ne!(after.content_digest(), before.content_digest());
}

#[test]
fn a_hash_belongs_to_its_package() {
    let mut one = long_sequence("one_by_one");
    let mut other = one.clone();
    one.variants[0].packages[0].sha256 = Some(Sha256::of(b"file"));
    other.variants[0].packages[1].sha256 = Some(Sha256::of(b"file"));
    assert_ne!(one.content_digest(), other.content_digest());
}
