//! One number against its limit: am I inside it? Dot: observed; band: up to the 95 % bound; tick: the limit; tinted:
//! the side that is allowed.

use askama::Template;
use askama::filters::HtmlSafe;

use super::Tone;

/// Ends of the axis, in the units of the picture.
const FROM: f64 = 5.0;
const TO: f64 = 115.0;

/// Which side of the limit is allowed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Limit {
    /// At most so much, as a share 0 to 1.
    AtMost(f64),
    /// At least so much, as a share 0 to 1.
    AtLeast(f64),
    /// So many or so long are needed.
    Needed(f64),
}

impl Limit {
    /// Where the limit lies.
    const fn at(self) -> f64 {
        match self {
            Self::AtMost(at) | Self::AtLeast(at) | Self::Needed(at) => at,
        }
    }

    /// Ends of an axis on which the limit is well inside.
    fn axis(self, observed: f64) -> (f64, f64) {
        match self {
            Self::AtMost(at) => (0.0, at * 2.0),
            Self::AtLeast(at) => ((at - 1.4 * (1.0 - at)).clamp(0.0, 0.9), 1.0),
            Self::Needed(at) => (0.0, (at * 2.5).max(observed * 1.05)),
        }
    }
}

/// The picture. What it shows stands in the cells beside it, so it is hidden from those who hear the page.
#[derive(Debug, Clone, Template)]
#[template(
    ext = "html",
    source = r#"<svg width="120" height="20" viewBox="0 0 120 20" aria-hidden="true"><path d="M5 10H115" class="k-track" stroke-width="4"/><path d="{{ allowed }}" class="k-okbg" stroke-width="4"/>{% if let Some(band) = band %}<path d="{{ band }}" class="k-{{ tone }}" stroke-width="4"/>{% endif %}<path d="{{ tick }}" class="k-text" stroke-width="1.5"/><circle cx="{{ dot }}" cy="10" r="4.2" class="f-{{ tone }} k-surface" stroke-width="1.5"/></svg>"#
)]
pub struct LimitPicture {
    tone: &'static str,
    allowed: String,
    band: Option<String>,
    tick: String,
    dot: String,
}

impl HtmlSafe for LimitPicture {}

impl LimitPicture {
    /// A picture of what was observed, in the unit of the limit.
    pub fn new(limit: Limit, observed: f64, bound: Option<f64>, tone: Tone) -> Self {
        let (low, high) = limit.axis(observed);
        let width = (high - low).max(f64::MIN_POSITIVE);
        let x = |value: f64| FROM + ((value - low) / width).clamp(0.0, 1.0) * (TO - FROM);
        let (at, dot) = (x(limit.at()), x(observed));
        let (left, right) = match limit {
            Limit::AtMost(_) => (FROM, at),
            Limit::AtLeast(_) | Limit::Needed(_) => (at, TO),
        };
        Self {
            tone: tone.class(),
            allowed: format!("M{left:.1} 10H{right:.1}"),
            band: bound.map(|bound| format!("M{dot:.1} 10H{:.1}", x(bound))),
            tick: format!("M{at:.1} 3V17"),
            dot: format!("{dot:.1}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_inside_and_nothing_leaves_the_picture() {
        let inside = LimitPicture::new(Limit::AtMost(0.05), 0.024, Some(0.04), Tone::Ok);
        assert_eq!(inside.tick, "M60.0 3V17");
        assert_eq!(inside.dot, "31.4");
        assert_eq!(inside.band.as_deref(), Some("M31.4 10H49.0"));
        let beyond = LimitPicture::new(Limit::AtMost(0.05), 0.5, Some(1.0), Tone::Ask);
        assert_eq!(beyond.dot, "115.0");
        let share = LimitPicture::new(Limit::AtLeast(0.95), 0.2, None, Tone::Wait);
        assert_eq!(
            (share.dot.as_str(), share.tick.as_str()),
            ("5.0", "M69.2 3V17")
        );
        let all = LimitPicture::new(Limit::AtLeast(1.0), 1.0, None, Tone::Ok);
        assert_eq!(
            (all.dot.as_str(), all.tick.as_str()),
            ("115.0", "M115.0 3V17")
        );
        let nothing = LimitPicture::new(Limit::Needed(0.0), 0.0, None, Tone::Wait);
        assert_eq!(nothing.dot, "5.0");
    }
}
