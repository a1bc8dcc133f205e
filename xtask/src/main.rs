//! Set-up and chores: `cargo xtask demo | test | bench | harm | prepare | invariants`. Nothing of the product is in here.
//!
//! A person who has Rust needs nothing else: PostgreSQL is installed where it is missing, and started
//! where it is needed.

// Compiled in rather than depended on: the crate `server` would have to be built, with everything that
// it uses, before the first chore could run.
#[allow(dead_code, reason = "the server uses the rest")]
#[path = "../../server/src/embedded_pg/mod.rs"]
mod embedded_pg;

mod bench;
mod cluster;
mod demo;
mod document;
mod harm;
mod invariants;
mod prepare;
mod process;
mod setup;
mod test;

use clap::{Parser, Subcommand};
use std::ffi::OsString;
use std::process::ExitCode;

/// Set-up and chores of this repository.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    /// Build everything and run it on this machine with a simulated fleet
    Demo {
        /// Passed on to `ringfence demo`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Run all tests against a database of their own
    Test {
        /// Passed on to the test runner, such as `-p engine` or the name of a test
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Measure everything against its ceilings and its bars, with a release build
    Bench {
        /// Passed on to `ringfence-bench run`, such as `--quick`; or `soak`, `rollout` or `show` and what belongs to them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Play bad and good updates on the product's rules: devices harmed before the halt, false halts, hours, against their bars
    Harm {
        /// Passed on: `--runs R`, `--seed S`, `--only PART_OF_A_NAME`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// For maintainers who have changed a query or a migration: refresh `.sqlx`
    Prepare,
    /// Write `docs/invariants.md` anew from `docs/domain.md` and the names of the tests
    Invariants,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().chore {
        Chore::Demo { arguments } => demo::run(&arguments),
        Chore::Test { arguments } => test::run(&arguments),
        Chore::Bench { arguments } => bench::run(&arguments),
        Chore::Harm { arguments } => harm::run(&arguments),
        Chore::Prepare => prepare::run(),
        Chore::Invariants => document::run(),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("xtask: {error:#}");
        ExitCode::FAILURE
    })
}
