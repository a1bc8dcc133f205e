//! Ceilings of what the database takes: COPY of the very rows that telemetry made, and queries that do nothing.

use std::time::{Duration, Instant};

use anyhow::ensure;
use futures::TryStreamExt;
use sqlx::PgPool;

/// Rows of one transaction.
const ROWS: usize = 10_000;

/// Rows as COPY sends them, in transactions.
pub struct Rows(Vec<Vec<u8>>);

impl Rows {
    /// Takes the newest rows of the event log.
    ///
    /// # Errors
    /// When there are too few.
    pub async fn of_log(pool: &PgPool) -> anyhow::Result<Self> {
        let mut conn = pool.acquire().await?;
        let copy = "COPY (SELECT * FROM event LIMIT 200000) TO STDOUT";
        let mut stream = conn.copy_out_raw(copy).await?;
        let mut transactions = vec![Vec::new()];
        let mut rows = 0;
        while let Some(row) = stream.try_next().await? {
            if rows > 0 && rows % ROWS == 0 {
                transactions.push(Vec::new());
            }
            if let Some(last) = transactions.last_mut() {
                last.extend_from_slice(&row);
            }
            rows += 1;
        }
        drop(stream);
        // Full ones alone: a rest would cost a commit for a few rows.
        transactions.truncate(rows / ROWS);
        ensure!(!transactions.is_empty(), "the log holds {rows} rows");
        sqlx::query("CREATE TABLE IF NOT EXISTS bare (LIKE event)")
            .execute(&mut *conn)
            .await?;
        Ok(Self(transactions))
    }

    /// Rows a second of bare COPY, into a table without an index, as ingest does: on two connections.
    ///
    /// # Errors
    /// When the database fails.
    #[allow(clippy::cast_precision_loss, reason = "some million rows")]
    pub async fn copy(&self, pool: &PgPool, lasts: Duration) -> anyhow::Result<f64> {
        sqlx::query("TRUNCATE bare").execute(pool).await?;
        let started = Instant::now();
        let (one, two) = tokio::try_join!(self.writer(pool, lasts), self.writer(pool, lasts))?;
        let rate = (one + two) as f64 / started.elapsed().as_secs_f64();
        sqlx::query("TRUNCATE bare").execute(pool).await?;
        Ok(rate)
    }

    async fn writer(&self, pool: &PgPool, lasts: Duration) -> anyhow::Result<usize> {
        let mut conn = pool.acquire().await?;
        let started = Instant::now();
        let mut rows = 0;
        for transaction in self.0.iter().cycle() {
            if started.elapsed() >= lasts {
                break;
            }
            let mut copy = conn.copy_in_raw("COPY bare FROM STDIN").await?;
            copy.send(transaction.as_slice()).await?;
            copy.finish().await?;
            rows += ROWS;
        }
        Ok(rows)
    }
}

/// `SELECT 1` a second, through a pool like the server's.
///
/// # Errors
/// When the database fails.
#[allow(clippy::cast_precision_loss, reason = "some hundred thousand queries")]
pub async fn selects(pool: &PgPool, lasts: Duration) -> anyhow::Result<f64> {
    let started = Instant::now();
    let ask = || async {
        let mut n = 0_u64;
        while started.elapsed() < lasts {
            let one: i32 = sqlx::query_scalar("SELECT 1").fetch_one(pool).await?;
            n += u64::try_from(one)?;
        }
        anyhow::Ok(n)
    };
    let counts = futures::future::try_join_all((0..8).map(|_| ask())).await?;
    Ok(counts.iter().sum::<u64>() as f64 / started.elapsed().as_secs_f64())
}
