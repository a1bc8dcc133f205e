//! What can go wrong with the embedded PostgreSQL, in sentences for the person who starts the server.

use std::io;
use std::path::PathBuf;

/// Why the embedded PostgreSQL is not running.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedPgError {
    /// No server programs on this machine.
    #[error(
        "PostgreSQL is not installed on this machine. Install it (Debian and Ubuntu: apt-get install \
         postgresql; Fedora and RHEL: dnf install postgresql-server; macOS: brew install postgresql), \
         or set PG_BINDIR to the directory that holds `initdb` and `postgres`, or set `database_url` \
         to use a PostgreSQL that runs elsewhere."
    )]
    NotInstalled,

    /// `PG_BINDIR` points to a place without a server.
    #[error(
        "PG_BINDIR is {}, but that directory does not hold working `initdb` and `postgres` programs. \
         Correct it, or unset it to have the usual places searched.", .0.display()
    )]
    NothingInBindir(PathBuf),

    /// Only versions which are too old.
    #[error(
        "PostgreSQL {found} is installed, but {oldest} or newer is needed. Install a newer one, set \
         PG_BINDIR to it, or set `database_url` to use a PostgreSQL that runs elsewhere."
    )]
    TooOld {
        /// The newest installed major version.
        found: u32,
        /// The oldest usable one.
        oldest: u32,
    },

    /// The data were written by a major version that is not installed.
    #[error(
        "The data in {} were written by PostgreSQL {wanted}, but only {found} is installed. Install \
         PostgreSQL {wanted}, or convert the data with pg_upgrade.", data.display()
    )]
    VersionMissing {
        /// The cluster.
        data: PathBuf,
        /// What its `PG_VERSION` says.
        wanted: u32,
        /// The installed major versions, for people.
        found: String,
    },

    /// The account that PostgreSQL runs as may not enter a directory.
    #[error(
        "PostgreSQL does not run as root but as the account `{account}`, which may not enter {}. Use a \
         directory that every account can reach, for example below /var/lib/ringfence.", path.display()
    )]
    Unreachable {
        /// The directory.
        path: PathBuf,
        /// The name of the account.
        account: String,
    },

    /// The directory holds something that this module did not put there.
    #[error(
        "{} is not empty and was not made by ringfence. The embedded PostgreSQL needs a directory of its \
         own: name another one, or empty this one.", .0.display()
    )]
    NotOurs(PathBuf),

    /// Root needs an unprivileged account and there is none.
    #[error(
        "PostgreSQL refuses to run as root, and there is neither an account `postgres` nor `nobody` to \
         run it as. Create one (useradd --system postgres), or start ringfence as an ordinary user."
    )]
    NoAccount,

    /// The directory for the socket belongs to somebody else.
    #[error(
        "{} must belong to the account `{account}` and be closed to all others, but it is not: somebody \
         else made it. Remove it, or use a shorter data directory.", path.display()
    )]
    SocketDirectory {
        /// The directory.
        path: PathBuf,
        /// Who should own it.
        account: String,
    },

    /// `initdb` failed.
    #[error("PostgreSQL could not create its data directory {}. It said: {output}", data.display())]
    Init {
        /// The cluster.
        data: PathBuf,
        /// What it printed.
        output: String,
    },

    /// The server ended while it started.
    #[error("PostgreSQL ended while it was starting. The end of {} says: {tail}", log.display())]
    Exited {
        /// The log.
        log: PathBuf,
        /// Its last lines.
        tail: String,
    },

    /// The server did not become ready, or an older one did not end.
    #[error("PostgreSQL in {} did not {goal} within {seconds} s. Its log is {}.", data.display(), log.display())]
    Timeout {
        /// The cluster.
        data: PathBuf,
        /// What it should have done: "start", "stop".
        goal: &'static str,
        /// How long was waited.
        seconds: u64,
        /// Where to look.
        log: PathBuf,
    },

    /// Files or processes that could not be used.
    #[error("Could not {action} {}: {source}.", path.display())]
    Io {
        /// What was tried: "create the directory".
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

/// Adds what was tried, and on what, to an I/O error.
pub(super) trait Context<T> {
    fn context(self, action: &'static str, path: &std::path::Path) -> Result<T, EmbeddedPgError>;
}

impl<T> Context<T> for io::Result<T> {
    fn context(self, action: &'static str, path: &std::path::Path) -> Result<T, EmbeddedPgError> {
        self.map_err(|source| EmbeddedPgError::Io {
            action,
            path: path.to_path_buf(),
            source,
        })
    }
}
