//! A fleet in real time: the virtual clock follows the machine's.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use chrono::{DateTime, Utc};

use super::{Fleet, FleetOptions, Summary, VirtualClock};

/// How often the fleet is looked after.
const TICK: Duration = Duration::from_millis(250);

/// Run a fleet in real time.
///
/// # Errors
/// The fleet could not be made or enrolled.
pub async fn run_for(options: FleetOptions, time: Duration) -> Result<Summary> {
    let clock = VirtualClock::new(system_time());
    let mut fleet = Fleet::new(options, Arc::clone(&clock))?;
    let began = Instant::now();
    fleet.enrol_all().await?;
    tracing::info!(devices = fleet.members.len(), "enrolled");
    while began.elapsed() < time {
        clock.advance_to(system_time()).await;
        fleet.run_due(clock.now()).await?;
        tokio::time::sleep(TICK).await;
    }
    Ok(fleet.summary())
}

#[expect(
    clippy::disallowed_methods,
    reason = "real time comes in here and nowhere else"
)]
fn system_time() -> DateTime<Utc> {
    Utc::now()
}
