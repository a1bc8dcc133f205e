//! `PUT /inventory`. Inventories are stored together: after an update every device sends one.

use std::sync::Arc;
use std::time::Duration;

use agent_protocol::{Inventory, InventoryAnswer};
use axum::Json;
use axum::extract::State;
use sqlx::PgPool;

use super::identity::AgentCall;
use super::room::KnownRoom;
use crate::app::App;
use crate::batcher::Work;
use crate::error::OpError;
use crate::fleet::{Catalogue, Picture};
use crate::http::{Body, Failure, busy};
use crate::registry::{self, SentInventory};

/// What storing needs.
pub struct Storing {
    /// Database.
    pub pool: PgPool,
    /// Learns of devices before they are answered.
    pub picture: Arc<Picture>,
    /// Sequences by digest.
    pub catalogue: Arc<Catalogue>,
}

impl Work for Storing {
    type Question = SentInventory;
    type Answer = Result<(), OpError>;

    const WHAT: &'static str = "inventories";
    /// Some 100 ms of work at most, of which the lanes' rows are held for the end alone.
    const MOST: usize = 128;
    /// Well below the time after which callers give up.
    const PATIENCE: Duration = Duration::from_secs(5);

    /// A device's next inventory is judged by what its last one left behind.
    fn names(question: &SentInventory) -> Vec<Vec<u8>> {
        vec![question.device_no.to_be_bytes().to_vec()]
    }

    async fn answer(&self, sent: &[SentInventory]) -> anyhow::Result<Vec<Self::Answer>> {
        registry::update(&self.pool, &self.catalogue, &self.picture, sent).await
    }
}

/// Stores a device's inventory.
pub async fn store(
    State(app): State<App>,
    call: AgentCall,
    _room: KnownRoom,
    Body(inventory): Body<Inventory>,
) -> Result<Json<InventoryAnswer>, Failure> {
    let inventory = registry::parse(&inventory)?;
    let digest = inventory.digest.to_string();
    let sent = SentInventory {
        device_no: call.device_no,
        generation: call.generation,
        inventory,
    };
    app.storing.ask(sent).await.map_err(busy)??;
    Ok(Json(InventoryAnswer { digest }))
}
