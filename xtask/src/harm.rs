//! `cargo xtask harm`: what bad updates harm under the product's rules, as a release build plays it.

use crate::bench;
use anyhow::Result;
use std::ffi::OsString;
use std::process::ExitCode;

pub fn run(arguments: &[OsString]) -> Result<ExitCode> {
    bench::release("ringfence-harm", &["-p", "harm"], |harm| {
        harm.args(arguments);
    })
}
