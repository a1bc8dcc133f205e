//! Every page and every form: who may open it, and what it answers to a form that can be read and not be done. A page
//! that is not in here fails the tests.

use std::collections::BTreeSet;

use crate::admin::{ADMIN, OPERATOR, Reach, Route, VIEWER, route, routes_below};
use Reach::{Any, Track};

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

const REASON: &str = "reason=because";

/// For people who are signed in. Bodies are forms without their token.
pub const PAGES: &[Route] = &[
    route("GET /step-up", VIEWER, Any, "", 200),
    route("POST /step-up", VIEWER, Any, "next=/overview", 422),
    route("GET /live", VIEWER, Any, "", 200),
    // Rollouts
    route("GET /rollouts", VIEWER, Any, "", 200),
    route("GET /rollouts?track={track}", VIEWER, Track, "", 200),
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
];

/// Every method and path that the sources of the pages name.
#[must_use]
pub fn pages_in_sources() -> BTreeSet<String> {
    routes_below("../server/src/web")
}
