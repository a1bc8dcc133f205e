//! What is around every page: navigation, who is signed in, how fresh the page is.

use std::fmt::Write;

use askama::Template;
use axum::response::Response;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use sqlx::PgConnection;
use uuid::Uuid;

use super::assets::address;
use super::parts::{Icon, When};
use super::problem_page::html;
use crate::app::App;
use crate::auth::{Caller, kinds};
use crate::fleet::FRESH_FOR;
use crate::http::Failure;
use crate::store::people::Role;
use crate::store::{requests, rollouts, tracks};

/// Where a page belongs in the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nav {
    /// Tracks and rings at a glance.
    Overview,
    /// Rollouts.
    Rollouts,
    /// Requests.
    Approvals,
    /// KB sequences.
    Sequences,
    /// Devices.
    Devices,
    /// Tracks and rings.
    Tracks,
    /// Enrolment tokens.
    Enrolment,
    /// People and roles.
    People,
    /// Audit chain.
    Audit,
    /// Who is signed in; reached by their name and not by a line of its own.
    Account,
}

impl Nav {
    /// Groups, in order.
    const GROUPS: [&'static [Self]; 3] = [
        &[
            Self::Overview,
            Self::Rollouts,
            Self::Approvals,
            Self::Sequences,
        ],
        &[Self::Devices],
        &[Self::Tracks, Self::Enrolment, Self::People, Self::Audit],
    ];

    const fn item(self) -> (&'static str, &'static str, Icon) {
        match self {
            Self::Overview => ("Overview", "/overview", Icon::Home),
            Self::Rollouts => ("Rollouts", "/rollouts", Icon::Rings),
            Self::Approvals => ("Approvals", "/approvals", Icon::Person),
            Self::Sequences => ("KB sequences", "/sequences", Icon::Box),
            Self::Devices => ("Devices", "/devices", Icon::Pc),
            Self::Tracks => ("Tracks and rings", "/tracks", Icon::Sort),
            Self::Enrolment => ("Enrolment", "/enrolment-tokens", Icon::Key),
            Self::People => ("People", "/people", Icon::People),
            Self::Audit => ("Audit", "/audit", Icon::Log),
            Self::Account => ("Account", "/account", Icon::Person),
        }
    }
}

/// One line of the navigation.
pub struct NavItem {
    /// Word.
    pub word: &'static str,
    /// Where it leads.
    pub href: &'static str,
    /// Icon.
    pub icon: Icon,
    /// The page is there.
    pub here: bool,
    /// Number beside it, with what it counts.
    pub count: Option<(u64, &'static str)>,
    /// Someone has to act.
    pub due: bool,
}

/// What the layout shows. Field of every page struct, under the name `frame`.
pub struct Frame {
    /// Title of the window, without the product's name.
    pub title: String,
    /// Navigation.
    pub nav: Vec<Vec<NavItem>>,
    /// Name of who is signed in.
    pub who: String,
    /// Their roles.
    pub roles: String,
    /// Token for forms.
    pub csrf: String,
    /// They gave their password a short while ago.
    pub stepped_up: bool,
    /// When the page was made.
    pub as_of: When,
    /// The picture of this server is in step.
    pub fresh: bool,
    /// Changes that the page knows of: of those after them it learns as soon as it listens.
    pub changes: u64,
    /// Address of this page, for what comes back to it.
    pub here: String,
    /// Zone of every time on the page.
    pub zone: Tz,
    /// Moment of the page, by the injected clock.
    pub now: DateTime<Utc>,
    /// Style sheet.
    pub style: String,
    /// Scripts, in order.
    pub scripts: Vec<String>,
}

impl Frame {
    /// Reads what is around a page at `here`. Times are those of `zone`: the zone of the track the page is about; none
    /// where it is about several: the one that all of the caller's tracks share, else UTC.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn read(
        app: &App,
        caller: &Caller,
        nav: Nav,
        title: impl Into<String>,
        here: impl Into<String>,
        zone: Option<Tz>,
    ) -> Result<Self, Failure> {
        let mut conn = app.pool.acquire().await?;
        Self::within(&mut conn, app, caller, nav, title, here, zone).await
    }

