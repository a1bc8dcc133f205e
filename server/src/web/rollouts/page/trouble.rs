//! Where devices fail: error codes with their remedies, and models against errors.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use engine::words::{number, part};

use super::Read;
use crate::store::progress::{ModelTrouble, Trouble as What};
use crate::views::CodeLine;
use crate::web::parts::{Cell, DeviceCount, HeatMap, HeatRow, term};

/// Codes in the table.
const CODES: usize = 8;
/// Columns and rows of the map; the rest is one more of each.
const COLUMNS: usize = 12;
const ROWS: usize = 20;

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
    pub devices: DeviceCount,
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
            devices: DeviceCount::new(line.devices, &query),
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

fn map(read: &Read, all: &[ModelTrouble]) -> HeatMap {
    let mut models: BTreeMap<Option<&str>, Model> = BTreeMap::new();
    let mut total: BTreeMap<What, u64> = BTreeMap::new();
    for line in all {
        models.entry(line.model.as_deref()).or_default().add(line);
        if let Some(what) = line.trouble {
            *total.entry(what).or_default() += line.n;
        }
    }
    let mut columns: Vec<What> = total.keys().copied().collect();
    columns.sort_by_key(|what| Reverse(total[what]));
    let others = columns.split_off(columns.len().min(if columns.len() > COLUMNS {
        COLUMNS - 1
    } else {
        COLUMNS
    }));
    let unknown = models.remove(&None);
    let mut named: Vec<(&str, Model)> = models
        .into_iter()
        .filter_map(|(name, model)| Some((name?, model)))
        .collect();
    named.sort_by_key(|(name, model)| (Reverse(model.troubled()), Reverse(model.started), *name));
    let folded = named.split_off(named.len().min(ROWS));
    let mut rest = unknown.unwrap_or_default();
    for (_, model) in &folded {
        rest.join(model);
    }
    let row = |name: String, query: Option<String>, model: &Model| {
        let find = |terms: &str| {
            query
                .as_ref()
                .map(|model| read.devices(&format!("{model} {terms}")))
        };
        let count = |n: u64, terms: &str| match find(terms) {
            Some(query) => DeviceCount::new(n, &query),
            None => DeviceCount::plain(n),
        };
        let mut cells: Vec<Cell> = columns
            .iter()
            .map(|what| {
                let n = model.by.get(what).copied().unwrap_or(0);
                Cell::new(count(n, &terms(*what)), n, model.started)
            })
            .collect();
        if !others.is_empty() {
            let n = others.iter().filter_map(|what| model.by.get(what)).sum();
            cells.push(Cell::new(DeviceCount::plain(n), n, model.started));
        }
        HeatRow {
            name,
            started: DeviceCount::plain(model.started),
            any: part(model.troubled(), model.started),
            cells,
        }
    };
    let mut rows: Vec<HeatRow> = named
        .iter()
        .map(|(name, model)| row((*name).to_owned(), Some(term("model", name)), model))
        .collect();
    if rest.started > 0 {
        let name = match folded.len() {
            0 => "Models first seen later".to_owned(),
            1 => "1 other model".to_owned(),
            n => format!("{n} other models"),
        };
        rows.push(row(name, None, &rest));
    }
    let mut heads: Vec<(String, String)> = columns.iter().map(|what| head(*what)).collect();
    if !others.is_empty() {
        heads.push((
            "others".to_owned(),
            format!("{} other kinds of trouble", others.len()),
        ));
    }
    HeatMap {
        rows_are: "Model",
        columns: heads,
        rows,
    }
}
