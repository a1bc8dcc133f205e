//! Which rule put a device into its ring.

use engine::ids::TrackId;
use engine::ring::{Subject, place};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::store::devices::Device;
use crate::store::tracks;

/// Name of a device's ring, which rule took it there, and that rule.
pub async fn ring(
    conn: &mut PgConnection,
    device: &Device,
) -> anyhow::Result<(String, String, Option<String>)> {
    let rings = tracks::rings(conn, device.track_id).await?;
    let rules = rings
        .iter()
        .map(tracks::Ring::rule)
        .collect::<anyhow::Result<Vec<_>>>()?;
    let subject = Subject {
        facts: &device.facts,
        host_name: &device.identity.host_name,
    };
    let by_rule = place(&rules, TrackId(device.track_id), device.id, &subject, None);
    let named = |id: Uuid| rings.iter().find(|r| r.id == id);
    let own = named(device.ring_id);
    let name = own.map(|r| r.name.clone()).unwrap_or_default();
    let would = by_rule.and_then(|r| named(r.0));
    let (why, query) = match (device.pin, would) {
        (Some(_), Some(would)) if would.id == device.ring_id => (
            "pinned; the rules would put it there as well".to_owned(),
            None,
        ),
        (Some(_), Some(would)) => (
            format!("pinned; the rules would put it into {}", would.name),
            None,
        ),
        (Some(_), None) => ("pinned; no rule takes it".to_owned(), None),
        (None, Some(would)) if would.id == device.ring_id => by(would),
        (None, Some(would)) => (
            format!(
                "the rules would put it into {}; it moves with its next inventory",
                would.name
            ),
            None,
        ),
        (None, None) => ("no rule takes it any more, so it stays".to_owned(), None),
    };
    Ok((name, why, query))
}

/// The rule of a ring in words, and its query.
fn by(ring: &tracks::Ring) -> (String, Option<String>) {
    let n = ring.position + 1;
    let why = match (&ring.query, ring.share) {
        (None, None) => format!("by rule {n}, which takes the rest"),
        (None, Some(share)) => format!("by rule {n}: {share} % of the devices"),
        (Some(_), None) => format!("by rule {n}:"),
        (Some(_), Some(share)) => format!("by rule {n}, {share} % of"),
    };
    (why, ring.query.clone())
}
