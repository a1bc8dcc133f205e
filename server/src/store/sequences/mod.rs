//! KB sequences, their signed manifests, and the keys whose signatures count. What pages show of them beside that is
//! in [`shown`].

mod shown;

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use servicing::{KbNumber, Sequence, Sha256, SignedManifest};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{from_json, from_word, sha256, to_json};

pub use shown::{Listed, Milestones, RolledOut, by_kb, listed, milestones, rolled_out};

/// State of a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SequenceState {
    /// Being written; not to be rolled out.
    Draft,
    /// Complete, signed, fixed.
    Published,
    /// Pulled: nobody gets it any more.
    Withdrawn,
}

/// A stored sequence.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Stored {
    /// Id.
    pub id: Uuid,
    /// Content.
    pub sequence: Sequence,
    /// Digest of what is installed.
    pub digest: Sha256,
    /// State.
    pub state: SequenceState,
    /// The signed manifest as agents get it.
    pub manifest: Option<SignedManifest>,
    /// Its counter.
    pub counter: Option<i64>,
    /// Why it was withdrawn.
    pub withdrawn_reason: Option<String>,
    /// What replaces it.
    pub replaced_by: Option<KbNumber>,
    /// Who wrote it.
    pub created_by: Uuid,
    /// When.
    pub created_at: DateTime<Utc>,
}

struct Row {
    id: Uuid,
    state: String,
    body: serde_json::Value,
    digest: Vec<u8>,
    manifest: Option<serde_json::Value>,
    counter: Option<i64>,
    withdrawn_reason: Option<String>,
    replaced_by: Option<i32>,
    created_by: Uuid,
    created_at: DateTime<Utc>,
}

impl TryFrom<Row> for Stored {
    type Error = anyhow::Error;

    fn try_from(row: Row) -> anyhow::Result<Self> {
        Ok(Self {
            id: row.id,
            sequence: from_json("sequence", row.body)?,
            digest: sha256(&row.digest)?,
            state: from_word("sequence state", row.state)?,
            manifest: row.manifest.map(|m| from_json("manifest", m)).transpose()?,
            counter: row.counter,
            withdrawn_reason: row.withdrawn_reason,
            replaced_by: row.replaced_by.map(kb).transpose()?,
            created_by: row.created_by,
            created_at: row.created_at,
        })
    }
}

fn kb(number: i32) -> anyhow::Result<KbNumber> {
    Ok(format!("KB{number}").parse()?)
}

fn kb_column(kb: KbNumber) -> anyhow::Result<i32> {
    Ok(kb.to_string().trim_start_matches("KB").parse()?)
}

