//! A PostgreSQL for one run of a chore.

use crate::embedded_pg::{self, Durability, EmbeddedPostgres, Options};
use anyhow::{Context, Result};
use std::fs;
use std::ops::Deref;
use tempfile::TempDir;

/// Part of the name of every directory, by which the next run finds what a killed one left.
const PREFIX: &str = "ringfence-xtask-";

/// Stopped and removed when dropped; stopped also when this process is killed. The order of the fields
/// is the order in which they are dropped.
#[derive(Debug)]
pub struct Cluster {
    postgres: EmbeddedPostgres,
    _directory: TempDir,
}

impl Cluster {
    /// In the system's directory for temporary files, which the account that PostgreSQL runs as can
    /// enter, other than a build directory in somebody's home.
    pub fn start() -> Result<Self> {
        remove_leftovers();
        let directory = tempfile::Builder::new()
            .prefix(PREFIX)
            .tempdir()
            .context("cannot make a temporary directory")?;
        let postgres = EmbeddedPostgres::start(&Options {
            data_dir: directory.path().to_path_buf(),
            durability: Durability::Throwaway,
        })?;
        Ok(Self {
            postgres,
            _directory: directory,
        })
    }
}

impl Deref for Cluster {
    type Target = EmbeddedPostgres;

    fn deref(&self) -> &EmbeddedPostgres {
        &self.postgres
    }
}

/// Best effort: a directory of another user, or one that is in use, stays.
fn remove_leftovers() {
    let Ok(entries) = fs::read_dir(std::env::temp_dir()) else {
        return;
    };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(PREFIX) {
            let _ = embedded_pg::remove_abandoned(&entry.path());
        }
    }
}
