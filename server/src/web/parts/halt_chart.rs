//! How far from a halt: failures against started devices, with the whole numbers at which exposure is braked and at
//! which it stops. The way that was walked is not kept, so the picture has one point: where it stands now.

use askama::Template;
use askama::filters::HtmlSafe;
use engine::halt::{Boundary, Watch};
use engine::words::number;

/// The plot inside the picture.
const LEFT: f64 = 38.0;
const RIGHT: f64 = 620.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 236.0;

/// The picture.
#[derive(Debug, Clone, Template)]
#[template(path = "partials/halt_chart.html")]
pub struct HaltChart {
    label: String,
    area: String,
    halts: String,
    brakes: String,
    rows: Vec<Tick>,
    columns: Vec<Tick>,
    dot: (String, String),
    /// Label of the dot, on the side where there is room for it.
    now: (String, String, &'static str),
    text: String,
    /// Dotted line from the dot up to the line, where the dot is below it.
    left: Option<(String, String)>,
}

#[derive(Debug, Clone)]
struct Tick {
    at: String,
    text: String,
}

impl HtmlSafe for HaltChart {}

/// Where a number of devices, and one of failures, lies.
struct Scale {
    devices: u64,
    failures: u64,
}

#[allow(clippy::cast_precision_loss)] // Devices are far below 2^53.
impl Scale {
    fn x(&self, devices: u64) -> f64 {
        LEFT + (devices as f64 / self.devices.max(1) as f64).min(1.0) * (RIGHT - LEFT)
    }

    fn y(&self, failures: u64) -> f64 {
        BOTTOM - (failures as f64 / self.failures.max(1) as f64).min(1.0) * (BOTTOM - TOP)
    }

    /// A line of steps: so many failures up to so many devices.
    fn steps(&self, line: &[(u64, u64)]) -> String {
        use std::fmt::Write;
        let mut path = String::new();
        let mut from = LEFT;
        for (failures, largest) in line {
            let (y, to) = (self.y(*failures), self.x(*largest));
            let start = if path.is_empty() { 'M' } else { 'L' };
            // Writing into a string can not fail.
            let _written = write!(path, "{start}{from:.1} {y:.1}H{to:.1}");
            from = to;
        }
        path
    }
}

impl HaltChart {
    /// Failures of all devices, against the boundary over the first `up_to` of them.
    pub fn new(boundary: &Boundary, up_to: u64, all: &Watch) -> Self {
        let (failures, started) = (all.failures, all.started);
        let top = boundary.halts.last().map_or(1, |(failures, _)| *failures);
        let scale = Scale {
            devices: up_to,
            failures: top.max(failures) + 1,
        };
        let halts = scale.steps(&boundary.halts);
        let first = boundary.halts.first().map_or(1, |(failures, _)| *failures);
        let (x, y) = (scale.x(started), scale.y(failures));
        let flip = x > f64::midpoint(LEFT, RIGHT);
        Self {
            label: format!(
                "{} of {} started devices failed. The line of the halt is at {}.",
                number(failures),
                number(started),
                all.halts_at.map_or_else(|| "no number".to_owned(), number)
            ),
            area: format!(
                "{}V{TOP}H{LEFT}V{:.1}Z",
                scale.steps(&boundary.halts),
                scale.y(first)
            ),
            halts,
            brakes: scale.steps(&boundary.brakes),
            rows: ticks(scale.failures, |n| scale.y(n)),
            columns: ticks(scale.devices, |n| scale.x(n)),
            dot: (format!("{x:.1}"), format!("{y:.1}")),
            now: (
                format!("{:.1}", if flip { x - 10.0 } else { x + 10.0 }),
                format!("{:.1}", y - 8.0),
                if flip { "end" } else { "start" },
            ),
            text: format!("now {} of {}", number(failures), number(started)),
            left: all
                .halts_at
                .map(|n| scale.y(n))
                .filter(|line| *line < y - 12.0)
                .map(|line| (format!("{:.1}", y - 8.0), format!("{line:.1}"))),
        }
    }
}

/// About five round numbers up to `most`.
fn ticks(most: u64, place: impl Fn(u64) -> f64) -> Vec<Tick> {
    let rough = (most / 5).max(1);
    let ten = 10_u64.saturating_pow(rough.ilog10());
    let step = [1, 2, 5, 10]
        .into_iter()
        .map(|n| n * ten)
        .find(|step| *step >= rough)
        .unwrap_or(rough);
    let step = usize::try_from(step).unwrap_or(usize::MAX);
    (0..=most)
        .step_by(step)
        .map(|n| Tick {
            at: format!("{:.1}", place(n)),
            text: number(n),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use engine::halt::{HaltPolicy, Stream, boundary};
    use engine::ids::CohortId;

    use super::*;

    fn watch(failures: u64, started: u64) -> Watch {
        Watch {
            stream: Stream::Failure,
            cohort: CohortId::ALL,
            name: "all devices".to_owned(),
            failures,
            started,
            brakes_at: Some(19),
            halts_at: Some(21),
        }
    }

    #[test]
    fn the_point_stands_below_the_line_that_halts() {
        let boundary = boundary(600, &HaltPolicy::default());
        insta::assert_snapshot!(HaltChart::new(&boundary, 600, &watch(4, 496)).to_string());
    }

    #[test]
    fn a_large_fleet_is_no_larger_picture() {
        let boundary = boundary(1_000_000, &HaltPolicy::default());
        assert!(boundary.halts.len() <= 151 && boundary.brakes.len() <= 151);
        let chart = HaltChart::new(&boundary, 1_000_000, &watch(1_000_000, 1_000_000));
        assert!(chart.columns.len() <= 7 && chart.rows.len() <= 7);
        assert_eq!(chart.dot.0, "620.0");
    }

    #[test]
    fn before_the_first_device_there_is_a_line_already() {
        let boundary = boundary(20, &HaltPolicy::default());
        let chart = HaltChart::new(&boundary, 20, &watch(0, 0));
        assert_eq!(chart.text, "now 0 of 0");
        assert!(chart.left.is_some());
    }
}
