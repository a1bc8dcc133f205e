//! Where a rollout stands, at a glance: one circle per ring, the first ring innermost, dashed where it is not open.

use askama::Template;
use askama::filters::HtmlSafe;
use engine::words::{number, ratio};

use super::Tone;

/// Radii of the innermost and of the outermost circle.
const INNER: f64 = 5.5;
const OUTER: f64 = 19.0;

/// One ring of the glyph.
#[derive(Debug, Clone, PartialEq)]
pub struct GlyphRing {
    /// Its name, for those who hear the page.
    pub name: String,
    /// Devices that have it.
    pub done: u64,
    /// Devices it is for.
    pub whole: u64,
    /// Not open: the colour of what it waits for.
    pub closed: Option<Tone>,
}

/// The glyph.
#[derive(Debug, Clone, Template)]
#[template(path = "partials/glyph.html")]
pub struct RingGlyph {
    size: &'static str,
    label: String,
    circles: Vec<Circle>,
}

#[derive(Debug, Clone)]
struct Circle {
    r: String,
    width: String,
    arc: String,
    closed: Option<&'static str>,
}

impl HtmlSafe for RingGlyph {}

impl RingGlyph {
    /// A glyph of these rings; `size` is `lg` or empty.
    pub fn new(rings: &[GlyphRing], size: &'static str) -> Self {
        let gaps = u32::try_from(rings.len().saturating_sub(1).max(1)).unwrap_or(1);
        let gap = if rings.len() > 1 {
            ((OUTER - INNER) / f64::from(gaps)).min(6.0)
        } else {
            0.0
        };
        let width = if rings.len() > 1 {
            (gap * 0.66).min(3.0)
        } else {
            3.0
        };
        let mut r = OUTER - gap * f64::from(gaps);
        if rings.len() == 1 {
            r = 12.0;
        }
        let mut circles = Vec::new();
        for ring in rings {
            let share = ratio(ring.done, ring.whole).min(1.0) * 100.0;
            circles.push(Circle {
                r: format!("{r:.1}"),
                width: format!("{width:.1}"),
                arc: format!("{share:.0} 100"),
                closed: ring.closed.map(Tone::class),
            });
            r += gap;
        }
        let said: Vec<String> = rings
            .iter()
            .map(|ring| {
                format!(
                    "{} {} of {}",
                    ring.name,
                    number(ring.done),
                    number(ring.whole)
                )
            })
            .collect();
        let label = match said.as_slice() {
            [] => "No ring".to_owned(),
            said => format!("{} devices succeeded", said.join(", ")),
        };
        Self {
            size,
            label,
            circles,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(name: &str, done: u64, whole: u64, closed: Option<Tone>) -> GlyphRing {
        GlyphRing {
            name: name.to_owned(),
            done,
            whole,
            closed,
        }
    }

    #[test]
    fn every_ring_is_a_circle_inside_the_picture() {
        let rings = [
            ring("Test", 12, 12, None),
            ring("Pilot", 58, 60, None),
            ring("Broad", 0, 1_840, Some(Tone::Ask)),
        ];
        insta::assert_snapshot!(RingGlyph::new(&rings, "lg").to_string());
        let many: Vec<GlyphRing> = (0..16).map(|i| ring(&i.to_string(), i, 9, None)).collect();
        let glyph = RingGlyph::new(&many, "");
        assert_eq!(glyph.circles.last().unwrap().r, "19.0");
        assert_eq!(glyph.circles[0].r, "5.5");
        assert_eq!(RingGlyph::new(&[], "").label, "No ring");
    }
}
