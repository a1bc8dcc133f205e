//! The audit chain: every decision of people, engine, trust and policy, each entry hashing the one before.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use servicing::Sha256;
use sqlx::PgConnection;
use uuid::Uuid;

/// One entry to append.
#[derive(Debug, Clone)]
pub struct Entry {
    /// When, by the injected clock.
    pub at: DateTime<Utc>,
    /// Who; none: the engine or the service itself.
    pub actor: Option<Uuid>,
    /// What was done: a stable word.
    pub action: String,
    /// To what: `rollout:<id>`, `device:<id>` ...
    pub subject: String,
    /// Everything else.
    pub body: Value,
}

/// A stored entry.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Stored {
    /// Number, from 1 without gaps.
    pub n: i64,
    /// When.
    pub at: DateTime<Utc>,
    /// Who.
    pub actor: Option<Uuid>,
    /// What.
    pub action: String,
    /// To what.
    pub subject: String,
    /// Everything else.
    pub body: Value,
    /// Hash of the entry before, hex.
    pub prev_hash: String,
    /// Hash of this entry, hex.
    pub hash: String,
}

struct Row {
    n: i64,
    at: DateTime<Utc>,
    actor: Option<Uuid>,
    action: String,
    subject: String,
    body: Value,
    prev_hash: Vec<u8>,
    hash: Vec<u8>,
}

impl From<Row> for Stored {
    fn from(r: Row) -> Self {
        Self {
            n: r.n,
            at: r.at,
            actor: r.actor,
            action: r.action,
            subject: r.subject,
            body: r.body,
            prev_hash: hex::encode(r.prev_hash),
            hash: hex::encode(r.hash),
        }
    }
}

fn digest(n: i64, prev: &[u8], entry: &Entry) -> [u8; 32] {
    let text = engine::canonical::to_vec(&json!({
        "n": n,
        "prev": hex::encode(prev),
        "at": entry.at.timestamp_micros(),
        "actor": entry.actor,
        "action": entry.action,
        "subject": entry.subject,
        "body": entry.body,
    }));
    *Sha256::of(&text).as_bytes()
}

/// Columns of entries that are appended together.
#[derive(Default)]
struct Rows<'a> {
    ns: Vec<i64>,
    ats: Vec<DateTime<Utc>>,
    actors: Vec<Option<Uuid>>,
    actions: Vec<&'a str>,
    subjects: Vec<&'a str>,
    bodies: Vec<&'a Value>,
    prev_hashes: Vec<Vec<u8>>,
    hashes: Vec<Vec<u8>>,
}

/// Appends an entry in the caller's transaction; returns its number. The head row is locked to its end, so take this lock
/// last.
///
/// # Errors
/// When the database fails.
pub async fn append(conn: &mut PgConnection, entry: &Entry) -> sqlx::Result<i64> {
    append_all(conn, std::slice::from_ref(entry)).await
}

/// The same for several, in order; returns the number of the last one.
///
/// # Errors
/// When the database fails.
pub async fn append_all(conn: &mut PgConnection, entries: &[Entry]) -> sqlx::Result<i64> {
    let head = sqlx::query!("SELECT n, hash FROM audit_head FOR UPDATE")
        .fetch_one(&mut *conn)
        .await?;
    let (mut n, mut last) = (head.n, head.hash);
    let mut rows = Rows::default();
    for entry in entries {
        n += 1;
        let hash = digest(n, &last, entry).to_vec();
        rows.ns.push(n);
        rows.ats.push(entry.at);
        rows.actors.push(entry.actor);
        rows.actions.push(&entry.action);
        rows.subjects.push(&entry.subject);
        rows.bodies.push(&entry.body);
        rows.prev_hashes
            .push(std::mem::replace(&mut last, hash.clone()));
        rows.hashes.push(hash);
    }
    sqlx::query!(
        "INSERT INTO audit (n, at, actor, action, subject, body, prev_hash, hash)
         SELECT * FROM UNNEST($1::bigint[], $2::timestamptz[], $3::uuid[], $4::text[], $5::text[], $6::jsonb[], $7::bytea[], $8::bytea[])",
        &rows.ns, &rows.ats, &rows.actors as &[Option<Uuid>], &rows.actions as &[&str], &rows.subjects as &[&str],
        &rows.bodies as &[&Value], &rows.prev_hashes, &rows.hashes,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!("UPDATE audit_head SET n = $1, hash = $2", n, last)
        .execute(conn)
        .await?;
    Ok(n)
}

/// A page of entries after `after`, oldest first; `subject` narrows it.
///
/// # Errors
/// When the database fails.
pub async fn page(
    conn: &mut PgConnection,
    subject: Option<&str>,
    after: i64,
    limit: i64,
) -> sqlx::Result<Vec<Stored>> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT n, at, actor, action, subject, body, prev_hash, hash FROM audit
         WHERE n > $1 AND ($2::text IS NULL OR subject = $2) ORDER BY n LIMIT $3",
        after,
        subject,
        limit,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(Stored::from).collect())
}

