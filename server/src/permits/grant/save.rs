//! Writes what was granted: assignments, permit events, counters, caps.

use anyhow::Context;
use serde_json::json;
use sqlx::PgConnection;

use crate::store::assignments::{self, Stored};
use crate::store::events::{self, NewEvent, PERMITTED};
use crate::store::gates::{self};
use crate::store::{changes, evidence, standing};

/// Decides the asks of one rollout.
use super::Round;

impl Round<'_> {
    pub(super) async fn save(
        &mut self,
        conn: &mut PgConnection,
    ) -> anyhow::Result<changes::Announced> {
        let rollout = &self.rollout.rollout;
        if !self.new_caps.is_empty() {
            gates::save_caps(&mut *conn, rollout.id.0, &self.new_caps).await?;
        }
        if self.granted.is_empty() {
            return Ok(Vec::new());
        }
        self.granted.sort_by_key(|(s, _)| s.device_no);
        let rows: Vec<&Stored> = self.granted.iter().map(|(s, _)| s).collect();
        assignments::save_permitted(&mut *conn, &rows).await?;
        let places = standing::Changes::of(&self.assignments.values().collect(), &rows);
        let mut log = events::Rows::default();
        let mut counters = evidence::Changes::new();
        for (stored, first) in &self.granted {
            let cursor = self.cursors.entry(stored.device_no).or_default();
            cursor.event_no += 1;
            let body = json!({
                "rollout": stored.rollout, "stage": stored.stage, "permit_no": stored.assignment.permit_no,
                "gate_version": stored.gate_version, "steps": stored.assignment.of, "expected": stored.assignment.expected,
                "cohorts": stored.cohorts, "drift": stored.assignment.drift,
            })
            .to_string();
            log.push(&NewEvent {
                received_at: self.now,
                device_no: stored.device_no,
                event_no: cursor.event_no,
                epoch: 0,
                seq: 0,
                kind: PERMITTED,
                hash: 0,
                body: &body,
            });
            if *first {
                // Steps that ran before the permit are counted with it: no gate passes over them.
                let drift = i64::from(stored.assignment.drift);
                evidence::add(
                    &mut counters,
                    rollout.digest,
                    stored.stage,
                    &stored.cohorts,
                    |c| {
                        c.started += 1;
                        c.drift += drift;
                    },
                );
            }
        }
        let (device_nos, event_nos): (Vec<i32>, Vec<i64>) = self
            .granted
            .iter()
            .map(|(s, _)| (s.device_no, self.cursors[&s.device_no].event_no))
            .unzip();
        sqlx::query!(
            "UPDATE device_cursor AS c SET event_no = k.no FROM UNNEST($1::int[], $2::bigint[]) AS k (device_no, no) WHERE c.device_no = k.device_no",
            &device_nos, &event_nos,
        )
        .execute(&mut *conn)
        .await?;
        events::append(&mut *conn, &log).await?;
        for (stage, n) in &self.granted_per_stage {
            let of = self
                .stages
                .iter()
                .find(|s| s.id.0 == *stage)
                .context("a permit without its stage")?;
            gates::count_granted(&mut *conn, *stage, *n, self.today(of)).await?;
        }
        evidence::apply(&mut *conn, 0, &counters).await?;
        standing::apply(&mut *conn, 0, places).await?;
        Ok(changes::announce_devices(&mut *conn, &device_nos, false).await?)
    }
}
