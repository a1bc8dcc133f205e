//! `cargo xtask invariants`: writes `docs/invariants.md` anew.

use crate::invariants::{DOCUMENT, generate};
use anyhow::{Context, Error, Result};
use std::fs;
use std::path::Path;
use std::process::ExitCode;

pub fn run() -> Result<ExitCode> {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let text = generate(root).map_err(Error::msg)?;
    fs::write(root.join(DOCUMENT), text)
        .with_context(|| format!("{DOCUMENT} can not be written"))?;
    eprintln!("xtask: wrote {DOCUMENT}");
    Ok(ExitCode::SUCCESS)
}