/// Which entries are looked for; a part that is not given does not narrow.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted<'a> {
    /// About this.
    pub subject: Option<&'a str>,
    /// Of this kind.
    pub action: Option<&'a str>,
    /// By this person.
    pub actor: Option<Uuid>,
    /// By nobody: the engine and the service itself.
    pub by_nobody: bool,
    /// Not before.
    pub from: Option<DateTime<Utc>>,
    /// Before.
    pub to: Option<DateTime<Utc>>,
}

/// Entries numbered below `before`, newest first.
///
/// # Errors
/// When the database fails.
pub async fn older(
    conn: &mut PgConnection,
    wanted: Wanted<'_>,
    before: i64,
    limit: i64,
) -> sqlx::Result<Vec<Stored>> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT n, at, actor, action, subject, body, prev_hash, hash FROM audit
         WHERE n < $1 AND ($2::text IS NULL OR subject = $2) AND ($3::text IS NULL OR action = $3)
           AND ($4::uuid IS NULL OR actor = $4) AND (NOT $5 OR actor IS NULL)
           AND ($6::timestamptz IS NULL OR at >= $6) AND ($7::timestamptz IS NULL OR at < $7)
         ORDER BY n DESC LIMIT $8",
        before,
        wanted.subject,
        wanted.action,
        wanted.actor,
        wanted.by_nobody,
        wanted.from,
        wanted.to,
        limit,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(Stored::from).collect())
}

/// The next entries numbered above `after`, newest first.
///
/// # Errors
/// When the database fails.
pub async fn newer(
    conn: &mut PgConnection,
    wanted: Wanted<'_>,
    after: i64,
    limit: i64,
) -> sqlx::Result<Vec<Stored>> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT n, at, actor, action, subject, body, prev_hash, hash FROM audit
         WHERE n > $1 AND ($2::text IS NULL OR subject = $2) AND ($3::text IS NULL OR action = $3)
           AND ($4::uuid IS NULL OR actor = $4) AND (NOT $5 OR actor IS NULL)
           AND ($6::timestamptz IS NULL OR at >= $6) AND ($7::timestamptz IS NULL OR at < $7)
         ORDER BY n LIMIT $8",
        after,
        wanted.subject,
        wanted.action,
        wanted.actor,
        wanted.by_nobody,
        wanted.from,
        wanted.to,
        limit,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().rev().map(Stored::from).collect())
}

/// Length of the chain.
///
/// # Errors
/// When the database fails.
pub async fn length(conn: &mut PgConnection) -> sqlx::Result<i64> {
    sqlx::query_scalar!("SELECT n FROM audit_head")
        .fetch_one(conn)
        .await
}

/// How people call what entries are about.
#[derive(Debug, Clone, Default)]
pub struct Called {
    /// Rollouts: number of the KB, name of the track.
    pub rollouts: HashMap<Uuid, (i32, String)>,
    /// Devices: host name.
    pub devices: HashMap<Uuid, String>,
    /// Sequences: number of the KB.
    pub sequences: HashMap<Uuid, i32>,
}

