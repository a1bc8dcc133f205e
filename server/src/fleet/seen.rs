//! Writes the last contacts down, block by block.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgPool;
use uuid::Uuid;

use super::Picture;
use crate::store::seen;

/// Writes every block that changed since `written`, in one transaction. Minutes count from the block's oldest
/// contact, so that sixteen bits last 45 days.
///
/// # Errors
/// When the database fails; the next flush writes the same blocks again.
pub async fn flush(
    pool: &PgPool,
    picture: &Picture,
    replica: Uuid,
    written: &mut HashMap<usize, Vec<Option<DateTime<Utc>>>>,
) -> anyhow::Result<()> {
    let changed: Vec<_> = picture
        .seen_blocks()
        .into_iter()
        .filter(|(i, block)| block.iter().any(Option::is_some) && written.get(i) != Some(block))
        .collect();
    if changed.is_empty() {
        return Ok(());
    }
    let mut tx = pool.begin().await?;
    for (index, block) in &changed {
        let newest = block.iter().flatten().max().copied().unwrap_or_default();
        let oldest = block.iter().flatten().min().copied().unwrap_or_default();
        let base = oldest.max(newest - TimeDelta::minutes(i64::from(u16::MAX) - 1))
            - TimeDelta::minutes(1);
        let minutes: Vec<u16> = block
            .iter()
            .map(|at| {
                at.map_or(0, |at| {
                    u16::try_from((at - base).num_minutes().max(1)).unwrap_or(u16::MAX)
                })
            })
            .collect();
        seen::save(&mut tx, replica, i32::try_from(*index)?, base, &minutes).await?;
    }
    tx.commit().await?;
    written.extend(changed);
    Ok(())
}
