//! Terms as rows that one statement reads, and what of them an index can lead to.

use engine::ring::{self, Comparison, Field, Pattern, Term};
use serde_json::{Value, json};
use servicing::{Build, Family, Series};
use uuid::Uuid;

use super::query::Test;
use crate::store::word;

/// The terms about a device itself. A term holds where one of its rows does.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// Of each term: it must not hold.
    pub negated: Vec<bool>,
    /// Of each row: its term, from 1.
    pub term: Vec<i64>,
    /// What is compared.
    pub kind: Vec<String>,
    /// With what.
    pub value: Vec<String>,
    /// Series of a build, or the name of an attribute.
    pub series: Vec<String>,
    /// Base build.
    pub base: Vec<i32>,
    /// Lowest and highest UBR.
    pub low: Vec<i64>,
    /// See `low`.
    pub high: Vec<i64>,
    /// What an index can lead to.
    pub lead: Lead,
    /// The statement may take devices too many, because letters beyond A to Z are compared by the engine alone.
    pub inexact: bool,
}

/// Conditions that every device of the answer meets, each with an index.
#[derive(Debug, Default)]
pub(super) struct Lead {
    /// LIKE of the host name.
    pub host: Option<String>,
    /// LIKE of the model.
    pub model: Option<String>,
    /// A tag.
    pub tag: Option<Value>,
    /// A status.
    pub status: Option<String>,
    /// Suspected clones.
    pub clone: bool,
    /// Pinned devices.
    pub pinned: bool,
    /// Base builds.
    pub bases: Option<Vec<i32>>,
    /// Lowest and highest UBR.
    pub ubrs: (i64, i64),
    /// Rings.
    pub rings: Option<Vec<Uuid>>,
    /// Tracks.
    pub tracks: Option<Vec<Uuid>>,
    /// LIKE of the serial.
    pub serial: Option<String>,
}

impl Lead {
    /// There is one. Admitted devices are nearly all of them: that leads nowhere.
    pub fn leads(&self) -> bool {
        self.host.is_some()
            || self.model.is_some()
            || self.tag.is_some()
            || self.status.as_deref().is_some_and(|s| s != "admitted")
            || self.clone
            || self.pinned
            || self.bases.is_some()
            || self.rings.is_some()
            || self.tracks.is_some()
            || self.serial.is_some()
    }
}

/// A pattern for LIKE, in lower case. Where it has letters beyond A to Z, anything may stand for them, and the second
/// value says so.
fn like(pattern: &Pattern) -> (String, bool) {
    let mut text = String::new();
    let mut inexact = false;
    for c in pattern.chars() {
        match c {
            '*' => text.push('%'),
            '%' | '_' | '\\' => text.extend(['\\', *c]),
            c if c.is_ascii() => text.push(*c),
            _ => {
                text.push('%');
                inexact = true;
            }
        }
    }
    (text, inexact)
}

/// A pattern that an index can lead to: its beginning is known.
fn led_like(pattern: &Pattern, negated: bool) -> Option<String> {
    let (text, inexact) = like(pattern);
    (!negated && !inexact && !text.starts_with('%')).then_some(text)
}

/// UBRs that compare so.
fn range(comparison: Comparison, ubr: u32) -> (i64, i64) {
    let ubr = i64::from(ubr);
    match comparison {
        Comparison::Less => (0, ubr - 1),
        Comparison::AtMost => (0, ubr),
        Comparison::More => (ubr + 1, i64::MAX),
        Comparison::AtLeast => (ubr, i64::MAX),
        Comparison::Equal => (ubr, ubr),
    }
}

