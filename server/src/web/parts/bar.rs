//! Parts of one whole as a bar.

use askama::Template;
use askama::filters::HtmlSafe;

use engine::words::{number, ratio};

/// Narrowest slice, percent: a single device among ten thousand is still seen. The largest slice gives way.
const NARROWEST: f64 = 1.3;

/// A slice of a bar.
#[derive(Debug, Clone, PartialEq)]
pub struct Slice {
    /// What it counts, for those who hear the page.
    pub word: &'static str,
    /// Colour class: `d-succeeded`, `f-ok` ...
    pub class: &'static str,
    /// How many.
    pub n: u64,
    /// Hatched as well: hung and silent are never told by colour alone.
    pub hatched: bool,
}

/// A bar over its whole width.
#[derive(Debug, Clone, Template)]
#[template(path = "partials/bar.html")]
pub struct Bar {
    size: &'static str,
    label: String,
    parts: Vec<Placed>,
}

#[derive(Debug, Clone)]
struct Placed {
    class: &'static str,
    hatched: bool,
    x: String,
    width: String,
}

impl HtmlSafe for Bar {}

impl Bar {
    /// A bar of `whole`; `name` says of what. `size` is `thin`, `tall` or empty.
    pub fn new(name: &str, slices: &[Slice], whole: u64, size: &'static str) -> Self {
        let mut widths: Vec<f64> = slices
            .iter()
            .map(|s| (ratio(s.n, whole) * 100.0).min(100.0))
            .collect();
        let mut missing = 0.0;
        for (width, slice) in widths.iter_mut().zip(slices) {
            if slice.n > 0 && *width < NARROWEST {
                missing += NARROWEST - *width;
                *width = NARROWEST;
            }
        }
        let over = widths.iter().sum::<f64>() - 100.0;
        if let Some(largest) = widths.iter_mut().max_by(|a, b| a.total_cmp(b)) {
            *largest -= over.max(0.0).min(missing.max(over));
        }
        let mut at = 0.0;
        let mut parts = Vec::new();
        for (width, slice) in widths.into_iter().zip(slices) {
            if slice.n == 0 {
                continue;
            }
            parts.push(Placed {
                class: slice.class,
                hatched: slice.hatched,
                x: format!("{at:.2}%"),
                width: format!("{:.2}%", width.max(0.0)),
            });
            at += width;
        }
        let said: Vec<String> = slices
            .iter()
            .filter(|s| s.n > 0)
            .map(|s| format!("{} {}", number(s.n), s.word))
            .collect();
        let label = if said.is_empty() {
            format!("{name}: none of {}", number(whole))
        } else {
            format!("{name}: {} of {}", said.join(", "), number(whole))
        };
        Self { size, label, parts }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice(n: u64) -> Slice {
        Slice {
            word: "succeeded",
            class: "d-succeeded",
            n,
            hatched: false,
        }
    }

    #[test]
    fn one_of_ten_thousand_is_seen_and_the_bar_is_not_longer_for_it() {
        let bar = Bar::new("Broad", &[slice(9_999), slice(1)], 10_000, "");
        assert_eq!(bar.parts[1].width, "1.30%");
        assert_eq!(bar.parts[0].width, "98.70%");
        assert!(
            bar.to_string()
                .contains("9,999 succeeded, 1 succeeded of 10,000")
        );
    }

    #[test]
    fn nothing_of_nothing_is_an_empty_bar() {
        let bar = Bar::new("Broad", &[slice(0)], 0, "tall");
        assert!(bar.parts.is_empty());
        assert_eq!(bar.label, "Broad: none of 0");
    }
}
