//! Roles as parameters. A handler that asks for one runs only for callers who have it on some track; what it does to
//! a track, it can only do with the [`OnTrack`] that [`As::on`] gives.

use std::marker::PhantomData;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use engine::ids::PersonId;
use uuid::Uuid;

use super::Caller;
use crate::app::App;
use crate::error::OpError;
use crate::http::Failure;
use crate::store::people::{Account, Role};

/// A right that roles give.
pub trait Right: Send + Sync + 'static {
    /// The role as people know it, for refusals.
    const NAME: &'static str;
    /// Roles that give it.
    const GIVEN_BY: &'static [Role];
}

/// The rights, as types.
pub mod kinds {
    use super::{Right, Role};

    macro_rules! right {
        ($(#[$doc:meta])* $name:ident, $word:literal, $given_by:expr) => {
            $(#[$doc])*
            #[derive(Debug, Clone, Copy)]
            pub struct $name;

            impl Right for $name {
                const NAME: &'static str = $word;
                const GIVEN_BY: &'static [Role] = $given_by;
            }
        };
    }

    right!(
        /// Reads.
        Viewer,
        "viewer",
        &[Role::Viewer, Role::Operator, Role::Approver, Role::Admin, Role::Auditor]
    );
    right!(
        /// Writes and steers rollouts.
        Operator,
        "operator",
        &[Role::Operator, Role::Admin]
    );
    right!(
        /// Decides on requests. An admin gets as far as the engine, which lets only one who is alone approve.
        Approver,
        "approver",
        &[Role::Approver, Role::Admin]
    );
    right!(
        /// Rings, devices, tokens, people, keys; clears halts and asks for overrides.
        Admin,
        "admin",
        &[Role::Admin]
    );
    right!(
        /// Reads the audit chain.
        Auditor,
        "auditor",
        &[Role::Auditor, Role::Admin]
    );
}

/// A caller with a right on at least one track. Extracting it is the only way to get one.
#[derive(Debug, Clone)]
pub struct As<R> {
    caller: Caller,
    right: PhantomData<R>,
}

/// May read.
pub type Viewer = As<kinds::Viewer>;
/// May write and steer rollouts.
pub type Operator = As<kinds::Operator>;
/// May decide on requests.
pub type Approver = As<kinds::Approver>;
/// May administer.
pub type Admin = As<kinds::Admin>;
/// May read the audit chain.
pub type Auditor = As<kinds::Auditor>;

impl<R: Right> FromRequestParts<App> for As<R> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        let caller = Caller::from_request_parts(parts, app).await?;
        if !tracks_of::<R>(caller.account()).is_some_and(|tracks| tracks.is_empty()) {
            return Ok(Self {
                caller,
                right: PhantomData,
            });
        }
        Err(Failure::Forbidden(format!(
            "This needs the role {}.",
            R::NAME
        )))
    }
}

/// Tracks on which an account has a right; none: on all of them.
fn tracks_of<R: Right>(account: &Account) -> Option<Vec<Uuid>> {
    let given = || {
        account
            .roles
            .iter()
            .filter(|(role, _)| R::GIVEN_BY.contains(role))
    };
    if given().any(|(_, track)| track.is_none()) {
        return None;
    }
    Some(given().filter_map(|(_, track)| *track).collect())
}

impl Caller {
    /// Tracks on which they have a right; none: on all of them.
    #[must_use]
    pub fn tracks_with<R: Right>(&self) -> Option<Vec<Uuid>> {
        tracks_of::<R>(self.account())
    }

    /// They have a right on this track.
    #[must_use]
    pub fn may<R: Right>(&self, track: Uuid) -> bool {
        self.tracks_with::<R>()
            .is_none_or(|tracks| tracks.contains(&track))
    }
}

impl<R: Right> As<R> {
    /// Who.
    #[must_use]
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Tracks on which the caller has the right; none: on all of them, and on those to come.
    #[must_use]
    pub fn tracks(&self) -> Option<Vec<Uuid>> {
        tracks_of::<R>(self.caller.account())
    }