impl Rows {
    /// Rows of a query's terms. `tracks` and `rings` are those whose names match, in the order in which the query asks
    /// for them; a ring leads only where it is the ring now.
    pub fn of(
        terms: &[Term<Test>],
        named: &mut impl Iterator<Item = Vec<Uuid>>,
        ring_is_now: bool,
    ) -> anyhow::Result<Self> {
        let mut rows = Self::default();
        for term in terms {
            let before = rows.term.len();
            rows.negated.push(term.negated);
            let (lead, negated) = (!term.negated, term.negated);
            match &term.test {
                Test::Device(ring::Test::Text(field, pattern)) => {
                    rows.text(*field, pattern, negated);
                }
                Test::Device(ring::Test::Attribute(name, pattern)) => {
                    rows.attribute(name, pattern, negated);
                }
                Test::Device(ring::Test::Arch(arch)) => rows.push("arch", word(arch)?),
                Test::Device(ring::Test::Product(product)) => rows.push("product", word(product)?),
                Test::Device(ring::Test::Build(comparison, build)) => {
                    rows.build(*comparison, *build, lead)?;
                }
                Test::Serial(pattern) => {
                    rows.like("serial", pattern, negated);
                    rows.lead.serial = led_like(pattern, negated).or(rows.lead.serial);
                }
                Test::Track(_) => {
                    let ids = named.next().unwrap_or_default();
                    rows.ids("track", &ids);
                    if lead {
                        rows.lead.tracks = Some(ids);
                    }
                }
                Test::Ring(_) => {
                    let ids = named.next().unwrap_or_default();
                    rows.ids("ring", &ids);
                    if lead && ring_is_now {
                        rows.lead.rings = Some(ids);
                    }
                }
                Test::Status(status) => {
                    let status = word(status)?;
                    if lead {
                        rows.lead.status = Some(status.clone());
                    }
                    rows.push("status", status);
                }
                Test::Pinned(yes) => {
                    rows.push(if *yes { "pinned" } else { "not_pinned" }, String::new());
                    rows.lead.pinned |= lead && *yes;
                }
                Test::Clone(yes) => {
                    rows.push(if *yes { "clone" } else { "no_clone" }, String::new());
                    rows.lead.clone |= lead && *yes;
                }
                Test::Seen(..)
                | Test::Rollout(_)
                | Test::State(_)
                | Test::Error(_)
                | Test::Class(_) => {
                    rows.negated.pop();
                    continue;
                }
            }
            // A term that has no row never holds.
            let no = i64::try_from(rows.negated.len())?;
            let added = rows.kind.len() - before;
            rows.term.extend(std::iter::repeat_n(no, added));
        }
        Ok(rows)
    }

    fn push(&mut self, kind: &str, value: String) {
        self.row(kind, value, "", 0, (0, 0));
    }

    fn row(&mut self, kind: &str, value: String, series: &str, base: i32, ubrs: (i64, i64)) {
        self.kind.push(kind.to_owned());
        self.value.push(value);
        self.series.push(series.to_owned());
        self.base.push(base);
        self.low.push(ubrs.0);
        self.high.push(ubrs.1);
    }

    fn ids(&mut self, kind: &str, ids: &[Uuid]) {
        for id in ids {
            self.push(kind, id.to_string());
        }
    }

    fn like(&mut self, kind: &str, pattern: &Pattern, negated: bool) {
        let (text, inexact) = like(pattern);
        self.inexact |= inexact;
        // What may match too much must not exclude: the engine looks at it afterwards.
        if !(inexact && negated) {
            self.push(kind, text);
        }
    }

    fn attribute(&mut self, name: &str, pattern: &Pattern, negated: bool) {
        let (text, inexact) = like(pattern);
        self.inexact |= inexact;
        if !(inexact && negated) {
            self.row("attribute", text, name, 0, (0, 0));
        }
    }

    fn text(&mut self, field: Field, pattern: &Pattern, negated: bool) {
        let kind = match field {
            Field::Tag => "tag",
            Field::Model => "model",
            Field::Manufacturer => "manufacturer",
            Field::Bios => "bios",
            Field::Edition => "edition",
            Field::Host => "host",
        };
        self.like(kind, pattern, negated);
        let whole: String = pattern.chars().iter().collect();
        match field {
            Field::Host => self.lead.host = led_like(pattern, negated).or(self.lead.host.take()),
            Field::Model => self.lead.model = led_like(pattern, negated).or(self.lead.model.take()),
            Field::Tag if !negated && whole.is_ascii() && !whole.contains('*') => {
                self.lead.tag = Some(json!([whole]));
            }
            _ => {}
        }
    }

    fn build(&mut self, comparison: Comparison, build: Build, lead: bool) -> anyhow::Result<()> {
        let ubrs = range(comparison, build.ubr);
        let mut all = Vec::new();
        for family in Family::ALL {
            if !family.bases().contains(&build.base) {
                continue;
            }
            for base in family.bases() {
                let base = i32::try_from(*base)?;
                all.push(base);
                for series in Series::ALL.iter().filter(|s| family.has_series(**s)) {
                    let product = family.product().word().to_owned();
                    self.row("build", product, series.word(), base, ubrs);
                }
            }
        }
        if lead {
            self.lead.bases = Some(all);
            self.lead.ubrs = ubrs;
        }
        Ok(())
    }
}
