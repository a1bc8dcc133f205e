//! A gate as a table: one row per criterion, what needs someone on top.

use std::cmp::Reverse;

use askama::Template;
use askama::filters::HtmlSafe;
use engine::gate::{Criterion, CriterionReport, GateReport, Verdict};
use engine::words::{number, ratio, share};

use super::limit::{Limit, LimitPicture};
use super::read_back::{part_of, plain, rate, seconds};
use super::{State, Tone};

/// A gate's criteria, sorted inconclusive, halt, wait, pass, off. On small screens those that hold are folded.
#[derive(Debug, Clone, Template)]
#[template(path = "partials/gate.html")]
pub struct GateTable {
    rows: Vec<Row>,
    /// Criteria that hold or are off: folded on small screens.
    quiet: usize,
}

#[derive(Debug, Clone)]
struct Row {
    class: &'static str,
    verdict: State,
    name: &'static str,
    sentence: String,
    limit: String,
    observed: String,
    sample: String,
    bound: String,
    picture: Option<LimitPicture>,
}

impl HtmlSafe for GateTable {}

impl GateTable {
    /// The table of a report, of now or frozen.
    pub fn new(report: &GateReport) -> Self {
        let mut lines: Vec<&CriterionReport> = report.criteria.iter().collect();
        lines.sort_by_key(|line| Reverse(urgency(line.verdict)));
        let quiet = |line: &&&CriterionReport| matches!(line.verdict, Verdict::Pass | Verdict::Off);
        Self {
            quiet: lines.iter().filter(quiet).count(),
            rows: lines.into_iter().map(Row::new).collect(),
        }
    }

    /// `8 pass, 1 inconclusive, 1 waits, 1 off.`
    pub fn summary(report: &GateReport) -> String {
        let count = |verdict| {
            let has = |line: &&CriterionReport| line.verdict == verdict;
            report.criteria.iter().filter(has).count()
        };
        let plural = |n, one: &'static str, many: &'static str| if n == 1 { one } else { many };
        let (pass, halt, wait) = (
            count(Verdict::Pass),
            count(Verdict::Halt),
            count(Verdict::Wait),
        );
        let parts = [
            (halt, plural(halt, "says halt", "say halt")),
            (count(Verdict::Inconclusive), "inconclusive"),
            (wait, plural(wait, "waits", "wait")),
            (pass, plural(pass, "passes", "pass")),
            (count(Verdict::Off), "off"),
        ];
        let said: Vec<String> = parts
            .into_iter()
            .filter(|(n, _)| *n > 0)
            .map(|(n, word)| format!("{n} {word}"))
            .collect();
        match said.is_empty() {
            true => "Nothing was read yet.".to_owned(),
            false => format!("{}.", said.join(", ")),
        }
    }
}

/// What a person has to decide stands above what stops by itself.
const fn urgency(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Off => 0,
        Verdict::Pass => 1,
        Verdict::Wait => 2,
        Verdict::Halt => 3,
        Verdict::Inconclusive => 4,
    }
}

impl Row {
    fn new(line: &CriterionReport) -> Self {
        let off = line.verdict == Verdict::Off;
        let dash = || "–".to_owned();
        Self {
            class: match line.verdict {
                Verdict::Off => "off",
                Verdict::Pass => "pass",
                Verdict::Wait => "wait",
                Verdict::Inconclusive => "inc",
                Verdict::Halt => "halt",
            },
            verdict: State::of_verdict(line.verdict),
            name: criterion_name(line.criterion),
            sentence: line.sentence.clone(),
            limit: if off {
                "off".to_owned()
            } else {
                short(&line.limit)
            },
            observed: observed(line),
            sample: line.sample.map_or_else(dash, number),
            bound: line.bound.filter(|_| !off).map_or_else(dash, share),
            picture: picture(line),
        }
    }
}

/// A criterion as people read it.
pub const fn criterion_name(criterion: Criterion) -> &'static str {
    match criterion {
        Criterion::NotHalted => "Not halted or withdrawn",
        Criterion::Soak => "Soak",
        Criterion::Sample => "Sample",
        Criterion::Failures => "Failures",
        Criterion::Coverage => "Resolved share",
        Criterion::OobeFailures => "OOBE failures",
        Criterion::OobeDuration => "OOBE duration",
        Criterion::Drift => "Drift",
        Criterion::Telemetry => "Telemetry fresh",
        Criterion::KnownIssues => "Known issues and age",
    }
}

