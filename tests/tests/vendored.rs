//! Files of third parties: each listed with its version, unchanged, and with its licence beside it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use servicing::Sha256;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    file: Vec<Listed>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    name: String,
    package: String,
    version: String,
    licence: String,
    sha256: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn names(directory: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(directory).unwrap().map(Result::unwrap);
    let files = entries.filter(|e| e.file_type().unwrap().is_file());
    files
        .map(|e| e.file_name().into_string().unwrap())
        .collect()
}

/// `inter-OFL.txt` is the licence of every file whose name begins with `inter-` and that is under some `OFL`.
fn covers(licence: &str, listed: &Listed) -> bool {
    let name = licence.trim_end_matches(".txt");
    // Licences have hyphens in their names as well: `axe-MPL-2.0`.
    let mut splits = name.match_indices('-').map(|(at, _)| name.split_at(at));
    splits.any(|(of, kind)| {
        let (of, kind) = (format!("{of}-"), &kind[1..]);
        listed.name.starts_with(&of) && listed.licence.starts_with(kind)
    })
}

fn check(directory: &Path) {
    let text = fs::read_to_string(directory.join("vendor.toml")).unwrap();
    let list: List = toml::from_str(&text).unwrap();
    let mut there = names(directory);
    there.remove("vendor.toml");
    let listed: BTreeSet<String> = list.file.iter().map(|f| f.name.clone()).collect();
    assert_eq!(there, listed, "{}", directory.display());
    let licences = names(&directory.join("licences"));
    for file in &list.file {
        let bytes = fs::read(directory.join(&file.name)).unwrap();
        assert_eq!(Sha256::of(&bytes).to_string(), file.sha256, "{}", file.name);
        assert!(!file.package.is_empty() && !file.version.is_empty());
        assert!(
            licences.iter().any(|licence| covers(licence, file)),
            "no licence for {} under {} in {licences:?}",
            file.name,
            file.licence
        );
    }
    for licence in &licences {
        let used = list.file.iter().any(|file| covers(licence, file));
        assert!(used, "{licence} is the licence of nothing");
    }
}

#[test]
fn what_is_shipped_is_listed_unchanged_and_licensed() {
    check(&root().join("static/vendor"));
}

#[test]
fn what_tests_use_is_listed_unchanged_and_licensed() {
    check(&root().join("tests/assets"));
}
