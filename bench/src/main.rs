//! The benchmark: a database, servers, a fleet, and load, on one machine and in one run. `docs/performance.md` has what it
//! found and what that means.

mod hello;
mod journey;
mod load;
mod machine;
mod measure;
mod postgres;
mod proc;
mod replica;
mod report;
mod slow_disk;
mod soak;
mod stats;
mod world;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};

use engine::policy::Preset;
use journey::Journey;
use machine::Machine;
use measure::{Bench, Extent};
use postgres::Postgres;
use report::Report;
use server::clock::{Clock, SystemClock};
use server::config::Poll;
use slow_disk::SlowDisk;
use soak::Soak;
use world::World;

/// Measures Ringfence against its ceilings and against what it must reach.
#[derive(Debug, Parser)]
#[command(name = "ringfence-bench")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure everything; fails where a bar is missed
    Run(Run),
    /// Half load for a long time; fails where something grows
    Soak(Long),
    /// A rollout from draft to completed with simulated devices, in virtual time
    Rollout(Whole),
    /// Reports side by side, as Markdown
    Show {
        /// Reports
        #[arg(required = true)]
        reports: Vec<PathBuf>,
    },
    /// The ceiling of polls, for the benchmark itself
    #[command(hide = true)]
    Hello {
        /// Where it listens
        listen: SocketAddr,
    },
}

#[derive(Debug, clap::Args)]
struct Run {
    /// Devices of the fleet; a million, or 50,000 with --quick
    #[arg(long, value_parser = clap::value_parser!(i32).range(1000..=10_000_000))]
    devices: Option<i32>,
    /// Short: fewer devices, shorter rounds
    #[arg(long)]
    quick: bool,
    /// Where database and servers keep their files; some gigabytes for a million devices
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    directory: PathBuf,
    /// Where the report goes, as JSON and beside it as Markdown
    #[arg(long, default_value = "target/bench/report.json")]
    out: PathBuf,
    /// The report that was kept, to compare with; by default the one of a run of this size
    #[arg(long)]
    kept: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct Long {
    /// How long
    #[arg(long, default_value_t = 45, value_parser = clap::value_parser!(u64).range(7..=10_000))]
    minutes: u64,
    /// Devices of the fleet
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(i32).range(1000..=10_000_000))]
    devices: i32,
    /// Half of the load that this report says is reached
    #[arg(long, default_value = "bench/reports/full.json")]
    report: PathBuf,
    /// Where database and servers keep their files; some 20 GB for an hour
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    directory: PathBuf,
    /// Where the report goes, as Markdown
    #[arg(long, default_value = "target/bench/soak.md")]
    out: PathBuf,
}

#[derive(Debug, clap::Args)]
struct Whole {
    /// Devices of the fleet
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(500..=10_000_000))]
    devices: u32,
    /// Processes that simulate them
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=64))]
    processes: u32,
    /// Preset of the rollout
    #[arg(long, default_value = "standard", value_parser = preset)]
    preset: Preset,
    /// Working hours that rings soak for, at most: in longer ones a fleet does nothing but poll
    #[arg(long, default_value_t = 6)]
    soak_hours: u32,
    /// Part of a ring that may start on one day; without it as the preset says
    #[arg(long)]
    percent_per_day: Option<f64>,
    /// Seconds between two polls of a device at rest. Every quarter of an hour, as usual, a million of them poll a hundred
    /// million times a day; how fast polls are is measured elsewhere
    #[arg(long, default_value_t = 86_400, value_parser = clap::value_parser!(u32).range(60..))]
    idle_poll_s: u32,
    /// Seconds between two polls of a device while a rollout is active for it
    #[arg(long, default_value_t = 10_800, value_parser = clap::value_parser!(u32).range(60..))]
    active_poll_s: u32,
    /// Where the database keeps its files; some 30 GB for a million devices
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    directory: PathBuf,
    /// Where the report goes, as Markdown
    #[arg(long, default_value = "target/bench/rollout.md")]
    out: PathBuf,
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    if matches!(arguments.command, Command::Run(_)) && SlowDisk::of_this_process().is_none() {
        println!("No slow disk: {:#}", slow_disk::again_with_it());
    }
    server::tls::install_provider();
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(run(arguments.command))
}

