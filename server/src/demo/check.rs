//! Whether the promises held, recomputed by SQL over the stored events. No state that the engine wrote is believed.

use sqlx::PgPool;
use uuid::Uuid;

use super::story::Told;
use super::world::World;
use crate::store::{self, audit};
use crate::verify;

/// Devices that a bad update may harm before it is stopped.
const HARMED_AT_MOST: i64 = 10;

/// Checks everything; prints what was found and returns a sentence for each promise that did not hold.
pub async fn run(world: &World, told: &Told) -> anyhow::Result<Vec<String>> {
    let pool = &world.database.pool;
    let (bad, good): (Uuid, Uuid) = (told.bad.parse()?, told.good.parse()?);
    let mut findings = Vec::new();
    let mut hold = |name: &str, holds: bool, seen: String| {
        println!(
            "{}  {name}: {seen}",
            if holds { "ok    " } else { "FAILED" }
        );
        if !holds {
            findings.push(format!("{name}: {seen}"));
        }
    };

    let harmed = harmed(pool, bad).await?;
    hold(
        "devices harmed by the bad update, at most 10 and at least 1",
        (1..=HARMED_AT_MOST).contains(&harmed),
        harmed.to_string(),
    );
    let (halts, late) = permits_after_halt(pool, bad).await?;
    hold(
        "halted by the engine itself",
        halts == 1,
        format!("{halts} halts"),
    );
    hold(
        "no permit under a gate version of the halt or later",
        late == 0,
        format!("{late} permits"),
    );
    let steps = steps_out_of_order(pool).await?;
    hold(
        "no step out of order",
        steps.is_empty(),
        format!("{} steps {}", steps.len(), steps.join(", ")),
    );
    let (approvals, own, short) = approvals(pool).await?;
    hold(
        "approved by people, at least three times",
        approvals >= 3,
        format!("{approvals} approvals"),
    );
    hold(
        "no approver is author or requester",
        own == 0,
        format!("{own} of them"),
    );
    hold(
        "every approved request has enough distinct approvers",
        short == 0,
        format!("{short} requests short"),
    );
    let counters = counters_off(pool).await?;
    hold(
        "evidence equals the SQL recount of the events",
        counters.is_empty(),
        format!("{} counters off {}", counters.len(), counters.join("; ")),
    );
    let recount = verify::recount(pool).await?;
    hold(
        "evidence equals the folded histories",
        recount.is_empty(),
        format!("{} counters off", recount.len()),
    );
    let decisions = verify::decisions(pool).await?;
    hold(
        "every decision follows from what was stored with it",
        decisions.is_empty(),
        format!("{} that do not", decisions.len()),
    );
    let (ready, elsewhere) = broad(pool, good).await?;
    hold(
        "every Broad device that was ready is on the target build",
        ready > 0 && elsewhere == 0,
        format!("{ready} ready, {elsewhere} elsewhere"),
    );
    let (arm, permitted) = arm64(pool, good).await?;
    hold(
        "arm64 devices are not applicable and got no permit",
        arm > 0 && permitted == 0,
        format!("{arm} not applicable, {permitted} permits"),
    );
    let completed = sqlx::query_scalar!(
        r#"SELECT count(*) AS "n!" FROM audit WHERE action = 'completed' AND subject = $1"#,
        format!("rollout:{good}")
    )
    .fetch_one(pool)
    .await?;
    hold(
        "the good update completed",
        completed == 1,
        format!("{completed} completions"),
    );
    match audit::verify(&mut *store::reading(pool).await?).await {
        Ok((n, head)) => hold(
            "the audit chain is whole",
            true,
            format!("{n} entries, head {}", &head[..12]),
        ),
        Err(error) => hold("the audit chain is whole", false, error.to_string()),
    }
    Ok(findings)
}

