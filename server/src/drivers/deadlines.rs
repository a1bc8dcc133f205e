//! The deadline tick: finds assignments that are due and hands them to ingest, which judges and writes.

use chrono::{DateTime, Utc};
use futures::future::join_all;
use sqlx::PgPool;

use crate::fleet::Picture;
use crate::ingest::Ingest;
use crate::store::{assignments, seen};

/// Assignments looked at in one go.
const PAGE: i64 = 500;

/// Looks at everything that is due, the oldest first.
///
/// # Errors
/// When the database fails.
pub(super) async fn expire(
    pool: &PgPool,
    ingest: &Ingest,
    picture: &Picture,
    service_now: DateTime<Utc>,
) -> anyhow::Result<()> {
    loop {
        let mut conn = pool.acquire().await?;
        let due = assignments::due(&mut conn, service_now, PAGE).await?;
        let device_nos: Vec<i32> = due.iter().map(|(_, d)| *d).collect();
        let elsewhere = if due.is_empty() {
            return Ok(());
        } else {
            seen::newest(&mut conn, &device_nos).await?
        };
        drop(conn);
        let looks = due.iter().map(|(rollout, device_no)| {
            let contact = picture
                .last_seen(*device_no)
                .max(elsewhere.get(device_no).copied());
            ingest.look_at(*rollout, *device_no, contact)
        });
        let taken = join_all(looks)
            .await
            .into_iter()
            .filter(Result::is_ok)
            .count();
        // Nothing could be taken in: the same rows would come again.
        if taken == 0 || due.len() < usize::try_from(PAGE)? {
            return Ok(());
        }
    }
}
