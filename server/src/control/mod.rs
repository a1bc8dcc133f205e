//! The only way in which a rollout moves. A person's click, the API and the driver's tick all come through
//! [`Control::apply`]: lock, read, decide, save, in one transaction.

mod create;
mod rollback;
mod save;
mod sequences;
mod snapshot;
mod start;
mod tail;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use engine::decide::decide;
use engine::ids::{PersonId, RolloutId, TrackId};
use engine::rollout::RolloutState;
use engine::{Decision, Input, Snapshot};
use sqlx::{PgConnection, PgPool};

use crate::clock::SharedClock;
use crate::error::OpError;
use crate::fleet::{Catalogue, Picture};
use crate::store::rollouts::Stored;
use crate::store::{rollouts, tracks};

use tail::Tail;

pub use create::{Approvals, NewRollout, NewScope, wrong_ticket};
pub use snapshot::load as load_snapshot;
pub use start::{GivesWay, learned};

/// Whether telemetry is being taken in: set by ingest, read by gates and by the service clock.
#[derive(Debug)]
pub struct IngestHealth(AtomicBool);

impl Default for IngestHealth {
    fn default() -> Self {
        Self(AtomicBool::new(true))
    }
}

impl IngestHealth {
    /// Notes how the last commit of a lane went.
    pub fn set(&self, works: bool) {
        self.0.store(works, Ordering::Relaxed);
    }

    /// The last commit worked.
    #[must_use]
    pub fn works(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A rollout has at most 16 stages of four transitions each: more means that two rules contradict each other.
const TRANSITIONS: usize = 64;

/// What comes after a decision in its transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    /// Drivers tick the rollout later.
    Nothing,
    /// The rollout is ticked until nothing changes any more.
    Ticks,
}

/// The write path of rollouts and of what they roll out.
#[derive(Clone)]
pub struct Control {
    pool: PgPool,
    clock: SharedClock,
    picture: Arc<Picture>,
    catalogue: Arc<Catalogue>,
    ingest: Arc<IngestHealth>,
    notify: bool,
}

impl Control {
    /// A write path on this database. With `notify` commits wake other replicas.
    #[must_use]
    pub fn new(
        pool: PgPool,
        clock: SharedClock,
        picture: Arc<Picture>,
        catalogue: Arc<Catalogue>,
        ingest: Arc<IngestHealth>,
        notify: bool,
    ) -> Self {
        Self {
            pool,
            clock,
            picture,
            catalogue,
            ingest,
            notify,
        }
    }

    /// Lets something happen to a rollout. What follows from a person's decision follows in the same transaction: a ring
    /// that needs no approval is open, and one that does has asked for it, when they look again.
    ///
    /// # Errors
    /// [`OpError::NotFound`], [`OpError::Refused`] with the rule that says no, [`OpError::Internal`]. Nothing changed.
    pub async fn apply(&self, id: RolloutId, input: Input) -> Result<Decision, OpError> {
        if actor(&input).is_none() {
            return self.transact(id, input, Then::Nothing).await;
        }
        match self.transact(id, input.clone(), Then::Ticks).await {
            // A halt must not fail by what would follow from it; drivers tick again within seconds.
            Err(OpError::Internal(error)) => {
                tracing::warn!(%error, rollout = %id, "a decision is tried again without what follows from it");
                self.transact(id, input, Then::Nothing).await
            }
            done => done,
        }
    }

    /// A decision and what comes then, in one transaction.
    async fn transact(&self, id: RolloutId, input: Input, then: Then) -> Result<Decision, OpError> {
        let mut tx = self.pool.begin().await?;
        let Some(track) = rollouts::track_of(&mut tx, id).await? else {
            return Err(OpError::NotFound { what: "rollout" });
        };
        tracks::lock(&mut tx, track).await?;
        let mut tail = Tail::default();
        let decision = self.step(&mut tx, id, input, &mut tail).await?;
        let changed = decision.changed();
        if changed {
            if then == Then::Ticks {
                // Whatever stops it, it is no answer to what was asked for.
                let followed = self.follow(&mut tx, id, &mut tail).await;
                followed.map_err(|error| OpError::Internal(error.into()))?;
            }
            tail.write(&mut tx, self.notify).await?;
        }
        tx.commit().await?;
        if changed {
            self.picture.wake.notify_one();
        }
        Ok(decision)
    }

