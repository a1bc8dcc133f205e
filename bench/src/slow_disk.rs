//! A disk that takes its time: a small library that is preloaded into PostgreSQL, compiled where there is a C compiler.

use std::env;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;

/// Names the file whose existence makes the disk slow.
const SWITCH: &str = "SLOW_DISK";

const SOURCE: &str = include_str!("../shim/slow_fdatasync.c");

/// The switch of the slow disk.
#[derive(Debug)]
pub struct SlowDisk(PathBuf);

impl SlowDisk {
    /// The switch, where this process runs with the library.
    #[must_use]
    pub fn of_this_process() -> Option<Self> {
        env::var_os(SWITCH).map(|file| Self(file.into()))
    }

    /// Slow from now on, or as fast as it is.
    ///
    /// # Errors
    /// When the switch can not be moved.
    pub fn set(&self, slow: bool) -> anyhow::Result<()> {
        if slow {
            std::fs::write(&self.0, b"")?;
            // PostgreSQL runs as somebody else, who must see it.
            std::fs::set_permissions(&self.0, PermissionsExt::from_mode(0o644))?;
        } else if self.0.exists() {
            std::fs::remove_file(&self.0)?;
        }
        Ok(())
    }
}

/// Starts this program again with the library, which PostgreSQL inherits. Returns only where that can not be done, with why.
#[must_use]
pub fn again_with_it() -> anyhow::Error {
    match library() {
        Ok((library, switch)) => {
            let Ok(program) = env::current_exe() else {
                return anyhow::anyhow!("this program can not be found");
            };
            let mut command = Command::new(program);
            command
                .args(env::args_os().skip(1))
                .env("LD_PRELOAD", library)
                .env(SWITCH, switch);
            command.exec().into()
        }
        Err(why) => why,
    }
}

fn library() -> anyhow::Result<(PathBuf, PathBuf)> {
    let directory = env::temp_dir().join("ringfence-bench-slow-disk");
    std::fs::create_dir_all(&directory)?;
    std::fs::set_permissions(&directory, PermissionsExt::from_mode(0o755))?;
    let (source, library) = (directory.join("slow.c"), directory.join("slow.so"));
    std::fs::write(&source, SOURCE)?;
    let compiled = Command::new("cc")
        .args(["-O2", "-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .arg("-ldl")
        .status()
        .context("there is no C compiler")?;
    anyhow::ensure!(compiled.success(), "the C compiler failed");
    let switch = directory.join(format!("slow-{}", std::process::id()));
    Ok((library, switch))
}
