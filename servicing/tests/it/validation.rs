//! A sequence that would do harm is refused, and the error names the field.

use serde_json::{Value, json};
use servicing::{Completeness, KnownIssue, Sequence, Sha256};

use crate::lab::{known, long_sequence, sequence};

fn errors(sequence: &Sequence, completeness: Completeness) -> String {
    let errors = sequence.validate(completeness).expect_err("errors");
    errors
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}

/// The errors of the real out-of-band sequence after a change to its JSON.
fn broken(change: impl FnOnce(&mut Value)) -> String {
    let mut value = serde_json::to_value(known("KB5086672")).expect("JSON");
    change(&mut value);
    errors(
        &serde_json::from_value(value).expect("a sequence"),
        Completeness::Draft,
    )
}

fn package(value: &mut Value, index: usize) -> &mut Value {
    &mut value["variants"][0]["packages"][index]
}

#[test]
fn a_hash_that_contradicts_the_file_name_is_an_error() {
    let text =
        broken(|v| package(v, 1)["file_sha1"] = json!("953449672073f8fb99badb4cc6d5d7849b9c83e8"));
    insta::assert_snapshot!(text, @"variants[0].packages[1].file_sha1: expected 97df4ed279e18da5b02308a5a3361313520fd346, the hash in the file name");
}