    /// The same on a connection that the page holds already: who asks for a second one while holding the first can wait
    /// for themselves.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn within(
        conn: &mut PgConnection,
        app: &App,
        caller: &Caller,
        nav: Nav,
        title: impl Into<String>,
        here: impl Into<String>,
        zone: Option<Tz>,
    ) -> Result<Self, Failure> {
        let seen = caller.tracks_with::<kinds::Viewer>();
        let all = tracks::all(&mut *conn).await?;
        let own: Vec<_> = all.iter().filter(|t| caller.sees(t.id)).collect();
        let zone = zone.unwrap_or_else(|| shared_zone(own.iter().map(|t| t.time_zone)));
        let open = rollouts::count_open(&mut *conn, seen.as_deref()).await?;
        let due = requests::due(&mut *conn, caller.person().0).await?.all;
        let now = app.clock.now();
        let browser = caller.browser();
        let item = |it: &Nav| {
            let (word, href, icon) = it.item();
            NavItem {
                word,
                href,
                icon,
                here: *it == nav,
                count: match it {
                    Nav::Rollouts if open > 0 => Some((open, "open")),
                    Nav::Approvals if due > 0 => Some((due, "to decide")),
                    _ => None,
                },
                due: *it == Nav::Approvals,
            }
        };
        let shown = |it: &&Nav| match it {
            Nav::Enrolment => caller.tracks_with::<kinds::Admin>() != Some(Vec::new()),
            Nav::Audit => caller.tracks_with::<kinds::Auditor>().is_none(),
            _ => true,
        };
        Ok(Self {
            title: title.into(),
            nav: Nav::GROUPS
                .iter()
                .map(|group| group.iter().filter(shown).map(item).collect())
                .collect(),
            who: caller.account().name.clone(),
            roles: roles(&caller.account().roles, &all),
            csrf: browser.map(|b| b.csrf.clone()).unwrap_or_default(),
            stepped_up: browser.is_some_and(|b| b.stepped_up),
            as_of: When::to_the_second(now, zone),
            fresh: app.picture.age().is_some_and(|age| age <= FRESH_FOR),
            changes: caller.changes(),
            here: here.into(),
            zone,
            now,
            style: address("ringfence.css"),
            scripts: SCRIPTS.iter().map(|path| address(path)).collect(),
        })
    }

    /// A time of the page.
    pub fn when(&self, at: DateTime<Utc>) -> When {
        When::near(at, self.zone, self.now)
    }

    /// A frame for snapshots and tests of pages.
    #[cfg(test)]
    pub fn sample(nav: Nav, title: &str, here: &str) -> Self {
        let now = DateTime::from_timestamp(1_775_542_327, 0).unwrap();
        let zone = Tz::Europe__Berlin;
        let items = Nav::GROUPS.iter().map(|group| {
            let item = |it: &Nav| {
                let (word, href, icon) = it.item();
                let (here, due) = (*it == nav, *it == Nav::Approvals);
                NavItem {
                    word,
                    href,
                    icon,
                    here,
                    count: due.then_some((1, "to decide")),
                    due,
                }
            };
            group.iter().map(item).collect()
        });
        Self {
            title: title.to_owned(),
            nav: items.collect(),
            who: "Anna Novak".to_owned(),
            roles: "Approver, Production".to_owned(),
            csrf: "csrf".to_owned(),
            stepped_up: false,
            as_of: When::to_the_second(now, zone),
            fresh: true,
            changes: 7,
            here: here.to_owned(),
            zone,
            now,
            style: "/static/ringfence.css".to_owned(),
            scripts: Vec::new(),
        }
    }
}

/// What a page shows inside its layout: snapshots are of this.
#[cfg(test)]
pub fn main_of(page: &impl Template) -> String {
    let html = page.render().unwrap();
    let (_, main) = html.split_once("<main").unwrap();
    let (main, _) = main.split_once("</main>").unwrap();
    main.split_once('>').unwrap().1.trim().to_owned()
}

/// In the order in which they need each other.
const SCRIPTS: [&str; 4] = [
    "vendor/htmx-2.0.11.min.js",
    "vendor/htmx-ext-sse-2.2.4.min.js",
    "vendor/idiomorph-0.8.0.min.js",
    "app.js",
];

fn shared_zone(mut zones: impl Iterator<Item = Tz>) -> Tz {
    let Some(first) = zones.next() else {
        return Tz::UTC;
    };
    if zones.all(|z| z == first) {
        first
    } else {
        Tz::UTC
    }
}

/// `Approver, Production; Viewer`.
fn roles(roles: &[(Role, Option<Uuid>)], tracks: &[tracks::Track]) -> String {
    let mut text = String::new();
    for (role, track) in roles {
        if !text.is_empty() {
            text.push_str("; ");
        }
        text.push_str(role_word(*role));
        let name = track.and_then(|id| tracks.iter().find(|t| t.id == id));
        if let Some(track) = name {
            // Writing into a string can not fail.
            let _written = write!(text, ", {}", track.name);
        }
    }
    text
}

/// A role as people read it.
pub const fn role_word(role: Role) -> &'static str {
    match role {
        Role::Viewer => "Viewer",
        Role::Operator => "Operator",
        Role::Approver => "Approver",
        Role::Admin => "Admin",
        Role::Auditor => "Auditor",
    }
}

/// What a handler of a page answers.
pub type Shown = Result<Response, Failure>;

/// Shows a page.
#[expect(clippy::unnecessary_wraps, reason = "handlers end with it")]
pub fn show(page: impl Template) -> Shown {
    Ok(html(&page))
}