/// `≤ 5 %`, `48 h`: the sentence beside it has the rest.
fn short(limit: &str) -> String {
    let limit = limit.strip_suffix(" of working days").unwrap_or(limit);
    if let Some(most) = limit.strip_prefix("at most ") {
        format!("≤ {most}")
    } else if let Some(least) = limit.strip_prefix("at least ") {
        format!("≥ {least}")
    } else {
        limit.to_owned()
    }
}

/// A share where the limit is one: its whole is the sample, in the next column. Else the count.
fn observed(line: &CriterionReport) -> String {
    match part_of(&line.observed) {
        Some((part, whole)) if line.limit.contains('%') && whole > 0 => share(ratio(part, whole)),
        Some((part, _)) => number(part),
        None => line.observed.clone(),
    }
}

fn picture(line: &CriterionReport) -> Option<LimitPicture> {
    if line.verdict == Verdict::Off {
        return None;
    }
    let (limit, observed) = match line.criterion {
        Criterion::Failures
        | Criterion::OobeFailures
        | Criterion::Coverage
        | Criterion::Telemetry => {
            let (part, whole) = part_of(&line.observed).filter(|(_, whole)| *whole > 0)?;
            (rate(&line.limit)?, ratio(part, whole))
        }
        Criterion::Sample => (Limit::Needed(plain(&line.limit)?), plain(&line.observed)?),
        Criterion::Soak => {
            let limit = line.limit.strip_suffix(" of working days")?;
            (Limit::Needed(seconds(limit)?), seconds(&line.observed)?)
        }
        Criterion::NotHalted
        | Criterion::OobeDuration
        | Criterion::Drift
        | Criterion::KnownIssues => return None,
    };
    let tone = match line.verdict {
        Verdict::Off => Tone::Mute,
        Verdict::Pass => Tone::Ok,
        Verdict::Wait => Tone::Wait,
        Verdict::Inconclusive => Tone::Ask,
        Verdict::Halt => Tone::Bad,
    };
    Some(LimitPicture::new(limit, observed, line.bound, tone))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    fn line(
        criterion: Criterion,
        verdict: Verdict,
        limit: &str,
        observed: &str,
    ) -> CriterionReport {
        CriterionReport {
            criterion,
            verdict,
            limit: limit.to_owned(),
            observed: observed.to_owned(),
            sample: None,
            bound: None,
            sentence: "It is so.".to_owned(),
        }
    }

    /// A gate with every verdict.
    pub(crate) fn sample() -> GateReport {
        let of = |line: CriterionReport, sample, bound| CriterionReport {
            sample: Some(sample),
            bound,
            ..line
        };
        GateReport {
            verdict: Verdict::Inconclusive,
            criteria: vec![
                line(Criterion::NotHalted, Verdict::Pass, "none", "none"),
                of(
                    line(Criterion::Sample, Verdict::Pass, "60", "417"),
                    424,
                    None,
                ),
                line(
                    Criterion::Soak,
                    Verdict::Wait,
                    "48 h of working days",
                    "1 d 5 h",
                ),
                of(
                    line(
                        Criterion::Failures,
                        Verdict::Inconclusive,
                        "at most 5 %",
                        "40 of 424 (9.4 %)",
                    ),
                    424,
                    Some(0.12),
                ),
                of(
                    line(
                        Criterion::Coverage,
                        Verdict::Pass,
                        "at least 95 %",
                        "417 of 424 (98.3 %)",
                    ),
                    424,
                    None,
                ),
                line(Criterion::OobeFailures, Verdict::Off, "–", "–"),
                of(
                    line(Criterion::Drift, Verdict::Pass, "none", "0"),
                    431,
                    None,
                ),
            ],
        }
    }

    #[test]
    fn what_needs_someone_stands_on_top() {
        insta::assert_snapshot!(GateTable::new(&sample()).to_string());
        assert_eq!(
            GateTable::summary(&sample()),
            "1 inconclusive, 1 waits, 4 pass, 1 off."
        );
    }

    #[test]
    fn a_gate_that_was_never_read_is_no_table_of_passes() {
        let empty = GateReport {
            verdict: Verdict::Wait,
            criteria: Vec::new(),
        };
        assert_eq!(GateTable::summary(&empty), "Nothing was read yet.");
    }
}
