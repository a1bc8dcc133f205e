//! `docs/invariants.md` says what the tests hold now. Only the standard library is used.

#[path = "../../xtask/src/invariants.rs"]
mod invariants;

use std::fs;
use std::path::Path;

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

#[test]
fn the_document_is_what_would_be_generated() {
    let expected = invariants::generate(root()).unwrap();
    let committed = fs::read_to_string(root().join(invariants::DOCUMENT)).unwrap_or_default();
    let differs = expected
        .lines()
        .zip(committed.lines())
        .position(|(a, b)| a != b);
    let line = differs.unwrap_or(expected.lines().count().min(committed.lines().count())) + 1;
    assert!(
        expected == committed,
        "{} is out of date from line {line} on. Write it anew with: cargo xtask invariants",
        invariants::DOCUMENT
    );
}

#[test]
fn only_tests_count_and_ignored_ones_are_marked() {
    let function = "fn invariant_";
    let text = format!(
        "#[test]\n{function}07_a_retry_returns_the_permit() {{}}\n\
         #[tokio::test]\n// Slow.\n#[ignore = \"takes an hour\"]\nasync {function}08_nothing_is_lost() {{}}\n\
         {function}09_helper() {{}}\n// {function}10_comment()\n#[test]\n{function}a_name_without_a_number() {{}}\n"
    );
    let found = invariants::tests("tests/x.rs", &text);
    let seen: Vec<_> = found
        .iter()
        .map(|(number, test)| (*number, test.name.as_str(), test.ignored))
        .collect();
    assert_eq!(
        seen,
        [
            (7, "invariant_07_a_retry_returns_the_permit", false),
            (8, "invariant_08_nothing_is_lost", true),
        ]
    );
}
