//! A server under test: the program that people run, in a process of its own.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::ensure;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::proc::{self, Memory};

/// How long a server may take to start or stop.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running server. Killed when dropped.
pub struct Replica {
    /// Where it listens.
    pub address: SocketAddr,
    /// From its start to the first ready answer.
    pub started_in: Duration,
    child: Child,
}

/// Where the programs lie: beside this one.
///
/// # Errors
/// When this program can not be found.
pub fn program(name: &str) -> anyhow::Result<PathBuf> {
    let directory = std::env::current_exe()?;
    let path = directory.with_file_name(name);
    ensure!(
        path.exists(),
        "{} is missing: build it first, or run `cargo xtask bench`",
        path.display()
    );
    Ok(path)
}

fn free_port() -> std::io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

impl Replica {
    /// Starts `ringfence serve` on this database and waits until it is ready. Those with the same directory share a secret.
    ///
    /// # Errors
    /// When it does not become ready.
    pub fn start(database_url: &str, directory: &Path) -> anyhow::Result<Self> {
        let address = free_port()?;
        let mut command = Command::new(program("ringfence")?);
        command
            .arg("serve")
            .env("RINGFENCE_DATABASE_URL", database_url)
            .env("RINGFENCE_DATA_DIR", directory)
            .env("RINGFENCE_LISTEN", address.to_string())
            .env("RINGFENCE_LOG__FILTER", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        Self::wait(command, address, "/readyz")
    }

    /// Starts the ceiling of polls.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn hello() -> anyhow::Result<Self> {
        let address = free_port()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("hello").arg(address.to_string());
        Self::wait(command, address, "/agent/v1/assignment")
    }

    fn wait(mut command: Command, address: SocketAddr, path: &str) -> anyhow::Result<Self> {
        let started = Instant::now();
        let child = command.spawn()?;
        let mut replica = Self {
            address,
            started_in: Duration::ZERO,
            child,
        };
        loop {
            if status(address, path).is_some_and(|s| s == 200 || s == 304) {
                replica.started_in = started.elapsed();
                return Ok(replica);
            }
            if let Some(status) = replica.child.try_wait()? {
                anyhow::bail!("the server ended at its start: {status}");
            }
            ensure!(
                started.elapsed() < PATIENCE,
                "the server did not become ready"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Processor time so far.
    ///
    /// # Errors
    /// When it is gone.
    pub fn cpu(&self) -> anyhow::Result<Duration> {
        proc::cpu(self.pid())
    }

    /// Memory now.
    ///
    /// # Errors
    /// When it is gone.
    pub fn memory(&self) -> anyhow::Result<Memory> {
        proc::memory(self.pid())
    }

    /// Ends it in order.
    ///
    /// # Errors
    /// When it does not end, or not well.
    pub fn stop(mut self) -> anyhow::Result<()> {
        let pid = i32::try_from(self.pid())?;
        kill(Pid::from_raw(pid), Signal::SIGTERM)?;
        let asked = Instant::now();
        while asked.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait()? {
                ensure!(
                    status.success() || status.code().is_none(),
                    "the server ended with {status}"
                );
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        anyhow::bail!("the server did not end")
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _ended = self.child.wait();
    }
}

/// Status of a plain request on a new connection; none while nobody answers.
fn status(address: SocketAddr, path: &str) -> Option<u16> {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: ringfence\r\nConnection: close\r\n\r\n"
    )
    .ok()?;
    let mut answer = String::new();
    let _until_closed = stream.read_to_string(&mut answer);
    answer.split_whitespace().nth(1)?.parse().ok()
}

/// Lets this process and its children have as many files and sockets open as the system allows, and says how many.
///
/// # Errors
/// When the system does not tell.
pub fn raise_open_files() -> anyhow::Result<u64> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    Ok(hard)
}
