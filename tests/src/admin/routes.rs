//! Every call of the admin API: who may make it, and what it answers to a body that can be read and not be done.

use std::collections::BTreeSet;
use std::path::Path;

use server::store::people::Role;

/// What a right has to be held on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// On nothing: everybody who is signed in, whatever their roles.
    Nobody,
    /// On any track: what is shown belongs to none, or is cut to the caller's tracks.
    Any,
    /// On the track to which the thing belongs.
    Track,
    /// On all tracks.
    All,
}

/// One call.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// Method and path below `/api/v1`, with `{name}` for what is put in.
    pub call: &'static str,
    /// Any of these roles gives the right.
    pub roles: &'static [Role],
    /// Where.
    pub reach: Reach,
    /// A body that is understood; empty where none is taken.
    pub body: &'static str,
    /// The status for a caller who may: bodies and things are such that nothing is done, but for `DELETE`.
    pub allowed: u16,
}

use Reach::{All, Any, Track};

/// Who may, by the least of the roles that give the right.
pub(crate) const VIEWER: &[Role] = &[
    Role::Viewer,
    Role::Operator,
    Role::Approver,
    Role::Admin,
    Role::Auditor,
];
pub(crate) const OPERATOR: &[Role] = &[Role::Operator, Role::Admin];
pub(crate) const APPROVER: &[Role] = &[Role::Approver, Role::Admin];
pub(crate) const ADMIN: &[Role] = &[Role::Admin];
pub(crate) const AUDITOR: &[Role] = &[Role::Auditor, Role::Admin];

const REASON: &str = r#"{"reason":"because"}"#;
const HASH: &str = r#"{"hash":"0000000000000000000000000000000000000000000000000000000000000000"}"#;
const SEQUENCE: &str = r#"{"kb":"KB5086672","title":"","kind":"security","variants":[]}"#;
const MANIFEST: &str = r#"{"manifest":{"payload":"","key_id":"","signature":""}}"#;
const ROLLOUT: &str =
    r#"{"sequence":"{sequence}","track":"{track}","preset":"standard","ticket":""}"#;
const ENROLMENT: &str = r#"{"track":"{track}","admission":"let_in","uses":0,"expires_in_hours":1}"#;
const STRANGER: &str =
    r#"{"roles":[{"role":"viewer","track":"00000000-0000-0000-0000-000000000000"}]}"#;

pub(crate) const fn route(
    call: &'static str,
    roles: &'static [Role],
    reach: Reach,
    body: &'static str,
    allowed: u16,
) -> Route {
    Route {
        call,
        roles,
        reach,
        body,
        allowed,
    }
}

