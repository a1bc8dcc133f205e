//! The Ringfence server. `docs/ARCHITECTURE.md` has the map.

pub mod admin_api;
pub mod agent_api;
pub mod app;
pub mod auth;
pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
pub mod database;
pub mod demo;
pub mod drivers;
pub mod embedded_pg;
pub mod error;
pub mod fleet;
pub mod http;
pub mod ingest;
pub mod permits;
pub mod registry;
pub mod secret;
pub mod serve;
pub mod store;
pub mod telemetry;
pub mod tls;
pub mod verify;
