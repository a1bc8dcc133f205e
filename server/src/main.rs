//! The `ringfence` command.

use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;

/// Telemetry is small allocations by the thousand, from all threads at once.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    server::tls::install_provider();
    match server::cli::run(server::cli::Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("ringfence: {error:#}");
            ExitCode::FAILURE
        }
    }
}
