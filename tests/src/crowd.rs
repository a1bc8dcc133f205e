//! Many devices at once, without their enrolments.

use engine::ids::RolloutId;
use server::agent_api::keys::AgentKeys;
use server::store::changes;
use sqlx::Row;
use uuid::Uuid;

use crate::fleet::Ring;
use crate::lab::Lab;
use crate::node::secret;

/// One of a crowd: a number and a valid token, and nothing behind it.
#[derive(Debug, Clone)]
pub struct Member {
    /// Device.
    pub device_no: i32,
    /// Access token.
    pub token: String,
}

impl Lab {
    /// Copies a ring's first device so many times, each copy an admitted device of its own.
    pub async fn crowd(&self, ring: &Ring, n: i32) -> Vec<Member> {
        let mut tx = self.database.pool.begin().await.unwrap();
        let rows = sqlx::query(
            "WITH copies AS (
                 INSERT INTO device (id, track_id, ring_id, status, incarnation, generation, public_key, serial, smbios_uuid, host_name,
                     agent_version, product, base, ubr, series, edition, architecture, cohorts, facts, ledger, inventory_digest, enrolled_at)
                 SELECT gen_random_uuid(), track_id, ring_id, status, 1, 1, public_key, 'C' || i, gen_random_uuid(), 'PC-C' || i,
                     agent_version, product, base, ubr, series, edition, architecture, cohorts, facts, ledger, inventory_digest, enrolled_at
                 FROM device, generate_series(1, $2) AS i WHERE id = $1
                 RETURNING device_no, enrolled_at),
             cursors AS (INSERT INTO device_cursor (device_no, epoch, heard_at) SELECT device_no, 1, enrolled_at FROM copies)
             SELECT device_no FROM copies ORDER BY device_no",
        )
        .bind(ring.devices[0].id)
        .bind(n)
        .fetch_all(&mut *tx)
        .await
        .unwrap();
        let device_nos: Vec<i32> = rows.iter().map(|r| r.get(0)).collect();
        changes::announce_devices(&mut tx, &device_nos, true)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        self.settle().await;
        let keys = AgentKeys::new(&secret(self.directory()));
        let now = self.clock.now();
        let member = |device_no| Member {
            device_no,
            token: keys.token(device_no, 1, now).unwrap(),
        };
        device_nos.into_iter().map(member).collect()
    }

    /// As if all of them had downloaded and agreed a restart.
    pub async fn crowd_ready(&self, rollout: RolloutId, stage: Uuid, crowd: &[Member]) {
        let device_nos: Vec<i32> = crowd.iter().map(|m| m.device_no).collect();
        sqlx::query(
            "INSERT INTO assignment (rollout_id, device_no, stage_id, state, progress_at)
             SELECT $1, d, $2, 'restart_agreed', $4 FROM UNNEST($3::int[]) AS d",
        )
        .bind(rollout.0)
        .bind(stage)
        .bind(device_nos)
        .bind(self.clock.now())
        .execute(&self.database.pool)
        .await
        .unwrap();
        self.number(
            "SELECT count(*) FROM (SELECT count_again()) AS counted WHERE $1 = $1",
            1,
        )
        .await;
    }

    /// Generations of admission are out of the way: only limits that people set are left.
    pub async fn lift_generations(&self, rollout: RolloutId) {
        sqlx::query(
            "INSERT INTO cap (rollout_id, cohort, cap)
             SELECT $1, c, 1000000 FROM (SELECT 0::smallint AS c UNION SELECT UNNEST(cohorts) FROM rollout WHERE id = $1) AS all_of_them
             ON CONFLICT (rollout_id, cohort) DO UPDATE SET cap = excluded.cap",
        )
        .bind(rollout.0)
        .execute(&self.database.pool)
        .await
        .unwrap();
    }
}
