//! The `ringfence` command.

use std::process::ExitCode;

use clap::Parser;

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
