//! The admin API as its callers meet it: people with roles, calls that must be refused, and the proof that a refused
//! call changed nothing.

mod roles;
mod routes;
mod world;

use std::collections::BTreeMap;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Body, Client, Method};
use serde_json::Value;
use server::auth::Secret;
use server::serve;
use server::store::people::{self, Role};
use sqlx::{AssertSqlSafe, Row};
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::lab::Lab;
use crate::node::configuration;
use crate::wire::{Answer, Wire};

pub use roles::{Holder, Place};
pub(crate) use routes::{ADMIN, APPROVER, AUDITOR, OPERATOR, VIEWER, route, routes_below};
pub use routes::{ROUTES, Reach, Route, routes_in_sources, shape};
pub use world::{Things, World};

/// Tables that drivers and polls write by themselves.
const BOOKKEEPING: [&str; 5] = [
    "_sqlx_migrations",
    "service_clock",
    "seen",
    "change",
    "device_kind",
];

/// The admin API of a lab's first server.
pub struct Api {
    client: Client,
    url: String,
    served: JoinHandle<std::io::Result<()>>,
}

impl Drop for Api {
    fn drop(&mut self) {
        self.served.abort();
    }
}

impl Api {
    /// Serves it.
    pub fn of(lab: &Lab) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let config = configuration(lab.directory(), true);
        let router = serve::Front::new(lab.nodes[0].app.clone(), config.into());
        let handle = axum_server::Handle::new();
        Self {
            client: Client::builder().no_proxy().build().unwrap(),
            url,
            served: tokio::spawn(serve::serve(listener, router, None, handle)),
        }
    }

    /// A request to a path below `/api/v1`.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let url = format!("{}/api/v1{path}", self.url);
        self.client.request(method, url)
    }

    /// Sends JSON, or no body at all.
    pub async fn call(
        &self,
        token: &str,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Answer {
        let mut request = self.request(method, path);
        if !token.is_empty() {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        Wire::send(request).await
    }

    /// Sends bytes of a media type.
    pub async fn send(
        &self,
        token: &str,
        (method, path): (Method, &str),
        media: &str,
        body: impl Into<Body>,
    ) -> Answer {
        let mut request = self
            .request(method, path)
            .header(AUTHORIZATION, format!("Bearer {token}"));
        if !media.is_empty() {
            request = request.header(CONTENT_TYPE, media);
        }
        Wire::send(request.body(body)).await
    }
}

impl Lab {
    /// Somebody new with these roles, each on a track or everywhere.
    pub async fn person(&self, name: &str, roles: &[(Role, Option<Uuid>)]) -> Uuid {
        let mut conn = self.conn().await;
        let id = Uuid::now_v7();
        people::add(&mut conn, id, name, self.clock.now())
            .await
            .unwrap();
        for (role, track) in roles {
            people::grant(&mut conn, id, *role, *track).await.unwrap();
        }
        id
    }

    /// A new API token of somebody: its id and its text.
    pub async fn api_token(&self, person: Uuid) -> (Uuid, String) {
        let secret = Secret::api();
        let (hash, now) = (secret.hash(), self.clock.now());
        let until = now + chrono::TimeDelta::days(300);
        let mut conn = self.conn().await;
        let id = people::add_token(&mut conn, person, "test", &hash, now, until)
            .await
            .unwrap();
        (id, secret.show())
    }

    /// A digest of every table, but of those that drivers and polls write by themselves.
    pub async fn digests(&self) -> BTreeMap<String, String> {
        let mut conn = self.conn().await;
        let tables: Vec<String> = sqlx::query_scalar(
            "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition",
        )
        .fetch_all(&mut *conn)
        .await
        .unwrap();
        let digest = |t: &String| {
            format!(
                "SELECT '{t}' AS name, md5(string_agg(t::text, '|' ORDER BY t::text)) AS digest FROM {t} t"
            )
        };
        let each: Vec<String> = tables
            .iter()
            .filter(|t| !BOOKKEEPING.contains(&t.as_str()))
            .map(digest)
            .collect();
        assert!(each.len() > 20, "these are not all tables: {tables:?}");
        sqlx::query(AssertSqlSafe(each.join(" UNION ALL ")))
            .fetch_all(&mut *conn)
            .await
            .unwrap()
            .iter()
            .map(|r| {
                (
                    r.get("name"),
                    r.get::<Option<String>, _>("digest").unwrap_or_default(),
                )
            })
            .collect()
    }
}

/// An admin of everything at a desk: makes calls that have to be refused, and looks whether anything changed.
pub struct Desk<'a> {
    /// The lab.
    pub lab: &'a Lab,
    /// Its API.
    pub api: Api,
    /// The admin's token.
    pub token: String,
}

