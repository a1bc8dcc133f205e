//! Who drives: whoever holds the advisory lock, on a connection of its own.

use sqlx::{Connection, PgConnection, PgPool};

/// Any number that nothing else in this database uses.
const LOCK: i64 = 0x52_49_4e_47;

/// The connection that holds the lock, while it is held.
#[derive(Default)]
pub(super) struct Leader {
    conn: Option<PgConnection>,
}

impl Leader {
    /// The connection that holds the lock; none while another replica drives.
    ///
    /// # Errors
    /// When the database fails.
    pub(super) async fn lead(
        &mut self,
        pool: &PgPool,
    ) -> anyhow::Result<Option<&mut PgConnection>> {
        let alive = match &mut self.conn {
            Some(conn) => conn.ping().await.is_ok(),
            None => false,
        };
        if !alive {
            self.conn = None;
            let mut conn = pool.acquire().await?.detach();
            let held = sqlx::query_scalar!(r#"SELECT pg_try_advisory_lock($1) AS "held!""#, LOCK)
                .fetch_one(&mut conn)
                .await?;
            if !held {
                return Ok(None);
            }
            self.conn = Some(conn);
        }
        Ok(self.conn.as_mut())
    }

    /// Gives the lock up; the server frees it with the connection.
    pub(super) fn step_down(&mut self) {
        self.conn = None;
    }
}
