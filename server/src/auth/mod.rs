//! Who people are and what they may do: API tokens, browser sessions, roles as parameters of handlers, and accounts.
//!
//! Asking for a role is the check: [`Operator`] and the others have no constructor but their axum extractor. What a
//! track holds is then reached by [`As::on`], which hides tracks that the caller may not see.

mod accounts;
mod api_tokens;
pub mod browser;
mod caller;
mod password;
mod roles;
mod sign_in;
mod throttle;
mod token;

pub use accounts::{
    Grant, NewPerson, add_person, create_admin, first_admin, grant_roles, set_enabled, set_roles,
};
pub use api_tokens::{NewToken, TokenShown, add_token, revoke_token, tokens};
pub use browser::Browser;
pub use caller::Caller;
pub use password::{Passwords, check as check_password};
pub use roles::{
    Admin, Approver, As, Auditor, Everywhere, OnTrack, Operator, Right, Viewer, kinds,
};
pub use sign_in::{
    Entrant, SignIn, change_password, choose_password, confirm, link_owner, make_link, sign_in,
    sign_out_everywhere,
};
pub use token::{Secret, hash_of};
