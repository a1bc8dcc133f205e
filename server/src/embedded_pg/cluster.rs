//! Makes a new cluster: `initdb`, our settings, and the database `ringfence`.

use super::account::Account;
use super::discover::Binaries;
use super::error::{Context, EmbeddedPgError};
use super::home::Home;
use super::{DATABASE, Durability, SUPERUSER};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Appended to `postgresql.conf` once, so that an administrator can change what we chose.
/// What safety rests on is given on the command line instead, at every start.
fn settings(machine: Memory) -> String {
    let Memory {
        buffers_mb,
        cache_mb,
    } = machine;
    format!(
        "
# Chosen by ringfence when this data directory was made; change them as you like.
max_connections = 200
# By this machine's memory.
shared_buffers = {buffers_mb}MB
effective_cache_size = {cache_mb}MB
# Telemetry is written all the time: fewer, longer checkpoints write less.
max_wal_size = 2GB
min_wal_size = 256MB
checkpoint_timeout = 10min
wal_compression = on
# Disks without moving parts.
random_page_cost = 1.1
# Every statement is short: compiling it would take longer than running it.
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] %a '
log_checkpoints = off
"
    )
}

/// What PostgreSQL is told about memory, in MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Memory {
    buffers_mb: u64,
    cache_mb: u64,
}

impl Memory {
    /// For a machine with so many bytes. The server and the system's own cache share it, so buffers
    /// take a sixteenth where PostgreSQL's manual suggests a quarter for a machine of its own; never less than the rows
    /// of a hundred thousand devices, never more than those of a million and a half.
    fn of(bytes: u64) -> Self {
        let mb = bytes >> 20;
        Self {
            buffers_mb: (mb / 16).clamp(256, 2048),
            cache_mb: (mb / 4).max(1024),
        }
    }

    /// For this machine; for a small one where the system does not tell.
    fn of_this_machine() -> Self {
        #[cfg(target_os = "linux")]
        let bytes = nix::sys::sysinfo::sysinfo().map_or(0, |info| info.ram_total());
        #[cfg(not(target_os = "linux"))]
        let bytes = 0;
        Self::of(bytes)
    }
}

/// Makes the cluster in a directory of another name and renames it when it is complete, so that a crash
/// in between leaves nothing that looks finished.
pub(super) fn create(
    home: &Home,
    account: &Account,
    binaries: &Binaries,
    durability: Durability,
) -> Result<(), EmbeddedPgError> {
    let unfinished = home.unfinished_data();
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).context("remove the unfinished directory", &unfinished)?;
    }
    initdb(home, account, binaries, durability)?;
    append_settings(&unfinished)?;
    create_database(home, account, binaries, durability)?;

    let data = home.data();
    fs::rename(&unfinished, &data).context("rename the new cluster to", &data)?;
    // The rename itself has to survive a power cut, too.
    File::open(home.root())
        .and_then(|root| root.sync_all())
        .context("save the directory", home.root())
}

fn initdb(
    home: &Home,
    account: &Account,
    binaries: &Binaries,
    durability: Durability,
) -> Result<(), EmbeddedPgError> {
    let mut command = account.command(&binaries.program("initdb"));
    command
        .arg("--pgdata")
        .arg(home.unfinished_data())
        .arg(format!("--username={SUPERUSER}"))
        // Nobody but the account and root can reach the socket, and there is no other way in.
        .args(["--auth-local=trust", "--auth-host=reject"])
        // An order of text that no update of the system's C library can change below an index.
        .args(["--encoding=UTF8", "--locale=C"]);
    match durability {
        Durability::Durable => command.arg("--data-checksums"),
        Durability::Throwaway => command.arg("--no-sync"),
    };
    run(home, &mut command, &binaries.program("initdb"), "")
}

fn append_settings(data: &Path) -> Result<(), EmbeddedPgError> {
    let file = data.join("postgresql.conf");
    OpenOptions::new()
        .append(true)
        .open(&file)
        .and_then(|mut open| {
            open.write_all(settings(Memory::of_this_machine()).as_bytes())?;
            open.sync_all()
        })
        .context("write the settings to", &file)
}

/// A server in single-user mode needs neither a socket nor the client programs.
fn create_database(
    home: &Home,
    account: &Account,
    binaries: &Binaries,
    durability: Durability,
) -> Result<(), EmbeddedPgError> {
    let program = binaries.program("postgres");
    let mut command = account.command(&program);
    command
        .arg("--single")
        .arg("-D")
        .arg(home.unfinished_data())
        // Without this a failed statement would still end with success.
        .args(["-c", "exit_on_error=on"]);
    if durability == Durability::Throwaway {
        command.args(["-c", "fsync=off"]);
    }
    command.arg("postgres");
    let statement = format!("CREATE DATABASE {DATABASE}\n");
    run(home, &mut command, &program, &statement)
}

fn run(
    home: &Home,
    command: &mut Command,
    program: &Path,
    input: &str,
) -> Result<(), EmbeddedPgError> {
    let output = feed(command.current_dir(home.root()), input).context("run", program)?;
    if output.status.success() {
        return Ok(());
    }
    let said =
        [output.stderr, output.stdout].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let lines: Vec<&str> = said.iter().flat_map(|text| text.lines()).collect();
    Err(EmbeddedPgError::Init {
        data: home.data(),
        output: lines.join(" | "),
    })
}

fn feed(command: &mut Command, input: &str) -> io::Result<Output> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that ended early says why in its output; the broken pipe would hide it.
        let _ = stdin.write_all(input.as_bytes());
    }
    child.wait_with_output()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_grow_with_the_machine_within_bounds() {
        let buffers = |gib: u64| Memory::of(gib << 30).buffers_mb;
        assert_eq!([buffers(0), buffers(4)], [256, 256]);
        assert_eq!(buffers(24), 1536);
        assert_eq!(buffers(256), 2048);
        assert!(settings(Memory::of(24 << 30)).contains("shared_buffers = 1536MB\n"));
    }
}
