//! Everything a decision is made from, read in one transaction.

use chrono::{DateTime, NaiveTime, Utc};
use engine::Snapshot;
use engine::gate::TelemetryHealth;
use engine::ids::RingId;
use engine::stage::Stage;
use sqlx::PgConnection;

use crate::store::rollouts::{self, Stored};
use crate::store::sequences::SequenceState;
use crate::store::{evidence, people, populations, requests, sequences, service_clock};

/// Reads the snapshot of a rollout. Costs grow with rings and cohorts, never with devices.
///
/// # Errors
/// When the database fails.
pub async fn load(
    conn: &mut PgConnection,
    stored: &Stored,
    ingest_works: bool,
    now: DateTime<Utc>,
) -> anyhow::Result<Snapshot> {
    let rollout = &stored.rollout;
    let population = populations::of_rollout(&mut *conn, rollout.id.0).await?;
    let not_ready = populations::not_ready(&mut *conn, rollout.id.0).await?;
    let mut rings = evidence::of_rings(&mut *conn, rollout.id.0).await?;
    let mut stages = Vec::new();
    for (stage, position) in rollouts::stages(&mut *conn, rollout.id)
        .await?
        .into_iter()
        .zip(0_i16..)
    {
        let (counts, worst_severe) = rings.remove(&position).unwrap_or_default();
        stages.push(Stage {
            id: stage.id,
            ring: RingId(stage.ring_id),
            name: stage.ring_name,
            policy: stage.policy,
            ring_revision: u32::try_from(stage.ring_revision)?,
            state: stage.state,
            counts,
            targeted: population
                .get(&(stage.ring_id, populations::TARGETED.to_owned()))
                .copied()
                .unwrap_or(0),
            not_ready: not_ready.get(&stage.id.0).copied().unwrap_or(0),
            worst_severe,
            oobe: None,
            // A device that was lost once counts as not heard of, also when it came back: missing data never helps.
            telemetry: TelemetryHealth {
                ingest_running: ingest_works,
                heard: counts.started.saturating_sub(counts.silent),
                of: counts.started,
            },
        });
    }
    let sequence = sequences::by_id(&mut *conn, stored.sequence_id).await?;
    let withdrawn = sequence
        .as_ref()
        .filter(|s| s.state == SequenceState::Withdrawn)
        .map(|s| {
            s.withdrawn_reason
                .clone()
                .unwrap_or_else(|| "no reason was given".into())
        });
    let released_at = sequence
        .and_then(|s| s.sequence.release_date)
        .map(|d| d.and_time(NaiveTime::MIN).and_utc());
    Ok(Snapshot {
        evidence: evidence::of_rollout(&mut *conn, rollout.id.0).await?,
        requests: requests::open(&mut *conn, rollout.id).await?,
        people: people::of_track(&mut *conn, rollout.track.0).await?,
        service_now: service_clock::read(&mut *conn)
            .await?
            .map_or(now, |c| c.now),
        rollout: rollout.clone(),
        stages,
        withdrawn,
        released_at,
        blocking_issues: Vec::new(),
    })
}
