//! Where trouble gathers: rows are alike in something, columns are what went wrong. Counts stand in the cells.

use askama::Template;
use askama::filters::HtmlSafe;
use engine::words::{number, ratio, share};

use super::Tally;

/// Share from which a cell is of the middle, and of the highest colour.
const WARM: f64 = 0.02;
const HOT: f64 = 0.05;

/// A cell: devices, coloured by their share of the row.
#[derive(Debug, Clone)]
pub struct Cell {
    count: Tally,
    class: &'static str,
    of: String,
}

impl Cell {
    /// `n` of the row's `whole`. One device is never hot: it can not be told from chance.
    pub fn new(count: Tally, n: u64, whole: u64) -> Self {
        let rate = ratio(n, whole);
        let class = match n {
            0 => "h0",
            _ if n > 2 && rate >= HOT => "h3",
            _ if n > 1 && rate >= WARM => "h2",
            _ => "h1",
        };
        Self {
            count,
            class,
            of: format!(" of {} ({})", number(whole), share(rate)),
        }
    }
}

/// A row.
#[derive(Debug, Clone)]
pub struct HeatRow {
    /// What its devices have in common.
    pub name: String,
    /// Started devices.
    pub started: Tally,
    /// All in trouble, with their share.
    pub any: String,
    /// One per column.
    pub cells: Vec<Cell>,
}

/// The map.
#[derive(Debug, Clone, Template)]
#[template(path = "partials/heat.html")]
pub struct HeatMap {
    /// Name of the rows.
    pub rows_are: &'static str,
    /// What went wrong: short head, and in full for those who hear the page.
    pub columns: Vec<(String, String)>,
    /// Rows, the worst first.
    pub rows: Vec<HeatRow>,
}

impl HtmlSafe for HeatMap {}
