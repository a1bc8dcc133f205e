//! `PUT /inventory`.

use agent_protocol::{Inventory, InventoryAnswer};
use axum::Json;
use axum::extract::State;

use super::identity::AgentCall;
use super::room::{KnownRoom, busy};
use crate::app::App;
use crate::http::{Body, Failure};
use crate::registry;

/// Stores a device's inventory.
pub async fn store(
    State(app): State<App>,
    call: AgentCall,
    _room: KnownRoom,
    Body(inventory): Body<Inventory>,
) -> Result<Json<InventoryAnswer>, Failure> {
    let parsed = registry::parse(&inventory)?;
    let digest = parsed.digest.to_string();
    let _place = app.bounds.calls.enter().await.map_err(busy)?;
    registry::update(
        &app.pool,
        &app.catalogue,
        &app.picture,
        (call.device_no, call.generation),
        parsed,
    )
    .await?;
    Ok(Json(InventoryAnswer { digest }))
}
