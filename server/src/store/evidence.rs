//! Counters of devices by digest, cohort, stage and lane.

use std::collections::{BTreeMap, HashMap};

use engine::evidence::{Cohort, Counts, Delta, Evidence, Silence};
use engine::ids::CohortId;
use servicing::Sha256;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{count, from_word};

/// A change of the counters, summed over the devices of a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Change {
    /// Newly permitted devices.
    pub started: i64,
    /// See [`Counts::ok`].
    pub ok: i64,
    /// See [`Counts::failed`].
    pub failed: i64,
    /// See [`Counts::severe`].
    pub severe: i64,
    /// See [`Counts::silent`].
    pub silent: i64,
    /// See [`Counts::overdue`].
    pub overdue: i64,
    /// See [`Counts::resolved`].
    pub resolved: i64,
    /// See [`Counts::drift`].
    pub drift: i64,
    /// See [`Counts::recovered`].
    pub recovered: i64,
    /// See [`Counts::relapsed`].
    pub relapsed: i64,
}

impl Change {
    /// Adds what one report changes.
    pub fn add(&mut self, delta: Delta) {
        self.ok += i64::from(delta.ok);
        self.failed += i64::from(delta.failed);
        self.severe += i64::from(delta.severe);
        self.silent += i64::from(delta.silent);
        self.overdue += i64::from(delta.overdue);
        self.resolved += i64::from(delta.resolved);
        self.drift += i64::from(delta.drift);
        self.recovered += i64::from(delta.recovered);
        self.relapsed += i64::from(delta.relapsed);
    }
}

/// Where a change goes: digest, stage, cohort.
pub type Key = (Sha256, Uuid, i16);

/// Changes of a batch, in the order in which rows are locked.
pub type Changes = BTreeMap<Key, Change>;

/// Adds a change for a device to its stage's row and to those of its cohorts.
pub fn add(
    changes: &mut Changes,
    digest: Sha256,
    stage: Uuid,
    cohorts: &[i16],
    apply: impl Fn(&mut Change),
) {
    for cohort in std::iter::once(CohortId::ALL.0).chain(cohorts.iter().copied()) {
        apply(changes.entry((digest, stage, cohort)).or_default());
    }
}

