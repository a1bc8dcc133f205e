//! `cargo xtask prepare`: checks every query against the migrations and writes down the result in
//! `.sqlx`, from which everybody else builds without a database.

use crate::cluster::Cluster;
use crate::embedded_pg::DATABASE;
use crate::{process, setup};
use anyhow::{Result, bail};
use std::process::{Command, ExitCode};

pub fn run() -> Result<ExitCode> {
    if !process::works(process::cargo().args(["sqlx", "--version"])) {
        bail!(
            "sqlx-cli is not installed. Install it with: cargo install sqlx-cli --locked \
             --no-default-features --features postgres,rustls"
        );
    }
    setup::run()?;
    let cluster = Cluster::start()?;
    let url = cluster.url(DATABASE);
    let with_database = |command: &mut Command| {
        process::run(
            command
                .env("DATABASE_URL", &url)
                .env("SQLX_OFFLINE", "false"),
        )
    };
    let migrated =
        with_database(process::cargo().args(["sqlx", "migrate", "run", "--source", "migrations"]))?;
    if !migrated.success() {
        return Ok(process::exit_code(migrated));
    }
    let prepared = with_database(process::cargo().args([
        "sqlx",
        "prepare",
        "--workspace",
        "--",
        "--all-targets",
    ]))?;
    Ok(process::exit_code(prepared))
}
