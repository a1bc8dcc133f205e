//! Counters against the event log: every device's history is folded again from its first event. Then the counters of
//! devices and assignments against their rows.

use std::collections::{BTreeMap, HashMap};

use agent_protocol::EventKind;
use engine::assignment::{Assignment, Report, State, fold};
use engine::evidence::{Counts, Delta};
use engine::ids::CohortId;
use serde::Deserialize;
use serde::de::value::MapDeserializer;
use serde_json::Value;
use servicing::Build;
use sqlx::PgPool;
use uuid::Uuid;

use crate::ingest::report_of;
use crate::store::count;
use crate::store::events::{self, LoggedEvent, PERMITTED};

/// Devices whose events are held in memory at once.
const CHUNK: i32 = 2_000;

/// What a permit's event says.
#[derive(Deserialize)]
struct Permitted {
    stage: Uuid,
    steps: u16,
    expected: Build,
    cohorts: Vec<i16>,
    /// The device was seen to run steps before its permit.
    #[serde(default)]
    drift: bool,
}

struct History {
    assignment: Assignment,
    permitted: Option<Permitted>,
}

type Counters = BTreeMap<(Uuid, i16), Counts>;

/// Counts again, and returns a sentence for each counter that differs.
///
/// # Errors
/// When the database fails or an event can not be read.
pub async fn recount(pool: &PgPool) -> anyhow::Result<Vec<String>> {
    let mut conn = pool.acquire().await?;
    // One snapshot for events and counters, so that a running server changes neither between the two reads.
    let mut tx = sqlx::Connection::begin(&mut *conn).await?;
    sqlx::query!("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        .execute(&mut *tx)
        .await?;
    let last = sqlx::query_scalar!("SELECT max(device_no) FROM device")
        .fetch_one(&mut *tx)
        .await?
        .unwrap_or(0);
    let mut counters = Counters::new();
    let mut findings = Vec::new();
    let mut from = 0;
    while from <= last {
        let mut histories: HashMap<(Uuid, i32), History> = HashMap::new();
        for (rollout, event) in events::of_rollouts(&mut tx, (from, from + CHUNK)).await? {
            let history = histories
                .entry((rollout, event.device_no))
                .or_insert_with(|| History {
                    assignment: Assignment::offered(),
                    permitted: None,
                });
            // One event that does not fit must not hide what else is wrong.
            if let Err(error) = replay(history, &event, &mut counters) {
                findings.push(format!(
                    "event {} of device {}: {error:#}",
                    event.event_no, event.device_no
                ));
            }
        }
        from += CHUNK;
    }
    let stored = sqlx::query!(
        r#"SELECT stage_id, cohort, sum(started)::bigint AS "started!", sum(ok)::bigint AS "ok!", sum(failed)::bigint AS "failed!",
                  sum(severe)::bigint AS "severe!", sum(silent)::bigint AS "silent!", sum(overdue)::bigint AS "overdue!",
                  sum(resolved)::bigint AS "resolved!", sum(drift)::bigint AS "drift!",
                  sum(recovered)::bigint AS "recovered!", sum(relapsed)::bigint AS "relapsed!"
           FROM evidence GROUP BY 1, 2"#,
    )
    .fetch_all(&mut *tx)
    .await?;
    let mut found = Counters::new();
    for r in stored {
        let counts = Counts {
            started: count(r.started),
            ok: count(r.ok),
            failed: count(r.failed),
            severe: count(r.severe),
            silent: count(r.silent),
            overdue: count(r.overdue),
            resolved: count(r.resolved),
            drift: count(r.drift),
            recovered: count(r.recovered),
            relapsed: count(r.relapsed),
        };
        found.insert((r.stage_id, r.cohort), counts);
    }
    let keys: std::collections::BTreeSet<_> =
        counters.keys().chain(found.keys()).copied().collect();
    findings.extend(keys.into_iter().filter_map(|key| {
        let (counted, stored) = (
            counters.get(&key).copied().unwrap_or_default(),
            found.get(&key).copied().unwrap_or_default(),
        );
        (counted != stored).then(|| {
            format!(
                "stage {} cohort {}: stored {stored:?}, recounted {counted:?}",
                key.0, key.1
            )
        })
    }));
    findings.extend(super::counters::recount(&mut tx).await?);
    Ok(findings)
}

fn replay(
    history: &mut History,
    event: &LoggedEvent,
    counters: &mut Counters,
) -> anyhow::Result<()> {
    // Epoch 0 is the server's own; a device may call its events what it likes.
    if event.kind == PERMITTED && event.epoch == 0 {
        let permitted = Permitted::deserialize(&event.body)?;
        let first = !history.assignment.started;
        if first {
            // What came before the ring opened was not folded; the permit shows that the restart was agreed,
            // and whether drift was seen before it.
            history.assignment = Assignment {
                state: State::RestartAgreed,
                drift: permitted.drift,
                ..Assignment::offered()
            };
        }
        history.assignment = history
            .assignment
            .permit(permitted.steps, permitted.expected)
            .map_err(|e| anyhow::anyhow!("a permit out of turn: {e}"))?;
        if first {
            each(counters, &permitted, |c| {
                c.started += 1;
                c.drift += u64::from(permitted.drift);
            });
            history.permitted = Some(permitted);
        }
        return Ok(());
    }
    let Some(report) = report(event)? else {
        return Ok(());
    };
    let folded = fold(&history.assignment, &report);
    history.assignment = folded.next;
    if let Some(permitted) = &history.permitted {
        each(counters, permitted, |c| add(c, folded.delta));
    }
    Ok(())
}

fn report(event: &LoggedEvent) -> anyhow::Result<Option<Report>> {
    Ok(match event.kind.as_str() {
        "overdue" if event.epoch == 0 => Some(Report::Overdue),
        "hang_suspected" if event.epoch == 0 => Some(Report::HangSuspected),
        "lost" if event.epoch == 0 => Some(Report::Lost),
        kind => match kind_of(kind, &event.body) {
            Ok(kind) => report_of(&kind)
                .map_err(|(field, expected)| anyhow::anyhow!("{field}: {expected}"))?
                .map(|(_, r)| r),
            // A kind that this server does not know counts as nothing.
            Err(_) => None,
        },
    })
}

/// The kind with its fields, read where they lie: there may be millions.
fn kind_of(kind: &str, body: &Value) -> Result<EventKind, serde_json::Error> {
    let kind = Value::from(kind);
    let parts = [("kind", &kind), ("body", body)];
    EventKind::deserialize(MapDeserializer::new(parts.into_iter()))
}

fn each(counters: &mut Counters, permitted: &Permitted, apply: impl Fn(&mut Counts)) {
    for cohort in std::iter::once(CohortId::ALL.0).chain(permitted.cohorts.iter().copied()) {
        apply(counters.entry((permitted.stage, cohort)).or_default());
    }
}

fn add(counts: &mut Counts, delta: Delta) {
    let step = |field: &mut u64, by: i8| *field = field.saturating_add_signed(i64::from(by));
    step(&mut counts.ok, delta.ok);
    step(&mut counts.failed, delta.failed);
    step(&mut counts.severe, delta.severe);
    step(&mut counts.silent, delta.silent);
    step(&mut counts.overdue, delta.overdue);
    step(&mut counts.resolved, delta.resolved);
    step(&mut counts.drift, delta.drift);
    step(&mut counts.recovered, delta.recovered);
    step(&mut counts.relapsed, delta.relapsed);
}
