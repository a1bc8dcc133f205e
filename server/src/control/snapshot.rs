//! Everything a decision is made from, read in one transaction.

use chrono::{DateTime, NaiveTime, TimeDelta, Utc};
use engine::Snapshot;
use engine::evidence::COUNTED_EVERY_S;
use engine::gate::TelemetryHealth;
use engine::ids::RingId;
use engine::stage::Stage;
use sqlx::PgConnection;

use crate::store::rollouts::{self, Stored};
use crate::store::{evidence, freezes, people, populations, requests, sequences, unheard};

/// Two counts may be missed: drivers move to another server in that time.
const COUNT_IS_GOOD_S: i64 = 3 * COUNTED_EVERY_S;

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
    let mut concerned = populations::of_stages(&mut *conn, rollout.id.0).await?;
    let mut rings = evidence::of_rings(&mut *conn, rollout.id.0).await?;
    let moment = freezes::moment(&mut *conn, rollout.track.0, now).await?;
    let recent = moment.service_now - TimeDelta::seconds(COUNT_IS_GOOD_S);
    let unheard = unheard::of_stages(&mut *conn, rollout.id.0, recent).await?;
    let mut stages = Vec::new();
    for (stage, position) in rollouts::stages(&mut *conn, rollout.id)
        .await?
        .into_iter()
        .zip(0_i16..)
    {
        let (counts, worst_severe) = rings.remove(&position).unwrap_or_default();
        let devices = concerned.remove(&stage.id.0).unwrap_or_default();
        stages.push(Stage {
            id: stage.id,
            ring: RingId(stage.ring_id),
            name: stage.ring_name,
            policy: stage.policy,
            ring_revision: u32::try_from(stage.ring_revision)?,
            state: stage.state,
            counts,
            targeted: devices.targeted,
            not_ready: devices.not_ready,
            held: devices.held,
            worst_severe,
            oobe: None,
            telemetry: TelemetryHealth {
                ingest_running: ingest_works,
                // Where nobody counted, a device that was lost once is not heard of: missing data never helps.
                heard: counts
                    .started
                    .saturating_sub(unheard.get(&stage.id.0).copied().unwrap_or(counts.silent)),
                of: counts.started,
            },
        });
    }
    let sequence = sequences::standing(&mut *conn, stored.sequence_id).await?;
    Ok(Snapshot {
        evidence: evidence::of_rollout(&mut *conn, rollout.id.0).await?,
        requests: requests::open(&mut *conn, rollout.id).await?,
        people: people::of_track(&mut *conn, rollout.track.0).await?,
        service_now: moment.service_now,
        freeze: moment.freeze,
        rollout: rollout.clone(),
        stages,
        withdrawn: sequence.withdrawn,
        released_at: sequence
            .released
            .map(|date| date.and_time(NaiveTime::MIN).and_utc()),
    })
}
