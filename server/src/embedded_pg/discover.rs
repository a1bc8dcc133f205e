//! Finds the programs `initdb` and `postgres` on this machine.
//!
//! Distributions keep them outside `PATH` (one directory per major version), so the usual places are
//! looked at one by one. Only the standard library is used: `xtask` compiles this file too.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// The oldest major version that the schema is tested with.
pub const OLDEST_MAJOR: u32 = 14;

/// A directory with a complete PostgreSQL server and its major version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binaries {
    /// Holds `initdb` and `postgres`.
    pub bindir: PathBuf,
    /// 15 for PostgreSQL 15.18: data directories are compatible within one major version.
    pub major: u32,
}

impl Binaries {
    /// The path of one of the programs.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.bindir.join(name)
    }
}

/// Where to look. A struct, so that tests can describe a machine of their own.
#[derive(Debug, Clone)]
pub struct Search {
    /// `PG_BINDIR`: when set, nothing else is looked at.
    pub explicit: Option<PathBuf>,
    /// `PATH`.
    pub path: OsString,
    /// Directories with one subdirectory per version and `bin` below it, and the prefix of its name.
    pub version_roots: Vec<(PathBuf, &'static str)>,
    /// Whether `pg_config` may be asked.
    pub ask_pg_config: bool,
}

impl Search {
    /// The places of this machine.
    #[must_use]
    pub fn of_this_machine() -> Self {
        let roots = [
            ("/usr/lib/postgresql", ""),         // Debian, Ubuntu, Alpine
            ("/usr", "pgsql-"), // Fedora and RHEL with the PostgreSQL project's packages
            ("/usr/lib", "postgresql"), // openSUSE
            ("/opt/homebrew/opt", "postgresql"), // Homebrew on Apple silicon
            ("/usr/local/opt", "postgresql"), // Homebrew on Intel
            ("/home/linuxbrew/.linuxbrew/opt", "postgresql"),
            ("/Library/PostgreSQL", ""), // the macOS installer
        ];
        Self {
            explicit: env::var_os("PG_BINDIR")
                .filter(|value| !value.is_empty())
                .map(PathBuf::from),
            path: env::var_os("PATH").unwrap_or_default(),
            version_roots: roots
                .into_iter()
                .map(|(root, prefix)| (PathBuf::from(root), prefix))
                .collect(),
            ask_pg_config: true,
        }
    }

    /// Every complete server that is found, the newest version first.
    #[must_use]
    pub fn installed(&self) -> Vec<Binaries> {
        let mut found: Vec<Binaries> = Vec::new();
        for directory in self.candidates() {
            let Ok(bindir) = directory.canonicalize() else {
                continue;
            };
            if found.iter().any(|known| known.bindir == bindir) {
                continue;
            }
            if let Some(major) = major_of(&bindir) {
                found.push(Binaries { bindir, major });
            }
        }
        // Stable: of two with the same version the one from an earlier place wins.
        found.sort_by_key(|binaries| std::cmp::Reverse(binaries.major));
        found
    }

    fn candidates(&self) -> Vec<PathBuf> {
        if let Some(explicit) = &self.explicit {
            return vec![explicit.clone()];
        }
        let mut candidates = Vec::new();
        for directory in env::split_paths(&self.path) {
            // A link such as /usr/local/bin/postgres leads to the directory that has initdb as well.
            if let Ok(target) = directory.join("postgres").canonicalize() {
                candidates.extend(target.parent().map(Path::to_path_buf));
            }
        }
        if self.ask_pg_config {
            candidates.extend(pg_config_bindir());
        }
        for (root, prefix) in &self.version_roots {
            candidates.extend(version_directories(root, prefix));
        }
        candidates
    }
}

fn version_directories(root: &Path, prefix: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(root) else {
        return Vec::new();
    };
    let mut directories: Vec<PathBuf> = entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path().join("bin"))
        .filter(|bin| bin.is_dir())
        .collect();
    directories.sort();
    directories
}

fn pg_config_bindir() -> Option<PathBuf> {
    let output = Command::new("pg_config").arg("--bindir").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(PathBuf::from(text.trim())).filter(|bindir| bindir.is_dir())
}

/// Answers only for a directory that has both programs: the client packages bring neither.
fn major_of(bindir: &Path) -> Option<u32> {
    if !bindir.join("initdb").is_file() {
        return None;
    }
    let output = Command::new(bindir.join("postgres"))
        .arg("--version")
        .output()
        .ok()?;
    parse_major(&String::from_utf8_lossy(&output.stdout))
}

/// Reads `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`, and `17beta1` as well.
fn parse_major(version: &str) -> Option<u32> {
    let (_, after) = version.split_once("(PostgreSQL)")?;
    let digits: String = after
        .trim_start()
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn fake_server(bindir: &Path, version: &str) {
        fs::create_dir_all(bindir).unwrap();
        let script = format!("#!/bin/sh\necho 'postgres (PostgreSQL) {version}'\n");
        for name in ["initdb", "postgres"] {
            fs::write(bindir.join(name), &script).unwrap();
            let executable = fs::Permissions::from_mode(0o755);
            fs::set_permissions(bindir.join(name), executable).unwrap();
        }
    }

    fn machine(root: &Path) -> Search {
        Search {
            explicit: None,
            path: root.join("path").into_os_string(),
            version_roots: vec![(root.join("lib"), ""), (root.join("usr"), "pgsql-")],
            ask_pg_config: false,
        }
    }

    #[test]
    fn versions_are_read_as_the_programs_print_them() {
        let debian = "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n";
        assert_eq!(parse_major(debian), Some(15));
        assert_eq!(parse_major("postgres (PostgreSQL) 17beta1"), Some(17));
        assert_eq!(parse_major("postgres: command not found"), None);
    }

    #[test]
    fn every_place_is_found_once_and_the_newest_comes_first() {
        let root = tempfile::tempdir().unwrap();
        fake_server(&root.path().join("lib/15/bin"), "15.18");
        fake_server(&root.path().join("usr/pgsql-17/bin"), "17.2");
        fake_server(&root.path().join("usr/other/bin"), "99.0");
        fs::create_dir_all(root.path().join("path")).unwrap();
        let link = root.path().join("path/postgres");
        symlink(root.path().join("lib/15/bin/postgres"), link).unwrap();

        let majors: Vec<u32> = machine(root.path())
            .installed()
            .iter()
            .map(|binaries| binaries.major)
            .collect();
        assert_eq!(majors, [17, 15]);
    }

    #[test]
    fn client_programs_alone_are_not_a_server() {
        let root = tempfile::tempdir().unwrap();
        let bindir = root.path().join("lib/15/bin");
        fake_server(&bindir, "15.18");
        fs::remove_file(bindir.join("initdb")).unwrap();
        assert_eq!(machine(root.path()).installed(), []);
    }

    #[test]
    fn an_explicit_directory_hides_all_others() {
        let root = tempfile::tempdir().unwrap();
        fake_server(&root.path().join("lib/17/bin"), "17.2");
        let mut search = machine(root.path());
        search.explicit = Some(root.path().join("nothing here"));
        assert_eq!(search.installed(), []);
    }
}