#[test]
fn a_file_of_another_update_or_architecture_is_an_error() {
    let text = broken(|v| {
        package(v, 1)["file_name"] =
            json!("windows11.0-kb5079391-arm64_97df4ed279e18da5b02308a5a3361313520fd346.msu");
    });
    insta::assert_snapshot!(text, @r"
    variants[0].packages[1].file_name: expected the file of KB5086672, not of KB5079391
    variants[0].packages[1].file_name: expected a file for x64, not for arm64
    ");
}

#[test]
fn a_file_name_never_leaves_its_folder() {
    for name in [
        "../evil.msu",
        "a\\b.msu",
        "C:evil.msu",
        ".msu",
        "evil.exe",
        "a b.msu",
        "a\0.msu",
        "",
    ] {
        let text = broken(|v| package(v, 1)["file_name"] = json!(name));
        assert!(
            text.starts_with("variants[0].packages[1].file_name: expected a name of"),
            "{name}: {text}"
        );
    }
    let text = broken(|v| package(v, 1)["file_name"] = json!("windows11.0-kb5086672-x64.msu"));
    assert!(text.contains("expected a Catalog file name"), "{text}");
}

#[test]
fn ordinals_run_from_1_without_gaps() {
    let text = broken(|v| package(v, 1)["ordinal"] = json!(3));
    assert!(
        text.starts_with("variants[0].packages[1].ordinal: expected 2"),
        "{text}"
    );
}

#[test]
fn no_package_comes_twice() {
    let text = broken(|v| package(v, 0)["kb"] = json!("KB5086672"));
    assert!(
        text.contains(
            "variants[0].packages[1].kb: expected a KB that is not in this variant already"
        ),
        "{text}"
    );
}

#[test]
fn the_target_comes_last_and_is_the_update_the_sequence_is_named_after() {
    let text = broken(|v| {
        v["variants"][0]["packages"]
            .as_array_mut()
            .expect("packages")
            .truncate(1);
    });
    insta::assert_snapshot!(text, @r"
    variants[0].packages[0].role: expected lcu: the target of kind out_of_band comes last
    variants[0].packages[0].kb: expected KB5086672, the target that the sequence is named after
    ");
}

#[test]
fn an_enablement_package_belongs_to_a_feature_only() {
    let text = broken(|v| {
        package(v, 0)["role"] = json!("enablement");
        package(v, 0)["build"] = json!("26300.8117");
    });
    assert!(
        text.contains("variants[0].packages[0].role: expected a role that can come before"),
        "{text}"
    );
}

#[test]
fn a_feature_brings_the_cumulative_update_its_enablement_package_needs() {
    let packages =
        json!([{"ordinal": 1, "kb": "KB5054156", "role": "enablement", "build": "26200.6899"}]);
    let feature = sequence("feature", Some(6899), &packages, |value| {
        value["variants"][0]["base_builds"] = json!([26100]);
    });
    insta::assert_snapshot!(errors(&feature, Completeness::Draft), @"variants[0].packages: expected the cumulative update of target_ubr before the enablement package that needs it");
}

#[test]
fn a_checkpoint_is_below_the_target_and_above_the_one_before() {
    let text = broken(|v| package(v, 0)["build"] = json!("26100.8117"));
    assert_eq!(
        text,
        "variants[0].packages[0].build: expected a build below the target"
    );
    let text = broken(|v| package(v, 0)["build"] = json!(null));
    assert!(
        text.contains("the build that a package of role checkpoint brings"),
        "{text}"
    );
    let text = broken(|v| package(v, 0)["build"] = json!("28000.1"));
    assert!(text.contains("a build of the variant's family"), "{text}");
    let mut falling = long_sequence("together");
    falling.variants[0].packages[1].build = Some("26100.1742".parse().unwrap());
    assert!(
        errors(&falling, Completeness::Draft).contains("packages[1].build: expected a build above")
    );
}

#[test]
fn the_target_brings_the_target_build() {
    let text = broken(|v| v["variants"][0]["target_ubr"] = json!(8118));
    assert_eq!(
        text,
        "variants[0].packages[1].build: expected the variant's target_ubr"
    );
    let text = broken(|v| v["variants"][0]["target_ubr"] = json!(null));
    assert_eq!(
        text,
        "variants[0].target_ubr: expected the UBR that the target brings"
    );
}

#[test]
fn a_cumulative_update_without_its_restart_would_never_verify() {
    let text = broken(|v| package(v, 1)["restart"] = json!("never"));
    assert!(
        text.starts_with("variants[0].packages[1].restart"),
        "{text}"
    );
}

#[test]
fn a_variant_is_of_one_family() {
    for bases in [
        json!([26100, 28000]),
        json!([]),
        json!([26100, 26100]),
        json!([19045]),
    ] {
        let text = broken(|v| v["variants"][0]["base_builds"] = bases);
        assert!(
            text.starts_with("variants[0].base_builds: expected base builds of one family"),
            "{text}"
        );
    }
    let text = broken(|v| v["variants"][0]["product"] = json!("server"));
    assert!(text.contains("(server: 26100)"), "{text}");
}

#[test]
fn no_device_has_two_variants_to_choose_from() {
    let twin = |edition: &str| {
        broken(|v| {
            let mut twin = v["variants"][0].clone();
            twin["editions"] = json!([edition]);
            twin["base_builds"] = json!([26200]);
            v["variants"].as_array_mut().expect("variants").push(twin);
            v["label"] = json!("x".repeat(65));
        })
    };
    assert!(
        twin("Enterprise")
            .contains("variants[1]: expected devices that variants[0] is not for already")
    );
}

#[test]
fn hotpatches_are_for_the_hotpatch_series_of_versions_that_have_it() {
    let text = broken(|v| v["kind"] = json!("hotpatch"));
    assert_eq!(
        text,
        "variants[0].series: expected hotpatch, as the kind says"
    );
    let text = broken(|v| {
        v["variants"][0]["series"] = json!("hotpatch");
        v["variants"][0]["base_builds"] = json!([22631]);
    });
    assert!(
        text.contains("variants[0].series: expected standard"),
        "{text}"
    );
}

#[test]
fn texts_are_bounded_and_on_one_line() {
    let mut update = known("KB5086672");
    update.title = "a\0b".into();
    update.label = "x".repeat(65);
    update.supersedes = vec![update.kb];
    update.known_issues = vec![
        KnownIssue {
            id: String::new(),
            text: "a\0".into()
        };
        2
    ];
    insta::assert_snapshot!(errors(&update, Completeness::Draft), @r"
    title: expected 1 to 200 characters on one line
    label: expected at most 64 characters on one line
    supersedes: expected other updates than this one
    known_issues: expected at most 32 known issues, each id once
    known_issues[0].id: expected 1 to 64 characters on one line
    known_issues[0].text: expected 1 to 4000 characters without NUL
    known_issues[1].id: expected 1 to 64 characters on one line
    known_issues[1].text: expected 1 to 4000 characters without NUL
    ");
}

#[test]
fn there_are_limits_to_everything() {
    let mut update = known("KB5086672");
    update.variants.clear();
    assert_eq!(
        errors(&update, Completeness::Draft),
        "variants: expected 1 to 16 variants"
    );
    let mut update = long_sequence("together");
    let many = vec![update.variants[0].packages.clone(); 6].concat();
    update.variants[0].packages = many;
    assert!(
        errors(&update, Completeness::Draft)
            .starts_with("variants[0].packages: expected 1 to 16 packages")
    );
    let text = broken(|v| package(v, 1)["size_bytes"] = json!(0));
    assert_eq!(
        text,
        "variants[0].packages[1].size_bytes: expected 1 byte to 64 GiB"
    );
}

#[test]
fn what_a_draft_may_leave_out_is_needed_to_publish() {
    let mut update = known("KB5086672");
    insta::assert_snapshot!(errors(&update, Completeness::Publish), @r"
    variants[0].packages[0].sha256: expected the SHA-256 of the file; it can be missing in a draft only
    variants[0].packages[1].size_bytes: expected the size of the file in bytes; it can be missing in a draft only
    variants[0].packages[1].sha256: expected the SHA-256 of the file; it can be missing in a draft only
    ");
    for package in &mut update.variants[0].packages {
        package.size_bytes = Some(1);
        package.sha256 = Some(Sha256::of(b"file"));
    }
    assert_eq!(update.validate(Completeness::Publish), Ok(()));
}

#[test]
fn an_oobe_update_is_published_without_a_file_or_a_target() {
    let update = known("KB5077868");
    assert_eq!(update.validate(Completeness::Publish), Ok(()));
    let mut targeted = update;
    targeted.variants[0].target_ubr = Some(1576);
    let text = errors(&targeted, Completeness::Draft);
    assert_eq!(
        text,
        "variants[0].target_ubr: expected null: this kind of update sets no UBR"
    );
}

#[test]
fn a_misspelt_field_is_refused_and_not_ignored() {
    for path in ["/", "/variants/0", "/variants/0/packages/0"] {
        let mut value = serde_json::to_value(known("KB5086672")).unwrap();
        let place = value.pointer_mut(path.trim_end_matches('/')).unwrap();
        place["colour"] = json!("red");
        let error = serde_json::from_value::<Sequence>(value).unwrap_err();
        assert!(
            error.to_string().contains("unknown field `colour`"),
            "{error}"
        );
    }
}

#[test]
fn only_roles_that_lead_to_the_target_come_before_it() {
    let before = |kind: &str, target: &str, role: &str| {
        let packages = json!([
            {"ordinal": 1, "kb": "KB5050000", "role": role},
            {"ordinal": 2, "kb": "KB5060000", "role": target, "build": "26100.8117"},
        ]);
        let update = sequence(kind, Some(8117), &packages, |value| {
            if kind == "dotnet" {
                value["variants"][0]["target_ubr"] = json!(null);
                value["variants"][0]["packages"][1]["build"] = json!(null);
            }
        });
        let errors = update
            .validate(Completeness::Draft)
            .err()
            .unwrap_or_default();
        !errors
            .iter()
            .any(|e| e.field == "variants[0].packages[0].role")
    };
    for (kind, target, allowed) in [
        (
            "security",
            "lcu",
            &["ssu", "checkpoint", "safeos_du", "setup_du"][..],
        ),
        ("dotnet", "dotnet", &["ssu", "dotnet"][..]),
        (
            "feature",
            "enablement",
            &["ssu", "checkpoint", "safeos_du", "setup_du", "lcu"][..],
        ),
    ] {
        for role in [
            "ssu",
            "checkpoint",
            "safeos_du",
            "setup_du",
            "lcu",
            "dotnet",
            "enablement",
            "oobe_update",
        ] {
            assert_eq!(
                before(kind, target, role),
                allowed.contains(&role),
                "{role} before {target}"
            );
        }
    }
}

#[test]
fn a_servicing_stack_alone_is_not_what_an_enablement_package_needs() {
    let packages = json!([
        {"ordinal": 1, "kb": "KB5050000", "role": "ssu"},
        {"ordinal": 2, "kb": "KB5054156", "role": "enablement", "build": "26200.6899"},
    ]);
    let feature = sequence("feature", Some(6899), &packages, |value| {
        value["variants"][0]["base_builds"] = json!([26100]);
    });
    assert!(
        errors(&feature, Completeness::Draft)
            .contains("variants[0].packages: expected the cumulative update")
    );
}

#[test]
fn an_enablement_package_raises_the_base_build_of_every_device() {
    let onto = |bases: Value| {
        let mut value = serde_json::to_value(crate::lab::feature()).expect("JSON");
        value["variants"][0]["base_builds"] = bases;
        let feature: Sequence = serde_json::from_value(value).expect("a sequence");
        feature
            .validate(Completeness::Draft)
            .err()
            .unwrap_or_default()
    };
    assert!(onto(json!([26100])).is_empty());
    let errors = onto(json!([26100, 26200]));
    assert!(
        errors.iter().any(|e| e
            .to_string()
            .contains("a base build above all of the variant's")),
        "{errors:?}"
    );
}

#[test]
fn a_label_is_one_line_and_editions_are_named_once_and_a_ubr_is_above_0() {
    let label = |text: &str| broken(|v| v["label"] = json!(text));
    for text in ["x".repeat(65), "two\nlines".to_owned()] {
        assert!(label(&text).starts_with("label: expected"), "{text}");
    }
    let editions = broken(|v| v["variants"][0]["editions"] = json!(["Enterprise", "Enterprise"]));
    assert!(
        editions.contains("variants[0].editions: expected at most"),
        "{editions}"
    );
    let ubr = broken(|v| v["variants"][0]["target_ubr"] = json!(0));
    assert!(
        ubr.contains("variants[0].target_ubr: expected a UBR above 0"),
        "{ubr}"
    );
}

#[test]
fn a_variant_for_all_editions_leaves_none_to_another() {
    let twins = |one: Value, other: Value| {
        let mut value = serde_json::to_value(known("KB5086672")).expect("JSON");
        let mut twin = value["variants"][0].clone();
        value["variants"][0]["editions"] = one;
        twin["editions"] = other;
        value["variants"]
            .as_array_mut()
            .expect("variants")
            .push(twin);
        let update: Sequence = serde_json::from_value(value).expect("a sequence");
        update.validate(Completeness::Draft).is_err()
    };
    assert!(twins(json!([]), json!(["Enterprise"])));
    assert!(twins(json!(["Enterprise"]), json!([])));
    assert!(twins(
        json!(["Enterprise"]),
        json!(["Enterprise", "Education"])
    ));
    assert!(!twins(json!(["Enterprise"]), json!(["Education"])));
}

#[test]
fn what_an_update_supersedes_is_named_once_and_at_most_64_times() {
    let naming = |kbs: Vec<String>| {
        let mut value = serde_json::to_value(known("KB5086672")).expect("JSON");
        value["supersedes"] = json!(kbs);
        let update: Sequence = serde_json::from_value(value).expect("a sequence");
        update
            .validate(Completeness::Draft)
            .err()
            .unwrap_or_default()
    };
    let many = |n: u32| {
        (0..n)
            .map(|i| format!("KB{}", 4_000_000 + i))
            .collect::<Vec<_>>()
    };
    assert!(naming(many(64)).is_empty());
    assert_eq!(naming(many(65))[0].field, "supersedes");
    let twice = [many(1), many(1)].concat();
    assert_eq!(naming(twice)[0].field, "supersedes");
}
