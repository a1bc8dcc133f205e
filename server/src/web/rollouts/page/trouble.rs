//! Where devices fail: error codes with their remedies, and models against errors.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use engine::words::{number, part};

use super::Read;
use crate::store::progress::{ModelTrouble, Trouble as What};
use crate::views::CodeLine;
use crate::web::parts::{Cell, HeatMap, HeatRow, Tally, term};

/// Codes in the table.
const CODES: usize = 8;
/// Columns and rows of the map; the rest is one more of each.
const COLUMNS: usize = 12;
const ROWS: usize = 20;
/// Rows that are shown at least, where there are so many models.
const FEWEST: usize = 6;

/// Both panels.
pub struct Trouble {
    /// Codes, the most frequent first.
    pub codes: Vec<Code>,
    /// Codes beyond these.
    pub more: usize,
    /// Devices that have started.
    pub started: String,
    /// Models against errors; none where nothing went wrong.
    pub map: Option<HeatMap>,
    /// `17 of 496 devices`.
    pub troubled: String,
}

/// An error code.
pub struct Code {
    /// Code.
    pub code: String,
    /// Symbolic name.
    pub name: Option<&'static str>,
    /// What it means.
    pub meaning: String,
    /// What helps.
    pub remedy: Option<String>,
    /// Devices that failed with it.
    pub devices: Tally,
}

impl Trouble {
    /// The panels of a rollout.
    pub fn new(read: &Read) -> Self {
        let all = &read.progress.troubles;
        let started = all.iter().map(|t| t.n).sum();
        let troubled = all
            .iter()
            .filter(|t| t.trouble.is_some())
            .map(|t| t.n)
            .sum();
        let codes = &read.page.codes;
        Self {
            codes: codes
                .iter()
                .take(CODES)
                .map(|line| Code::new(read, line))
                .collect(),
            more: codes.len().saturating_sub(CODES),
            started: number(started),
            map: (troubled > 0).then(|| map(read, all)),
            troubled: part(troubled, started),
        }
    }
}

impl Code {
    fn new(read: &Read, line: &CodeLine) -> Self {
        let query = read.devices(&format!("error:{}", line.code));
        Self {
            code: line.code.to_string(),
            name: line.name,
            meaning: line
                .meaning
                .unwrap_or("Not in our list of known codes.")
                .to_owned(),
            remedy: line.remedy.map(engine::words::ended),
            devices: Tally::of(line.devices, &query),
        }
    }
}

/// `…3712`, and in full.
fn head(what: What) -> (String, String) {
    match what {
        What::Code(code) => {
            let code = code.to_string();
            let tail = &code[code.len().saturating_sub(4)..];
            (format!("…{tail}"), code)
        }
        What::NoCode => ("no code".to_owned(), "failed without a code".to_owned()),
        What::Hang => ("hung".to_owned(), "suspected to hang".to_owned()),
        What::Lost => ("silent".to_owned(), "silent".to_owned()),
    }
}

/// Terms that find the devices of a column.
fn terms(what: What) -> String {
    match what {
        What::Code(code) => format!("error:{code}"),
        What::NoCode => "state:failed".to_owned(),
        What::Hang => "state:hang_suspected".to_owned(),
        What::Lost => "state:lost".to_owned(),
    }
}

/// Devices of one model.
#[derive(Default)]
struct Model {
    started: u64,
    by: BTreeMap<What, u64>,
}

impl Model {
    fn add(&mut self, other: &ModelTrouble) {
        self.started += other.n;
        if let Some(what) = other.trouble {
            *self.by.entry(what).or_default() += other.n;
        }
    }

    fn join(&mut self, other: &Self) {
        self.started += other.started;
        for (what, n) in &other.by {
            *self.by.entry(*what).or_default() += n;
        }
    }

    fn troubled(&self) -> u64 {
        self.by.values().sum()
    }
}

/// What is shown of all troubles: the most frequent by themselves, the rest together.
struct Columns {
    own: Vec<What>,
    others: Vec<What>,
}

impl Columns {
    fn new(all: &[ModelTrouble]) -> Self {
        let mut total: BTreeMap<What, u64> = BTreeMap::new();
        for line in all {
            if let Some(what) = line.trouble {
                *total.entry(what).or_default() += line.n;
            }
        }
        let mut own: Vec<What> = total.keys().copied().collect();
        own.sort_by_key(|what| Reverse(total[what]));
        let others = match own.len() {
            0..=COLUMNS => Vec::new(),
            _ => own.split_off(COLUMNS - 1),
        };
        Self { own, others }
    }

    fn heads(&self) -> Vec<(String, String)> {
        let mut heads: Vec<(String, String)> = self.own.iter().map(|what| head(*what)).collect();
        if !self.others.is_empty() {
            let long = format!("{} other kinds of trouble", self.others.len());
            heads.push(("others".to_owned(), long));
        }
        heads
    }

    /// A row; `query` finds its devices.
    fn row(&self, name: String, query: Option<&str>, model: &Model) -> HeatRow {
        let of = |what| model.by.get(what).copied().unwrap_or(0);
        let mut cells: Vec<Cell> = self
            .own
            .iter()
            .map(|what| {
                let n = of(what);
                let count = match query {
                    // Of those that failed without a code there is no list: `state:failed` finds the others as well.
                    Some(query) if *what != What::NoCode => {
                        Tally::of(n, &format!("{query} {}", terms(*what)))
                    }
                    _ => Tally::plain(n),
                };
                Cell::new(count, n, model.started)
            })
            .collect();
        if !self.others.is_empty() {
            let n = self.others.iter().map(of).sum();
            cells.push(Cell::new(Tally::plain(n), n, model.started));
        }
        HeatRow {
            name,
            started: Tally::plain(model.started),
            any: part(model.troubled(), model.started),
            cells,
        }
    }
}

fn map(read: &Read, all: &[ModelTrouble]) -> HeatMap {
    let columns = Columns::new(all);
    let mut models: BTreeMap<Option<&str>, Model> = BTreeMap::new();
    for line in all {
        models.entry(line.model.as_deref()).or_default().add(line);
    }
    let mut rest = models.remove(&None).unwrap_or_default();
    let mut named: Vec<(&str, Model)> = models
        .into_iter()
        .filter_map(|(name, model)| Some((name?, model)))
        .collect();
    named.sort_by_key(|(name, model)| (Reverse(model.troubled()), Reverse(model.started), *name));
    // Models without trouble are there to compare with: a few are enough.
    let troubled = named
        .iter()
        .filter(|(_, model)| model.troubled() > 0)
        .count();
    let folded = named.split_off(named.len().min(troubled.clamp(FEWEST, ROWS)));
    for (_, model) in &folded {
        rest.join(model);
    }
    let mut rows: Vec<HeatRow> = named
        .iter()
        .map(|(name, model)| {
            let query = read.devices(&term("model", name));
            columns.row((*name).to_owned(), Some(&query), model)
        })
        .collect();
    if rest.started > 0 {
        let name = match folded.len() as u64 {
            0 => "Models first seen later".to_owned(),
            1 => "1 other model".to_owned(),
            n => format!("{} other models", number(n)),
        };
        rows.push(columns.row(name, None, &rest));
    }
    HeatMap {
        rows_are: "Model",
        columns: columns.heads(),
        rows,
    }
}
