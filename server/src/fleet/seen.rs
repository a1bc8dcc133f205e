//! Writes the last contacts down, block by block.

use chrono::TimeDelta;
use sqlx::PgPool;
use uuid::Uuid;

use super::Picture;
use super::picture::SEEN_FROM;
use crate::store::seen::{self, Written};

/// Writes every block in which somebody was heard of since the last flush, in one statement.
///
/// # Errors
/// When the database fails; the next flush writes the same blocks again.
pub async fn flush(pool: &PgPool, picture: &Picture, replica: Uuid) -> anyhow::Result<()> {
    let heard = picture.take_heard();
    if heard.is_empty() {
        return Ok(());
    }
    let written = heard
        .iter()
        .map(|(shard, minutes)| of_block(*shard, minutes))
        .collect::<anyhow::Result<Vec<_>>>();
    let saved =
        async { anyhow::Ok(seen::save(&mut *pool.acquire().await?, replica, &written?).await?) };
    let saved = saved.await;
    if saved.is_err() {
        heard.iter().for_each(|(i, _)| picture.give_back(*i));
    }
    saved
}

/// Minutes count from the block's oldest contact, so that sixteen bits last 45 days.
fn of_block(shard: usize, minutes: &[u32]) -> anyhow::Result<Written> {
    let heard = || minutes.iter().copied().filter(|m| *m > 0);
    let newest = heard().max().unwrap_or(1);
    let oldest = heard().min().unwrap_or(1);
    let base = oldest.max(newest.saturating_sub(u32::from(u16::MAX) - 1)) - 1;
    let after = |minute: &u32| match minute {
        0 => 0,
        minute => u16::try_from(minute.saturating_sub(base).max(1)).unwrap_or(u16::MAX),
    };
    Ok(Written {
        shard: i32::try_from(shard)?,
        base: SEEN_FROM + TimeDelta::minutes(i64::from(base)),
        minutes: minutes.iter().map(after).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minutes_count_from_the_oldest_contact_that_sixteen_bits_can_reach() {
        let written = of_block(3, &[0, 500, 501, 0]).unwrap();
        assert_eq!(written.base, SEEN_FROM + TimeDelta::minutes(499));
        assert_eq!(written.minutes, [0, 1, 2, 0]);
        let written = of_block(3, &[500, 1_000_000]).unwrap();
        assert_eq!(
            written.minutes,
            [1, u16::MAX],
            "what is older counts as 45 days ago"
        );
        let newest = written.base + TimeDelta::minutes(i64::from(u16::MAX));
        assert_eq!(newest, SEEN_FROM + TimeDelta::minutes(1_000_000));
    }
}
