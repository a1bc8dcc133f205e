//! `cargo xtask test`: everything that is checked, against a database of its own.

use crate::cluster::Cluster;
use crate::{process, setup};
use anyhow::{Context, Result};
use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

pub fn run(arguments: &[OsString]) -> Result<ExitCode> {
    let bindir = setup::run()?;
    if wants_browser(arguments) {
        setup::browser()?;
    }
    let mut failed: Vec<&str> = Vec::new();
    // Style is the business of whoever merges: at home it must not stand between a change and its test.
    if env::var_os("CI").is_some_and(|value| value == "true") {
        failed.extend(check_style()?);
    }
    let built = process::run(process::cargo().args(["build", "-p", "server", "-p", "agent"]))?;
    if !built.success() {
        return Ok(process::exit_code(built));
    }

    let cluster = Cluster::start()?;
    let environment = [
        (
            "RINGFENCE_TEST_DATABASE_URL",
            OsString::from(cluster.url("postgres")),
        ),
        ("RINGFENCE_BIN_DIR", binaries()?.into()),
        ("PG_BINDIR", bindir.into()),
    ];
    let with_environment = |command: &mut Command| {
        process::run(command.envs(environment.iter().map(|(name, value)| (name, value))))
    };
    // The examples in the documentation come first, so that the runner has the last word.
    if arguments.is_empty() {
        let examples = with_environment(process::cargo().args(["test", "--doc", "--workspace"]))?;
        if !examples.success() {
            failed.push("the examples in the documentation");
        }
    }
    let status = with_environment(runner(arguments).args(arguments))?;
    drop(cluster);

    if !failed.is_empty() {
        eprintln!("xtask: failed above: {}", failed.join(", "));
        if status.success() {
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(process::exit_code(status))
}

/// Pages are tested in the crate `tests`, which runs unless other crates are asked for by name.
fn wants_browser(arguments: &[OsString]) -> bool {
    let words: Vec<_> = arguments.iter().map(|a| a.to_string_lossy()).collect();
    let named = |word: &str| words.iter().any(|w| w == word);
    !chosen(arguments) || named("tests") || named("-ptests") || named("--package=tests")
}

/// Names what failed; goes on all the same, because a missing space should not hide a broken test.
fn check_style() -> Result<Vec<&'static str>> {
    let mut checks = vec![
        ("cargo fmt", vec!["fmt", "--all", "--check"]),
        (
            "cargo clippy",
            vec![
                "clippy",
                "--workspace",
                "--all-targets",
                "--",
                "-D",
                "warnings",
            ],
        ),
    ];
    if process::works(process::cargo().args(["deny", "--version"])) {
        // Without the advisories: they need the network.
        let offline = vec!["deny", "check", "licenses", "bans", "sources"];
        checks.push(("cargo deny", offline));
    }
    let mut failed = Vec::new();
    for (name, arguments) in checks {
        if !process::run(process::cargo().args(arguments))?.success() {
            failed.push(name);
        }
    }
    Ok(failed)
}

/// nextest where it is installed: it runs the tests of all crates at the same time.
fn runner(arguments: &[OsString]) -> Command {
    let mut command = process::cargo();
    if process::works(process::cargo().args(["nextest", "--version"])) {
        command.args(["nextest", "run"]);
    } else {
        command.arg("test");
        // The examples have been run before.
        if arguments.is_empty() {
            command.args(["--lib", "--bins", "--tests"]);
        }
    }
    command.arg("--no-fail-fast");
    if !chosen(arguments) {
        command.arg("--workspace");
    }
    command
}

/// Whether crates are named.
fn chosen(arguments: &[OsString]) -> bool {
    arguments.iter().any(|argument| {
        let argument = argument.to_string_lossy();
        argument.starts_with("-p") || argument.starts_with("--package")
    })
}

/// The directory that cargo has put this very program into: the others of its profile are beside it.
fn binaries() -> Result<PathBuf> {
    let program = env::current_exe().context("cannot find out where xtask lies")?;
    let directory = program.parent().context("xtask lies in no directory")?;
    Ok(directory.to_path_buf())
}