/// Adds a draft.
///
/// # Errors
/// When the database fails.
pub async fn add(
    conn: &mut PgConnection,
    id: Uuid,
    sequence: &Sequence,
    by: Uuid,
    at: DateTime<Utc>,
) -> anyhow::Result<()> {
    let digest = sequence.content_digest();
    sqlx::query!(
        "INSERT INTO sequence (id, kb, state, body, digest, created_by, created_at) VALUES ($1, $2, 'draft', $3, $4, $5, $6)",
        id, kb_column(sequence.kb)?, to_json(sequence)?, &digest.as_bytes()[..], by, at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Rewrites a draft; false where it is none any more.
///
/// # Errors
/// When the database fails.
pub async fn rewrite(
    conn: &mut PgConnection,
    id: Uuid,
    sequence: &Sequence,
) -> anyhow::Result<bool> {
    let digest = sequence.content_digest();
    let done = sqlx::query!(
        "UPDATE sequence SET kb = $2, body = $3, digest = $4 WHERE id = $1 AND state = 'draft'",
        id,
        kb_column(sequence.kb)?,
        to_json(sequence)?,
        &digest.as_bytes()[..],
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// One sequence, locked.
///
/// # Errors
/// When the database fails.
pub async fn lock(conn: &mut PgConnection, id: Uuid) -> anyhow::Result<Option<Stored>> {
    let row = sqlx::query_as!(
        Row,
        "SELECT id, state, body, digest, manifest, counter, withdrawn_reason, replaced_by, created_by, created_at
         FROM sequence WHERE id = $1 FOR UPDATE",
        id,
    )
    .fetch_optional(conn)
    .await?;
    row.map(Stored::try_from).transpose()
}

/// One sequence.
///
/// # Errors
/// When the database fails.
pub async fn by_id(conn: &mut PgConnection, id: Uuid) -> anyhow::Result<Option<Stored>> {
    let row = sqlx::query_as!(
        Row,
        "SELECT id, state, body, digest, manifest, counter, withdrawn_reason, replaced_by, created_by, created_at
         FROM sequence WHERE id = $1",
        id,
    )
    .fetch_optional(conn)
    .await?;
    row.map(Stored::try_from).transpose()
}

/// What decisions about a sequence's rollouts depend on beside its content.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// Why it was withdrawn; none while it is not.
    pub withdrawn: Option<String>,
    /// When it was released, if known.
    pub released: Option<NaiveDate>,
}

/// How a sequence stands now. Its content stays where it is: decisions are frequent, and contents are large.
///
/// # Errors
/// When the database fails.
pub async fn standing(conn: &mut PgConnection, id: Uuid) -> sqlx::Result<Standing> {
    let row = sqlx::query_as!(
        Standing,
        r#"SELECT CASE WHEN state = 'withdrawn' THEN withdrawn_reason END AS withdrawn, (body ->> 'release_date')::date AS released
           FROM sequence WHERE id = $1"#,
        id,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.unwrap_or_default())
}

/// The sequence with this content that is or was published.
///
/// # Errors
/// When the database fails.
pub async fn by_digest(conn: &mut PgConnection, digest: Sha256) -> anyhow::Result<Option<Stored>> {
    let row = sqlx::query_as!(
        Row,
        "SELECT id, state, body, digest, manifest, counter, withdrawn_reason, replaced_by, created_by, created_at
         FROM sequence WHERE digest = $1 AND state <> 'draft'",
        &digest.as_bytes()[..],
    )
    .fetch_optional(conn)
    .await?;
    row.map(Stored::try_from).transpose()
}

/// Highest manifest counter that was published for a KB.
///
/// # Errors
/// When the database fails.
pub async fn newest_counter(conn: &mut PgConnection, number: KbNumber) -> anyhow::Result<u64> {
    let counter = sqlx::query_scalar!(
        r#"SELECT max(counter) FROM sequence WHERE kb = $1"#,
        kb_column(number)?
    )
    .fetch_one(conn)
    .await?;
    Ok(super::count(counter.unwrap_or(0)))
}

/// Publishes a draft with its manifest.
///
/// # Errors
/// When the content is published already or the database fails.
pub async fn publish(
    conn: &mut PgConnection,
    id: Uuid,
    manifest: &SignedManifest,
    counter: u64,
    at: DateTime<Utc>,
) -> anyhow::Result<Result<(), sqlx::Error>> {
    let done = sqlx::query!(
        "UPDATE sequence SET state = 'published', manifest = $2, counter = $3, published_at = $4 WHERE id = $1 AND state = 'draft'",
        id, to_json(manifest)?, i64::try_from(counter)?, at,
    )
    .execute(conn)
    .await;
    Ok(done.map(|_| ()))
}

/// Withdraws a sequence.
///
/// # Errors
/// When the database fails.
pub async fn withdraw(
    conn: &mut PgConnection,
    id: Uuid,
    reason: &str,
    replaced_by: Option<KbNumber>,
) -> anyhow::Result<()> {
    sqlx::query!(
        "UPDATE sequence SET state = 'withdrawn', withdrawn_reason = $2, replaced_by = $3 WHERE id = $1",
        id, reason, replaced_by.map(kb_column).transpose()?,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A publisher's key.
#[derive(Debug, Clone, Serialize)]
pub struct PublisherKey {
    /// First 16 hex digits of the key's SHA-256.
    pub key_id: String,
    /// Ed25519, 32 bytes.
    #[serde(skip)]
    pub public_key: Vec<u8>,
    /// When it was added.
    pub added_at: DateTime<Utc>,
}

/// Adds a key.
///
/// # Errors
/// When it is there already or the database fails.
pub async fn add_key(
    conn: &mut PgConnection,
    key_id: &str,
    public_key: &[u8],
    by: Uuid,
    at: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!("INSERT INTO publisher_key (key_id, public_key, added_by, added_at) VALUES ($1, $2, $3, $4)", key_id, public_key, by, at)
        .execute(conn)
        .await?;
    Ok(())
}

/// Keys whose signatures count, oldest first.
///
/// # Errors
/// When the database fails.
pub async fn keys(conn: &mut PgConnection) -> sqlx::Result<Vec<PublisherKey>> {
    sqlx::query_as!(PublisherKey, "SELECT key_id, public_key, added_at FROM publisher_key WHERE revoked_at IS NULL ORDER BY added_at, key_id")
        .fetch_all(conn)
        .await
}

/// A sequence as lists show it: without its packages.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// Id.
    pub id: Uuid,
    /// KB.
    pub kb: String,
    /// Title.
    pub title: String,
    /// Sort of release.
    pub kind: String,
    /// Release label.
    pub label: String,
    /// State.
    pub state: String,
    /// Digest of what is installed, hex.
    pub digest: String,
    /// Why it was withdrawn.
    pub withdrawn_reason: Option<String>,
    /// What replaces it.
    pub replaced_by: Option<String>,
    /// Who wrote it.
    pub created_by: Uuid,
    /// When.
    pub created_at: DateTime<Utc>,
}

/// A page of sequences, newest first, older than `before`.
///
/// # Errors
/// When the database fails.
pub async fn summaries(
    conn: &mut PgConnection,
    before: Option<Uuid>,
    limit: i64,
) -> sqlx::Result<Vec<Summary>> {
    sqlx::query_as!(
        Summary,
        r#"SELECT id, body ->> 'kb' AS "kb!", COALESCE(body ->> 'title', '') AS "title!", COALESCE(body ->> 'kind', '') AS "kind!",
                  COALESCE(body ->> 'label', '') AS "label!", state, encode(digest, 'hex') AS "digest!", withdrawn_reason,
                  'KB' || replaced_by AS replaced_by, created_by, created_at
           FROM sequence
           WHERE $1::uuid IS NULL OR (created_at, id) < (SELECT created_at, id FROM sequence WHERE id = $1)
           ORDER BY created_at DESC, id DESC LIMIT $2"#,
        before, limit,
    )
    .fetch_all(conn)
    .await
}

/// KBs that are withdrawn and that no published sequence has.
///
/// # Errors
/// When the database fails.
pub async fn withdrawn(conn: &mut PgConnection) -> anyhow::Result<Vec<KbNumber>> {
    let numbers = sqlx::query_scalar!(
        "SELECT DISTINCT kb FROM sequence AS w WHERE state = 'withdrawn'
         AND NOT EXISTS (SELECT FROM sequence p WHERE p.kb = w.kb AND p.state = 'published') ORDER BY kb",
    )
    .fetch_all(conn)
    .await?;
    numbers
        .into_iter()
        .map(|n| Ok(KbNumber::new(u32::try_from(n)?)?))
        .collect()
}
