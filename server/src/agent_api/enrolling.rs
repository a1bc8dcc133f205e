//! Enrolments are decided together: an agent that is rolled out to a fleet brings them by the thousand.

use std::sync::Arc;
use std::time::Duration;

use agent_protocol::PublisherKey;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sqlx::PgPool;

use crate::batcher::Work;
use crate::clock::SharedClock;
use crate::error::OpError;
use crate::fleet::{Catalogue, Picture};
use crate::registry::{self, EnrolmentInput};
use crate::store::devices::Device;
use crate::store::sequences;

/// What enrolling needs.
pub struct Enrolling {
    /// Database.
    pub pool: PgPool,
    /// Learns of devices before they are answered.
    pub picture: Arc<Picture>,
    /// Sequences by digest.
    pub catalogue: Arc<Catalogue>,
    /// Where time comes from.
    pub clock: SharedClock,
}

/// A device that was enrolled, and the keys that it is to pin.
pub type Enrolled = (Device, Arc<Vec<PublisherKey>>);

impl Work for Enrolling {
    type Question = EnrolmentInput;
    type Answer = Result<Enrolled, OpError>;

    const WHAT: &'static str = "enrolments";
    /// Some 100 ms of work, for which the lanes' rows and the audit chain are not held: they come last.
    const MOST: usize = 128;
    /// Whoever gives up while the transaction commits enrols twice, as two incarnations; so patience is long.
    const PATIENCE: Duration = Duration::from_secs(10);

    fn names(question: &EnrolmentInput) -> Vec<Vec<u8>> {
        registry::names(question)
    }

    async fn answer(&self, inputs: &[EnrolmentInput]) -> anyhow::Result<Vec<Self::Answer>> {
        // Read before: what was enrolled is not told that it failed.
        let keys = Arc::new(publisher_keys(&self.pool).await?);
        let now = self.clock.now();
        let enrolled =
            registry::enrol(&self.pool, &self.catalogue, &self.picture, inputs, now).await?;
        let with_keys = |device| (device, Arc::clone(&keys));
        Ok(enrolled
            .into_iter()
            .map(|decision| decision.map(with_keys))
            .collect())
    }
}

async fn publisher_keys(pool: &PgPool) -> anyhow::Result<Vec<PublisherKey>> {
    let keys = sequences::keys(&mut *pool.acquire().await?).await?;
    let keys = keys.into_iter().map(|key| PublisherKey {
        key_id: key.key_id,
        public_key: URL_SAFE_NO_PAD.encode(key.public_key),
    });
    Ok(keys.collect())
}
