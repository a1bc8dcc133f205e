//! Who may know whom: the arrows of `docs/ARCHITECTURE.md`, held by reading the sources. Cargo holds those between
//! crates as well, but not that a manifest stays as short as it is. Only the standard library is used.

#[path = "support_docs/mod.rs"]
mod support_docs;

use std::fs;
use std::path::{Path, PathBuf};

use support_docs::paths::{Named, named_in};

/// What nobody but a few may name.
struct Rule {
    /// Modules of `server/src` that are judged, by name; `*` for all.
    of: &'static [&'static str],
    /// Modules that are excepted.
    but: &'static [&'static str],
    /// First segments that must not be named: `crate::control`, or another crate such as `axum`.
    not: &'static [&'static str],
    /// For whoever breaks it.
    because: &'static str,
}

const HTTP: [&str; 6] = [
    "axum",
    "axum_server",
    "http",
    "hyper",
    "tower",
    "tower_http",
];

/// The edges of `server/src`. Each line says what must not be there; everything else is free.
const RULES: &[Rule] = &[
    Rule {
        of: &["store"],
        but: &[],
        not: &["agent", "agent_protocol"],
        because: "store answers questions in domain words: neither the wire nor the agent",
    },
    Rule {
        of: &["store"],
        but: &[],
        not: &[
            "crate::admin_api",
            "crate::agent_api",
            "crate::app",
            "crate::auth",
            "crate::cli",
            "crate::control",
            "crate::demo",
            "crate::drivers",
            "crate::fleet",
            "crate::http",
            "crate::ingest",
            "crate::notify",
            "crate::permits",
            "crate::registry",
            "crate::serve",
            "crate::verify",
            "crate::web",
        ],
        because: "store is below everything that decides or answers",
    },
    Rule {
        of: &[
            "store",
            "fleet",
            "ingest",
            "permits",
            "control",
            "drivers",
            "registry",
            "verify",
            "views",
            "forecasts",
            "operations",
            "batcher",
            "clock",
            "error",
            "secret",
        ],
        but: &[],
        not: &HTTP,
        because: "what decides and stores knows no HTTP",
    },
    Rule {
        of: &[
            "fleet",
            "forecasts",
            "ingest",
            "permits",
            "control",
            "drivers",
            "registry",
            "verify",
        ],
        but: &[],
        not: &[
            "crate::admin_api",
            "crate::agent_api",
            "crate::app",
            "crate::auth",
            "crate::cli",
            "crate::demo",
            "crate::http",
            "crate::serve",
            "crate::web",
        ],
        because: "what decides and stores knows nobody who asks it",
    },
    Rule {
        of: &["views"],
        but: &[],
        not: &[
            "crate::admin_api",
            "crate::agent_api",
            "crate::app",
            "crate::auth",
            "crate::control",
            "crate::drivers",
            "crate::http",
            "crate::ingest",
            "crate::serve",
            "crate::web",
        ],
        because: "what is shown is read, by whoever shows it: views know neither those nor what writes",
    },
    Rule {
        of: &["web"],
        but: &[],
        not: &["crate::admin_api"],
        because: "pages and the API stand side by side; what they share is in views and http",
    },
    Rule {
        of: &["fleet"],
        but: &[],
        not: &[
            "crate::control",
            "crate::drivers",
            "crate::ingest",
            "crate::permits",
            "crate::registry",
        ],
        because: "fleet is what polls read; those who write it know it, not the other way round",
    },
    Rule {
        of: &["registry"],
        but: &[],
        not: &[
            "crate::control",
            "crate::drivers",
            "crate::ingest",
            "crate::permits",
        ],
        because: "devices and rings know nothing of rollouts that move",
    },
    Rule {
        of: &["control", "ingest", "permits"],
        but: &[],
        not: &["crate::drivers", "crate::permits", "crate::verify"],
        because: "drivers drive the others; permits are asked by devices alone",
    },
    Rule {
        of: &["control"],
        but: &[],
        not: &["crate::ingest"],
        because: "control reads counters, it takes no reports in",
    },
    Rule {
        of: &["agent_api"],
        but: &[],
        not: &[
            "crate::admin_api",
            "crate::auth",
            "crate::control",
            "crate::drivers",
            "crate::demo",
            "crate::web",
        ],
        because: "devices are served apart from people, and move no rollout",
    },
    Rule {
        of: &["admin_api", "auth", "web"],
        but: &[],
        not: &["crate::agent_api", "crate::drivers", "crate::demo"],
        because: "people are served apart from devices",
    },
    Rule {
        of: &[
            "agent_api",
            "admin_api",
            "auth",
            "web",
            "app",
            "serve",
            "cli",
            "http",
        ],
        but: &[],
        not: &[
            "sqlx::query",
            "sqlx::query_as",
            "sqlx::query_scalar",
            "sqlx::query_file",
            "sqlx::query_file_as",
            "sqlx::raw_sql",
        ],
        because: "a query is a function of store with a name in domain words",
    },
    Rule {
        of: &["*"],
        but: &["cli", "demo"],
        not: &["agent"],
        because: "the server runs without the agent; only the demo plays both sides",
    },
    Rule {
        of: &["*"],
        but: &["cli", "demo"],
        not: &["crate::demo", "crate::cli"],
        because: "nothing of the product knows that it is demonstrated",
    },
    Rule {
        of: &[
            "http",
            "error",
            "clock",
            "config",
            "secret",
            "tls",
            "telemetry",
            "embedded_pg",
        ],
        but: &[],
        not: &[
            "crate::admin_api",
            "crate::agent_api",
            "crate::app",
            "crate::auth",
            "crate::control",
            "crate::drivers",
            "crate::fleet",
            "crate::ingest",
            "crate::permits",
            "crate::registry",
            "crate::serve",
            "crate::store",
            "crate::verify",
            "crate::web",
        ],
        because: "these are foundations: they know nothing that stands on them",
    },
    Rule {
        of: &["embedded_pg"],
        but: &[],
        not: &[
            "crate::config",
            "crate::error",
            "crate::clock",
            "sqlx",
            "tokio",
            "anyhow",
            "tracing",
        ],
        because: "xtask compiles this module too, without the rest of the server",
    },
];

