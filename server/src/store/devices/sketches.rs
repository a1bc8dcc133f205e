//! What the picture keeps of every device.

use sqlx::PgConnection;
use uuid::Uuid;

/// What the picture keeps of a device.
#[derive(Debug, Clone)]
pub struct Sketch {
    /// Number.
    pub device_no: i32,
    /// Ring.
    pub ring_id: Uuid,
    /// Generation of its tokens.
    pub generation: i32,
    /// May work.
    pub admitted: bool,
}

/// Sketches of these devices.
///
/// # Errors
/// When the database fails.
pub async fn sketches(conn: &mut PgConnection, device_nos: &[i32]) -> sqlx::Result<Vec<Sketch>> {
    sqlx::query_as!(
        Sketch,
        r#"SELECT device_no, ring_id, generation, status = 'admitted' AS "admitted!" FROM device WHERE device_no = ANY($1)"#,
        device_nos,
    )
    .fetch_all(conn)
    .await
}

/// Sketches of a page of all devices, ascending.
///
/// # Errors
/// When the database fails.
pub async fn sketch_page(
    conn: &mut PgConnection,
    after: i32,
    limit: i64,
) -> sqlx::Result<Vec<Sketch>> {
    sqlx::query_as!(
        Sketch,
        r#"SELECT device_no, ring_id, generation, status = 'admitted' AS "admitted!" FROM device WHERE device_no > $1 ORDER BY device_no LIMIT $2"#,
        after, limit,
    )
    .fetch_all(conn)
    .await
}
