//! What `postmaster.pid` says about a running server.
//!
//! PostgreSQL writes this file when it starts, keeps its state in it, and removes it when it ends. After
//! a crash it stays behind, so it is believed only together with a look at the process.

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// The main process of a PostgreSQL server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Postmaster {
    pid: i32,
    /// Seconds since 1970: together with the process id this tells two runs apart.
    started: String,
    pub(super) socket_directory: PathBuf,
    ready: bool,
}

impl Postmaster {
    /// `None` when there is no file, or one that is still being written.
    pub(super) fn read(data: &Path) -> Option<Self> {
        Self::parse(&fs::read_to_string(data.join("postmaster.pid")).ok()?)
    }

    /// The lines are: process, data directory, start, port, socket directory, address, memory key, state.
    fn parse(text: &str) -> Option<Self> {
        let lines: Vec<&str> = text.lines().collect();
        // Single-user runs write a negative number: they are not servers.
        let pid = lines.first()?.trim().parse().ok().filter(|pid| *pid > 0)?;
        Some(Self {
            pid,
            started: (*lines.get(2)?).to_owned(),
            socket_directory: PathBuf::from(lines.get(4)?),
            ready: lines.get(7).is_some_and(|state| state.trim() == "ready"),
        })
    }

    /// Takes connections, by its own account and by the look of its socket.
    pub(super) fn is_ready(&self) -> bool {
        self.ready && self.listens()
    }

    /// Whether this is the same run of the server as `other`.
    pub(super) fn same_run(&self, other: &Self) -> bool {
        self.pid == other.pid && self.started == other.started
    }

    /// Whether the process exists and is the server of this data directory, not a later process that
    /// got the same number.
    pub(super) fn is_alive(&self, data: &Path) -> bool {
        // A server works in its data directory.
        match fs::read_link(format!("/proc/{}/cwd", self.pid)) {
            Ok(directory) => data.canonicalize().is_ok_and(|data| data == directory),
            Err(error) if error.kind() == io::ErrorKind::NotFound && cfg!(target_os = "linux") => {
                false
            }
            // No /proc, or a container in which root may not look at the processes of others.
            Err(_) => {
                let exists = kill(Pid::from_raw(self.pid), None);
                matches!(exists, Ok(()) | Err(Errno::EPERM)) && self.listens()
            }
        }
    }

    /// Asks for a fast shutdown: open transactions are rolled back, everything committed is kept.
    pub(super) fn ask_to_stop(&self) -> io::Result<()> {
        kill(Pid::from_raw(self.pid), Signal::SIGINT).map_err(io::Error::from)
    }

    fn listens(&self) -> bool {
        let socket = format!(".s.PGSQL.{}", super::home::PORT);
        UnixStream::connect(self.socket_directory.join(socket)).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READY: &str =
        "4711\n/srv/data\n1767225600\n5432\n/srv/socket\n\n  1311061    131076\nready   \n";

    #[test]
    fn a_finished_file_is_understood() {
        let postmaster = Postmaster::parse(READY).unwrap();
        assert_eq!(postmaster.pid, 4711);
        assert_eq!(postmaster.socket_directory, Path::new("/srv/socket"));
        assert!(postmaster.ready);
    }

    #[test]
    fn a_server_that_starts_or_stops_is_not_ready() {
        for state in ["starting", "stopping"] {
            let text = READY.replace("ready   ", state);
            assert!(!Postmaster::parse(&text).unwrap().ready);
        }
    }

    #[test]
    fn half_written_files_and_single_user_runs_are_no_servers() {
        assert_eq!(Postmaster::parse(""), None);
        assert_eq!(Postmaster::parse("4711\n/srv/data\n"), None);
        assert_eq!(Postmaster::parse(&READY.replace("4711", "-4711")), None);
    }

    #[test]
    fn a_process_that_reuses_the_number_is_not_the_server() {
        let directory = tempfile::tempdir().unwrap();
        let mut postmaster = Postmaster::parse(READY).unwrap();
        postmaster.pid = std::process::id().cast_signed();
        postmaster.socket_directory = directory.path().to_path_buf();
        assert!(!postmaster.is_alive(directory.path()));
    }
}
