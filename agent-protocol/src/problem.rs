//! Errors: problem+json, RFC 9457.

use serde::{Deserialize, Serialize};

/// Body of every answer that is not a success, `application/problem+json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Stable word for the kind of problem, as a relative URI: `/problems/gap`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Short, the same for every occurrence.
    pub title: String,
    /// HTTP status again.
    pub status: u16,
    /// What happened here and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Fields that were wrong, with what was expected.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldProblem>,
    /// With `/problems/gap` and `/problems/clone`: the epoch the server is at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u32>,
    /// With `/problems/gap` and `/problems/clone`: everything up to here is committed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acked: Option<u64>,
}

/// One wrong field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldProblem {
    /// Path of the field: `variants[0].packages[1].sha256`.
    pub field: String,
    /// What was expected.
    pub expected: String,
}
