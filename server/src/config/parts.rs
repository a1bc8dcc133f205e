//! The tables of the configuration. Each has defaults of its own, so that any part of it can be left out.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Where certificate and key lie. Both files are read again when they change.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The certificate and those that lead to its authority, as PEM.
    pub certificate: PathBuf,
    /// The private key, as PEM.
    pub key: PathBuf,
}

/// What is logged and how.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// Default: text.
    pub format: LogFormat,
    /// In the words of tracing: `info`, `warn,server::ingest=debug`. Default: info.
    pub filter: String,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            format: LogFormat::Text,
            filter: "info".to_owned(),
        }
    }
}

/// The form of a line in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line, for collectors.
    Json,
}

/// How often devices ask for work. The server tells them; a device spreads its polls by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Poll {
    /// Seconds between the polls of a device that has nothing to do. Default: 900.
    pub idle_s: u32,
    /// Seconds between the polls of a device in an open rollout. Default: 300.
    pub active_s: u32,
}

impl Default for Poll {
    fn default() -> Self {
        Self {
            idle_s: 900,
            active_s: 300,
        }
    }
}

/// How telemetry is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ingest {
    /// How many reports share a transaction at most. Default: 512.
    pub max_batch: usize,
}

impl Default for Ingest {
    fn default() -> Self {
        Self { max_batch: 512 }
    }
}
