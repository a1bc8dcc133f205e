//! Whether a sequence can be saved, and whether it can be published. Every error is collected, and names the
//! field and what was expected. What concerns packages is in `packages_check`.

use std::{collections::HashSet, fmt, hash::Hash};

use serde::{Deserialize, Serialize};

use crate::{Family, Kind, Sequence, Series, Variant};

use super::packages_check;

/// Most variants of a sequence: two products, two series and two architectures, twice over for editions.
pub const MAX_VARIANTS: usize = 16;
/// Most packages of a variant. The longest sequence published so far has two.
pub const MAX_PACKAGES: usize = 16;

const MAX_TITLE: usize = 200;
const MAX_LABEL: usize = 64;
const MAX_SUPERSEDES: usize = 64;
const MAX_KNOWN_ISSUES: usize = 32;
const MAX_ISSUE_TEXT: usize = 4000;
const MAX_BASES: usize = 8;
const MAX_EDITIONS: usize = 32;

/// How much of a sequence has to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completeness {
    /// Hashes, names and sizes may be missing.
    Draft,
    /// Everything that an agent needs to fetch and check the files.
    Publish,
}

/// One field that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldError {
    /// Where: `variants[0].packages[1].sha256`.
    pub field: String,
    /// What would have been right.
    pub expected: String,
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: expected {}", self.field, self.expected)
    }
}

/// Errors so far.
#[derive(Default)]
pub(super) struct Errors(Vec<FieldError>);

impl Errors {
    /// Notes an error unless `holds`.
    pub(super) fn check(
        &mut self,
        holds: bool,
        field: impl Into<String>,
        expected: impl Into<String>,
    ) {
        if !holds {
            self.0.push(FieldError {
                field: field.into(),
                expected: expected.into(),
            });
        }
    }

    fn line(&mut self, text: &str, longest: usize, field: &str) {
        let fits =
            (1..=longest).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        self.check(
            fits,
            field,
            format!("1 to {longest} characters on one line"),
        );
    }
}

impl Sequence {
    /// Whether it can be saved or published.
    ///
    /// # Errors
    /// Every field that is not as it should be, in the order in which they are written.
    pub fn validate(&self, completeness: Completeness) -> Result<(), Vec<FieldError>> {
        let mut errors = Errors::default();
        self.check_text(&mut errors);
        errors.check(
            (1..=MAX_VARIANTS).contains(&self.variants.len()),
            "variants",
            format!("1 to {MAX_VARIANTS} variants"),
        );
        for (index, variant) in self.variants.iter().enumerate().take(MAX_VARIANTS) {
            let field = format!("variants[{index}]");
            let twin = self
                .variants
                .iter()
                .take(index)
                .position(|earlier| overlap(earlier, variant));
            if let Some(twin) = twin {
                errors.check(
                    false,
                    &field,
                    format!("devices that variants[{twin}] is not for already"),
                );
            }
            check_variant(self.kind, variant, &field, &mut errors);
            packages_check::check(self, variant, completeness, &field, &mut errors);
        }
        if errors.0.is_empty() {
            Ok(())
        } else {
            Err(errors.0)
        }
    }

    fn check_text(&self, errors: &mut Errors) {
        errors.line(&self.title, MAX_TITLE, "title");
        let label_fits =
            self.label.chars().count() <= MAX_LABEL && !self.label.chars().any(char::is_control);
        errors.check(
            label_fits,
            "label",
            format!("at most {MAX_LABEL} characters on one line"),
        );
        errors.check(
            self.supersedes.len() <= MAX_SUPERSEDES && distinct(&self.supersedes),
            "supersedes",
            format!("at most {MAX_SUPERSEDES} KBs, each once"),
        );
        errors.check(
            !self.supersedes.contains(&self.kb),
            "supersedes",
            "other updates than this one",
        );
        let ids: Vec<&str> = self
            .known_issues
            .iter()
            .map(|issue| issue.id.as_str())
            .collect();
        errors.check(
            ids.len() <= MAX_KNOWN_ISSUES && distinct(&ids),
            "known_issues",
            format!("at most {MAX_KNOWN_ISSUES} known issues, each id once"),
        );
        for (index, issue) in self.known_issues.iter().enumerate().take(MAX_KNOWN_ISSUES) {
            errors.line(&issue.id, MAX_LABEL, &format!("known_issues[{index}].id"));
            errors.check(
                (1..=MAX_ISSUE_TEXT).contains(&issue.text.chars().count())
                    && !issue.text.contains('\0'),
                format!("known_issues[{index}].text"),
                format!("1 to {MAX_ISSUE_TEXT} characters without NUL"),
            );
        }
    }
}

fn check_variant(kind: Kind, variant: &Variant, at: &str, errors: &mut Errors) {
    let bases = &variant.base_builds;
    errors.check(
        (1..=MAX_BASES).contains(&bases.len()) && distinct(bases) && variant.family().is_some(),
        format!("{at}.base_builds"),
        format!(
            "base builds of one family, each once ({})",
            families(variant)
        ),
    );
    errors.check(
        variant.editions.len() <= MAX_EDITIONS && distinct(&variant.editions),
        format!("{at}.editions"),
        format!("at most {MAX_EDITIONS} editions, each once"),
    );
    let has_series = variant
        .family()
        .is_none_or(|family| family.has_series(variant.series));
    errors.check(
        has_series,
        format!("{at}.series"),
        "standard: this Windows version has no hotpatches",
    );
    errors.check(
        kind != Kind::Hotpatch || variant.series == Series::Hotpatch,
        format!("{at}.series"),
        "hotpatch, as the kind says",
    );
    let (fits, expected) = match variant.target_ubr {
        Some(ubr) if kind.sets_build() => (ubr > 0, "a UBR above 0"),
        None if kind.sets_build() => (false, "the UBR that the target brings"),
        Some(_) => (false, "null: this kind of update sets no UBR"),
        None => (true, ""),
    };
    errors.check(fits, format!("{at}.target_ubr"), expected);
}

fn families(variant: &Variant) -> String {
    let bases = |family: &Family| {
        family
            .bases()
            .iter()
            .map(u32::to_string)
            .collect::<Vec<_>>()
            .join(", ")
    };
    let families = Family::ALL
        .iter()
        .filter(|family| family.product() == variant.product);
    let list: Vec<String> = families.map(bases).collect();
    format!("{}: {}", variant.product, list.join(" | "))
}

/// Whether some device would have two variants to choose from.
fn overlap(one: &Variant, other: &Variant) -> bool {
    one.product == other.product
        && one.architecture == other.architecture
        && one.series == other.series
        && one
            .base_builds
            .iter()
            .any(|base| other.base_builds.contains(base))
        && (one.editions.is_empty()
            || other.editions.is_empty()
            || one
                .editions
                .iter()
                .any(|edition| other.editions.contains(edition)))
}

pub(super) fn distinct<T: Hash + Eq>(items: &[T]) -> bool {
    let mut seen = HashSet::new();
    items.iter().all(|item| seen.insert(item))
}