/// Permitted devices whose failure the fault caused: its code, reported for the bad rollout, before or after the halt.
async fn harmed(pool: &PgPool, bad: Uuid) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"SELECT count(DISTINCT p.device_no) AS "n!" FROM event p JOIN event f ON f.device_no = p.device_no
           WHERE p.kind = 'permitted' AND p.body ->> 'rollout' = $1 AND f.kind IN ('failed', 'rolled_back')
             AND f.body ->> 'rollout' = $1 AND lower(f.body ->> 'code') = '0x80073712'"#,
        bad.to_string(),
    )
    .fetch_one(pool)
    .await
}

/// Halts by the engine, and permits whose stored gate version is that of the halt or a later one.
async fn permits_after_halt(pool: &PgPool, bad: Uuid) -> sqlx::Result<(i64, i64)> {
    let subject = format!("rollout:{bad}");
    let halts = sqlx::query_scalar!(
        r#"SELECT count(*) AS "n!" FROM audit WHERE action = 'halted' AND actor IS NULL AND subject = $1"#,
        subject,
    )
    .fetch_one(pool)
    .await?;
    let late = sqlx::query_scalar!(
        r#"SELECT count(*) AS "n!" FROM audit a CROSS JOIN LATERAL jsonb_array_elements(a.body -> 'gates') AS g
           JOIN event e ON e.kind = 'permitted' AND e.body ->> 'stage' = g ->> 'stage'
                       AND (e.body ->> 'gate_version')::bigint >= (g ->> 'version')::bigint
           WHERE a.action = 'halted' AND a.subject = $1"#,
        subject,
    )
    .fetch_one(pool)
    .await?;
    Ok((halts, late))
}

/// Steps that began before the one before them was done and, where needed, restarted; and first steps missing. Each try has its own
/// permit and its own plan.
async fn steps_out_of_order(pool: &PgPool) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        r#"WITH s AS (SELECT device_no, event_no, kind, body ->> 'rollout' AS rollout, (body ->> 'step')::int AS step,
                             COALESCE((body ->> 'restart_needed')::boolean, false) AS restart,
                             count(*) FILTER (WHERE kind = 'permitted')
                                 OVER (PARTITION BY device_no, body ->> 'rollout' ORDER BY event_no) AS try
                      FROM event WHERE kind IN ('permitted', 'step_started', 'step_done', 'restarted'))
           SELECT format('device %s step %s', b.device_no, b.step) AS "sentence!" FROM s AS b
           WHERE b.kind = 'step_started' AND b.step > 1
             AND NOT EXISTS (SELECT FROM s AS d WHERE d.kind = 'step_done' AND d.device_no = b.device_no AND d.rollout = b.rollout
                               AND d.try = b.try AND d.step = b.step - 1 AND d.event_no < b.event_no
                               AND (NOT d.restart OR EXISTS (SELECT FROM s AS r WHERE r.kind = 'restarted' AND r.device_no = b.device_no
                                     AND r.rollout = b.rollout AND r.event_no BETWEEN d.event_no AND b.event_no)))
           UNION ALL
           SELECT format('device %s step 1 after step %s', b.device_no, e.step) FROM s AS b JOIN s AS e USING (device_no, rollout, try)
           WHERE b.kind = 'step_started' AND b.step = 1 AND e.kind = 'step_started' AND e.step > 1 AND e.event_no < b.event_no
           LIMIT 20"#,
    )
    .fetch_all(pool)
    .await
}

/// Approvals; those by author or requester; approved requests with too few distinct approvers.
async fn approvals(pool: &PgPool) -> sqlx::Result<(i64, i64, i64)> {
    let row = sqlx::query!(
        r#"SELECT (SELECT count(*) FROM approval) AS "all!",
                  (SELECT count(*) FROM approval a JOIN request q ON q.id = a.request_id JOIN rollout r ON r.id = q.rollout_id
                   WHERE a.person_id = r.author OR a.person_id = q.requested_by) AS "own!",
                  (SELECT count(*) FROM request q WHERE q.phase = 'approved'
                     AND (SELECT count(DISTINCT person_id) FROM approval WHERE request_id = q.id) < q.needed) AS "short!""#,
    )
    .fetch_one(pool)
    .await?;
    Ok((row.all, row.own, row.short))
}

