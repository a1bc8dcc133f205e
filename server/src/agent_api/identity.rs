//! Which device calls. Checked before a body is read, without a query.

use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use chrono::{DateTime, Utc};

use crate::app::App;
use crate::fleet::{FRESH_FOR, Glance};
use crate::http::Failure;

/// A device with a valid token of its current generation, on a replica that knows what was decided lately.
#[derive(Debug, Clone, Copy)]
pub struct AgentCall {
    /// Device.
    pub device_no: i32,
    /// Generation of its token.
    pub generation: i32,
    /// What the picture knows of it.
    pub glance: Glance,
}

impl AgentCall {
    /// Who calls, by the headers of the request.
    ///
    /// # Errors
    /// [`Failure::Unauthorized`], [`Failure::Unavailable`].
    pub fn of(app: &App, headers: &HeaderMap, now: DateTime<Utc>) -> Result<Self, Failure> {
        let token = headers
            .get(header::AUTHORIZATION)
            .and_then(|v| v.to_str().ok())
            .and_then(|v| v.strip_prefix("Bearer "))
            .ok_or(Failure::Unauthorized(
                "Send the access token of POST /agent/v1/token as a bearer token.",
            ))?;
        let claims = app.keys.check(token, now).ok_or(Failure::Unauthorized(
            "The access token is not valid or has expired: ask for a new one.",
        ))?;
        fresh(app)?;
        let glance = app
            .picture
            .glance(claims.d)
            .filter(|g| g.generation == claims.g);
        let glance = glance.ok_or(Failure::Unauthorized(
            "The device was revoked, waits for approval, or enrolled anew.",
        ))?;
        app.picture.touch(claims.d);
        Ok(Self {
            device_no: claims.d,
            generation: claims.g,
            glance,
        })
    }
}

impl FromRequestParts<App> for AgentCall {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        Self::of(app, &parts.headers, app.clock.now())
    }
}

/// Turns the call away where the picture is too old: an old picture could offer what was halted.
pub fn fresh(app: &App) -> Result<(), Failure> {
    let age: Option<Duration> = app.picture.age();
    if age.is_some_and(|a| a <= FRESH_FOR) {
        return Ok(());
    }
    Err(Failure::Unavailable(
        "The database does not answer. No permits are granted; devices keep their state.",
    ))
}
