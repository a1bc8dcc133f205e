//! A browser reduced to what it sends: a cookie, forms, headers.

use std::net::TcpListener;
use std::sync::Mutex;

use axum_server::Handle;
use engine::ids::PersonId;
use reqwest::header::{CONTENT_TYPE, COOKIE, HeaderMap, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, RequestBuilder};
use secrecy::SecretString;
use serde_json::json;
use server::auth::{self, Passwords};
use server::serve;
use server::store::{people, sign_in};
use tokio::sync::OnceCell;

use crate::lab::Lab;
use crate::node::configuration;
use crate::wire::{Answer, Wire};

/// The password of everybody in a lab who has one.
pub const PASSWORD: &str = "walrus tin orbit lamp";

/// The name of the cookie.
pub const SESSION: &str = "__Host-ringfence";

/// Someone who visits pages.
pub struct Visitor {
    client: Client,
    base: String,
    cookie: Mutex<Option<String>>,
}

impl Visitor {
    /// Someone new, at the first server of a lab.
    pub fn of(lab: &Lab) -> Self {
        server::tls::install_provider();
        Self {
            client: Client::builder()
                .no_proxy()
                .redirect(Policy::none())
                .build()
                .unwrap(),
            base: lab.wire().url().to_owned(),
            cookie: Mutex::default(),
        }
    }

    /// Someone at a server that has TLS, but for the TLS itself: for what it says to browsers then. It runs as long as
    /// the test.
    pub fn as_with_tls(lab: &Lab) -> Self {
        let mut config = configuration(lab.directory(), true);
        let tls = json!({ "certificate": "of-nothing", "key": "of-nothing" });
        config.tls = serde_json::from_value(tls).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let router = serve::Front::new(lab.nodes[0].app.clone(), config.into());
        tokio::spawn(serve::serve(listener, router, None, Handle::new()));
        Self {
            base,
            ..Self::of(lab)
        }
    }

    /// The same with another's cookie, as who has stolen it.
    pub fn with_cookie(&self, cookie: Option<String>) -> Self {
        Self {
            client: self.client.clone(),
            base: self.base.clone(),
            cookie: Mutex::new(cookie),
        }
    }

    /// The session's id, as the cookie has it.
    pub fn cookie(&self) -> Option<String> {
        self.cookie.lock().unwrap().clone()
    }

    /// A request with the cookie.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.base));
        match self.cookie() {
            Some(cookie) => request.header(COOKIE, format!("{SESSION}={cookie}")),
            None => request,
        }
    }

    /// Sends a request and keeps the cookie that comes back.
    pub async fn send(&self, request: RequestBuilder) -> Answer {
        let answer = Wire::send(request).await;
        if let Some(cookie) = set_cookie(&answer.headers) {
            *self.cookie.lock().unwrap() = Some(cookie).filter(|c| !c.is_empty());
        }
        answer
    }

    /// Opens a page.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    /// Sends a form as it is.
    pub async fn form(&self, path: &str, body: &str) -> Answer {
        let request = self
            .request(Method::POST, path)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.send(request.body(body.to_owned())).await
    }

    /// Sends a form of a page of this session.
    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let csrf = self.csrf().await;
        let mut fields = fields.to_vec();
        fields.push(("csrf", &csrf));
        self.form(path, &encoded(&fields)).await
    }

    /// The token of this session's forms.
    pub async fn csrf(&self) -> String {
        let page = self.get("/step-up").await.text();
        let (_, after) = page
            .split_once(r#"name="csrf" value=""#)
            .unwrap_or_else(|| panic!("no form of a session: {page}"));
        after.split_once('"').unwrap().0.to_owned()
    }

    /// Signs in; where that leads.
    pub async fn sign_in(&self, name: &str, password: &str) -> Answer {
        let body = encoded(&[("name", name), ("password", password)]);
        self.form("/sign-in", &body).await
    }
}

/// Fields as a form sends them.
pub fn encoded(fields: &[(&str, &str)]) -> String {
    let url = reqwest::Url::parse_with_params("http://x/", fields).unwrap();
    url.query().unwrap_or_default().to_owned()
}

/// The session that an answer gives, empty where it ends one.
fn set_cookie(headers: &HeaderMap) -> Option<String> {
    let mut cookies = headers.get_all(SET_COOKIE).iter();
    let cookie = cookies.find_map(|c| c.to_str().ok()?.strip_prefix(&format!("{SESSION}=")))?;
    Some(cookie.split(';').next()?.to_owned())
}

impl Lab {
    /// Gives someone [`PASSWORD`]; returns their name.
    pub async fn give_password(&self, person: PersonId) -> String {
        // Hashing is slow on purpose: once is enough.
        static HASH: OnceCell<String> = OnceCell::const_new();
        let hash = HASH.get_or_init(async || {
            let password = SecretString::from(PASSWORD);
            Passwords::default().hash(password).await.unwrap()
        });
        let (hash, now) = (hash.await, self.clock.now());
        let mut conn = self.conn().await;
        sign_in::set_password(&mut conn, person.0, hash, now)
            .await
            .unwrap();
        let account = people::by_id(&mut conn, person.0).await.unwrap();
        account.unwrap().name
    }

    /// A link with which someone chooses a password.
    pub async fn link(&self, person: PersonId) -> String {
        let (pool, by) = (&self.database.pool, self.people.admin.0);
        let made = auth::make_link(pool, person.0, Some(by), self.clock.now()).await;
        made.unwrap().0.show()
    }

    /// Someone who is signed in.
    pub async fn visitor(&self, person: PersonId) -> Visitor {
        let name = self.give_password(person).await;
        let visitor = Visitor::of(self);
        let answer = visitor.sign_in(&name, PASSWORD).await;
        assert_eq!(answer.status, 303, "{}", answer.text());
        visitor
    }

    /// The password of everybody who is signed in was given longer ago than it counts.
    pub async fn lapse(&self) {
        let lapse = "UPDATE session SET data = jsonb_set(data, '{who,password_at}', to_jsonb(now() - interval '11 minutes'))";
        sqlx::raw_sql(lapse)
            .execute(&self.database.pool)
            .await
            .unwrap();
    }
}
