//! Reports for people.

use std::fmt::Write;

use super::bars::FIGURES;
use super::{Figure, Finding, Report, figure};
use crate::stats;

/// A value with its unit, in as many digits as mean something.
pub fn number(value: f64, unit: &str) -> String {
    let digits = match value.abs() {
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        _ => 2,
    };
    let mut text = format!("{value:.digits$}");
    if value.abs() >= 10_000.0 {
        // Thousands apart.
        let mut at = text.len() - 3;
        while at > 0 {
            text.insert(at, ',');
            at = at.saturating_sub(3);
        }
    }
    if unit.is_empty() {
        text
    } else {
        format!("{text} {unit}")
    }
}

fn spread(values: &[f64]) -> String {
    if values.len() < 2 {
        return "–".into();
    }
    let (low, high) = stats::range(values);
    format!("{} – {}", number(low, ""), number(high, ""))
}

fn verdict(finding: &Finding) -> &'static str {
    match finding.reaches() {
        Some(true) => "reached",
        Some(false) => "**missed**",
        None => "",
    }
}

fn limit(figure: &Figure, value: Option<f64>) -> String {
    value.map_or(String::new(), |v| {
        format!("{} {}", figure.better.sign(), number(v, figure.unit))
    })
}

/// A finding in one line.
pub fn line(figure: &Figure, finding: &Finding) -> String {
    let mut line = format!("{}: {}", figure.what, number(finding.median(), figure.unit));
    if finding.values.len() > 1 {
        let _ = write!(line, " ({})", spread(&finding.values));
    }
    if let Some(bar) = figure.bar {
        let _ = write!(
            line,
            ", bar {} {}: {}",
            figure.better.sign(),
            number(bar, ""),
            verdict(finding)
        );
    }
    line
}

/// The report as Markdown.
#[must_use]
pub fn render(report: &Report) -> String {
    let machine = &report.machine;
    let settings: Vec<String> = report
        .postgres
        .iter()
        .map(|(n, v)| format!("{n} {v}"))
        .collect();
    let mut text = format!(
        "# Benchmark, {} devices\n\n{}, version {}. {} cores of {}, {} GiB, Linux {}; load, server and database on the same machine.\nPostgreSQL: {}.\n\n",
        number(f64::from(report.devices), ""),
        report.at.format("%Y-%m-%d"),
        report.version,
        machine.cores,
        machine.processor,
        machine.memory_gib,
        machine.kernel,
        settings.join(", "),
    );
    text.push_str("| What | Median | Range | Bar | Stretch | |\n|---|---|---|---|---|---|\n");
    for finding in &report.findings {
        let Some(figure) = figure(&finding.id) else {
            continue;
        };
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} |",
            figure.what,
            number(finding.median(), figure.unit),
            spread(&finding.values),
            limit(figure, figure.bar),
            limit(figure, figure.stretch),
            verdict(finding)
        );
    }
    for note in &report.notes {
        let _ = write!(text, "\n{note}\n");
    }
    text
}

/// Several reports side by side: the median of each run.
#[must_use]
pub fn together(reports: &[(String, Report)]) -> String {
    let mut text = String::from("| What | Bar |");
    for (name, _) in reports {
        let _ = write!(text, " {name} |");
    }
    text.push_str("\n|---|---|");
    text.push_str(&"---|".repeat(reports.len()));
    text.push('\n');
    for figure in FIGURES {
        let values: Vec<_> = reports
            .iter()
            .map(|(_, r)| r.findings.iter().find(|f| f.id == figure.id))
            .collect();
        if values.iter().all(Option::is_none) {
            continue;
        }
        let _ = write!(text, "| {} | {} |", figure.what, limit(figure, figure.bar));
        for value in values {
            let cell = value.map_or("–".to_owned(), |f| number(f.median(), figure.unit));
            let _ = write!(text, " {cell} |");
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_digits_that_mean_something() {
        assert_eq!(number(0.7345, ""), "0.73");
        assert_eq!(number(134_567.8, "requests/s"), "134,568 requests/s");
        assert_eq!(number(1_234_567.0, ""), "1,234,567");
        assert_eq!(number(2345.6, "ms"), "2346 ms");
        assert_eq!(number(12.34, "ms"), "12.3 ms");
    }
}