async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Run(run) => measure(run).await,
        Command::Soak(long) => soaked(long).await,
        Command::Rollout(whole) => rolled_out(whole).await,
        Command::Show { reports } => {
            let read = |path: &PathBuf| anyhow::Ok((name(path), Report::read(path)?));
            let reports: Vec<_> = reports.iter().map(read).collect::<Result<_, _>>()?;
            print!("{}", report::together(&reports));
            Ok(ExitCode::SUCCESS)
        }
        Command::Hello { listen } => hello::serve(listen).await.map(|()| ExitCode::SUCCESS),
    }
}

fn preset(word: &str) -> Result<Preset, String> {
    serde_json::from_value(word.into()).map_err(|error| error.to_string())
}

fn name(path: &Path) -> String {
    path.file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

async fn measure(run: Run) -> anyhow::Result<ExitCode> {
    let open_files = replica::raise_open_files()?;
    let devices = run
        .devices
        .unwrap_or(if run.quick { 50_000 } else { 1_000_000 });
    let started = Instant::now();
    let postgres = Postgres::start(&run.directory).await?;
    println!("PostgreSQL: {:?}", postgres.settings);
    println!("Loading {devices} devices");
    let report = Report {
        at: SystemClock.now(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        devices,
        quick: run.quick,
        machine: Machine::this(),
        postgres: postgres.settings.clone(),
        findings: Vec::new(),
        notes: Vec::new(),
    };
    let world = World::build(postgres, devices).await?;
    println!("Loaded after {:.0} s", started.elapsed().as_secs_f64());
    let tokens = Arc::new(world.tokens()?);
    let mut bench = Bench {
        world,
        tokens,
        report,
        extent: Extent::of(devices, run.quick, open_files),
    };
    let measured = bench.run().await;
    let Bench { world, report, .. } = bench;
    world.postgres.stop().await;
    measured?;
    report.write(&run.out)?;
    println!(
        "Measured in {:.0} s; report in {}",
        started.elapsed().as_secs_f64(),
        run.out.display()
    );
    Ok(verdict(&report, run.kept.as_deref()))
}

async fn soaked(long: Long) -> anyhow::Result<ExitCode> {
    replica::raise_open_files()?;
    let (polls, events) = soak::half_of(&Report::read(&long.report)?)?;
    let mut world = World::build(Postgres::start(&long.directory).await?, long.devices).await?;
    let lasts = Duration::from_secs(long.minutes * 60);
    let soaked = soak::run(
        &mut world,
        Soak {
            lasts,
            polls,
            events,
        },
    )
    .await;
    world.postgres.stop().await;
    let (text, flat) = soaked?;
    tell(&long.out, &text)?;
    Ok(if flat {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn rolled_out(whole: Whole) -> anyhow::Result<ExitCode> {
    replica::raise_open_files()?;
    let postgres = Postgres::start(&whole.directory).await?;
    println!("PostgreSQL: {:?}", postgres.settings);
    let journey = Journey {
        devices: whole.devices,
        processes: whole.processes,
        preset: whole.preset,
        soak_hours: whole.soak_hours,
        percent_per_day: whole.percent_per_day,
        poll: Poll {
            idle_s: whole.idle_poll_s,
            active_s: whole.active_poll_s,
        },
    };
    let played = journey::run(&postgres, journey).await;
    postgres.stop().await;
    tell(&whole.out, &played?)?;
    Ok(ExitCode::SUCCESS)
}

/// Shows a report and keeps it.
fn tell(out: &Path, text: &str) -> anyhow::Result<()> {
    println!("{text}");
    if let Some(directory) = out.parent() {
        std::fs::create_dir_all(directory)?;
    }
    Ok(std::fs::write(out, text)?)
}

/// Says what got worse and what was missed; a missed bar is a failure.
fn verdict(report: &Report, kept: Option<&Path>) -> ExitCode {
    let usual = if report.quick { "quick" } else { "full" };
    let usual = PathBuf::from(format!("bench/reports/{usual}.json"));
    match Report::read(kept.unwrap_or(&usual)) {
        Ok(kept) => {
            for sentence in report::compare(&kept, report) {
                println!("WORSE   {sentence}");
            }
        }
        Err(why) => println!("Nothing to compare with: {why:#}"),
    }
    let missed = report.missed();
    for finding in &missed {
        if let Some(figure) = report::figure(&finding.id) {
            println!("MISSED  {}", figure.what);
        }
    }
    if missed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
