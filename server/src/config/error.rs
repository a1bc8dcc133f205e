//! Why a configuration is not accepted: which setting, where it was given, and what was expected.

use figment::error::{Kind, OneOf};
use figment::{Error, Figment, Metadata, Profile};
use std::path::PathBuf;
use std::{fmt, io};

/// Why a configuration is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file that the configuration names cannot be read.
    #[error("{setting} is {}, which cannot be read: {source}.", path.display())]
    Unreadable {
        /// The setting that names it: `--config`, `database_url_file`.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },

    /// The configuration file is not TOML. The line itself is not shown: it may hold a password.
    #[error("{}, line {line}: this is not TOML: {message}.", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Counted from one.
        line: usize,
        /// What the reader expected.
        message: String,
    },

    /// Settings that have the wrong type or name.
    #[error("{0}")]
    Settings(Problems),

    /// Settings that are well-formed but do not make sense, alone or together.
    #[error("{0}")]
    Senseless(String),
}

/// One line for each wrong setting.
#[derive(Debug)]
pub struct Problems(Vec<String>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl ConfigError {
    pub(super) fn from_figment(error: Error, figment: &Figment) -> Self {
        let lines = error.into_iter().map(|error| describe(&error, figment));
        Self::Settings(Problems(lines.collect()))
    }
}

fn describe(error: &Error, figment: &Figment) -> String {
    let mut path = error.path.clone();
    if let Kind::UnknownField(field, expected) = &error.kind {
        // The path leads to the table; the culprit is the name in it.
        if path.last() != Some(field) {
            path.push(field.clone());
        }
        let known = figment.find_metadata(&path.join("."));
        return format!(
            "{}: there is no such setting here. Known are {}.",
            place(&path, known.or(error.metadata.as_ref())),
            OneOf(expected)
        );
    }
    if let Kind::MissingField(field) = &error.kind {
        path.push(field.to_string());
    }
    let place = place(&path, error.metadata.as_ref());
    match &error.kind {
        // What was found could be a part of a password.
        Kind::InvalidType(_, expected) if path == ["database_url"] => {
            format!("{place}: expected {expected}.")
        }
        Kind::MissingField(field) => format!("{place}: `{field}` is missing."),
        kind => format!("{place}: {kind}."),
    }
}

/// `poll.idle_s (in ringfence.toml)`, `poll.idle_s (RINGFENCE_POLL__IDLE_S in the environment)`.
fn place(path: &[String], metadata: Option<&Metadata>) -> String {
    let key = path.join(".");
    let Some(metadata) = metadata else {
        return key;
    };
    match &metadata.source {
        Some(figment::Source::File(file)) => format!("{key} (in {})", file.display()),
        _ => {
            let written = metadata.interpolate(&Profile::Default, path);
            format!("{key} ({written} in {})", metadata.name)
        }
    }
}
