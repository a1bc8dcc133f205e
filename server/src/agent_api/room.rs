//! Room for bodies, and places for calls that ask the database.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use crate::app::App;
use crate::room::Room;

/// Room for the body of a device that is known. Asked for after who calls and before the body, it makes the body count
/// from its first byte on; whoever holds it keeps the bytes counted.
#[derive(Debug)]
pub struct KnownRoom(pub Room);

impl FromRequestParts<App> for KnownRoom {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        let room = app.bounds.known.room();
        parts.extensions.insert(room.clone());
        Ok(Self(room))
    }
}

/// The same for whoever has shown no token yet.
#[derive(Debug)]
pub struct StrangersRoom(#[expect(dead_code, reason = "held while the call lasts")] Room);

impl FromRequestParts<App> for StrangersRoom {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        let room = app.bounds.strangers.room();
        parts.extensions.insert(room.clone());
        Ok(Self(room))
    }
}