/// All calls.
pub const ROUTES: &[Route] = &[
    route("GET /tracks", VIEWER, Any, "", 200),
    route("POST /tracks", ADMIN, All, r#"{"name":" "}"#, 422),
    route("GET /tracks/{track}", VIEWER, Track, "", 200),
    route("PUT /tracks/{track}/rings", ADMIN, Track, "[]", 422),
    route(
        "POST /tracks/{track}/expected-devices",
        ADMIN,
        Track,
        r#"{"serials":[]}"#,
        422,
    ),
    route("GET /tracks/{track}/freezes", VIEWER, Track, "", 200),
    route(
        "POST /tracks/{track}/freezes",
        ADMIN,
        Track,
        r#"{"ends":"2020-01-01T00:00:00Z","reason":"because"}"#,
        422,
    ),
    route(
        "POST /tracks/{track}/freezes/{nobody}/lift",
        ADMIN,
        Track,
        "",
        404,
    ),
    route(
        "PUT /tracks/{track}/cohorts",
        ADMIN,
        Track,
        r#"{"attributes":["EDR"]}"#,
        422,
    ),
    route("GET /tracks/{track}/holds", VIEWER, Track, "", 200),
    route(
        "POST /tracks/{track}/holds",
        OPERATOR,
        Track,
        r#"{"devices":"tag:x","issue":"because","expires":"2020-01-01T00:00:00Z"}"#,
        422,
    ),
    route(
        "POST /tracks/{track}/holds/{nobody}/end",
        ADMIN,
        Track,
        "",
        404,
    ),
    route("GET /sequences", VIEWER, Any, "", 200),
    route("POST /sequences", OPERATOR, Any, SEQUENCE, 422),
    route("GET /sequences/{sequence}", VIEWER, Any, "", 200),
    route("PUT /sequences/{sequence}", OPERATOR, Any, SEQUENCE, 422),
    route(
        "POST /sequences/{sequence}/publish",
        OPERATOR,
        Any,
        MANIFEST,
        409,
    ),
    route("POST /sequences/{draft}/withdraw", ADMIN, All, REASON, 409),
    route("GET /publisher-keys", VIEWER, Any, "", 200),
    route(
        "POST /publisher-keys",
        ADMIN,
        All,
        r#"{"public_key":"AAAA"}"#,
        422,
    ),
    route("GET /rollouts", VIEWER, Any, "", 200),
    route("GET /rollouts?track={track}", VIEWER, Track, "", 200),
    route("POST /rollouts", OPERATOR, Track, ROLLOUT, 422),
    route("GET /rollouts/{rollout}", VIEWER, Track, "", 200),
    route("GET /rollouts/{rollout}/decisions", VIEWER, Track, "", 200),
    route("GET /rollouts/{written}/forecast", VIEWER, Track, "", 200),
    route(
        "POST /rollouts/{rollout}/submit",
        OPERATOR,
        Track,
        "{}",
        409,
    ),
    route(
        "POST /rollouts/{rollout}/pause",
        OPERATOR,
        Track,
        REASON,
        409,
    ),
    route(
        "POST /rollouts/{rollout}/resume",
        OPERATOR,
        Track,
        REASON,
        409,
    ),
    route(
        "POST /rollouts/{rollout}/halt",
        OPERATOR,
        Track,
        REASON,
        409,
    ),
    route(
        "POST /rollouts/{rollout}/clear-halt",
        ADMIN,
        Track,
        REASON,
        409,
    ),
    route(
        "POST /rollouts/{rollout}/cancel",
        OPERATOR,
        Track,
        REASON,
        409,
    ),
    route(
        "POST /rollouts/{rollout}/request-expedite",
        OPERATOR,
        Track,
        REASON,
        409,
    ),
    route(
        "POST /rollouts/{rollout}/request-override",
        ADMIN,
        Track,
        REASON,
        409,
    ),
    route(
        "POST /rollouts/{rollout}/exclusions",
        ADMIN,
        Track,
        r#"{"devices":"modle:x","reason":"because"}"#,
        422,
    ),
    route(
        "POST /rollouts/{written}/roll-back",
        ADMIN,
        Track,
        REASON,
        409,
    ),
    route(
        "POST /rollouts/{rollout}/stop-roll-back",
        ADMIN,
        Track,
        REASON,
        409,
    ),
    route("GET /approvals", VIEWER, Any, "", 200),
    route("GET /approvals?track={track}", VIEWER, Track, "", 200),
    route(
        "POST /approvals/{request}/approve",
        APPROVER,
        Track,
        HASH,
        409,
    ),
    route(
        "POST /approvals/{request}/reject",
        APPROVER,
        Track,
        REASON,
        409,
    ),
    route("GET /enrolment-tokens", ADMIN, Any, "", 200),
    route("GET /enrolment-tokens?track={track}", ADMIN, Track, "", 200),
    route("POST /enrolment-tokens", ADMIN, Track, ENROLMENT, 422),
    route(
        "DELETE /enrolment-tokens/{enrolment}",
        ADMIN,
        Track,
        "",
        204,
    ),
    route("GET /devices", VIEWER, Any, "", 200),
    route("GET /devices?track={track}", VIEWER, Track, "", 200),
    route("GET /devices/{device}", VIEWER, Track, "", 200),
    route("POST /devices/{device}/admit", ADMIN, Track, "", 409),
    route("POST /devices/{device}/revoke", ADMIN, Track, "", 409),
    route(
        "POST /devices/{device}/pin",
        ADMIN,
        Track,
        r#"{"ring":"00000000-0000-0000-0000-000000000000"}"#,
        422,
    ),
    route("GET /people", VIEWER, Any, "", 200),
    route(
        "POST /people",
        ADMIN,
        All,
        r#"{"name":" ","roles":[]}"#,
        422,
    ),
    route(
        "POST /people/{person}/roles",
        ADMIN,
        All,
        r#"{"roles":[]}"#,
        422,
    ),
    route("PUT /people/{person}/roles", ADMIN, All, STRANGER, 422),
    route("POST /people/{disabled}/disable", ADMIN, All, "", 409),
    route("POST /people/{person}/enable", ADMIN, All, "", 409),
    route("POST /people/{disabled}/sign-in-link", ADMIN, All, "", 409),
    route("GET /people/{person}/tokens", ADMIN, All, "", 200),
    route(
        "POST /people/{person}/tokens",
        ADMIN,
        All,
        r#"{"name":" ","expires_in_days":1}"#,
        422,
    ),
    route(
        "DELETE /people/{person}/tokens/{token}",
        ADMIN,
        All,
        "",
        204,
    ),
    route("GET /audit", AUDITOR, All, "", 200),
    route("GET /audit/verify", AUDITOR, All, "", 200),
];

impl Route {
    /// Its method.
    #[must_use]
    pub fn method(&self) -> reqwest::Method {
        let (method, _) = self.call.split_once(' ').unwrap();
        method.parse().unwrap()
    }

    /// Its path below `/api/v1`.
    #[must_use]
    pub fn path(&self) -> &'static str {
        self.call.split_once(' ').unwrap().1
    }

    /// Method and path as the router has them: without a query, every name `{}`.
    #[must_use]
    pub fn shape(&self) -> String {
        shape(
            self.call
                .split_once('?')
                .map_or(self.call, |(before, _)| before),
        )
    }
}

