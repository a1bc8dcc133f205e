//! The dictionary of cohort values.

use std::collections::BTreeMap;

use engine::evidence::CohortKind;
use engine::ids::TrackId;
use servicing::Facts;
use sqlx::PgConnection;

use super::word;

/// Kinds in the order in which a device's row lists its cohorts.
pub const KINDS: [CohortKind; 5] = [
    CohortKind::Model,
    CohortKind::Bios,
    CohortKind::Architecture,
    CohortKind::Build,
    CohortKind::Edition,
];

/// Values of one kind that get an id; later ones are `other`. A device that invents models can not use up the ids.
const MOST_VALUES: i64 = 5_000;

/// Id of the value `other` of a kind: for values first seen after a rollout started.
#[must_use]
pub fn other(kind: CohortKind) -> i16 {
    KINDS
        .iter()
        .position(|k| *k == kind)
        .and_then(|i| i16::try_from(i + 1).ok())
        .unwrap_or(1)
}

/// Values of a device, in the order of [`KINDS`]. BIOS versions repeat between models, so the model is part of them.
fn values(facts: &Facts) -> anyhow::Result<[String; 5]> {
    Ok([
        facts.model.clone(),
        format!("{}, BIOS {}", facts.model, facts.bios_version),
        word(&facts.architecture)?,
        facts.build.to_string(),
        facts.edition.to_string(),
    ])
}

/// Cohorts that a rollout on a track has when it starts: those of the track's devices, and `other` of each kind.
///
/// # Errors
/// When the database fails.
pub async fn of_track(conn: &mut PgConnection, track: TrackId) -> sqlx::Result<Vec<i16>> {
    sqlx::query_scalar!(
        r#"SELECT cohort AS "cohort!" FROM track_cohort WHERE track_id = $1 UNION SELECT id FROM cohort WHERE id <= 5 ORDER BY 1"#,
        track.0,
    )
    .fetch_all(conn)
    .await
}

/// Ids of a device's cohorts, in the order of [`KINDS`]; new values get an id.
///
/// # Errors
/// When the database fails.
pub async fn of(conn: &mut PgConnection, facts: &Facts) -> anyhow::Result<Vec<i16>> {
    let values = values(facts)?;
    let kinds: Vec<String> = KINDS.iter().map(word).collect::<anyhow::Result<_>>()?;
    let mut found = lookup(&mut *conn, &kinds, &values).await?;
    if found.len() < KINDS.len() {
        // Only what is missing: an id is spent for every row that is tried, and there are 32,767.
        sqlx::query!(
            "INSERT INTO cohort (kind, value) SELECT k.kind, k.value FROM UNNEST($1::text[], $2::text[]) AS k (kind, value)
             WHERE NOT EXISTS (SELECT FROM cohort c WHERE c.kind = k.kind AND c.value = k.value)
               AND (SELECT count(*) FROM cohort c WHERE c.kind = k.kind) < $3
             ON CONFLICT DO NOTHING",
            &kinds, &values, MOST_VALUES,
        )
        .execute(&mut *conn)
        .await?;
        found = lookup(&mut *conn, &kinds, &values).await?;
    }
    Ok(kinds
        .iter()
        .zip(KINDS)
        .map(|(word, kind)| found.get(word).copied().unwrap_or_else(|| other(kind)))
        .collect())
}

async fn lookup(
    conn: &mut PgConnection,
    kinds: &[String],
    values: &[String],
) -> sqlx::Result<BTreeMap<String, i16>> {
    let rows = sqlx::query!(
        "SELECT c.id, c.kind FROM cohort c JOIN UNNEST($1::text[], $2::text[]) AS k (kind, value) USING (kind, value)",
        kinds, values,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|r| (r.kind, r.id)).collect())
}
