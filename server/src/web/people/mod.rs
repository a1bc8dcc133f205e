//! `/people`: who has an account, their roles, links to choose a password, API tokens; `/account`: one's own.

mod account;
mod actions;
mod grid;
mod list;
mod new;
mod own_tokens;
mod page;
mod roles;

use axum::Router;

use crate::app::App;
use crate::auth::Caller;
use crate::error::OpError;
use crate::store::people::Account;
use crate::store::tracks::Track;
use crate::web::frame::role_word;
use crate::web::parts::{Icon, State, Tone};

/// These routes.
pub fn router() -> Router<App> {
    Router::new()
        .merge(list::router())
        .merge(new::router())
        .merge(page::router())
        .merge(roles::router())
        .merge(actions::router())
        .merge(account::router())
        .merge(own_tokens::router())
}

/// A role that someone holds.
struct Held {
    role: &'static str,
    /// None: on all tracks.
    track: Option<String>,
}

/// Roles of someone, as far as the caller may see where they hold them.
fn held(account: &Account, caller: &Caller, tracks: &[Track]) -> Vec<Held> {
    let seen = account
        .roles
        .iter()
        .filter(|(_, track)| track.is_none_or(|track| caller.sees(track)));
    seen.map(|(role, track)| Held {
        role: role_word(*role),
        track: track.map(|id| {
            let found = tracks.iter().find(|t| t.id == id);
            found.map(|t| t.name.clone()).unwrap_or_default()
        }),
    })
    .collect()
}

fn may_sign_in(account: &Account) -> State {
    if account.enabled {
        State::quiet(Tone::Ok, Icon::OkRing, "Enabled")
    } else {
        State::quiet(Tone::Mute, Icon::Slash, "Disabled")
    }
}

/// What a conflict says to people, as a sentence; everything else stays a failure.
fn said(error: OpError) -> Result<String, OpError> {
    let OpError::Conflict(why) = error else {
        return Err(error);
    };
    let mut letters = why.chars();
    let first = letters.next().map(|c| c.to_uppercase().to_string());
    let sentence = engine::words::ended(&(first.unwrap_or_default() + letters.as_str()));
    Ok(format!("{sentence} Nothing was changed."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conflict_reads_like_a_sentence() {
        let why = "nobody would be left who administers all tracks";
        assert_eq!(
            said(OpError::Conflict(why.to_owned())).unwrap(),
            "Nobody would be left who administers all tracks. Nothing was changed."
        );
        assert!(said(OpError::NotFound { what: "person" }).is_err());
    }
}