/// Writes changes to the rows of a lane. An upsert: a plain UPDATE loses counts where the row is missing.
///
/// # Errors
/// When the database fails.
pub async fn apply(conn: &mut PgConnection, lane: i16, changes: &Changes) -> sqlx::Result<()> {
    let changes: Vec<(&Key, &Change)> = changes
        .iter()
        .filter(|(_, c)| **c != Change::default())
        .collect();
    if changes.is_empty() {
        return Ok(());
    }
    let digests: Vec<Vec<u8>> = changes
        .iter()
        .map(|(k, _)| k.0.as_bytes().to_vec())
        .collect();
    let stages: Vec<Uuid> = changes.iter().map(|(k, _)| k.1).collect();
    let cohorts: Vec<i16> = changes.iter().map(|(k, _)| k.2).collect();
    let column =
        |field: fn(&Change) -> i64| changes.iter().map(|(_, c)| field(c)).collect::<Vec<i64>>();
    sqlx::query!(
        "INSERT INTO evidence AS e (digest, cohort, stage_id, lane, started, ok, failed, severe, silent, overdue, resolved, drift,
                                     recovered, relapsed)
         SELECT d, c, s, $1, n1, n2, n3, n4, n5, n6, n7, n8, n9, n10
         FROM UNNEST($2::bytea[], $3::smallint[], $4::uuid[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[],
                     $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[])
              AS k (d, c, s, n1, n2, n3, n4, n5, n6, n7, n8, n9, n10)
         ON CONFLICT (digest, cohort, stage_id, lane) DO UPDATE SET
            started = e.started + excluded.started, ok = e.ok + excluded.ok, failed = e.failed + excluded.failed,
            severe = e.severe + excluded.severe, silent = e.silent + excluded.silent, overdue = e.overdue + excluded.overdue,
            resolved = e.resolved + excluded.resolved, drift = e.drift + excluded.drift,
            recovered = e.recovered + excluded.recovered, relapsed = e.relapsed + excluded.relapsed",
        lane, &digests, &cohorts, &stages,
        &column(|c| c.started), &column(|c| c.ok), &column(|c| c.failed), &column(|c| c.severe),
        &column(|c| c.silent), &column(|c| c.overdue), &column(|c| c.resolved), &column(|c| c.drift),
        &column(|c| c.recovered), &column(|c| c.relapsed),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Evidence of a rollout: the sum over all stages on its track with its digest, in the rollout's cohorts; and who fell silent,
/// in the order in which it was known, without those that say nothing because nobody else was at risk.
/// An earlier rollout of the same content on the same track counts: the content is what is judged. One statement, since
/// every batch of permits reads it under the locks of the gates.
///
/// # Errors
/// When the database fails.
pub async fn of_rollout(conn: &mut PgConnection, rollout: Uuid) -> anyhow::Result<Evidence> {
    let rows = sqlx::query!(
        r#"WITH alike AS MATERIALIZED (
               SELECT o.id FROM rollout r JOIN rollout o ON o.digest = r.digest AND o.track_id = r.track_id WHERE r.id = $1),
           fell AS MATERIALIZED (
               SELECT array_agg(device_no IS NOT NULL ORDER BY n) AS treated, array_agg(devices ORDER BY n) AS devices,
                      array_agg(at_risk_treated ORDER BY n) AS at_risk_treated, array_agg(at_risk_control ORDER BY n) AS at_risk_control
               FROM silence WHERE rollout_id = ANY(ARRAY(SELECT id FROM alike)) AND at_risk_treated > 0 AND at_risk_control > 0),
           summed AS MATERIALIZED (
               SELECT cohort, sum(started)::bigint AS started, sum(ok)::bigint AS ok, sum(failed)::bigint AS failed,
                      sum(severe)::bigint AS severe, sum(silent)::bigint AS silent, sum(overdue)::bigint AS overdue,
                      sum(resolved)::bigint AS resolved, sum(drift)::bigint AS drift,
                      sum(recovered)::bigint AS recovered, sum(relapsed)::bigint AS relapsed
               FROM evidence
               WHERE digest = (SELECT digest FROM rollout WHERE id = $1)
                 AND stage_id = ANY(ARRAY(SELECT s.id FROM alike JOIN stage s ON s.rollout_id = alike.id))
               GROUP BY cohort)
           SELECT f.cohort AS "cohort!", d.kind AS "kind?", d.value AS "value?",
                  COALESCE(s.started, 0) AS "started!", COALESCE(s.ok, 0) AS "ok!", COALESCE(s.failed, 0) AS "failed!",
                  COALESCE(s.severe, 0) AS "severe!", COALESCE(s.silent, 0) AS "silent!", COALESCE(s.overdue, 0) AS "overdue!",
                  COALESCE(s.resolved, 0) AS "resolved!", COALESCE(s.drift, 0) AS "drift!",
                  COALESCE(s.recovered, 0) AS "recovered!", COALESCE(s.relapsed, 0) AS "relapsed!",
                  q.treated AS "fell_treated?", q.devices AS "fell_devices?", q.at_risk_treated AS "at_risk_treated?",
                  q.at_risk_control AS "at_risk_control?"
           FROM rollout r CROSS JOIN UNNEST(0::smallint || r.cohorts) AS f (cohort)
           LEFT JOIN cohort d ON d.id = f.cohort LEFT JOIN summed s USING (cohort)
           LEFT JOIN fell q ON f.cohort = 0 WHERE r.id = $1"#,
        rollout,
    )
    .fetch_all(conn)
    .await?;
    let mut evidence = Evidence::default();
    for row in rows {
        let counts = Counts {
            started: count(row.started),
            ok: count(row.ok),
            failed: count(row.failed),
            severe: count(row.severe),
            silent: count(row.silent),
            overdue: count(row.overdue),
            resolved: count(row.resolved),
            drift: count(row.drift),
            recovered: count(row.recovered),
            relapsed: count(row.relapsed),
        };
        match (row.kind, row.value) {
            (Some(kind), Some(value)) => {
                let kind = from_word("cohort kind", kind)?;
                let cohort = Cohort {
                    kind,
                    value,
                    counts,
                };
                evidence.cohorts.insert(CohortId(row.cohort), cohort);
            }
            _ => {
                evidence.all = counts;
                evidence.silences = silences(
                    row.fell_treated.unwrap_or_default(),
                    row.fell_devices.unwrap_or_default(),
                    row.at_risk_treated.unwrap_or_default(),
                    row.at_risk_control.unwrap_or_default(),
                );
            }
        }
    }
    Ok(evidence)
}

/// From the columns of the table.
fn silences(
    treated: Vec<bool>,
    devices: Vec<i64>,
    at_risk_treated: Vec<i64>,
    at_risk_control: Vec<i64>,
) -> Vec<Silence> {
    let at_risk = at_risk_treated.into_iter().zip(at_risk_control);
    treated
        .into_iter()
        .zip(devices)
        .zip(at_risk)
        .map(
            |((treated, devices), (at_risk_treated, at_risk_control))| Silence {
                treated,
                devices: count(devices),
                at_risk_treated: count(at_risk_treated),
                at_risk_control: count(at_risk_control),
            },
        )
        .collect()
}

/// Evidence of each stage's ring for the rollout's digest, over all rollouts of the track, by the stage's position;
/// and the most severe reports that one cohort of it has. A rollout for listed devices is judged by these alone:
/// others of the ring would fill its sample before any of them started.
///
/// # Errors
/// When the database fails.
pub async fn of_rings(
    conn: &mut PgConnection,
    rollout: Uuid,
) -> sqlx::Result<HashMap<i16, (Counts, u64)>> {
    let rows = sqlx::query!(
        r#"SELECT position, sum(started) FILTER (WHERE cohort = 0)::bigint AS started, sum(ok) FILTER (WHERE cohort = 0)::bigint AS ok,
                  sum(failed) FILTER (WHERE cohort = 0)::bigint AS failed, sum(severe) FILTER (WHERE cohort = 0)::bigint AS severe,
                  sum(silent) FILTER (WHERE cohort = 0)::bigint AS silent, sum(overdue) FILTER (WHERE cohort = 0)::bigint AS overdue,
                  sum(resolved) FILTER (WHERE cohort = 0)::bigint AS resolved, sum(drift) FILTER (WHERE cohort = 0)::bigint AS drift,
                  sum(recovered) FILTER (WHERE cohort = 0)::bigint AS recovered,
                  sum(relapsed) FILTER (WHERE cohort = 0)::bigint AS relapsed,
                  max(severe) FILTER (WHERE cohort <> 0)::bigint AS worst
           FROM (
               SELECT m.position, e.cohort, sum(e.started) AS started, sum(e.ok) AS ok, sum(e.failed) AS failed, sum(e.severe) AS severe,
                      sum(e.silent) AS silent, sum(e.overdue) AS overdue, sum(e.resolved) AS resolved, sum(e.drift) AS drift,
                      sum(e.recovered) AS recovered, sum(e.relapsed) AS relapsed
               FROM rollout r JOIN stage m ON m.rollout_id = r.id
               JOIN stage s ON s.ring_id = m.ring_id AND (r.scope = 'track' OR s.rollout_id = r.id)
               JOIN evidence e ON e.stage_id = s.id AND e.digest = r.digest AND (e.cohort = 0 OR e.severe > 0)
               WHERE r.id = $1 GROUP BY m.position, e.cohort) AS by_cohort
           GROUP BY position"#,
        rollout,
    )
    .fetch_all(conn)
    .await?;
    let n = |sum: Option<i64>| count(sum.unwrap_or(0));
    Ok(rows
        .into_iter()
        .map(|row| {
            let counts = Counts {
                started: n(row.started),
                ok: n(row.ok),
                failed: n(row.failed),
                severe: n(row.severe),
                silent: n(row.silent),
                overdue: n(row.overdue),
                resolved: n(row.resolved),
                drift: n(row.drift),
                recovered: n(row.recovered),
                relapsed: n(row.relapsed),
            };
            (row.position, (counts, n(row.worst)))
        })
        .collect())
}