/// A path whose names do not matter.
#[must_use]
pub fn shape(text: &str) -> String {
    let parts = text
        .split('/')
        .map(|p| if p.starts_with('{') { "{}" } else { p });
    parts.collect::<Vec<_>>().join("/")
}

/// Every method and path that the sources of the router name, as [`Route::shape`] writes them.
#[must_use]
pub fn routes_in_sources() -> BTreeSet<String> {
    routes_below("../server/src/admin_api")
}

/// The same for the sources in a directory and those below it.
pub(crate) fn routes_below(directory: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut left = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(directory)];
    while let Some(directory) = left.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                left.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                add_routes(&std::fs::read_to_string(path).unwrap(), &mut found);
            }
        }
    }
    found
}

fn add_routes(text: &str, found: &mut BTreeSet<String>) {
    let mut calls = text.split(".route(");
    calls.next();
    for call in calls {
        // A path with a name of its own, such as `PATH`, is the value of that constant.
        let first = call.split(',').next().unwrap().trim();
        let path = if first.starts_with('"') {
            first.trim_matches('"')
        } else {
            constant(text, first)
        };
        let rest = call.split_once(',').unwrap().1;
        for (word, method) in [
            ("get", "GET"),
            ("post", "POST"),
            ("put", "PUT"),
            ("delete", "DELETE"),
            ("patch", "PATCH"),
            ("any", "ANY"),
        ] {
            let taken = handlers(rest);
            let named = |before: &str| taken.split(before).count() > 1;
            if named(&format!(" {word}(")) || named(&format!(".{word}(")) {
                found.insert(shape(&format!("{method} {path}")));
            }
        }
    }
}

fn constant<'a>(text: &'a str, name: &str) -> &'a str {
    let (_, value) = text
        .split_once(&format!("const {name}: &str = \""))
        .unwrap_or_else(|| panic!("the path {name} is no constant of its file"));
    value.split_once('"').unwrap().0
}

/// What stands before the parenthesis that ends `.route(`.
fn handlers(rest: &str) -> &str {
    let mut depth = 1;
    let end = rest.find(|c| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        depth == 0
    });
    &rest[..end.unwrap()]
}