    /// Tracks that a list is about: the one that was asked for, or all on which the caller has the right (none: all).
    ///
    /// # Errors
    /// As [`As::on`].
    pub fn asked(self, track: Option<Uuid>) -> Result<Option<Vec<Uuid>>, Failure> {
        match track {
            Some(track) => Ok(Some(vec![self.on(track)?.track()])),
            None => Ok(self.tracks()),
        }
    }

    /// The right on this track.
    ///
    /// # Errors
    /// 404 where the caller may not see the track, 403 where they see it and have not the right.
    pub fn on(self, track: Uuid) -> Result<OnTrack<R>, Failure> {
        self.over("track", track)
    }

    /// The right on something that belongs to a track, named as it is called in a 404.
    ///
    /// # Errors
    /// As [`As::on`].
    pub fn over(self, what: &'static str, track: Uuid) -> Result<OnTrack<R>, Failure> {
        if !self.caller.sees(track) {
            return Err(OpError::NotFound { what }.into());
        }
        if !self.caller.may::<R>(track) {
            return Err(Failure::Forbidden(format!(
                "This needs the role {} on this track.",
                R::NAME
            )));
        }
        Ok(OnTrack {
            caller: self.caller,
            track,
            right: PhantomData,
        })
    }

    /// The right on every track: for what belongs to none of them.
    ///
    /// # Errors
    /// 403 where the caller has it on some tracks only.
    pub fn everywhere(self) -> Result<Everywhere<R>, Failure> {
        if self.tracks().is_none() {
            return Ok(Everywhere {
                caller: self.caller,
                right: PhantomData,
            });
        }
        Err(Failure::Forbidden(format!(
            "This needs the role {} on all tracks.",
            R::NAME
        )))
    }
}

/// A caller with a right on one track.
#[derive(Debug, Clone)]
pub struct OnTrack<R> {
    caller: Caller,
    track: Uuid,
    right: PhantomData<R>,
}

impl<R: Right> OnTrack<R> {
    /// Who.
    #[must_use]
    pub fn person(&self) -> PersonId {
        self.caller.person()
    }

    /// Where.
    #[must_use]
    pub fn track(&self) -> Uuid {
        self.track
    }
}

/// A caller with a right on every track.
#[derive(Debug, Clone)]
pub struct Everywhere<R> {
    caller: Caller,
    right: PhantomData<R>,
}

impl<R: Right> Everywhere<R> {
    /// Who.
    #[must_use]
    pub fn person(&self) -> PersonId {
        self.caller.person()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(roles: &[(Role, Option<Uuid>)]) -> Account {
        Account {
            id: Uuid::from_u128(1),
            name: "Ada".into(),
            enabled: true,
            roles: roles.to_vec(),
        }
    }

    const TRACK: Uuid = Uuid::from_u128(7);

    #[test]
    fn every_role_reads_and_only_admin_includes_others() {
        for role in [
            Role::Viewer,
            Role::Operator,
            Role::Approver,
            Role::Admin,
            Role::Auditor,
        ] {
            let account = account(&[(role, None)]);
            assert_eq!(tracks_of::<kinds::Viewer>(&account), None, "{role:?}");
            let has = |tracks: Option<Vec<Uuid>>| tracks.is_none();
            assert_eq!(
                has(tracks_of::<kinds::Operator>(&account)),
                matches!(role, Role::Operator | Role::Admin),
                "{role:?}"
            );
            assert_eq!(
                has(tracks_of::<kinds::Approver>(&account)),
                matches!(role, Role::Approver | Role::Admin),
                "{role:?}"
            );
            assert_eq!(
                has(tracks_of::<kinds::Auditor>(&account)),
                matches!(role, Role::Auditor | Role::Admin),
                "{role:?}"
            );
            assert_eq!(
                has(tracks_of::<kinds::Admin>(&account)),
                role == Role::Admin,
                "{role:?}"
            );
        }
    }

    #[test]
    fn a_role_on_one_track_is_worth_nothing_on_another() {
        let account = account(&[(Role::Operator, Some(TRACK)), (Role::Viewer, None)]);
        assert_eq!(tracks_of::<kinds::Operator>(&account), Some(vec![TRACK]));
        assert_eq!(tracks_of::<kinds::Admin>(&account), Some(Vec::new()));
    }
}
