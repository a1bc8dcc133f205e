//! What a transaction of decisions locks last: lanes, then the audit head. A transaction may make several decisions,
//! each of which locks its rollout's gates; taking these before the next rollout's gates could deadlock with permits
//! and enrolments, which lock in the same order.

use std::collections::BTreeSet;

use sqlx::PgConnection;
use uuid::Uuid;

use crate::fleet::CHANNEL;
use crate::store::{audit, changes};

/// Collected while decisions are made, written once at the end.
#[derive(Default)]
pub(super) struct Tail {
    /// Rings whose offers changed.
    pub rings: BTreeSet<Uuid>,
    /// Devices whose orders changed although their ring's offers did not.
    pub device_nos: BTreeSet<i32>,
    /// Audit entries, one per decision, in order.
    pub entries: Vec<audit::Entry>,
}

impl Tail {
    /// Writes everything. With `notify` other replicas are woken.
    pub(super) async fn write(self, conn: &mut PgConnection, notify: bool) -> sqlx::Result<()> {
        let rings: Vec<Uuid> = self.rings.into_iter().collect();
        changes::bump_rings(&mut *conn, &rings).await?;
        changes::announce_control(&mut *conn).await?;
        let device_nos: Vec<i32> = self.device_nos.into_iter().collect();
        changes::announce_devices(&mut *conn, &device_nos, false).await?;
        audit::append_all(&mut *conn, &self.entries).await?;
        if notify {
            sqlx::query!("SELECT pg_notify($1, '')", CHANNEL)
                .execute(conn)
                .await?;
        }
        Ok(())
    }
}
