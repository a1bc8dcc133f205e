//! Whoever holds a valid API token, or sits at a browser that is signed in. Checked before a path, a query string or
//! a body is read.

use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;
use engine::ids::PersonId;
use uuid::Uuid;

use super::Browser;
use super::token::api_hash;
use crate::app::App;
use crate::http::Failure;
use crate::store::people::{self, Account};

const NO_TOKEN: &str = "Send an API token as a bearer token.";
const BAD_TOKEN: &str =
    "The API token is unknown, expired or revoked, or its owner may not sign in.";

const SIGN_IN: &str = "Sign in first.";

/// An enabled person, whatever their roles.
#[derive(Debug, Clone)]
pub struct Caller {
    account: Account,
    browser: Option<Browser>,
    changes: u64,
}

impl Caller {
    /// Who.
    #[must_use]
    pub fn person(&self) -> PersonId {
        PersonId(self.account.id)
    }

    /// Their account.
    #[must_use]
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// Their session, where they come with a browser.
    #[must_use]
    pub fn browser(&self) -> Option<&Browser> {
        self.browser.as_ref()
    }

    /// Changes that this server had read when the request came: what is answered is at least as new.
    #[must_use]
    pub const fn changes(&self) -> u64 {
        self.changes
    }

    /// Has some role on the track: what others can not see is not there for them.
    #[must_use]
    pub fn sees(&self, track: Uuid) -> bool {
        self.account
            .roles
            .iter()
            .any(|(_, t)| t.is_none_or(|t| t == track))
    }
}

#[cfg(test)]
impl Caller {
    /// Someone for tests of pages.
    pub(crate) fn sample(account: Account) -> Self {
        Self {
            account,
            browser: None,
            changes: 0,
        }
    }
}

impl FromRequestParts<App> for Caller {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        let changes = *app.picture.changes().borrow();
        // Set by the guard of pages alone: a cookie is worth nothing at the APIs.
        if let Some(browser) = parts.extensions.get::<Option<Browser>>() {
            let browser = browser.clone().ok_or(Failure::Unauthorized(SIGN_IN))?;
            let mut conn = app.pool.acquire().await?;
            let account = people::by_id(&mut conn, browser.person)
                .await?
                .filter(|a| a.enabled)
                .ok_or(Failure::Unauthorized(SIGN_IN))?;
            return Ok(Self {
                account,
                browser: Some(browser),
                changes,
            });
        }
        let token = bearer(parts).ok_or(Failure::Unauthorized(NO_TOKEN))?;
        let hash = api_hash(token).ok_or(Failure::Unauthorized(BAD_TOKEN))?;
        let mut conn = app.pool.acquire().await?;
        let account = people::by_token(&mut conn, &hash, app.clock.now()).await?;
        let account = account.ok_or(Failure::Unauthorized(BAD_TOKEN))?;
        Ok(Self {
            account,
            browser: None,
            changes,
        })
    }
}

/// The credentials of the one `Authorization` header. Two of them are none: proxies disagree on which one counts.
fn bearer(parts: &Parts) -> Option<&str> {
    let mut values = parts.headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next()?.to_str().ok()?;
    if values.next().is_some() {
        return None;
    }
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn token(values: &[&str]) -> Option<String> {
        let mut request = Request::builder();
        for value in values {
            request = request.header(header::AUTHORIZATION, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        bearer(&parts).map(str::to_owned)
    }

    #[test]
    fn only_one_bearer_token_is_a_token() {
        assert_eq!(token(&["Bearer abc"]).as_deref(), Some("abc"));
        assert_eq!(token(&["bearer abc"]).as_deref(), Some("abc"));
        assert_eq!(token(&[]), None);
        assert_eq!(token(&["Basic abc"]), None);
        assert_eq!(token(&["Bearer"]), None);
        assert_eq!(token(&["Bearer abc", "Bearer def"]), None);
    }
}
