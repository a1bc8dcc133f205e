//! What was found, held against what must be reached and against the report that was kept.

mod bars;
mod compare;
mod markdown;

use std::path::Path;

use anyhow::Context;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::machine::Machine;
use crate::stats;

pub use bars::{Better, Figure, figure};
pub use compare::compare;
pub use markdown::{render, together};

/// The report of one run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// When it began.
    pub at: DateTime<Utc>,
    /// Version of the product.
    pub version: String,
    /// Devices of the fleet.
    pub devices: i32,
    /// A short run.
    pub quick: bool,
    /// What it ran on.
    pub machine: Machine,
    /// Version and settings of PostgreSQL.
    pub postgres: Vec<(String, String)>,
    /// What was found, in the order in which it was measured.
    pub findings: Vec<Finding>,
    /// What a reader should know of this run.
    pub notes: Vec<String>,
}

/// A figure as it was measured, once or several times.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Finding {
    /// Id of the [`Figure`].
    pub id: String,
    /// Every measurement.
    pub values: Vec<f64>,
}

impl Finding {
    /// The median of its measurements.
    #[must_use]
    pub fn median(&self) -> f64 {
        stats::median(&self.values)
    }

    /// Whether its bar is reached; none where it has none.
    #[must_use]
    pub fn reaches(&self) -> Option<bool> {
        let figure = figure(&self.id)?;
        figure
            .bar
            .map(|bar| figure.better.holds(self.median(), bar))
    }
}

impl Report {
    /// Notes a figure and shows it.
    ///
    /// # Panics
    /// When there is no such figure, or no value.
    pub fn add(&mut self, id: &str, values: Vec<f64>) {
        let figure = figure(id).unwrap_or_else(|| panic!("no figure is called {id}"));
        let finding = Finding {
            id: id.to_owned(),
            values,
        };
        println!("  {}", markdown::line(figure, &finding));
        self.findings.push(finding);
    }

    /// Notes something for the reader, and shows it.
    pub fn note(&mut self, text: impl Into<String>) {
        let text = text.into();
        println!("  {text}");
        self.notes.push(text);
    }

    /// Figures whose bar was missed.
    #[must_use]
    pub fn missed(&self) -> Vec<&Finding> {
        let missed = |f: &&Finding| f.reaches() == Some(false);
        self.findings.iter().filter(missed).collect()
    }

    /// Reads a report.
    ///
    /// # Errors
    /// When it is not there, or none.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("{} can not be read", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is no report", path.display()))
    }

    /// Writes it as JSON, and for people as Markdown beside it.
    ///
    /// # Errors
    /// When the files can not be written.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory)?;
        }
        std::fs::write(path, serde_json::to_string_pretty(self)? + "\n")?;
        std::fs::write(path.with_extension("md"), render(self))?;
        Ok(())
    }
}