/// Which of our crates a manifest may name, in any of its tables.
const CRATES: &[(&str, &[&str])] = &[
    ("servicing", &[]),
    ("agent-protocol", &[]),
    ("engine", &["servicing"]),
    ("harm", &["engine"]),
    ("agent", &["agent-protocol", "servicing"]),
    (
        "server",
        &["servicing", "engine", "agent-protocol", "agent"],
    ),
    (
        "tests",
        &["servicing", "engine", "agent-protocol", "agent", "server"],
    ),
    (
        "bench",
        &["servicing", "engine", "agent-protocol", "agent", "server"],
    ),
    ("xtask", &[]),
];

/// Crates that are pure name none of these.
const PURE: [&str; 2] = ["engine", "servicing"];
const IMPURE: [&str; 9] = [
    "axum",
    "getrandom",
    "hyper",
    "rand",
    "rand_chacha",
    "reqwest",
    "sqlx",
    "tokio",
    "tracing",
];

/// ... and read neither files nor clocks.
const OUTSIDE: [&str; 6] = [
    "std::env",
    "std::fs",
    "std::net",
    "std::process",
    "std::thread",
    "std::time",
];

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn shown(file: &Path) -> String {
    file.strip_prefix(root())
        .unwrap_or(file)
        .to_string_lossy()
        .replace('\\', "/")
}

/// Module of a file of `server/src`: its first directory, or its own name.
fn module_of(path: &str) -> &str {
    let below = path
        .rsplit_once("server/src/")
        .map_or(path, |(_, below)| below);
    below
        .split('/')
        .next()
        .unwrap_or(below)
        .trim_end_matches(".rs")
}

/// What a file names against the rules, as `file:line: ...`.
fn broken(path: &str, text: &str, rules: &[Rule]) -> Vec<String> {
    let module = module_of(path);
    let mut found = Vec::new();
    for named in named_in(path, text) {
        for rule in rules {
            let judged =
                (rule.of == ["*"] || rule.of.contains(&module)) && !rule.but.contains(&module);
            // A module may name itself.
            let itself = named.is(&format!("crate::{module}"));
            if judged && !itself && rule.not.iter().any(|forbidden| named.is(forbidden)) {
                found.push(complaint(path, &named, module, rule.because));
            }
        }
    }
    found
}

fn complaint(path: &str, named: &Named, module: &str, because: &str) -> String {
    format!(
        "{path}:{}: `{module}` names `{}`: {because}",
        named.line, named.path
    )
}

fn sources(directory: &Path) -> Vec<PathBuf> {
    let found = support_docs::sources(directory);
    assert!(!found.is_empty(), "{} holds no source", directory.display());
    found
}

fn none(found: &[String]) {
    assert!(
        found.is_empty(),
        "{} edges that must not be:\n{}",
        found.len(),
        found.join("\n")
    );
}

#[test]
fn modules_of_the_server_know_only_whom_they_may() {
    let mut found = Vec::new();
    for file in sources(&root().join("server/src")) {
        let text = fs::read_to_string(&file).unwrap();
        found.extend(broken(&shown(&file), &text, RULES));
    }
    none(&found);
}

