//! `cargo xtask bench`: what the product reaches on this machine, beside what the machine gives.

use crate::{process, setup};
use anyhow::Result;
use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

/// What the benchmark can do; without one of them everything is measured.
const COMMANDS: [&str; 4] = ["run", "soak", "rollout", "show"];

pub fn run(arguments: &[OsString]) -> Result<ExitCode> {
    let bindir = setup::run()?;
    let crates = ["-p", "server", "-p", "agent", "-p", "bench"];
    let built = process::run(process::cargo().args(["build", "--release"]).args(crates))?;
    if !built.success() {
        return Ok(process::exit_code(built));
    }
    let mut bench = Command::new(target().join("release").join("ringfence-bench"));
    bench.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    if !arguments
        .first()
        .is_some_and(|a| COMMANDS.iter().any(|c| a == c))
    {
        bench.arg("run");
    }
    let status = process::run(bench.args(arguments).env("PG_BINDIR", bindir))?;
    Ok(process::exit_code(status))
}

/// Where cargo puts what it builds.
fn target() -> PathBuf {
    let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    root.join(env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}