    /// Everything that a decision about a rollout would be made from now, for people who look at it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn look(&self, conn: &mut PgConnection, stored: &Stored) -> anyhow::Result<Snapshot> {
        snapshot::load(conn, stored, self.ingest.works(), self.clock.now()).await
    }

    /// Ticks a rollout until nothing changes any more; a tick makes one transition at most.
    ///
    /// # Errors
    /// As [`Control::apply`].
    pub async fn tick(&self, id: RolloutId) -> Result<(), OpError> {
        for _ in 0..TRANSITIONS {
            let decision = self.transact(id, Input::Tick, Then::Nothing).await?;
            if !decision.changed() {
                return Ok(());
            }
        }
        Err(restless(id))
    }

    /// The same inside a transaction that holds the track's lock.
    async fn follow(
        &self,
        conn: &mut PgConnection,
        id: RolloutId,
        tail: &mut Tail,
    ) -> Result<(), OpError> {
        for _ in 0..TRANSITIONS {
            let decision = self.step(&mut *conn, id, Input::Tick, tail).await?;
            if !decision.changed() {
                return Ok(());
            }
        }
        Err(restless(id))
    }

    /// One decision inside a transaction that holds the track's lock. What is locked last is left to `tail`.
    async fn step(
        &self,
        conn: &mut PgConnection,
        id: RolloutId,
        input: Input,
        tail: &mut Tail,
    ) -> Result<Decision, OpError> {
        let Some(stored) = rollouts::lock(&mut *conn, id).await? else {
            return Err(OpError::NotFound { what: "rollout" });
        };
        let now = self.clock.now();
        let snapshot = snapshot::load(&mut *conn, &stored, self.ingest.works(), now).await?;
        let decision = decide(&snapshot, input.clone(), now)?;
        if !decision.changed() {
            rollouts::save_reasons(&mut *conn, id, &decision.reasons).await?;
            if let Some((stage, report)) = &decision.report {
                rollouts::save_report(&mut *conn, *stage, report).await?;
            }
            return Ok(decision);
        }
        // Also the first time that a rollout runs which was halted before it started.
        let starts = decision.rollout == Some(RolloutState::Active)
            && !rollouts::is_prepared(&mut *conn, id).await?;
        let fixed = if starts {
            Some(self.prepare(&mut *conn, &stored).await?)
        } else {
            None
        };
        let made = save::Made {
            snapshot: &snapshot,
            input: &input,
            decision: &decision,
            fixed: fixed.as_ref(),
            at: now,
        };
        save::save(&mut *conn, made, tail).await?;
        let completes = matches!(decision.rollout, Some(RolloutState::Completed { .. }));
        if starts || completes {
            self.supersede_older(&mut *conn, &stored, completes, tail)
                .await?;
        }
        Ok(decision)
    }

    async fn lock_track(
        &self,
        conn: &mut PgConnection,
        track: TrackId,
    ) -> Result<tracks::Track, OpError> {
        tracks::lock(conn, track)
            .await?
            .ok_or(OpError::NotFound { what: "track" })
    }
}

fn restless(id: RolloutId) -> OpError {
    anyhow::anyhow!("rollout {id} does not come to rest").into()
}

/// Who an input comes from; none: the engine itself.
pub(crate) fn actor(input: &Input) -> Option<PersonId> {
    match input {
        Input::Tick | Input::Supersede { .. } => None,
        Input::Submit { by, .. }
        | Input::Pause { by, .. }
        | Input::Resume { by, .. }
        | Input::Halt { by, .. }
        | Input::ClearHalt { by, .. }
        | Input::Cancel { by, .. }
        | Input::Approve { by, .. }
        | Input::Reject { by, .. }
        | Input::RequestOverride { by, .. }
        | Input::RequestExpedite { by, .. } => Some(*by),
    }
}
