//! The `ringfence-agent` binary.

use std::path::PathBuf;
use std::time::Duration;

use agent::simulate::{FleetOptions, run_conducted, run_for};
use agent::simulated::Scenario;
use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use tokio::io::BufReader;
use tracing_subscriber::EnvFilter;

/// The Ringfence agent.
#[derive(Debug, Parser)]
#[command(name = "ringfence-agent", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a fleet of simulated devices against a server, in real time or in somebody else's.
    Simulate(Simulate),
}

#[derive(Debug, Args)]
struct Simulate {
    /// Address of the server, such as `https://ringfence.example:8443`.
    #[arg(long)]
    server: String,
    /// Enrolment token, good for all devices.
    #[arg(long, env = "RINGFENCE_ENROLMENT_TOKEN", hide_env_values = true)]
    token: String,
    /// CA certificate of the server, PEM, where it is not a public one.
    #[arg(long)]
    ca: Option<PathBuf>,
    /// How many devices.
    #[arg(long, default_value_t = 100)]
    devices: u32,
    /// The same seed gives the same fleet.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Scenario file, TOML; otherwise the built-in main job.
    #[arg(long)]
    scenario: Option<PathBuf>,
    /// For how long: seconds, or with `s`, `m` or `h`.
    #[arg(long = "for", default_value = "10m", value_parser = duration)]
    time: Duration,
    /// Instead of real time: the time that comes in, one order a line, until the input ends. For several processes in one
    /// virtual time.
    #[arg(long, conflicts_with = "time")]
    conducted: bool,
}

#[tokio::main]
async fn main() -> Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    match Cli::parse().command {
        Command::Simulate(arguments) => simulate(arguments).await,
    }
}

async fn simulate(arguments: Simulate) -> Result<()> {
    let read =
        |path: &PathBuf| std::fs::read_to_string(path).with_context(|| path.display().to_string());
    let scenario = match &arguments.scenario {
        Some(path) => Scenario::parse(&read(path)?).with_context(|| path.display().to_string())?,
        None => Scenario::main_job(),
    };
    let options = FleetOptions {
        server_url: arguments.server,
        ca_pem: arguments.ca.as_ref().map(read).transpose()?,
        enrolment_token: arguments.token,
        devices: arguments.devices,
        seed: arguments.seed,
        scenario,
    };
    if arguments.conducted {
        let orders = BufReader::new(tokio::io::stdin());
        return run_conducted(options, orders, tokio::io::stdout()).await;
    }
    let summary = run_for(options, arguments.time).await?;
    println!("{}", serde_json::to_string_pretty(&summary)?);
    Ok(())
}

/// `90`, `90s`, `10m`, `2h`.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(['s', 'm', 'h']);
    let seconds_each = match &text[digits.len()..] {
        "" | "s" => Some(1),
        "m" => Some(60),
        "h" => Some(3600),
        _ => None,
    };
    let number: Option<u64> = digits.parse().ok();
    let seconds = number
        .zip(seconds_each)
        .and_then(|(number, each)| number.checked_mul(each));
    seconds
        .map(Duration::from_secs)
        .ok_or_else(|| "expected a duration such as 90s, 10m or 2h".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_nonsense_is_not() {
        assert_eq!(duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("10m"), Ok(Duration::from_secs(600)));
        assert_eq!(duration("2h"), Ok(Duration::from_secs(7200)));
        for text in ["", "m", "1d", "1mm", "-1s", "99999999999999999999h"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
