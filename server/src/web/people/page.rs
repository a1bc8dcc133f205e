//! `/people/{id}`: someone, what they may, and with what they come in.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use uuid::Uuid;

use super::{Held, held, may_sign_in};
use crate::app::App;
use crate::auth::{self, Caller, Viewer, browser, kinds};
use crate::error::OpError;
use crate::http::{At, Failure};
use crate::store::{people, sign_in, tracks};
use crate::web::frame::{Frame, Nav, Shown, show};
use crate::web::parts::{Link, State as Chip, When};

/// Newest API tokens that a page shows.
pub const TOKENS: i64 = 200;

/// This route.
pub fn router() -> Router<App> {
    Router::new().route("/people/{id}", get(page))
}

/// An API token without its text.
pub struct TokenRow {
    /// What it is for.
    pub name: String,
    /// When it was made.
    pub made: When,
    /// When it ends.
    pub ends: When,
    /// Where it is ended.
    pub revoke: String,
}

/// What admins see besides.
struct Inside {
    has_password: bool,
    tokens: Vec<TokenRow>,
    sessions: usize,
}

#[derive(Template)]
#[template(path = "pages/person.html")]
pub struct PersonPage {
    frame: Frame,
    crumbs: Vec<Link>,
    id: Uuid,
    name: String,
    enabled: bool,
    state: Chip,
    roles: Vec<Held>,
    own: bool,
    inside: Option<Inside>,
    history: Option<String>,
    refused: Option<String>,
}

/// The page, with why something was refused just now.
pub async fn read(
    app: &App,
    person: &Caller,
    id: Uuid,
    refused: Option<String>,
) -> Result<PersonPage, Failure> {
    let mut conn = app.pool.acquire().await?;
    let missing = OpError::NotFound { what: "person" };
    let account = people::by_id(&mut conn, id).await?.ok_or(missing)?;
    let tracks = tracks::all(&mut conn).await?;
    let has_password = sign_in::password_hash(&mut conn, id).await?.is_some();
    let wall = app.wall_clock.now();
    let sessions = browser::sessions_of(&mut conn, id, wall).await?.len();
    drop(conn);
    let here = format!("/people/{id}");
    let frame = Frame::read(app, person, Nav::People, &account.name, &here, None).await?;
    let inside = if person.tracks_with::<kinds::Admin>().is_none() {
        let revoke = |token: Uuid| format!("/people/{id}/tokens/{token}/revoke");
        let tokens = token_rows(app, &frame, id, revoke).await?;
        Some(Inside {
            has_password,
            tokens,
            sessions,
        })
    } else {
        None
    };
    let audited = person.tracks_with::<kinds::Auditor>().is_none();
    Ok(PersonPage {
        crumbs: vec![Link::new("People", "/people")],
        id,
        enabled: account.enabled,
        state: may_sign_in(&account),
        roles: held(&account, person, &tracks),
        own: person.person().0 == id,
        inside,
        history: audited.then(|| format!("/audit?subject=person%3A{id}")),
        refused,
        name: account.name,
        frame,
    })
}

/// API tokens of someone that are good.
pub async fn token_rows(
    app: &App,
    frame: &Frame,
    person: Uuid,
    revoke: impl Fn(Uuid) -> String,
) -> Result<Vec<TokenRow>, Failure> {
    let tokens = auth::tokens(&app.pool, person, app.clock.now(), TOKENS).await?;
    let row = |token: people::ApiToken| TokenRow {
        made: frame.when(token.created_at),
        ends: frame.when(token.expires_at),
        revoke: revoke(token.id),
        name: token.name,
    };
    Ok(tokens.into_iter().map(row).collect())
}

async fn page(State(app): State<App>, caller: Viewer, At(id): At<Uuid>) -> Shown {
    show(read(&app, caller.caller(), id, None).await?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::frame::main_of;
    use crate::web::parts::{Icon, Tone};

    impl PersonPage {
        fn sample() -> Self {
            let frame = Frame::sample(Nav::People, "Kai Fischer", "/people/1");
            let token = TokenRow {
                name: "nightly export".to_owned(),
                made: frame.when(frame.now),
                ends: frame.when(frame.now + chrono::TimeDelta::days(90)),
                revoke: "/people/1/tokens/2/revoke".to_owned(),
            };
            Self {
                frame,
                crumbs: vec![Link::new("People", "/people")],
                id: Uuid::nil(),
                name: "Kai Fischer".to_owned(),
                enabled: true,
                state: Chip::quiet(Tone::Ok, Icon::OkRing, "Enabled"),
                roles: vec![Held {
                    role: "Operator",
                    track: Some("Production".to_owned()),
                }],
                own: false,
                inside: Some(Inside {
                    has_password: true,
                    tokens: vec![token],
                    sessions: 1,
                }),
                history: Some("/audit?subject=person%3A1".to_owned()),
                refused: None,
            }
        }
    }

    #[test]
    fn an_admin_sees_tokens_and_what_can_be_done() {
        insta::assert_snapshot!(main_of(&PersonPage::sample()));
    }

    #[test]
    fn others_see_who_it_is() {
        let page = PersonPage {
            enabled: false,
            state: Chip::quiet(Tone::Mute, Icon::Slash, "Disabled"),
            roles: Vec::new(),
            inside: None,
            history: None,
            ..PersonPage::sample()
        };
        insta::assert_snapshot!(main_of(&page));
    }

    #[test]
    fn what_was_refused_is_said_on_top() {
        let page = PersonPage {
            own: true,
            refused: Some("Nobody would be left who administers all tracks.".to_owned()),
            inside: Some(Inside {
                has_password: false,
                tokens: Vec::new(),
                sessions: 0,
            }),
            ..PersonPage::sample()
        };
        insta::assert_snapshot!(main_of(&page));
    }
}
