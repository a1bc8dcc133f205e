//! The account that PostgreSQL runs as.
//!
//! PostgreSQL refuses to run as root. An ordinary user runs it as himself; root runs it as the owner of
//! the data, else as `postgres`, else as `nobody`.

use super::error::{Context, EmbeddedPgError};
use nix::unistd::{Uid, User, geteuid};
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::{fs, io};

/// Who owns the data and runs the server.
#[derive(Debug, Clone)]
pub(super) struct Account {
    pub(super) name: String,
    pub(super) uid: u32,
    gid: u32,
    /// Whether this process is root and has to change over.
    switch: bool,
}

impl Account {
    /// Decides by who we are and to whom the cluster in `data` belongs, if there is one.
    pub(super) fn choose(data: &Path) -> Result<Self, EmbeddedPgError> {
        let me = geteuid();
        if !me.is_root() {
            let user = User::from_uid(me).ok().flatten();
            return Ok(Self {
                name: user.map_or_else(|| me.to_string(), |user| user.name),
                uid: me.as_raw(),
                gid: nix::unistd::getegid().as_raw(),
                switch: false,
            });
        }
        if let Ok(metadata) = fs::metadata(data.join("PG_VERSION"))
            && metadata.uid() != 0
        {
            let user = User::from_uid(Uid::from_raw(metadata.uid())).ok().flatten();
            return Ok(Self {
                name: user.map_or_else(|| metadata.uid().to_string(), |user| user.name),
                uid: metadata.uid(),
                gid: metadata.gid(),
                switch: true,
            });
        }
        ["postgres", "nobody"]
            .into_iter()
            .find_map(|name| User::from_name(name).ok().flatten())
            .map(|user| Self {
                name: user.name,
                uid: user.uid.as_raw(),
                gid: user.gid.as_raw(),
                switch: true,
            })
            .ok_or(EmbeddedPgError::NoAccount)
    }

    /// A command that runs as this account, in a locale and time zone that do not depend on who starts it.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        if self.switch {
            command.uid(self.uid).gid(self.gid);
        }
        command.env("LC_ALL", "C").env("TZ", "UTC");
        command
    }

    /// Hands a file or directory over; nothing to do for an ordinary user, who made it himself.
    pub(super) fn give(&self, path: &Path) -> Result<(), EmbeddedPgError> {
        if !self.switch {
            return Ok(());
        }
        chown(path, Some(self.uid), Some(self.gid)).context("change the owner of", path)
    }

    /// A backup that root unpacked belongs to root: hands it over with all that is in it.
    pub(super) fn give_tree(&self, path: &Path) -> Result<(), EmbeddedPgError> {
        if !self.switch {
            return Ok(());
        }
        self.walk(path).context("change the owner of", path)
    }

    fn walk(&self, path: &Path) -> io::Result<()> {
        // Links are changed themselves, never followed: a tablespace may point anywhere.
        std::os::unix::fs::lchown(path, Some(self.uid), Some(self.gid))?;
        if fs::symlink_metadata(path)?.is_dir() {
            for entry in fs::read_dir(path)? {
                self.walk(&entry?.path())?;
            }
        }
        Ok(())
    }

    /// Asks the system itself, so that access lists and mount options count as well.
    pub(super) fn check_reach(&self, directory: &Path) -> Result<(), EmbeddedPgError> {
        let shell = Path::new("/bin/sh");
        let reachable = self
            .command(shell)
            .args(["-c", "cd -- \"$1\"", "sh"])
            .arg(directory)
            .current_dir("/")
            .stderr(Stdio::null())
            .status()
            .context("run", shell)?;
        if reachable.success() {
            return Ok(());
        }
        Err(EmbeddedPgError::Unreachable {
            path: directory.to_path_buf(),
            account: self.name.clone(),
        })
    }
}
