//! The directory of one embedded PostgreSQL and what lies in it.

use super::account::Account;
use super::error::{Context, EmbeddedPgError};
use nix::unistd::geteuid;
use std::fs::{self, DirBuilder, File, Permissions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::{env, io};

/// The port has no meaning without TCP, but it is a part of the socket's name.
pub(super) const PORT: u16 = 5432;

/// What the kernel takes as the path of a socket, without the closing zero byte.
const LONGEST_SOCKET_PATH: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// Paths below the directory that was given in the options.
#[derive(Debug, Clone)]
pub(super) struct Home {
    root: PathBuf,
}

impl Home {
    /// Makes the directory where it is missing. Refuses one that is full of something else, because it
    /// is going to be handed to another account.
    pub(super) fn open(directory: &Path) -> Result<Self, EmbeddedPgError> {
        fs::create_dir_all(directory).context("create the directory", directory)?;
        let root = directory
            .canonicalize()
            .context("find the directory", directory)?;
        let home = Self { root };
        let mut entries = fs::read_dir(&home.root).context("read the directory", directory)?;
        let empty = entries.next().is_none();
        if !empty && !home.lock_file().exists() && !home.data().exists() {
            return Err(EmbeddedPgError::NotOurs(home.root));
        }
        Ok(home)
    }

    /// The lock of the one owner. Kept open for reading only, which is enough to lock it and which
    /// works for root and the account alike.
    pub(super) fn open_lock(&self) -> Result<File, EmbeddedPgError> {
        let path = self.lock_file();
        match File::create_new(&path) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).context("create the lock file", &path),
        }
        File::open(&path).context("open the lock file", &path)
    }

    /// Gives the directory and the lock to the account and closes them to all others.
    pub(super) fn hand_over(&self, account: &Account) -> Result<(), EmbeddedPgError> {
        account.give(&self.root)?;
        account.give(&self.lock_file())?;
        fs::set_permissions(&self.root, Permissions::from_mode(0o700))
            .context("set the permissions of", &self.root)
    }

    /// Where the socket goes: beside the data, or to a short path when that one is too long.
    pub(super) fn socket_directory(&self) -> PathBuf {
        let beside = self.root.join("socket");
        if fits(&beside) {
            return beside;
        }
        // The name depends on the path alone, so that a restart finds what a killed process left.
        let mut hasher = DefaultHasher::new();
        self.root.hash(&mut hasher);
        let name = format!("ringfence-{:016x}", hasher.finish());
        let base = if geteuid().is_root() {
            Some(PathBuf::from("/run"))
        } else {
            env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from)
        };
        base.filter(|base| base.is_dir())
            .map(|base| base.join(&name))
            .filter(|directory| fits(directory))
            .unwrap_or_else(|| Path::new("/tmp").join(name))
    }

    /// A socket directory elsewhere would be litter without its server.
    pub(super) fn remove_distant_socket_directory(&self) {
        let directory = self.socket_directory();
        if !directory.starts_with(&self.root) {
            // Only when empty; and when that fails, the next start uses it again.
            let _ = fs::remove_dir(directory);
        }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The cluster.
    pub(super) fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    /// The cluster while it is being made: only a finished one is renamed to `data`.
    pub(super) fn unfinished_data(&self) -> PathBuf {
        self.root.join("data.new")
    }

    /// What PostgreSQL says before its own log is open.
    pub(super) fn startup_log(&self) -> PathBuf {
        self.root.join("startup.log")
    }

    /// PostgreSQL's own log files, one for each day of the week.
    pub(super) fn log_directory(&self) -> PathBuf {
        self.root.join("log")
    }

    /// Exists while a server that ends by itself is to be started again.
    pub(super) fn keep_running(&self) -> PathBuf {
        self.root.join("keep-running")
    }

    fn lock_file(&self) -> PathBuf {
        self.root.join("lock")
    }

    /// The last lines of the log that was written to last.
    pub(super) fn log_tail(&self) -> (PathBuf, String) {
        let mut logs = vec![self.startup_log()];
        if let Ok(entries) = fs::read_dir(self.log_directory()) {
            logs.extend(entries.flatten().map(|entry| entry.path()));
        }
        let latest = logs
            .into_iter()
            .filter(|log| fs::metadata(log).is_ok_and(|metadata| metadata.len() > 0))
            .max_by_key(|log| fs::metadata(log).and_then(|m| m.modified()).ok())
            .unwrap_or_else(|| self.startup_log());
        let text = fs::read(&latest).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().rev().take(5).collect();
        let tail = lines.into_iter().rev().collect::<Vec<_>>().join(" | ");
        (latest, tail)
    }
}

/// Makes a directory that only the account can enter, or checks that an existing one is like that:
/// whoever can put a socket into it could pose as the database.
pub(super) fn private_directory(path: &Path, account: &Account) -> Result<(), EmbeddedPgError> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => return account.give(path),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error).context("create the directory", path),
    }
    let metadata = fs::symlink_metadata(path).context("inspect", path)?;
    let ours = metadata.uid() == account.uid || metadata.uid() == geteuid().as_raw();
    if !metadata.is_dir() || !ours || metadata.mode() & 0o077 != 0 {
        return Err(EmbeddedPgError::SocketDirectory {
            path: path.to_path_buf(),
            account: account.name.clone(),
        });
    }
    account.give(path)
}

fn fits(directory: &Path) -> bool {
    let socket = directory.join(format!(".s.PGSQL.{PORT}"));
    socket.as_os_str().as_bytes().len() <= LONGEST_SOCKET_PATH
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_full_of_something_else_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("letter.txt"), "dear all").unwrap();
        let error = Home::open(directory.path()).unwrap_err();
        assert!(matches!(error, EmbeddedPgError::NotOurs(_)), "{error}");
    }

    #[test]
    fn the_socket_stays_beside_the_data_unless_its_path_is_too_long() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::open(directory.path()).unwrap();
        assert_eq!(home.socket_directory(), home.root().join("socket"));

        let long = directory
            .path()
            .join("a-name-of-forty-characters-to-be-too-long")
            .join("x".repeat(80));
        let home = Home::open(&long).unwrap();
        let socket = home.socket_directory();
        assert!(fits(&socket), "{}", socket.display());
        assert!(!socket.starts_with(&long));
        assert_eq!(socket, Home::open(&long).unwrap().socket_directory());
    }

    #[test]
    fn a_socket_directory_that_others_can_enter_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let account = Account::choose(directory.path()).unwrap();
        let socket = directory.path().join("socket");
        private_directory(&socket, &account).unwrap();
        private_directory(&socket, &account).unwrap();

        fs::set_permissions(&socket, Permissions::from_mode(0o777)).unwrap();
        let error = private_directory(&socket, &account).unwrap_err();
        assert!(
            matches!(error, EmbeddedPgError::SocketDirectory { .. }),
            "{error}"
        );
    }
}
