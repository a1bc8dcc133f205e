//! Published sequences by digest. What a digest stands for never changes, so this is read once.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use servicing::{Sequence, Sha256};
use sqlx::PgConnection;

use crate::store::sequences;

/// Content by digest.
#[derive(Debug, Default)]
pub struct Catalogue {
    known: RwLock<HashMap<Sha256, Arc<Sequence>>>,
}

impl Catalogue {
    /// The sequence with this content; none where it was never published.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn get(
        &self,
        conn: &mut PgConnection,
        digest: Sha256,
    ) -> anyhow::Result<Option<Arc<Sequence>>> {
        if let Some(known) = self.known.read().ok().and_then(|k| k.get(&digest).cloned()) {
            return Ok(Some(known));
        }
        let Some(stored) = sequences::by_digest(conn, digest).await? else {
            return Ok(None);
        };
        let sequence = Arc::new(stored.sequence);
        if let Ok(mut known) = self.known.write() {
            known.insert(digest, Arc::clone(&sequence));
        }
        Ok(Some(sequence))
    }
}