impl<'a> Desk<'a> {
    /// The lab's admin.
    pub async fn of(lab: &'a Lab) -> Self {
        Self::of_person(lab, lab.people.admin.0).await
    }

    /// Somebody else.
    pub async fn of_person(lab: &'a Lab, person: Uuid) -> Self {
        let (_, token) = lab.api_token(person).await;
        let api = Api::of(lab);
        Self { lab, api, token }
    }

    /// Does something and looks whether anything changed.
    pub async fn unchanged(&self, what: &str, call: impl Future<Output = Answer>) -> Answer {
        let before = self.lab.digests().await;
        let answer = call.await;
        assert_eq!(
            self.lab.digests().await,
            before,
            "{what} changed something: {}",
            answer.text()
        );
        answer
    }

    /// A call that has to succeed; returns its answer.
    pub async fn done(&self, method: Method, path: &str, body: &Value) -> Value {
        self.api
            .call(&self.token, method, path, Some(body))
            .await
            .json()
    }

    /// A call that names a wrong field.
    pub async fn wrong(&self, method: Method, path: &str, body: &Value, field: &str) {
        let what = format!("{method} {path} {body}");
        let call = self.api.call(&self.token, method, path, Some(body));
        let answer = self.unchanged(&what, call).await;
        assert_names(&what, &answer, field);
    }

    /// A call to which some rule says no; returns the kind of problem.
    pub async fn no(&self, method: Method, path: &str, body: &Value) -> String {
        let what = format!("{method} {path} {body}");
        let call = self.api.call(&self.token, method, path, Some(body));
        let answer = self.unchanged(&what, call).await;
        assert_eq!(answer.status, 409, "{what}: {}", answer.text());
        answer.problem().kind
    }

    /// A call that is refused with a status and a kind of problem, such as `conflict` or `refused/hash`.
    pub async fn refused(
        &self,
        method: Method,
        path: &str,
        body: &Value,
        (status, kind): (u16, &str),
    ) {
        let what = format!("{method} {path} {body}");
        let call = self.api.call(&self.token, method, path, Some(body));
        let answer = self.unchanged(&what, call).await;
        assert_problem(&what, &answer, status, kind);
    }
}

/// A problem of this status and kind.
pub fn assert_problem(what: &str, answer: &Answer, status: u16, kind: &str) {
    assert_eq!(answer.status, status, "{what}: {}", answer.text());
    let problem = answer.problem();
    assert_eq!(
        problem.kind,
        format!("/problems/{kind}"),
        "{what}: {}",
        answer.text()
    );
    assert!(problem.detail.is_some_and(|d| !d.is_empty()), "{what}");
}

/// A `422` that names this field, and says what was expected there.
pub fn assert_names(what: &str, answer: &Answer, field: &str) {
    assert_problem(what, answer, 422, "invalid");
    let fields = answer.problem().fields;
    assert!(
        fields.iter().any(|f| f.field == field),
        "{what}: {field} is not among {fields:?}"
    );
    assert!(
        fields.iter().all(|f| !f.expected.is_empty()),
        "{what}: {fields:?}"
    );
}
