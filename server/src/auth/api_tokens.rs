//! API tokens of people: made, shown once, ended.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::PgPool;
use uuid::Uuid;

use super::Secret;
use super::accounts::{find, name_of, record};
use crate::error::OpError;
use crate::store::people::{self, ApiToken};

/// A year and a day for leap years: a token that is never replaced is never missed when it leaks.
const LONGEST_TOKEN_DAYS: u32 = 366;

/// A token to make.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// What it is for.
    pub name: String,
    /// Days until it ends.
    pub expires_in_days: u32,
}

/// A new token, the one time it is shown.
#[derive(Serialize)]
pub struct TokenShown {
    /// Id, to revoke it by.
    pub id: Uuid,
    /// The token.
    pub token: String,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
}

/// Makes an API token for someone.
///
/// # Errors
/// [`OpError::NotFound`], [`OpError::Invalid`].
pub async fn add_token(
    pool: &PgPool,
    person: Uuid,
    new: &NewToken,
    by: Uuid,
    now: DateTime<Utc>,
) -> Result<TokenShown, OpError> {
    let name = name_of(&new.name)?;
    if !(1..=LONGEST_TOKEN_DAYS).contains(&new.expires_in_days) {
        return Err(OpError::field(
            "expires_in_days",
            format!("1 to {LONGEST_TOKEN_DAYS} days"),
        ));
    }
    let expires_at = now + TimeDelta::days(i64::from(new.expires_in_days));
    let secret = Secret::api();
    let mut tx = pool.begin().await?;
    find(&mut tx, person).await?;
    let id = people::add_token(&mut tx, person, &name, &secret.hash(), now, expires_at).await?;
    let body = json!({ "token": id, "name": name, "expires_at": expires_at });
    record(&mut tx, now, Some(by), "token_added", person, body).await?;
    tx.commit().await?;
    Ok(TokenShown {
        id,
        token: secret.show(),
        expires_at,
    })
}

/// API tokens of someone that are good, newest first, without their text.
///
/// # Errors
/// [`OpError::NotFound`].
pub async fn tokens(
    pool: &PgPool,
    person: Uuid,
    now: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<ApiToken>, OpError> {
    let mut conn = pool.acquire().await?;
    find(&mut conn, person).await?;
    Ok(people::tokens(&mut conn, person, now, limit).await?)
}

/// Ends an API token of someone.
///
/// # Errors
/// [`OpError::NotFound`] where they have no such token, or it ended already.
pub async fn revoke_token(
    pool: &PgPool,
    person: Uuid,
    token: Uuid,
    by: Uuid,
    now: DateTime<Utc>,
) -> Result<(), OpError> {
    let mut tx = pool.begin().await?;
    if !people::revoke_token(&mut tx, person, token, now).await? {
        return Err(OpError::NotFound { what: "token" });
    }
    record(
        &mut tx,
        now,
        Some(by),
        "token_revoked",
        person,
        json!({ "token": token }),
    )
    .await?;
    tx.commit().await?;
    Ok(())
}