/// How these are called; ids of other things are passed over.
///
/// # Errors
/// When the database fails.
pub async fn called(conn: &mut PgConnection, ids: &[Uuid]) -> sqlx::Result<Called> {
    let rollouts = sqlx::query!(
        "SELECT r.id, s.kb, t.name FROM rollout r JOIN sequence s ON s.id = r.sequence_id JOIN track t ON t.id = r.track_id WHERE r.id = ANY($1)",
        ids,
    )
    .fetch_all(&mut *conn)
    .await?;
    let devices = sqlx::query!("SELECT id, host_name FROM device WHERE id = ANY($1)", ids)
        .fetch_all(&mut *conn)
        .await?;
    let sequences = sqlx::query!("SELECT id, kb FROM sequence WHERE id = ANY($1)", ids)
        .fetch_all(conn)
        .await?;
    Ok(Called {
        rollouts: rollouts
            .into_iter()
            .map(|r| (r.id, (r.kb, r.name)))
            .collect(),
        devices: devices.into_iter().map(|r| (r.id, r.host_name)).collect(),
        sequences: sequences.into_iter().map(|r| (r.id, r.kb)).collect(),
    })
}

/// Entries that a request checks: more take longer than a page may. The whole chain is for `ringfence verify audit`.
pub const NEWEST: i64 = 2_000;

/// Checks the whole chain and returns its length and head. In a transaction of one moment ([`super::reading`]): an entry
/// that is appended meanwhile is no break.
///
/// # Errors
/// A sentence that names the first entry that does not fit, or why the database failed.
pub async fn verify(conn: &mut PgConnection) -> anyhow::Result<(i64, String)> {
    check(conn, 0, vec![0_u8; 32]).await
}

/// The same for the newest entries alone, [`NEWEST`] at most: that they follow each other, and that the last one is the
/// head. Returns also how many were checked.
///
/// # Errors
/// As [`verify`].
pub async fn verify_newest(conn: &mut PgConnection) -> anyhow::Result<(i64, i64, String)> {
    let before = length(&mut *conn).await? - NEWEST;
    if before <= 0 {
        let (n, head) = verify(conn).await?;
        return Ok((n, n, head));
    }
    let prev = sqlx::query_scalar!("SELECT hash FROM audit WHERE n = $1", before)
        .fetch_optional(&mut *conn)
        .await?;
    let prev = prev.ok_or_else(|| anyhow::anyhow!("audit entry {before} is missing"))?;
    let (n, head) = check(conn, before, prev).await?;
    Ok((n - before, n, head))
}

/// Checks entries after `n`, of which `prev` is the hash.
async fn check(
    conn: &mut PgConnection,
    mut n: i64,
    mut prev: Vec<u8>,
) -> anyhow::Result<(i64, String)> {
    loop {
        let page = page(&mut *conn, None, n, 1000).await?;
        if page.is_empty() {
            break;
        }
        for stored in page {
            anyhow::ensure!(stored.n == n + 1, "audit entry {} is missing", n + 1);
            anyhow::ensure!(
                stored.prev_hash == hex::encode(&prev),
                "audit entry {} does not follow the one before",
                stored.n
            );
            let entry = Entry {
                at: stored.at,
                actor: stored.actor,
                action: stored.action,
                subject: stored.subject,
                body: stored.body,
            };
            let hash = digest(stored.n, &prev, &entry);
            anyhow::ensure!(
                stored.hash == hex::encode(hash),
                "audit entry {} was changed",
                stored.n
            );
            prev = hash.to_vec();
            n = stored.n;
        }
    }
    let head = sqlx::query!("SELECT n, hash FROM audit_head")
        .fetch_one(conn)
        .await?;
    anyhow::ensure!(
        head.n == n && head.hash == prev,
        "the audit chain ends at {n}, its head says {}",
        head.n
    );
    Ok((n, hex::encode(prev)))
}
