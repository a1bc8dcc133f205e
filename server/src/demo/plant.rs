//! Broken promises, planted to show that the check finds them.

use agent::simulated::{Fault, Harm, Scenario};
use anyhow::Context;
use clap::ValueEnum;

use super::story::{GOOD, Told};
use super::world::World;

/// What is broken on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Plant {
    /// A counter says one more than the events.
    CounterOffByOne,
    /// A permit bears a version that came after the halt.
    PermitAfterHalt,
    /// A device began its second step before its first.
    StepOutOfOrder,
    /// The good update fails like the bad one, so the story can not end well.
    GoodUpdateHalted,
}

impl Plant {
    /// Lets the good update fail nearly everywhere.
    pub fn spoil(mut scenario: Scenario) -> anyhow::Result<Scenario> {
        let fault = Fault {
            name: "planted".into(),
            rate: 0.95,
            kb: Some(GOOD.parse()?),
            models: Vec::new(),
            bios: Vec::new(),
            effect: Harm::Fails {
                code: "0x80073712".parse()?,
            },
        };
        scenario.faults.insert(0, fault);
        Ok(scenario)
    }

    /// Breaks what can only be broken in what is stored.
    pub async fn after(self, world: &World, told: &Told) -> anyhow::Result<()> {
        let pool = &world.database.pool;
        let good: uuid::Uuid = told.good.parse()?;
        let bad: uuid::Uuid = told.bad.parse()?;
        let rows = match self {
            Self::CounterOffByOne => {
                sqlx::query!(
                    "UPDATE evidence SET ok = ok + 1 WHERE (digest, cohort, stage_id, lane) IN
                     (SELECT e.digest, e.cohort, e.stage_id, e.lane FROM evidence e JOIN stage s ON s.id = e.stage_id
                      WHERE s.rollout_id = $1 AND e.cohort = 0 AND e.lane > 0 LIMIT 1)",
                    good,
                )
                .execute(pool)
                .await?
            }
            Self::PermitAfterHalt => {
                sqlx::query!(
                    "INSERT INTO event (received_at, device_no, event_no, epoch, seq, kind, hash, body)
                     SELECT received_at, device_no, 1000000, 0, 0, kind, hash,
                            jsonb_set(jsonb_set(body, '{gate_version}', to_jsonb(g.version)), '{permit_no}', '2')
                     FROM event e JOIN stage_gate g ON g.stage_id = (e.body ->> 'stage')::uuid
                     WHERE e.kind = 'permitted' AND g.rollout_id = $1 LIMIT 1",
                    bad,
                )
                .execute(pool)
                .await?
            }
            Self::StepOutOfOrder => {
                sqlx::query!(
                    "UPDATE event SET body = jsonb_set(body, '{step}', '2') WHERE (device_no, event_no) IN
                     (SELECT device_no, event_no FROM event WHERE kind = 'step_started' AND (body ->> 'rollout')::uuid = $1
                      AND body ->> 'step' = '1' LIMIT 1)",
                    good,
                )
                .execute(pool)
                .await?
            }
            Self::GoodUpdateHalted => return Ok(()),
        };
        (rows.rows_affected() > 0)
            .then_some(())
            .context("nothing was there to be broken")
    }
}
