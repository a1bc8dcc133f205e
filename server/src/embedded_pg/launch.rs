//! Starts the server under a small supervising shell, and stops it.
//!
//! The shell shares a pipe with us that only we hold open. However we end, also by `kill -9`, the
//! system closes our end; the shell notices and stops PostgreSQL in an orderly way. While we live it
//! starts a server again that ended by itself, for example one that ran out of memory.

use super::account::Account;
use super::discover::Binaries;
use super::error::{Context, EmbeddedPgError};
use super::home::{Home, PORT};
use super::postmaster::Postmaster;
use super::{Durability, START_PATIENCE, STOP_PATIENCE};
use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Arguments: the file that says "start again", then the server and its arguments. Standard input is
/// the pipe.
///
/// Signals for the terminal's process group are ignored: PostgreSQL has to outlive the server's own
/// orderly shutdown, and sets its own handlers anyhow.
const SUPERVISOR: &str = r#"
trap '' HUP INT TERM
exec 3<&0 </dev/null
keep_running=$1
shift
while :; do
    "$@" 3<&- &
    server=$!
    (
        read -r _ <&3
        kill -INT "$server"
    ) &
    watcher=$!
    wait "$server"
    code=$?
    kill -KILL "$watcher" 2>/dev/null
    [ "$code" -eq 0 ] && exit 0
    [ -e "$keep_running" ] || exit "$code"
    sleep 1
done
"#;

/// How often the state is looked at while waiting.
const GLANCE: Duration = Duration::from_millis(10);

/// A running server and the shell above it.
#[derive(Debug)]
pub(super) struct Supervised {
    shell: Child,
    home: Home,
}

impl Supervised {
    /// Starts the server on an existing cluster and waits until it takes connections.
    pub(super) fn start(
        home: &Home,
        account: &Account,
        binaries: &Binaries,
        durability: Durability,
    ) -> Result<Self, EmbeddedPgError> {
        let deadline = Instant::now() + START_PATIENCE;
        loop {
            let before = Postmaster::read(&home.data());
            let mut this = Self::spawn(home, account, binaries, durability)?;
            match this.wait_until_ready(before.as_ref(), deadline) {
                Ok(()) => return Ok(this),
                // The last children of a killed server let go of its memory a moment later.
                Err(EmbeddedPgError::Exited { tail, .. })
                    if is_predecessor_leaving(&tail) && Instant::now() < deadline =>
                {
                    sleep(Duration::from_millis(300));
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn spawn(
        home: &Home,
        account: &Account,
        binaries: &Binaries,
        durability: Durability,
    ) -> Result<Self, EmbeddedPgError> {
        let log = home.startup_log();
        let output = File::create(&log).context("create the log", &log)?;
        account.give(&log)?;
        let errors = output.try_clone().context("share the log", &log)?;

        let shell = Path::new("/bin/sh");
        let mut command: Command = account.command(shell);
        command
            .args(["-c", SUPERVISOR, "ringfence-postgres"])
            .arg(home.keep_running())
            .arg(binaries.program("postgres"))
            .args(arguments(home, durability))
            .current_dir(home.root())
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(output)
            .stderr(errors);
        let shell = command.spawn().context("run", shell)?;
        Ok(Self {
            shell,
            home: home.clone(),
        })
    }

    /// `before` is what an earlier server left in the pid file, and no news.
    fn wait_until_ready(
        &mut self,
        before: Option<&Postmaster>,
        deadline: Instant,
    ) -> Result<(), EmbeddedPgError> {
        let data = self.home.data();
        while Instant::now() < deadline {
            if let Some(now) = Postmaster::read(&data)
                && before.is_none_or(|before| !before.same_run(&now))
                && now.is_ready()
            {
                let marker = self.home.keep_running();
                return fs::write(&marker, "").context("write", &marker);
            }
            let ended = self
                .shell
                .try_wait()
                .context("watch", Path::new("/bin/sh"))?;
            if ended.is_some() {
                let (log, tail) = self.home.log_tail();
                return Err(EmbeddedPgError::Exited { log, tail });
            }
            sleep(GLANCE);
        }
        Err(timeout(&self.home, "start", START_PATIENCE))
    }

    /// Closes the pipe and waits for the orderly end. Patience is limited: the shutdown goes on by
    /// itself when it takes longer, and the next start waits for it.
    fn stop(&mut self) {
        // Removed first, or the shell could take a failed shutdown for a crash.
        let _ = fs::remove_file(self.home.keep_running());
        drop(self.shell.stdin.take());
        let deadline = Instant::now() + STOP_PATIENCE;
        while Instant::now() < deadline {
            if !matches!(self.shell.try_wait(), Ok(None)) {
                self.home.remove_distant_socket_directory();
                return;
            }
            sleep(GLANCE);
        }
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Ends a server whose owner is gone, so that the new owner can start one with the right settings.
pub(super) fn stop_orphan(home: &Home) -> Result<(), EmbeddedPgError> {
    let data = home.data();
    // Its shell must not start it again.
    let _ = fs::remove_file(home.keep_running());
    let Some(orphan) = Postmaster::read(&data) else {
        return Ok(());
    };
    let deadline = Instant::now() + STOP_PATIENCE;
    let mut asked = false;
    while orphan.is_alive(&data) {
        if !asked {
            // Fails when it ends in this very moment, which is what is wanted.
            let _ = orphan.ask_to_stop();
            asked = true;
        }
        if Instant::now() >= deadline {
            return Err(timeout(home, "stop", STOP_PATIENCE));
        }
        sleep(GLANCE);
    }
    Ok(())
}

fn is_predecessor_leaving(tail: &str) -> bool {
    tail.contains("pre-existing shared memory block")
        || tail.contains("\"postmaster.pid\" already exists")
}

/// What must not depend on an edited file: who can connect, and what a commit means.
fn arguments(home: &Home, durability: Durability) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = vec!["-D".into(), home.data().into()];
    let mut set = |name: &str, value: &str| {
        arguments.push("-c".into());
        arguments.push(format!("{name}={value}").into());
    };
    // The list of directories is split at commas; quoted it is one name, whatever it contains.
    let socket = home.socket_directory().display().to_string();
    set("listen_addresses", "");
    set("port", &PORT.to_string());
    set(
        "unix_socket_directories",
        &format!("\"{}\"", socket.replace('"', "\"\"")),
    );
    set("unix_socket_permissions", "0700");
    match durability {
        Durability::Durable => {
            for name in ["fsync", "synchronous_commit", "full_page_writes"] {
                set(name, "on");
            }
            // One file for each day of the week, each overwritten a week later: never more than that.
            set("logging_collector", "on");
            set("log_directory", &home.log_directory().display().to_string());
            set("log_filename", "postgres-%a.log");
            set("log_truncate_on_rotation", "on");
            set("log_rotation_age", "1d");
            set("log_rotation_size", "0");
        }
        Durability::Throwaway => {
            for name in ["fsync", "synchronous_commit", "full_page_writes"] {
                set(name, "off");
            }
            set("wal_level", "minimal");
            set("max_wal_senders", "0");
        }
    }
    arguments
}

pub(super) fn timeout(home: &Home, goal: &'static str, patience: Duration) -> EmbeddedPgError {
    EmbeddedPgError::Timeout {
        data: home.data(),
        goal,
        seconds: patience.as_secs(),
        log: home.log_tail().0,
    }
}
