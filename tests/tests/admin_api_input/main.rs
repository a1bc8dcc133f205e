//! Input that the admin API must refuse: with the right status, the wrong field by its name, and nothing changed.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod approvals;
mod bodies;
mod manifests;
mod paths;
mod people;
mod rings;
mod rollouts;
mod sequences;
