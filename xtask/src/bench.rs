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
    release("ringfence-bench", &crates, |bench| {
        if !arguments
            .first()
            .is_some_and(|a| COMMANDS.iter().any(|c| a == c))
        {
            bench.arg("run");
        }
        bench.args(arguments).env("PG_BINDIR", bindir);
    })
}

/// Builds crates for release and runs a program of theirs in the repository's root.
pub fn release(
    program: &str,
    crates: &[&str],
    arrange: impl FnOnce(&mut Command),
) -> Result<ExitCode> {
    let built = process::run(process::cargo().args(["build", "--release"]).args(crates))?;
    if !built.success() {
        return Ok(process::exit_code(built));
    }
    let mut program = Command::new(target().join("release").join(program));
    program.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    arrange(&mut program);
    Ok(process::exit_code(process::run(&mut program)?))
}

/// Where cargo puts what it builds.
fn target() -> PathBuf {
    let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    root.join(env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}
