//! Nonces of token requests are spent together: a fleet that comes back after hours spends as many as it has devices, and
//! each must be committed before its token is given.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use crate::batcher::Work;
use crate::store::enrolment;

/// A nonce of ours that has not expired.
#[derive(Debug, Clone, Copy)]
pub struct Nonce {
    /// SHA-256.
    pub hash: [u8; 32],
    /// When it expires.
    pub expires_at: DateTime<Utc>,
}

/// What spending needs.
pub struct Spending {
    /// Database.
    pub pool: PgPool,
}

/// Whether a nonce was not spent before.
impl Work for Spending {
    type Question = Nonce;
    type Answer = bool;

    const WHAT: &'static str = "nonces";
    const MOST: usize = 256;
    /// Well below the time after which callers give up.
    const PATIENCE: Duration = Duration::from_secs(2);

    fn names(question: &Nonce) -> Vec<Vec<u8>> {
        vec![question.hash.to_vec()]
    }

    async fn answer(&self, nonces: &[Nonce]) -> anyhow::Result<Vec<bool>> {
        let all = nonces.iter().map(|n| (n.hash, n.expires_at)).collect();
        let unspent = enrolment::spend_nonces(&mut *self.pool.acquire().await?, &all).await?;
        Ok(nonces.iter().map(|n| unspent.contains(&n.hash)).collect())
    }
}
