//! Times from left to right: widths grow with the logarithm of the time between.

use chrono::{DateTime, Utc};

use crate::web::frame::Frame;

/// Where lanes begin.
pub(super) const LEFT: f64 = 96.0;
/// Where they end.
pub(super) const RIGHT: f64 = 980.0;

/// Space that a label of the axis takes.
const LABEL: f64 = 104.0;

/// A label of the axis.
pub struct Tick {
    /// Where.
    pub x: String,
    /// Time.
    pub text: String,
    /// `start`, or `end` where the picture ends.
    pub anchor: &'static str,
}

/// Where times lie on the axis.
pub(super) struct Axis(Vec<(DateTime<Utc>, f64)>);

impl Axis {
    #[allow(clippy::cast_precision_loss)] // Seconds of a rollout fit.
    /// An axis on which these times lie.
    pub(super) fn over(mut times: Vec<DateTime<Utc>>) -> Self {
        times.sort_unstable();
        times.dedup();
        let mut placed = Vec::new();
        let mut at = 0.0;
        for (i, time) in times.iter().enumerate() {
            if i > 0 {
                at += ((*time - times[i - 1]).num_seconds() as f64 / 60.0).ln_1p();
            }
            placed.push((*time, at));
        }
        let scale = if at > 0.0 { (RIGHT - LEFT) / at } else { 0.0 };
        for (_, x) in &mut placed {
            *x = LEFT + *x * scale;
        }
        Self(placed)
    }

    /// Where a time lies.
    pub(super) fn x(&self, time: DateTime<Utc>) -> f64 {
        let found = self.0.iter().find(|(t, _)| *t == time);
        found.map_or(RIGHT, |(_, x)| *x)
    }

    /// Labels that do not touch each other.
    pub(super) fn ticks(&self, frame: &Frame) -> Vec<Tick> {
        let mut ticks = Vec::new();
        let mut free = f64::MIN;
        for (time, x) in &self.0 {
            let ends = *x + LABEL > RIGHT;
            let from = if ends { *x - LABEL } else { *x };
            if from >= free {
                free = from + LABEL;
                ticks.push(Tick {
                    x: format!("{x:.1}"),
                    text: frame.when(*time).text().to_owned(),
                    anchor: if ends { "end" } else { "start" },
                });
            }
        }
        ticks
    }
}
