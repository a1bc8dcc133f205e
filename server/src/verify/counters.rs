//! Counters of devices and assignments against the rows that they count.

use sqlx::PgConnection;

/// Counts devices and assignments again, and returns a sentence for each counter that differs.
///
/// # Errors
/// When the database fails.
pub(super) async fn recount(conn: &mut PgConnection) -> anyhow::Result<Vec<String>> {
    let mut findings = kinds(&mut *conn).await?;
    findings.extend(cohorts(&mut *conn).await?);
    findings.extend(standing(&mut *conn).await?);
    findings.extend(silences(conn).await?);
    Ok(findings)
}

async fn kinds(conn: &mut PgConnection) -> sqlx::Result<Vec<String>> {
    let rows = sqlx::query!(
        r#"SELECT concat_ws(' ', 'track', track_id, 'ring', ring_id, status, product, base || '.' || ubr, series, edition, architecture) AS "kind!",
                  COALESCE(sum(stored), 0)::bigint AS "stored!", COALESCE(sum(counted), 0)::bigint AS "counted!"
           FROM (SELECT track_id, ring_id, status, product, base, ubr, series, edition, architecture, n AS stored, 0 AS counted FROM device_kind
                 UNION ALL
                 SELECT track_id, ring_id, status, product, base, ubr, series, edition, architecture, 0, count(*) FROM device
                 GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9) AS k
           GROUP BY track_id, ring_id, status, product, base, ubr, series, edition, architecture
           HAVING sum(stored) <> sum(counted) ORDER BY 1"#,
    )
    .fetch_all(conn)
    .await?;
    let sentence =
        |kind, stored, counted| format!("devices of {kind}: stored {stored}, recounted {counted}");
    Ok(rows
        .into_iter()
        .map(|r| sentence(r.kind, r.stored, r.counted))
        .collect())
}

/// Values that devices of a track have and the track does not know of; what it knows beyond that once was there.
async fn cohorts(conn: &mut PgConnection) -> sqlx::Result<Vec<String>> {
    let rows = sqlx::query!(
        r#"SELECT track_id AS "track!", cohort AS "cohort!" FROM (SELECT DISTINCT track_id, UNNEST(cohorts) AS cohort FROM device) AS d
           WHERE NOT EXISTS (SELECT FROM track_cohort t WHERE t.track_id = d.track_id AND t.cohort = d.cohort) ORDER BY 1, 2"#,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|r| {
            format!(
                "track {}: cohort {} of its devices is not listed",
                r.track, r.cohort
            )
        })
        .collect())
}

/// Updated devices that counted as silent, each once.
async fn silences(conn: &mut PgConnection) -> sqlx::Result<Vec<String>> {
    let rows = sqlx::query!(
        r#"SELECT rollout_id AS "rollout!", sum(stored)::bigint AS "stored!", sum(counted)::bigint AS "counted!"
           FROM (SELECT rollout_id, device_no, 1 AS stored, 0 AS counted FROM silence WHERE device_no IS NOT NULL
                 UNION ALL SELECT rollout_id, device_no, 0, 1 FROM assignment WHERE counted & 16 = 16) AS k
           GROUP BY rollout_id, device_no HAVING sum(stored) <> sum(counted) ORDER BY 1"#,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|r| {
            format!(
                "silences of rollout {}: stored {}, recounted {}",
                r.rollout, r.stored, r.counted
            )
        })
        .collect())
}

async fn standing(conn: &mut PgConnection) -> sqlx::Result<Vec<String>> {
    let rows = sqlx::query!(
        r#"SELECT concat_ws(' ', 'rollout', rollout_id, 'stage', stage_id, word) ||
                  CASE WHEN waits THEN ' not ready' ELSE '' END || CASE WHEN model <> 0 THEN ' model ' || model ELSE '' END ||
                  CASE WHEN code >= 0 THEN ' code 0x' || upper(lpad(to_hex(code), 8, '0')) ELSE '' END AS "place!",
                  sum(stored)::bigint AS "stored!", sum(counted)::bigint AS "counted!"
           FROM (SELECT rollout_id, stage_id, word, waits, model, code, n AS stored, 0 AS counted FROM standing
                 UNION ALL
                 SELECT rollout_id, stage_id,
                        CASE suspicion WHEN 'hang' THEN 'hang_suspected' WHEN 'lost' THEN 'lost' ELSE state END,
                        not_ready IS NOT NULL AND counted & 2 = 0,
                        CASE WHEN counted & 1 = 1 AND (suspicion IS NOT NULL OR state IN ('failed', 'remediating', 'rolled_back')) THEN cohorts[1] ELSE 0 END,
                        COALESCE(code::bigint & 4294967295, -1), 0, count(*)
                 FROM assignment GROUP BY 1, 2, 3, 4, 5, 6) AS k
           GROUP BY rollout_id, stage_id, word, waits, model, code HAVING sum(stored) <> sum(counted) ORDER BY 1"#,
    )
    .fetch_all(conn)
    .await?;
    let sentence = |place, stored, counted| {
        format!("assignments of {place}: stored {stored}, recounted {counted}")
    };
    Ok(rows
        .into_iter()
        .map(|r| sentence(r.place, r.stored, r.counted))
        .collect())
}
