//! A PostgreSQL that the server starts by itself, for sites that do not run one already.
//!
//! It is an ordinary PostgreSQL from the system's packages, reachable through a unix socket only. One
//! process owns it: it starts and stops it. Further processes on the same directory join it. It never
//! outlives its owner, and what was committed survives every way in which the owner can end.
//!
//! Nothing here is asynchronous: inside an async runtime call [`EmbeddedPostgres::start`] and
//! [`EmbeddedPostgres::stop`] from a blocking task. `xtask` compiles this module too, for test
//! clusters, so it uses nothing else of this crate.

mod account;
mod cluster;
pub mod discover;
mod error;
mod home;
mod launch;
mod postmaster;

pub use error::EmbeddedPgError;

use account::Account;
use discover::{Binaries, OLDEST_MAJOR, Search};
use error::Context;
use home::Home;
use launch::Supervised;
use postmaster::Postmaster;
use std::fmt::Write;
use std::fs::{self, File, TryLockError};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The role that owns everything in the cluster.
pub const SUPERUSER: &str = "ringfence";

/// The database that is there from the first start.
pub const DATABASE: &str = "ringfence";

/// Recovery after a crash replays up to `max_wal_size`, which takes minutes on a slow disk.
const START_PATIENCE: Duration = Duration::from_secs(300);

/// A fast shutdown writes out at most `shared_buffers`.
const STOP_PATIENCE: Duration = Duration::from_secs(60);

/// What a commit promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// What was committed survives a power cut.
    Durable,
    /// Several times faster, and lost with the machine: for tests.
    Throwaway,
}

/// What to start.
#[derive(Debug, Clone)]
pub struct Options {
    /// A directory for this purpose alone, made where it is missing. Holds the cluster, its logs, the
    /// socket and the owner's lock.
    pub data_dir: PathBuf,
    /// What a commit promises.
    pub durability: Durability,
}

/// A running PostgreSQL. The owner's handle stops it when dropped.
#[derive(Debug)]
pub struct EmbeddedPostgres {
    socket_directory: PathBuf,
    owned: Option<Owned>,
}

/// The order of the fields is the order in which they are dropped: the lock goes last.
#[derive(Debug)]
struct Owned {
    _server: Supervised,
    _lock: File,
}

impl EmbeddedPostgres {
    /// Starts PostgreSQL, making its cluster at the first start, or joins the one that another process
    /// has started on the same directory. Returns when it takes connections.
    ///
    /// # Errors
    /// Whatever keeps PostgreSQL from running, as a sentence that says what to do about it.
    pub fn start(options: &Options) -> Result<Self, EmbeddedPgError> {
        let home = Home::open(&options.data_dir)?;
        let lock = home.open_lock()?;
        let deadline = Instant::now() + START_PATIENCE;
        loop {
            match lock.try_lock() {
                Ok(()) => return Self::own(&home, lock, options.durability),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => {
                    return Err(error).context("lock", home.root());
                }
            }
            if let Some(running) = Postmaster::read(&home.data())
                && running.is_ready()
            {
                return Ok(Self {
                    socket_directory: running.socket_directory,
                    owned: None,
                });
            }
            // The owner is still starting, or about to end: then the lock becomes free.
            if Instant::now() >= deadline {
                return Err(launch::timeout(&home, "start", START_PATIENCE));
            }
            sleep(Duration::from_millis(20));
        }
    }

    fn own(home: &Home, lock: File, durability: Durability) -> Result<Self, EmbeddedPgError> {
        launch::stop_orphan(home)?;
        let data = home.data();
        let account = Account::choose(&data)?;
        let binaries = choose_binaries(&Search::of_this_machine(), &data)?;
        home.hand_over(&account)?;
        account.check_reach(home.root())?;
        account.check_reach(&binaries.bindir)?;
        home::private_directory(&home.log_directory(), &account)?;
        let socket_directory = home.socket_directory();
        home::private_directory(&socket_directory, &account)?;

        if !is_cluster(&data) {
            cluster::create(home, &account, &binaries, durability)?;
        } else if fs::metadata(&data).is_ok_and(|metadata| metadata.uid() != account.uid) {
            account.give_tree(&data)?;
        }
        let server = Supervised::start(home, &account, &binaries, durability)?;
        Ok(Self {
            socket_directory,
            owned: Some(Owned {
                _server: server,
                _lock: lock,
            }),
        })
    }

    /// The URL of a database in this cluster, as the superuser. Understood by sqlx and by `psql`.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!(
            "postgres:///{}?host={}&port={}&user={SUPERUSER}&sslmode=disable",
            percent_encoded(database.as_bytes()),
            percent_encoded(self.socket_directory.as_os_str().as_bytes()),
            home::PORT,
        )
    }

    /// Whether this process started PostgreSQL and is going to stop it.
    #[must_use]
    pub fn is_owner(&self) -> bool {
        self.owned.is_some()
    }

    /// Stops PostgreSQL and waits for its end. A process that joined only lets go of it.
    pub fn stop(self) {
        drop(self);
    }
}

/// Removes the directory of a cluster that nobody runs any more, such as one left by a killed test run.
/// Answers whether it did.
///
/// # Errors
/// When the directory cannot be locked or removed.
pub fn remove_abandoned(data_dir: &Path) -> Result<bool, EmbeddedPgError> {
    // A directory without a lock file may be one that is just being made.
    if !data_dir.join("lock").exists() {
        return Ok(false);
    }
    let home = Home::open(data_dir)?;
    if home.open_lock()?.try_lock().is_err() {
        return Ok(false);
    }
    launch::stop_orphan(&home)?;
    fs::remove_dir_all(data_dir).context("remove", data_dir)?;
    Ok(true)
}

fn is_cluster(data: &Path) -> bool {
    data.join("PG_VERSION").is_file()
}

/// The version that wrote the data where there are any, else the newest.
fn choose_binaries(search: &Search, data: &Path) -> Result<Binaries, EmbeddedPgError> {
    let installed = search.installed();
    let Some(newest) = installed.first() else {
        return Err(match &search.explicit {
            Some(bindir) => EmbeddedPgError::NothingInBindir(bindir.clone()),
            None => EmbeddedPgError::NotInstalled,
        });
    };
    if is_cluster(data) {
        let file = data.join("PG_VERSION");
        let text = fs::read_to_string(&file).context("read", &file)?;
        let wanted = text.trim().parse().unwrap_or(0);
        let matching = installed.iter().find(|found| found.major == wanted);
        return matching.cloned().ok_or_else(|| {
            let majors: Vec<String> = installed.iter().map(|b| b.major.to_string()).collect();
            EmbeddedPgError::VersionMissing {
                data: data.to_path_buf(),
                wanted,
                found: majors.join(", "),
            }
        });
    }
    if newest.major < OLDEST_MAJOR {
        return Err(EmbeddedPgError::TooOld {
            found: newest.major,
            oldest: OLDEST_MAJOR,
        });
    }
    Ok(newest.clone())
}

fn percent_encoded(bytes: &[u8]) -> String {
    let mut encoded = String::with_capacity(bytes.len());
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.') {
            encoded.push(char::from(*byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests;
