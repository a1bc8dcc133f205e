//! Sequences that would install the wrong thing.

use reqwest::Method;
use serde_json::{Value, json};
use tests::{Desk, Lab};

/// A complete sequence of a checkpoint and its target.
pub fn good() -> Value {
    let package = |ordinal: u16, kb: &str, role: &str, build: &str, hash: char| {
        let sha1 = hash.to_string().repeat(40);
        json!({
            "ordinal": ordinal, "kb": kb, "role": role, "build": build, "size_bytes": 5000,
            "file_name": format!("windows11.0-{}-x64_{sha1}.msu", kb.to_lowercase()),
            "file_sha1": sha1, "sha256": hash.to_string().repeat(64),
        })
    };
    json!({
        "kb": "KB5086672", "title": "2026-03 Out-of-band Update", "kind": "out_of_band", "label": "2026-03 OOB",
        "variants": [{
            "arch": "x64", "base_builds": [26100, 26200], "target_ubr": 8117,
            "packages": [
                package(1, "KB5043080", "checkpoint", "26100.1742", 'a'),
                package(2, "KB5086672", "lcu", "26100.8117", 'b'),
            ],
        }],
    })
}

/// The same with something else in one place.
pub fn with(pointer: &str, value: Value) -> Value {
    let mut sequence = good();
    *sequence.pointer_mut(pointer).unwrap() = value;
    sequence
}

/// Puts something into an object in which it may not be yet.
fn plus(field: &str, value: Value) -> Value {
    let mut sequence = good();
    sequence[field] = value;
    sequence
}

#[tokio::test]
async fn sequences_that_can_not_be_installed_as_written_are_refused_by_field() {
    let lab = Lab::start().await;
    let desk = Desk::of_person(&lab, lab.people.operator.0).await;
    let draft = desk.done(Method::POST, "/sequences", &good()).await;
    let own = format!("/sequences/{}", draft["id"].as_str().unwrap());
    let packages = good()["variants"][0]["packages"].clone();
    let [one, two] = [&packages[0], &packages[1]];
    let wrong_name = |name: &str| with("/variants/0/packages/1/file_name", json!(name));
    let b = "b".repeat(40);
    let cases = [
        // Order.
        (
            with("/variants/0/packages", json!([two, one])),
            "variants[0].packages[0].ordinal",
        ),
        (
            with("/variants/0/packages/1/ordinal", json!(1)),
            "variants[0].packages[1].ordinal",
        ),
        (
            with("/variants/0/packages/1/ordinal", json!(3)),
            "variants[0].packages[1].ordinal",
        ),
        (
            with("/variants/0/packages/0/ordinal", json!(0)),
            "variants[0].packages[0].ordinal",
        ),
        (
            with("/variants/0/packages/0/ordinal", json!(-1)),
            "variants[0].packages[0].ordinal",
        ),
        // A KB twice.
        (
            with("/variants/0/packages/0/kb", json!("KB5086672")),
            "variants[0].packages[1].kb",
        ),
        // The target is not last.
        (
            with("/variants/0/packages", json!([two])),
            "variants[0].packages[0].ordinal",
        ),
        (
            with("/variants/0/packages/1/role", json!("checkpoint")),
            "variants[0].packages[1].role",
        ),
        (
            with("/variants/0/packages/0/role", json!("lcu")),
            "variants[0].packages[0].role",
        ),
        (
            with("/kb", json!("KB5086673")),
            "variants[0].packages[1].kb",
        ),
        (
            with("/variants/0/packages", json!([])),
            "variants[0].packages",
        ),
        // Files that are not what they are said to be.
        (
            with("/variants/0/packages/1/file_sha1", json!("c".repeat(40))),
            "variants[0].packages[1].file_sha1",
        ),
        (
            wrong_name(&format!("windows11.0-kb5086673-x64_{b}.msu")),
            "variants[0].packages[1].file_name",
        ),
        (
            wrong_name(&format!("windows11.0-kb5086672-arm64_{b}.msu")),
            "variants[0].packages[1].file_name",
        ),
        (
            wrong_name("windows11.0-kb5086672-x64.msu"),
            "variants[0].packages[1].file_name",
        ),
        (
            wrong_name("../../update.msu"),
            "variants[0].packages[1].file_name",
        ),
        (
            wrong_name("update.exe"),
            "variants[0].packages[1].file_name",
        ),
        (
            with("/variants/0/arch", json!("arm64")),
            "variants[0].packages[0].file_name",
        ),
        (
            with("/variants/0/packages/0/size_bytes", json!(0)),
            "variants[0].packages[0].size_bytes",
        ),
        (
            with("/variants/0/packages/0/sha256", json!("a".repeat(63))),
            "variants[0].packages[0].sha256",
        ),
        // Builds.
        (
            with("/variants/0/packages/0/build", json!("26100.9000")),
            "variants[0].packages[0].build",
        ),
        (
            with("/variants/0/packages/1/build", json!("26100.8116")),
            "variants[0].packages[1].build",
        ),
        (
            with("/variants/0/packages/0/build", json!("22631.1")),
            "variants[0].packages[0].build",
        ),
        (
            with("/variants/0/packages/0/build", json!("26100")),
            "variants[0].packages[0].build",
        ),
        // The whole.
        (with("/variants", json!([])), "variants"),
        (
            with(
                "/variants",
                json!([good()["variants"][0], good()["variants"][0]]),
            ),
            "variants[1]",
        ),
        (with("/title", json!("")), "title"),
        (with("/kb", json!("5086672x")), "kb"),
        (with("/kind", json!("monthly")), "kind"),
        (plus("supersedes", json!(["KB5086672"])), "supersedes"),
        (plus("release_date", json!("2026-02-30")), "release_date"),
    ];
    for (sequence, field) in cases {
        desk.wrong(Method::POST, "/sequences", &sequence, field)
            .await;
        desk.wrong(Method::PUT, &own, &sequence, field).await;
    }
}
