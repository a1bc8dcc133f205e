//! What pages are made of. Each part writes its own HTML and knows nothing of where its values come from.

mod bar;
mod class;
pub(crate) mod gate;
mod glyph;
mod halt_chart;
mod heat;
mod hold;
mod limit;
mod rail;
mod read_back;
mod state;
mod subject;
mod tally;
mod when;

pub use bar::{Bar, Slice};
pub use class::{Class, class_words};
pub use engine::words::{number, part, share};
pub use gate::{GateTable, criterion_name};
pub use glyph::{GlyphRing, RingGlyph};
pub use halt_chart::HaltChart;
pub use heat::{Cell, HeatMap, HeatRow};
pub use hold::HoldRow;
pub use limit::{Limit, LimitPicture};
pub use rail::{StageRail, Stop};
pub use state::{Icon, State, Tone};
pub use subject::{around, subject};
pub use tally::{Tally, device_list, term};
pub use when::When;

/// What is around a page without navigation: sign-in and failures.
pub struct Bare {
    /// Title of the window.
    pub title: &'static str,
    /// Style sheet.
    pub style: String,
}

/// A link with its words.
#[derive(Debug, Clone)]
pub struct Link {
    /// Words.
    pub text: String,
    /// Where it leads.
    pub href: String,
}

impl Link {
    /// A link.
    pub fn new(text: impl Into<String>, href: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            href: href.into(),
        }
    }
}

/// One option of a list to choose from.
#[derive(Debug, Clone)]
pub struct Choice {
    /// What the form sends.
    pub value: String,
    /// What people read.
    pub text: String,
    /// Chosen.
    pub selected: bool,
}

impl Choice {
    /// An option.
    pub fn new(value: impl std::fmt::Display, text: impl Into<String>, selected: bool) -> Self {
        Self {
            value: format!("{value}"),
            text: text.into(),
            selected,
        }
    }
}

/// What people called something, within a sentence: first strong isolate and its end do for text what `bdi` does for
/// elements, so that a name that runs from right to left does not turn the line.
pub fn isolated(name: &str) -> String {
    format!("\u{2068}{name}\u{2069}")
}