#[test]
fn crates_know_only_whom_they_may() {
    let mut found = Vec::new();
    for (name, may) in CRATES {
        let path = format!("{name}/Cargo.toml");
        let text = fs::read_to_string(root().join(&path)).unwrap();
        for (line, dependency) in dependencies(&text) {
            let ours = CRATES.iter().any(|(other, _)| *other == dependency);
            if ours && !may.contains(&dependency.as_str()) {
                found.push(format!(
                    "{path}:{line}: `{name}` must not know `{dependency}`"
                ));
            }
            if PURE.contains(name) && IMPURE.contains(&dependency.as_str()) {
                found.push(format!("{path}:{line}: `{name}` is pure: no I/O, no clock, no randomness; `{dependency}` is none of that"));
            }
        }
    }
    none(&found);
}

#[test]
fn rules_of_the_domain_read_neither_files_nor_clocks() {
    let mut found = Vec::new();
    for name in PURE {
        for file in sources(&root().join(name).join("src")) {
            let (path, text) = (shown(&file), fs::read_to_string(&file).unwrap());
            let outside = named_in(&path, &text)
                .into_iter()
                .filter(|named| OUTSIDE.iter().any(|o| named.is(o)));
            found.extend(outside.map(|named| {
                complaint(
                    &path,
                    &named,
                    name,
                    "the crate is pure: time is an argument",
                )
            }));
        }
    }
    none(&found);
}

/// Every dependency with its line, whatever the table.
fn dependencies(manifest: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut within = false;
    for (line, text) in manifest.lines().enumerate() {
        let text = text.trim();
        if let Some(table) = text.strip_prefix('[') {
            let table = table.trim_end_matches(']');
            within = table.ends_with("dependencies");
            if let Some((kind, name)) = table.rsplit_once('.')
                && kind.ends_with("dependencies")
            {
                found.push((line + 1, name.to_owned()));
            }
        } else if within && !text.is_empty() && !text.starts_with('#') {
            let name: String = text
                .chars()
                .take_while(|c| !matches!(c, '.' | '=' | ' '))
                .collect();
            found.push((line + 1, name));
        }
    }
    found
}

#[test]
fn a_forbidden_edge_is_found_wherever_it_is_written() {
    let text = "//! use axum::Router;\n\
                use crate::{\n    clock,\n    control::{Control, self},\n};\n\
                fn f() { let a = \"axum::Router\"; crate::permits::ask(); }\n\
                use axum::Json;\n\
                /* use axum::Json; /* nested */ */\n";
    let found = broken("server/src/store/x.rs", text, RULES);
    let at = |start: &str| found.iter().filter(|f| f.starts_with(start)).count();
    assert_eq!(
        at("server/src/store/x.rs:4: `store` names `crate::control"),
        2,
        "{found:?}"
    );
    assert_eq!(
        at("server/src/store/x.rs:6: `store` names `crate::permits::ask`"),
        1,
        "{found:?}"
    );
    assert_eq!(
        at("server/src/store/x.rs:7: `store` names `axum::Json`"),
        1,
        "{found:?}"
    );
    assert_eq!(found.len(), 4, "{found:?}");
}

#[test]
fn a_way_round_by_super_is_found() {
    let found = broken(
        "server/src/store/deep/x.rs",
        "use super::super::super::control::Control;\n",
        RULES,
    );
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        broken(
            "server/src/store/mod.rs",
            "use super::ingest::Ingest;\n",
            RULES
        )
        .len()
            == 1
    );
    assert!(
        broken(
            "server/src/store/x.rs",
            "use super::ingest::Ingest;\n",
            RULES
        )
        .is_empty()
    );
}

#[test]
fn a_query_in_a_handler_is_found_and_a_type_is_not() {
    let text = "use sqlx::PgConnection;\nlet n = sqlx::query_scalar!(\"SELECT 1\");\nlet r = r#\"sqlx::query!\"#;\n";
    let found = broken("server/src/admin_api/devices.rs", text, RULES);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].starts_with("server/src/admin_api/devices.rs:2:"),
        "{found:?}"
    );
}

#[test]
fn the_demo_may_know_the_agent_and_nobody_else_may() {
    let text = "use agent::simulate::Fleet;\nuse agent_protocol::Order;\n";
    assert!(broken("server/src/demo/world.rs", text, RULES).is_empty());
    assert_eq!(broken("server/src/ingest/mod.rs", text, RULES).len(), 1);
}

#[test]
fn a_dependency_is_found_in_every_table() {
    let manifest = "[package]\nname = \"x\"\n[dependencies]\n# engine\nserde.workspace = true\n[dev-dependencies]\nengine = { path = \"..\" }\n[target.'cfg(unix)'.dependencies.tokio]\nversion = \"1\"\n";
    let names: Vec<String> = dependencies(manifest)
        .into_iter()
        .map(|(line, name)| format!("{line} {name}"))
        .collect();
    assert_eq!(names, ["5 serde", "7 engine", "8 tokio"]);
}
