//! Rollouts that are as open as can be: only the limits that a measurement sets are left.

use std::time::Duration;

use anyhow::ensure;
use engine::policy::{Limits, Preset, StagePolicy, preset};
use serde_json::json;
use uuid::Uuid;

use server::demo::people::text;

use super::World;

/// A rollout of the sequence to a track.
#[derive(Debug, Clone, Copy)]
pub struct Rollout {
    /// Id.
    pub id: Uuid,
}

impl World {
    /// Writes a draft for a track, without approvals, with these limits.
    ///
    /// # Errors
    /// When the server says no.
    pub async fn draft(&self, track: Uuid, limits: Limits) -> anyhow::Result<Rollout> {
        let policy = StagePolicy {
            approvals: 0,
            limits,
            ..preset(Preset::Standard, 0, 1, chrono_tz::UTC)
        };
        let draft = json!({ "sequence": self.sequence, "track": track, "preset": "standard", "policies": { "Broad": policy } });
        let made = self.admin.post("/rollouts", &draft).await?;
        Ok(Rollout {
            id: text(&made, "id")?.parse()?,
        })
    }

    /// Starts a draft.
    ///
    /// # Errors
    /// When the server says no.
    pub async fn submit(&self, rollout: Rollout) -> anyhow::Result<()> {
        self.act(rollout, "submit", &json!({})).await
    }

    /// Does something to a rollout, such as `halt`.
    ///
    /// # Errors
    /// When the server says no.
    pub async fn act(
        &self,
        rollout: Rollout,
        action: &str,
        body: &serde_json::Value,
    ) -> anyhow::Result<()> {
        self.admin
            .post(&format!("/rollouts/{}/{action}", rollout.id), body)
            .await?;
        Ok(())
    }

    /// Waits until its ring is open.
    ///
    /// # Errors
    /// When it does not open.
    pub async fn opened(&self, rollout: Rollout) -> anyhow::Result<()> {
        for _ in 0..600 {
            let open: bool =
                sqlx::query_scalar("SELECT bool_or(open) FROM stage_gate WHERE rollout_id = $1")
                    .bind(rollout.id)
                    .fetch_one(&self.postgres.pool)
                    .await?;
            if open {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        anyhow::bail!("the ring of a rollout did not open within half a minute")
    }

    /// Lifts the generations of admission, as if everything had gone well for weeks: what is measured is how fast permits
    /// are granted, not how slowly they should be.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn lift_generations(&self, rollout: Rollout) -> anyhow::Result<()> {
        let lifted = sqlx::query(
            "INSERT INTO cap (rollout_id, cohort, cap)
             SELECT $1, c, 10000000 FROM (SELECT 0::smallint AS c UNION SELECT UNNEST(cohorts) FROM rollout WHERE id = $1) AS every
             ON CONFLICT (rollout_id, cohort) DO UPDATE SET cap = excluded.cap",
        )
        .bind(rollout.id)
        .execute(&self.postgres.pool)
        .await?;
        ensure!(lifted.rows_affected() > 1, "a rollout without cohorts");
        Ok(())
    }
}