/// Counters of whole stages that differ from what the events say: permitted devices; those that verified the expected
/// build without having failed before, and did not come off it again; those that failed, were taken back or were suspected to hang.
async fn counters_off(pool: &PgPool) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        r#"WITH p AS (SELECT device_no, body ->> 'rollout' AS rollout, body ->> 'stage' AS stage, min(event_no) AS event_no,
                             min((body -> 'expected') #>> '{}') AS expected
                      FROM event WHERE kind = 'permitted' GROUP BY 1, 2, 3),
                e AS (SELECT p.stage, p.device_no, x.kind, x.event_no,
                             x.kind = 'verified' AND x.body ->> 'build' = p.expected AND (x.body ->> 'packages_installed')::boolean AS good
                      FROM p JOIN event x ON x.device_no = p.device_no AND x.body ->> 'rollout' = p.rollout AND x.event_no > p.event_no
                      WHERE x.kind IN ('verified', 'failed', 'rolled_back', 'hang_suspected')),
                counted AS (SELECT p.stage, count(DISTINCT p.device_no) AS started,
                                   count(DISTINCT p.device_no) FILTER (WHERE EXISTS (SELECT FROM e WHERE e.stage = p.stage AND e.device_no = p.device_no AND e.good
                                          AND NOT EXISTS (SELECT FROM e AS f WHERE f.stage = e.stage AND f.device_no = e.device_no
                                                            AND f.kind = 'failed' AND f.event_no < e.event_no))) AS ok,
                                   count(DISTINCT p.device_no) FILTER (WHERE EXISTS (SELECT FROM e WHERE e.stage = p.stage AND e.device_no = p.device_no
                                          AND (e.kind IN ('failed', 'rolled_back', 'hang_suspected') OR (e.kind = 'verified' AND NOT e.good)))) AS failed
                            FROM p GROUP BY 1),
                stored AS (SELECT stage_id::text AS stage, sum(started) AS started, sum(ok) AS ok, sum(failed) AS failed
                           FROM evidence WHERE cohort = 0 GROUP BY 1)
           SELECT format('stage %s: stored %s/%s/%s, events %s/%s/%s', stage, s.started, s.ok, s.failed, c.started, c.ok, c.failed) AS "sentence!"
           FROM counted c FULL JOIN stored s USING (stage)
           WHERE (c.started, c.ok, c.failed) IS DISTINCT FROM (s.started::bigint, s.ok::bigint, s.failed::bigint)"#,
    )
    .fetch_all(pool)
    .await
}

/// Broad devices that said they were ready, and those of them that do not report the target build.
async fn broad(pool: &PgPool, good: Uuid) -> sqlx::Result<(i64, i64)> {
    let row = sqlx::query!(
        r#"SELECT count(*) AS "ready!", count(*) FILTER (WHERE d.ubr <> 8117) AS "elsewhere!"
           FROM device d JOIN ring r ON r.id = d.ring_id
           WHERE r.name = 'Broad' AND EXISTS (SELECT FROM event e WHERE e.device_no = d.device_no AND e.kind = 'restart_agreed'
                                              AND e.body ->> 'rollout' = $1)"#,
        good.to_string(),
    )
    .fetch_one(pool)
    .await?;
    Ok((row.ready, row.elsewhere))
}

/// arm64 devices counted as not applicable, and permits that any of them got.
async fn arm64(pool: &PgPool, good: Uuid) -> sqlx::Result<(i64, i64)> {
    let row = sqlx::query!(
        r#"SELECT (SELECT COALESCE(sum(n), 0)::bigint FROM population WHERE rollout_id = $1 AND class = 'not_applicable:architecture') AS "n!",
                  (SELECT count(*) FROM event e JOIN device d USING (device_no) WHERE e.kind = 'permitted' AND d.architecture = 'arm64') AS "permits!""#,
        good,
    )
    .fetch_one(pool)
    .await?;
    Ok((row.n, row.permits))
}
