//! Who decides: an admin, an operator who writes rollouts, two approvers.

use chrono::{DateTime, Utc};
use engine::ids::PersonId;
use server::store::people::{self, Role};
use sqlx::PgPool;
use uuid::Uuid;

/// The people of a lab.
#[derive(Debug, Clone, Copy)]
pub struct People {
    /// Ada: may do everything.
    pub admin: PersonId,
    /// Kai: writes rollouts.
    pub operator: PersonId,
    /// Anna: approves.
    pub anna: PersonId,
    /// Mary: approves.
    pub mary: PersonId,
}

impl Default for People {
    /// Nobody yet.
    fn default() -> Self {
        let nobody = PersonId(Uuid::nil());
        Self {
            admin: nobody,
            operator: nobody,
            anna: nobody,
            mary: nobody,
        }
    }
}

impl People {
    /// Adds them.
    pub(crate) async fn add(pool: &PgPool, at: DateTime<Utc>) -> Self {
        Self {
            admin: person(pool, "Ada Admin", Role::Admin, at).await,
            operator: person(pool, "Kai Fischer", Role::Operator, at).await,
            anna: person(pool, "Anna Novak", Role::Approver, at).await,
            mary: person(pool, "Mary Osei", Role::Approver, at).await,
        }
    }
}

async fn person(pool: &PgPool, name: &str, role: Role, at: DateTime<Utc>) -> PersonId {
    let mut conn = pool.acquire().await.unwrap();
    let id = Uuid::now_v7();
    people::add(&mut conn, id, name, at).await.unwrap();
    people::grant(&mut conn, id, role, None).await.unwrap();
    PersonId(id)
}
