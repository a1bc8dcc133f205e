//! `cargo xtask demo`: from a fresh clone to a running system with a simulated fleet.

use crate::{process, setup};
use anyhow::Result;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::ExitCode;

/// Replaces this process by the demonstration, so that Ctrl-C and the exit code are the demo's own.
pub fn run(arguments: &[OsString]) -> Result<ExitCode> {
    let bindir = setup::run()?;
    // The fleet needs the speed of a release build.
    let error = process::cargo()
        .args([
            "run",
            "--release",
            "-p",
            "server",
            "--bin",
            "ringfence",
            "--",
            "demo",
        ])
        .args(arguments)
        .env("PG_BINDIR", bindir)
        .exec();
    Err(anyhow::Error::new(error).context("cannot run cargo"))
}
