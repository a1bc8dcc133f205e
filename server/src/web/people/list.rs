//! `/people`: everyone, by name.

use std::collections::HashSet;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use serde::Deserialize;
use uuid::Uuid;

use super::{Held, held, may_sign_in};
use crate::app::App;
use crate::auth::{Viewer, kinds};
use crate::store::people::Account;
use crate::store::{people, sign_in, tracks};
use crate::web::form::Filter;
use crate::web::frame::{Frame, Nav, Shown, show};
use crate::web::parts::{Link, State as Chip};

/// Rows of a page.
const ROWS: usize = 100;

/// This route.
pub fn router() -> Router<App> {
    Router::new().route("/people", get(list))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    #[serde(default)]
    name: String,
    after: Option<Uuid>,
}

/// Someone.
struct Row {
    link: Link,
    roles: Vec<Held>,
    state: Chip,
    /// Only admins learn whose account waits for somebody to come in.
    has_password: Option<bool>,
}

#[derive(Template)]
#[template(path = "pages/people.html")]
struct PeoplePage {
    frame: Frame,
    name: String,
    rows: Vec<Row>,
    before: Option<String>,
    next: Option<String>,
    may_add: bool,
}

async fn list(State(app): State<App>, caller: Viewer, Filter(asked): Filter<Asked>) -> Shown {
    let person = caller.caller();
    let frame = Frame::read(&app, person, Nav::People, "People", "/people", None).await?;
    let mut conn = app.pool.acquire().await?;
    let tracks = tracks::all(&mut conn).await?;
    let may_add = person.tracks_with::<kinds::Admin>().is_none();
    let passwords: Option<HashSet<Uuid>> = if may_add {
        let ids = sign_in::with_password(&mut conn).await?;
        Some(ids.into_iter().collect())
    } else {
        None
    };
    let mut found = people::all(&mut conn).await?;
    drop(conn);
    let wanted = asked.name.trim().to_lowercase();
    found.retain(|a| a.name.to_lowercase().contains(&wanted));
    let (from, before, next) = cursors(&found, asked.after, &wanted);
    let row = |account: &Account| Row {
        link: Link::new(&account.name, format!("/people/{}", account.id)),
        roles: held(account, person, &tracks),
        state: may_sign_in(account),
        has_password: passwords.as_ref().map(|ids| ids.contains(&account.id)),
    };
    show(PeoplePage {
        frame,
        name: asked.name,
        rows: found.iter().skip(from).take(ROWS).map(row).collect(),
        before,
        next,
        may_add,
    })
}

/// Where a page begins, and the addresses of the pages before and after it.
fn cursors(
    found: &[Account],
    after: Option<Uuid>,
    name: &str,
) -> (usize, Option<String>, Option<String>) {
    let address = |from: usize| {
        let mut query = form_urlencoded::Serializer::new(String::new());
        if !name.is_empty() {
            query.append_pair("name", name);
        }
        if let Some(last) = from.checked_sub(1).and_then(|i| found.get(i)) {
            query.append_pair("after", &last.id.to_string());
        }
        format!("/people?{}", query.finish())
    };
    let at = found.iter().position(|a| Some(a.id) == after);
    let from = at.map_or(0, |i| i + 1);
    let before = (from > 0).then(|| address(from.saturating_sub(ROWS)));
    let next = (from + ROWS < found.len()).then(|| address(from + ROWS));
    (from, before, next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::frame::main_of;
    use crate::web::parts::{Icon, Tone};

    impl PeoplePage {
        fn sample(rows: Vec<Row>) -> Self {
            Self {
                frame: Frame::sample(Nav::People, "People", "/people"),
                name: String::new(),
                rows,
                before: None,
                next: Some("/people?after=1".to_owned()),
                may_add: true,
            }
        }
    }

    #[test]
    fn people_with_their_roles() {
        let of = |role, track: Option<&str>| Held {
            role,
            track: track.map(str::to_owned),
        };
        let row = |name: &str, roles, enabled: bool| Row {
            link: Link::new(name, "/people/1"),
            roles,
            state: Chip::quiet(
                Tone::Ok,
                Icon::OkRing,
                if enabled { "Enabled" } else { "Disabled" },
            ),
            has_password: Some(enabled),
        };
        let page = PeoplePage::sample(vec![
            row(
                "Ada <Admin>",
                vec![of("Admin", None), of("Approver", Some("Production"))],
                true,
            ),
            row("Nobody", Vec::new(), false),
        ]);
        insta::assert_snapshot!(main_of(&page));
    }

    #[test]
    fn others_do_not_learn_who_has_no_password_yet() {
        let row = Row {
            link: Link::new("Nobody", "/people/1"),
            roles: Vec::new(),
            state: Chip::quiet(Tone::Ok, Icon::OkRing, "Enabled"),
            has_password: None,
        };
        let page = PeoplePage {
            may_add: false,
            ..PeoplePage::sample(vec![row])
        };
        let shown = main_of(&page);
        assert!(
            shown.contains("Nobody") && !shown.contains("Password"),
            "{shown}"
        );
    }

    #[test]
    fn a_name_that_nobody_has_is_said_so() {
        let page = PeoplePage {
            name: "zz".to_owned(),
            next: None,
            may_add: false,
            ..PeoplePage::sample(Vec::new())
        };
        insta::assert_snapshot!(main_of(&page));
    }

    #[test]
    fn pages_follow_each_other() {
        let account = |n: u128| Account {
            id: Uuid::from_u128(n),
            name: n.to_string(),
            enabled: true,
            roles: Vec::new(),
        };
        let found: Vec<Account> = (0..250).map(account).collect();
        let (from, before, next) = cursors(&found, None, "");
        assert_eq!((from, before.is_none(), next.is_some()), (0, true, true));
        let (from, before, next) = cursors(&found, Some(Uuid::from_u128(199)), "a b");
        assert_eq!((from, next), (200, None));
        let expected = format!("/people?name=a+b&after={}", Uuid::from_u128(99));
        assert_eq!(before.as_deref(), Some(expected.as_str()));
    }
}
