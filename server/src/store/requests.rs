//! Approval requests and the approvals given.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use engine::approval::{Approval, Request, RequestState};
use engine::ids::{PersonId, RequestId, RolloutId, StageId};
use engine::rollout::Actor;
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{from_json, phase, sha256, to_json};

struct Row {
    id: Uuid,
    stage_id: Uuid,
    ask: Value,
    requested_by: Option<Uuid>,
    requested_at: DateTime<Utc>,
    needed: i16,
    frozen: Value,
    hash: Vec<u8>,
    state: Value,
}

/// The requests that these rows tell of, in their order, each with the approvals it has.
async fn parse(conn: &mut PgConnection, rows: Vec<Row>) -> anyhow::Result<Vec<Request>> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    let given = sqlx::query!(
        "SELECT request_id, person_id, at, alone FROM approval WHERE request_id = ANY($1) ORDER BY at, person_id",
        &ids,
    )
    .fetch_all(conn)
    .await?;
    let mut approvals: HashMap<Uuid, Vec<Approval>> = HashMap::new();
    for a in given {
        approvals.entry(a.request_id).or_default().push(Approval {
            by: PersonId(a.person_id),
            at: a.at,
            alone: a.alone,
        });
    }
    rows.into_iter()
        .map(|row| {
            Ok(Request {
                id: RequestId(row.id),
                stage: StageId(row.stage_id),
                ask: from_json("ask", row.ask)?,
                requested_by: row
                    .requested_by
                    .map_or(Actor::Engine, |p| Actor::Person(PersonId(p))),
                requested_at: row.requested_at,
                needed: u8::try_from(row.needed)?,
                frozen: from_json("frozen evidence", row.frozen)?,
                hash: sha256(&row.hash)?,
                approvals: approvals.remove(&row.id).unwrap_or_default(),
                state: from_json("request state", row.state)?,
            })
        })
        .collect()
}

/// Open requests of a rollout, oldest first.
///
/// # Errors
/// When the database fails.
pub async fn open(conn: &mut PgConnection, rollout: RolloutId) -> anyhow::Result<Vec<Request>> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT id, stage_id, ask, requested_by, requested_at, needed, frozen, hash, state FROM request
         WHERE rollout_id = $1 AND phase = 'open' ORDER BY requested_at, id",
        rollout.0,
    )
    .fetch_all(&mut *conn)
    .await?;
    parse(conn, rows).await
}

/// The request by which a rollout was expedited; none where it was not.
///
/// # Errors
/// When the database fails.
pub async fn expedited(
    conn: &mut PgConnection,
    rollout: RolloutId,
) -> sqlx::Result<Option<RequestId>> {
    let found = sqlx::query_scalar!(
        "SELECT id FROM request WHERE rollout_id = $1 AND phase = 'approved' AND ask ->> 'asks' = 'expedite' LIMIT 1",
        rollout.0
    );
    Ok(found.fetch_optional(conn).await?.map(RequestId))
}

/// Rollout of a request.
///
/// # Errors
/// When the database fails.
pub async fn rollout_of(
    conn: &mut PgConnection,
    request: RequestId,
) -> sqlx::Result<Option<RolloutId>> {
    Ok(
        sqlx::query_scalar!("SELECT rollout_id FROM request WHERE id = $1", request.0)
            .fetch_optional(conn)
            .await?
            .map(RolloutId),
    )
}

