//! The rollout rules as a whole. Each test reads like the incident that it prevents.

// The helpers of these tests are tests themselves.
#![allow(clippy::unwrap_used)]

mod admission;
mod approvals;
mod assignments;
mod chance;
mod edges;
mod forecasts;
mod gates;
mod halts;
mod holds;
mod lab;
mod model;
mod rollouts;
mod sentences;
mod simulation;
mod vectors;
mod walk;
