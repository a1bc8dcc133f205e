//! `PUT /inventory`.

use agent_protocol::{Inventory, InventoryAnswer};
use axum::Json;
use axum::extract::State;

use super::identity::AgentCall;
use crate::app::App;
use crate::http::{Body, Failure};
use crate::registry;

/// Stores a device's inventory.
pub async fn store(
    State(app): State<App>,
    call: AgentCall,
    Body(inventory): Body<Inventory>,
) -> Result<Json<InventoryAnswer>, Failure> {
    let parsed = registry::parse(&inventory)?;
    let digest = parsed.digest.to_string();
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