/// Stores a new request.
///
/// # Errors
/// When the stage has an open one that asks for the same, or the database fails.
pub async fn add(
    conn: &mut PgConnection,
    rollout: RolloutId,
    author: PersonId,
    request: &Request,
) -> anyhow::Result<()> {
    let by = match request.requested_by {
        Actor::Engine => None,
        Actor::Person(person) => Some(person.0),
    };
    sqlx::query!(
        "INSERT INTO request (id, rollout_id, author, stage_id, ask, requested_by, requested_at, needed, frozen, hash, phase, state)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        request.id.0, rollout.0, author.0, request.stage.0, to_json(&request.ask)?, by, request.requested_at,
        i16::from(request.needed), to_json(&request.frozen)?, &request.hash.as_bytes()[..], phase(&request.state)?, to_json(&request.state)?,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes a request's end.
///
/// # Errors
/// When the database fails.
pub async fn save_state(
    conn: &mut PgConnection,
    request: RequestId,
    state: &RequestState,
) -> anyhow::Result<()> {
    sqlx::query!(
        "UPDATE request SET phase = $2, state = $3 WHERE id = $1",
        request.0,
        phase(state)?,
        to_json(state)?
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Adds an approval. The database holds four eyes too.
///
/// # Errors
/// When it breaks them, or the database fails.
pub async fn approve(
    conn: &mut PgConnection,
    request: RequestId,
    author: PersonId,
    approval: Approval,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO approval (request_id, author, person_id, at, alone) VALUES ($1, $2, $3, $4, $5)",
        request.0, author.0, approval.by.0, approval.at, approval.alone,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A request with where it belongs.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// Rollout.
    pub rollout: RolloutId,
    /// Track.
    pub track: Uuid,
    /// Name of the ring that its stage is for.
    pub ring: String,
    /// It.
    pub request: Request,
}

struct ListedRow {
    rollout_id: Uuid,
    track_id: Uuid,
    name: String,
    id: Uuid,
    stage_id: Uuid,
    ask: Value,
    requested_by: Option<Uuid>,
    requested_at: DateTime<Utc>,
    needed: i16,
    frozen: Value,
    hash: Vec<u8>,
    state: Value,
}

async fn listed(conn: &mut PgConnection, rows: Vec<ListedRow>) -> anyhow::Result<Vec<Listed>> {
    let (places, rows): (Vec<_>, Vec<_>) = rows
        .into_iter()
        .map(|r| {
            let row = Row {
                id: r.id,
                stage_id: r.stage_id,
                ask: r.ask,
                requested_by: r.requested_by,
                requested_at: r.requested_at,
                needed: r.needed,
                frozen: r.frozen,
                hash: r.hash,
                state: r.state,
            };
            ((r.rollout_id, r.track_id, r.name), row)
        })
        .unzip();
    let listed = parse(conn, rows).await?.into_iter().zip(places).map(
        |(request, (rollout, track, ring))| Listed {
            rollout: RolloutId(rollout),
            track,
            ring,
            request,
        },
    );
    Ok(listed.collect())
}

/// Newest requests: of these tracks (none: of all), of one rollout or of all, only open ones if asked.
///
/// # Errors
/// When the database fails.
pub async fn page(
    conn: &mut PgConnection,
    tracks: Option<&[Uuid]>,
    rollout: Option<Uuid>,
    open_only: bool,
    limit: i64,
) -> anyhow::Result<Vec<Listed>> {
    let rows = sqlx::query_as!(
        ListedRow,
        "SELECT q.rollout_id, q.id, q.stage_id, q.ask, q.requested_by, q.requested_at, q.needed, q.frozen, q.hash, q.state, r.track_id, g.name
         FROM request q JOIN rollout r ON r.id = q.rollout_id JOIN stage s ON s.id = q.stage_id JOIN ring g ON g.id = s.ring_id
         WHERE ($1::uuid[] IS NULL OR r.track_id = ANY($1)) AND ($2::uuid IS NULL OR q.rollout_id = $2) AND (NOT $3 OR q.phase = 'open')
         ORDER BY q.requested_at DESC, q.id LIMIT $4",
        tracks, rollout, open_only, limit,
    )
    .fetch_all(&mut *conn)
    .await?;
    listed(conn, rows).await
}

/// Requests that have ended, newest first: of these tracks (none: of all), asked for before the request `before`.
///
/// # Errors
/// When the database fails.
pub async fn ended(
    conn: &mut PgConnection,
    tracks: Option<&[Uuid]>,
    before: Option<Uuid>,
    limit: i64,
) -> anyhow::Result<Vec<Listed>> {
    let rows = sqlx::query_as!(
        ListedRow,
        "SELECT q.rollout_id, q.id, q.stage_id, q.ask, q.requested_by, q.requested_at, q.needed, q.frozen, q.hash, q.state, r.track_id, g.name
         FROM request q JOIN rollout r ON r.id = q.rollout_id JOIN stage s ON s.id = q.stage_id JOIN ring g ON g.id = s.ring_id
         WHERE ($1::uuid[] IS NULL OR r.track_id = ANY($1)) AND q.phase <> 'open'
           AND ($2::uuid IS NULL OR (q.requested_at, q.id) < (SELECT requested_at, id FROM request WHERE id = $2))
         ORDER BY q.requested_at DESC, q.id DESC LIMIT $3",
        tracks, before, limit,
    )
    .fetch_all(&mut *conn)
    .await?;
    listed(conn, rows).await
}

/// One request.
///
/// # Errors
/// When the database fails.
pub async fn by_id(conn: &mut PgConnection, id: RequestId) -> anyhow::Result<Option<Listed>> {
    let rows = sqlx::query_as!(
        ListedRow,
        "SELECT q.rollout_id, q.id, q.stage_id, q.ask, q.requested_by, q.requested_at, q.needed, q.frozen, q.hash, q.state, r.track_id, g.name
         FROM request q JOIN rollout r ON r.id = q.rollout_id JOIN stage s ON s.id = q.stage_id JOIN ring g ON g.id = s.ring_id
         WHERE q.id = $1",
        id.0,
    )
    .fetch_all(&mut *conn)
    .await?;
    Ok(listed(conn, rows).await?.pop())
}

/// When a request ended, by the decision that ended it; none while it is open.
///
/// # Errors
/// When the database fails.
pub async fn ended_at(
    conn: &mut PgConnection,
    request: RequestId,
) -> sqlx::Result<Option<DateTime<Utc>>> {
    sqlx::query_scalar!(
        "SELECT d.at FROM request q JOIN decision d ON d.rollout_id = q.rollout_id
         WHERE q.id = $1 AND q.phase <> 'open'
           AND d.decision -> 'requests' @> jsonb_build_array(jsonb_build_object('request', q.id))
         ORDER BY d.version DESC LIMIT 1",
        request.0,
    )
    .fetch_optional(conn)
    .await
}

/// Open requests that wait for someone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Due {
    /// How many.
    pub all: u64,
    /// The oldest of them, at most a hundred.
    pub first: Vec<Uuid>,
}

/// Open requests to which this person's yes would count, and who has not said it yet: an approver's of the track who is
/// neither author nor requester, or that of the only one there is who could, an admin.
///
/// # Errors
/// When the database fails.
pub async fn due(conn: &mut PgConnection, person: Uuid) -> sqlx::Result<Due> {
    let rows = sqlx::query!(
        r#"WITH able AS (
             SELECT g.person_id AS person, g.role, g.track_id AS track
             FROM role_grant g JOIN person p ON p.id = g.person_id AND p.enabled
             WHERE g.role IN ('approver', 'admin')
           ), waiting AS (
             SELECT q.id, q.requested_at, q.needed, r.track_id AS track,
                    r.author = $1 OR q.requested_by IS NOT DISTINCT FROM $1 AS involved
             FROM request q JOIN rollout r ON r.id = q.rollout_id
             WHERE q.phase = 'open'
               AND NOT EXISTS (SELECT FROM approval a WHERE a.request_id = q.id AND a.person_id = $1)
           )
           SELECT w.id, count(*) OVER () AS "all!" FROM waiting w
           WHERE (NOT w.involved AND EXISTS (
                   SELECT FROM able a WHERE a.person = $1 AND a.role = 'approver' AND COALESCE(a.track = w.track, TRUE)))
              OR ((w.involved OR w.needed > 1)
                 AND EXISTS (SELECT FROM able a WHERE a.person = $1 AND a.role = 'admin' AND COALESCE(a.track = w.track, TRUE))
                 AND NOT EXISTS (SELECT FROM able a WHERE a.person <> $1 AND COALESCE(a.track = w.track, TRUE)))
           ORDER BY w.requested_at, w.id LIMIT 100"#,
        person,
    )
    .fetch_all(conn)
    .await?;
    Ok(Due {
        all: super::count(rows.first().map_or(0, |row| row.all)),
        first: rows.into_iter().map(|row| row.id).collect(),
    })
}
