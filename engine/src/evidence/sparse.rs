//! Counters as decisions are kept with: without those that are zero. Decisions are kept for ever, most of them are made
//! before anything happened, and then nearly every counter of every cohort is zero. What people approve is written in
//! full: its hash was taken of that.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use super::{Cohort, CohortKind, Counts, Evidence, Silence};
use crate::ids::CohortId;

/// Writes evidence; reading it needs nothing but the defaults of its fields.
pub(crate) fn evidence<S: Serializer>(evidence: &Evidence, to: S) -> Result<S::Ok, S::Error> {
    let cohorts = evidence.cohorts.iter().map(|(id, c)| (*id, c.into()));
    SparseEvidence {
        all: Sparse(&evidence.all),
        cohorts: cohorts.collect(),
        silences: &evidence.silences,
    }
    .serialize(to)
}

/// Writes counters; reading them needs nothing but the defaults of their fields.
pub(crate) fn counts<S: Serializer>(counts: &Counts, to: S) -> Result<S::Ok, S::Error> {
    Sparse(counts).serialize(to)
}

#[derive(Serialize)]
struct SparseEvidence<'a> {
    #[serde(skip_serializing_if = "Sparse::is_zero")]
    all: Sparse<'a>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    cohorts: BTreeMap<CohortId, SparseCohort<'a>>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    silences: &'a [Silence],
}

#[derive(Serialize)]
struct SparseCohort<'a> {
    kind: CohortKind,
    value: &'a str,
    #[serde(skip_serializing_if = "Sparse::is_zero")]
    counts: Sparse<'a>,
}

impl<'a> From<&'a Cohort> for SparseCohort<'a> {
    fn from(cohort: &'a Cohort) -> Self {
        Self {
            kind: cohort.kind,
            value: &cohort.value,
            counts: Sparse(&cohort.counts),
        }
    }
}

struct Sparse<'a>(&'a Counts);

impl Sparse<'_> {
    fn is_zero(&self) -> bool {
        self.0.is_zero()
    }
}

impl Serialize for Sparse<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Counts {
            started,
            ok,
            failed,
            severe,
            silent,
            overdue,
            resolved,
            drift,
            recovered,
            relapsed,
        } = *self.0;
        let fields = [
            ("started", started),
            ("ok", ok),
            ("failed", failed),
            ("severe", severe),
            ("silent", silent),
            ("overdue", overdue),
            ("resolved", resolved),
            ("drift", drift),
            ("recovered", recovered),
            ("relapsed", relapsed),
        ];
        to.collect_map(fields.into_iter().filter(|(_, n)| *n > 0))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn some() -> Evidence {
        let counts = Counts {
            started: 3,
            ok: 1,
            failed: 2,
            severe: 4,
            silent: 5,
            overdue: 6,
            resolved: 7,
            drift: 8,
            recovered: 9,
            relapsed: 10,
        };
        let model = |value: &str, counts| Cohort {
            kind: CohortKind::Model,
            value: value.into(),
            counts,
        };
        Evidence {
            all: counts,
            cohorts: BTreeMap::from([
                (CohortId(7), model("Latitude", counts)),
                (CohortId(9), model("Optiplex", Counts::default())),
            ]),
            silences: vec![Silence {
                treated: true,
                devices: 1,
                at_risk_treated: 3,
                at_risk_control: 40,
            }],
        }
    }

    #[test]
    fn what_was_written_without_zeros_reads_as_it_was() {
        for evidence in [some(), Evidence::default()] {
            let written = super::evidence(&evidence, serde_json::value::Serializer).unwrap();
            let read: Evidence = serde_json::from_value(written).unwrap();
            assert_eq!(read, evidence);
        }
    }

    #[test]
    fn what_was_written_in_full_reads_as_well() {
        let full = serde_json::to_value(some()).unwrap();
        assert_eq!(full["cohorts"]["9"]["counts"]["ok"], 0);
        assert_eq!(serde_json::from_value::<Evidence>(full).unwrap(), some());
    }

    #[test]
    fn zeros_are_left_out_and_cohorts_are_not() {
        let written = evidence(&some(), serde_json::value::Serializer).unwrap();
        assert_eq!(
            written["cohorts"]["9"],
            json!({ "kind": "model", "value": "Optiplex" })
        );
        let one = Counts {
            ok: 1,
            ..Counts::default()
        };
        let written = counts(&one, serde_json::value::Serializer).unwrap();
        assert_eq!(written, json!({ "ok": 1 }));
    }
}
