//! Every page and every form: who may open it, and what it answers to a form that can be read and not be done. A page
//! that is not in here fails the tests.

use std::collections::BTreeSet;

use crate::admin::{ADMIN, APPROVER, AUDITOR, OPERATOR, Reach, Route, VIEWER, route, routes_below};
use Reach::{All, Any, Nobody, Track};

/// For nobody in particular.
pub const OPEN: &[&str] = &[
    "GET /",
    "GET /sign-in",
    "POST /sign-in",
    "POST /sign-out",
    "GET /static/{path}",
    "GET /welcome/{link}",
    "POST /welcome/{link}",
];

/// What ends the session of whoever does it, so that nobody can walk on: `tests/tests/account.rs` looks at it.
pub const ENDS: &[&str] = &["POST /account/sign-out-everywhere"];

const REASON: &str = "reason=because";

/// For people who are signed in. Bodies are forms without their token.
pub const PAGES: &[Route] = &[
    route("GET /step-up", VIEWER, Any, "", 200),
    route("POST /step-up", VIEWER, Any, "next=/overview", 422),
    route("GET /live", VIEWER, Any, "", 200),
    // Rollouts
    route("GET /rollouts", VIEWER, Any, "", 200),
    route("GET /rollouts?track={track}", VIEWER, Track, "", 200),
    route("GET /rollouts/{written}/forecast", VIEWER, Track, "", 200),
    route("GET /rollouts/{rollout}/submit", OPERATOR, Track, "", 200),
    route("POST /rollouts/{rollout}/submit", OPERATOR, Track, "", 409),
    route("GET /rollouts/{rollout}/pause", OPERATOR, Track, "", 200),
    route(
        "POST /rollouts/{rollout}/pause",
        OPERATOR,
        Track,
        REASON,
        409,
    ),
    route("GET /rollouts/{rollout}/resume", OPERATOR, Track, "", 200),
    route(
        "POST /rollouts/{rollout}/resume",
        OPERATOR,
        Track,
        REASON,
        409,
    ),
    route("GET /rollouts/{rollout}/halt", OPERATOR, Track, "", 200),
    route(
        "POST /rollouts/{rollout}/halt",
        OPERATOR,
        Track,
        REASON,
        409,
    ),
    route("GET /rollouts/{rollout}/cancel", OPERATOR, Track, "", 200),
    route(
        "POST /rollouts/{rollout}/cancel",
        OPERATOR,
        Track,
        REASON,
        409,
    ),
    route("GET /rollouts/{rollout}/clear-halt", ADMIN, Track, "", 200),
    route(
        "POST /rollouts/{rollout}/clear-halt",
        ADMIN,
        Track,
        REASON,
        409,
    ),
    route(
        "GET /rollouts/{rollout}/request-expedite",
        OPERATOR,
        Track,
        "",
        200,
    ),
    route(
        "POST /rollouts/{rollout}/request-expedite",
        OPERATOR,
        Track,
        REASON,
        409,
    ),
    route(
        "GET /rollouts/{rollout}/request-override",
        ADMIN,
        Track,
        "",
        200,
    ),
    route(
        "POST /rollouts/{rollout}/request-override",
        ADMIN,
        Track,
        REASON,
        409,
    ),
    route("GET /rollouts/{rollout}/exclude", ADMIN, Track, "", 200),
    route(
        "POST /rollouts/{rollout}/exclude",
        ADMIN,
        Track,
        "devices=modle:x&reason=because",
        422,
    ),
    route("GET /rollouts/{rollout}/roll-back", ADMIN, Track, "", 200),
    route(
        "POST /rollouts/{written}/roll-back",
        ADMIN,
        Track,
        "reason=because",
        409,
    ),
    route(
        "GET /rollouts/{rollout}/stop-roll-back",
        ADMIN,
        Track,
        "",
        200,
    ),
    route(
        "POST /rollouts/{rollout}/stop-roll-back",
        ADMIN,
        Track,
        "reason=because",
        409,
    ),
    // Overview
    route("GET /overview", VIEWER, Nobody, "", 200),
    // One rollout, and a new one
    route("GET /rollouts/{rollout}", VIEWER, Track, "", 200),
    route("GET /rollouts/new", OPERATOR, Any, "", 200),
    route(
        "POST /rollouts",
        OPERATOR,
        Track,
        "sequence={sequence}&track={track}&preset=standard&ticket={long}",
        422,
    ),
    // Approvals
    route("GET /approvals", VIEWER, Any, "", 200),
    route("GET /approvals?track={track}", VIEWER, Track, "", 200),
    route("GET /approvals/{request}", VIEWER, Track, "", 200),
    route("GET /approvals/{request}/approve", VIEWER, Any, "", 303),
    route(
        "POST /approvals/{request}/approve",
        APPROVER,
        Track,
        "hash=0000000000000000000000000000000000000000000000000000000000000000",
        409,
    ),
    route("GET /approvals/{request}/reject", VIEWER, Any, "", 303),
    route(
        "POST /approvals/{request}/reject",
        APPROVER,
        Track,
        REASON,
        409,
    ),
    // KB sequences and publisher keys
    route("GET /sequences", VIEWER, Any, "", 200),
    route("GET /sequences/{sequence}", VIEWER, Any, "", 200),
    route(
        "GET /sequences/{sequence}/sequence.json",
        VIEWER,
        Any,
        "",
        200,
    ),
    route("GET /sequences/new", OPERATOR, Any, "", 200),
    route("POST /sequences/new", OPERATOR, Any, "json=%7B%7D", 422),
    route("GET /sequences/validate", OPERATOR, Any, "", 303),
    route(
        "POST /sequences/validate",
        OPERATOR,
        Any,
        "json=%7B%7D",
        422,
    ),
    route("GET /sequences/{draft}/edit", OPERATOR, Any, "", 200),
    route(
        "POST /sequences/{draft}/edit",
        OPERATOR,
        Any,
        "json=%7B%7D",
        422,
    ),
    route("GET /sequences/{draft}/publish", OPERATOR, Any, "", 200),
    route(
        "POST /sequences/{draft}/publish",
        OPERATOR,
        Any,
        "manifest=%7B%7D",
        422,
    ),
    route("GET /sequences/{sequence}/withdraw", ADMIN, All, "", 200),
    route("POST /sequences/{draft}/withdraw", ADMIN, All, REASON, 409),
    route("GET /publisher-keys", VIEWER, Any, "", 200),
    route("POST /publisher-keys", ADMIN, All, "public_key=AAAA", 422),
    // Devices
    route("GET /devices", VIEWER, Any, "", 200),
    route("GET /devices?q=state%3Afailed", VIEWER, Any, "", 200),
    route("GET /devices.csv", VIEWER, Any, "", 200),
    route("GET /devices/{device}", VIEWER, Track, "", 200),
    route("GET /devices/{device}/admit", ADMIN, Track, "", 200),
    route("POST /devices/{device}/admit", ADMIN, Track, "", 409),
    route("GET /devices/{device}/revoke", ADMIN, Track, "", 200),
    route("POST /devices/{device}/revoke", ADMIN, Track, "", 409),
    route("GET /devices/{device}/pin", ADMIN, Track, "", 200),
    route(
        "POST /devices/{device}/pin",
        ADMIN,
        Track,
        "ring=00000000-0000-0000-0000-000000000000",
        422,
    ),
    // Tracks and rings
    route("GET /tracks", VIEWER, Any, "", 200),
    route("GET /tracks/{track}", VIEWER, Track, "", 200),
    route(
        "POST /tracks/{track}/expected-devices",
        ADMIN,
        Track,
        "",
        422,
    ),
    route(
        "POST /tracks/{track}/freezes",
        ADMIN,
        Track,
        "ends=2020-01-01T00:00&reason=because",
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
        "POST /tracks/{track}/cohorts",
        ADMIN,
        Track,
        "attributes=EDR",
        422,
    ),
    route(
        "POST /tracks/{track}/holds",
        OPERATOR,
        Track,
        "devices=tag:x&issue=because&expires=2020-01-01T00:00",
        422,
    ),
    route(
        "POST /tracks/{track}/holds/{nobody}/end",
        ADMIN,
        Track,
        "",
        404,
    ),
    route("GET /tracks/new", ADMIN, All, "", 200),
    route("POST /tracks/new", ADMIN, All, "time_zone=UTC", 422),
    route("GET /tracks/{track}/rings", ADMIN, Track, "", 200),
    route(
        "POST /tracks/{track}/rings",
        ADMIN,
        Track,
        "action=preview",
        422,
    ),
    // Enrolment
    route("GET /enrolment-tokens", ADMIN, Any, "", 200),
    route("GET /enrolment-tokens?track={track}", ADMIN, Track, "", 200),
    route("GET /enrolment-tokens/new", ADMIN, Any, "", 200),
    route(
        "POST /enrolment-tokens/new",
        ADMIN,
        Track,
        "track={track}&admission=let_in&uses=0&expires_in_hours=1",
        422,
    ),
    route(
        "GET /enrolment-tokens/{enrolment}/revoke",
        ADMIN,
        Track,
        "",
        200,
    ),
    route(
        "POST /enrolment-tokens/{nobody}/revoke",
        ADMIN,
        Any,
        "",
        404,
    ),
    // People
    route("GET /people", VIEWER, Any, "", 200),
    route("GET /people/{person}", VIEWER, Any, "", 200),
    route("GET /people/new", ADMIN, All, "", 200),
    route("POST /people/new", ADMIN, All, "", 422),
    route("GET /people/{person}/roles", ADMIN, All, "", 200),
    route(
        "POST /people/{person}/roles",
        ADMIN,
        All,
        "grant=nothing",
        422,
    ),
    route("GET /people/{person}/disable", ADMIN, All, "", 200),
    route("POST /people/{disabled}/disable", ADMIN, All, "", 409),
    route("GET /people/{disabled}/enable", ADMIN, All, "", 200),
    route("POST /people/{person}/enable", ADMIN, All, "", 409),
    route("GET /people/{person}/link", ADMIN, All, "", 200),
    route("POST /people/{nobody}/link", ADMIN, All, "", 404),
    route(
        "GET /people/{person}/tokens/{token}/revoke",
        ADMIN,
        All,
        "",
        200,
    ),
    route(
        "POST /people/{person}/tokens/{nobody}/revoke",
        ADMIN,
        All,
        "",
        404,
    ),
    route("GET /account", VIEWER, Nobody, "", 200),
    route("POST /account/password", VIEWER, Nobody, "", 422),
    route("GET /account/tokens", VIEWER, Nobody, "", 303),
    route("POST /account/tokens", VIEWER, Nobody, "", 422),
    route(
        "GET /account/tokens/{nobody}/revoke",
        VIEWER,
        Nobody,
        "",
        404,
    ),
    route(
        "POST /account/tokens/{nobody}/revoke",
        VIEWER,
        Nobody,
        "",
        404,
    ),
    // Audit
    route("GET /audit", AUDITOR, All, "", 200),
    route("GET /audit/verify", AUDITOR, All, "", 200),
    route("GET /audit.jsonl", AUDITOR, All, "", 200),
];

/// Every method and path that the sources of the pages name.
#[must_use]
pub fn pages_in_sources() -> BTreeSet<String> {
    routes_below("../server/src/web")
}
