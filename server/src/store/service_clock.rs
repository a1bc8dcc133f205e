//! The service clock: time that passes only while telemetry is taken in. Our own outage can hang nobody.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

/// The clock as stored.
#[derive(Debug, Clone, Copy)]
pub struct ServiceClock {
    /// Service time.
    pub now: DateTime<Utc>,
    /// Nothing expires before this.
    pub grace_until: DateTime<Utc>,
}

/// Reads it; none before the first tick.
///
/// # Errors
/// When the database fails.
pub async fn read(conn: &mut PgConnection) -> sqlx::Result<Option<ServiceClock>> {
    sqlx::query_as!(ServiceClock, "SELECT now, grace_until FROM service_clock")
        .fetch_optional(conn)
        .await
}

/// Service time; the time of the caller's clock before the first tick.
///
/// # Errors
/// When the database fails.
pub async fn time(conn: &mut PgConnection, now: DateTime<Utc>) -> sqlx::Result<DateTime<Utc>> {
    Ok(read(conn).await?.map_or(now, |clock| clock.now))
}

/// One tick: follows the source by at most `largest`. A larger gap was an outage: it is not made up for, and
/// nothing expires for `grace` after it.
///
/// # Errors
/// When the database fails.
pub async fn tick(
    conn: &mut PgConnection,
    source: DateTime<Utc>,
    largest: TimeDelta,
    grace: TimeDelta,
) -> sqlx::Result<ServiceClock> {
    let stored = sqlx::query!("SELECT now, source_at, grace_until FROM service_clock FOR UPDATE")
        .fetch_optional(&mut *conn)
        .await?;
    let Some(stored) = stored else {
        sqlx::query!(
            "INSERT INTO service_clock (now, source_at, grace_until) VALUES ($1, $1, $1)",
            source
        )
        .execute(conn)
        .await?;
        return Ok(ServiceClock {
            now: source,
            grace_until: source,
        });
    };
    let gone = source - stored.source_at;
    let now = stored.now + gone.clamp(TimeDelta::zero(), largest);
    // A gap of several ticks: reports of that time are still on their way.
    let grace_until = if gone > largest * 2 {
        now + grace
    } else {
        stored.grace_until
    };
    sqlx::query!(
        "UPDATE service_clock SET now = $1, source_at = $2, grace_until = $3",
        now,
        source,
        grace_until
    )
    .execute(conn)
    .await?;
    Ok(ServiceClock { now, grace_until })
}
