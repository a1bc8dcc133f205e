//! Runs other programs, saying which.

use anyhow::{Context, Result};
use std::env;
use std::process::{Command, ExitCode, ExitStatus, Stdio};

/// The cargo that runs us, at the root of the workspace.
pub fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    command
}

/// Prints the command and runs it to its end.
pub fn run(command: &mut Command) -> Result<ExitStatus> {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let line: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
    eprintln!("xtask: {}", line.join(" "));
    command
        .status()
        .with_context(|| format!("cannot run {}", command.get_program().display()))
}

/// Whether a program is there and answers.
pub fn works(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Passes an exit code on; a program that was killed by a signal has none and counts as failed.
pub fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    code.map_or(ExitCode::FAILURE, ExitCode::from)
}
