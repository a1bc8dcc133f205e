//! What is known beforehand: releases and sequences that shipped with this version. A start, never the
//! authority: the source and its trust go with every row.

mod builds;
mod sequences;

use serde::de::DeserializeOwned;

pub use builds::{BuildKind, KnownBuild, known_builds};
pub use sequences::{KnownSequence, Withdrawal, known_sequences};

/// Reads a table that is part of the program.
pub(crate) fn embedded_csv<T: DeserializeOwned>(text: &str) -> Vec<T> {
    csv::Reader::from_reader(text.as_bytes())
        .deserialize()
        .collect::<Result<_, _>>()
        .expect("the table is compiled in, and a test reads every row")
}
