//! People at the admin API, like anybody else: those of the story, and those of whoever else plays one.

use std::path::Path;

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use ed25519_dalek::SigningKey;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use servicing::{Manifest, Sequence};

use crate::publisher;

/// How long a manifest is good for.
const GOOD_FOR: TimeDelta = TimeDelta::days(180);

/// Someone with a token.
#[derive(Debug, Clone)]
pub struct Someone {
    /// Name.
    pub name: String,
    client: Client,
    url: String,
    token: String,
}

impl Someone {
    /// Someone who has a token already.
    #[must_use]
    pub fn new(name: &str, client: Client, url: &str, token: String) -> Self {
        Self {
            name: name.to_owned(),
            client,
            url: url.to_owned(),
            token,
        }
    }

    /// The same person at another replica.
    #[must_use]
    pub fn at(&self, url: String) -> Self {
        Self {
            url,
            ..self.clone()
        }
    }

    /// Adds a track with these rings, each with its query; returns its id.
    ///
    /// # Errors
    /// When the server says no.
    pub async fn add_track(
        &self,
        name: &str,
        time_zone: &str,
        rings: &[(&str, Option<&str>)],
    ) -> anyhow::Result<String> {
        let track = json!({ "name": name, "time_zone": time_zone });
        let track = self.post("/tracks", &track).await?;
        let id = text(&track, "id")?.to_owned();
        let rings = rings.iter();
        let rings: Value = rings
            .map(|(name, query)| json!({ "name": name, "query": query }))
            .collect();
        self.put(&format!("/tracks/{id}/rings"), &rings).await?;
        Ok(id)
    }

    /// Lets the servers trust what this key signs.
    ///
    /// # Errors
    /// When the server says no.
    pub async fn trust(&self, key: &SigningKey) -> anyhow::Result<()> {
        let public = URL_SAFE_NO_PAD.encode(key.verifying_key().as_bytes());
        self.post("/publisher-keys", &json!({ "public_key": public }))
            .await?;
        Ok(())
    }

    /// Adds, signs and publishes a known sequence with synthetic files; returns its id. The servers do not hold the key:
    /// signing is the publisher's, offline.
    ///
    /// # Errors
    /// When the files can not be written, or the server says no.
    pub async fn publish(
        &self,
        kb: &str,
        content_dir: &Path,
        key: &SigningKey,
        counter: u64,
        now: DateTime<Utc>,
    ) -> anyhow::Result<String> {
        let sequence: Sequence = publisher::synthetic(kb, content_dir)?;
        let added = self
            .post("/sequences", &serde_json::to_value(&sequence)?)
            .await?;
        let id = text(&added, "id")?.to_owned();
        let manifest = Manifest {
            sequence,
            revision: 1,
            counter,
            expires_at: now + GOOD_FOR,
            sources: Vec::new(),
        };
        self.post(
            &format!("/sequences/{id}/publish"),
            &json!({ "manifest": manifest.sign(key) }),
        )
        .await?;
        Ok(id)
    }

    /// Adds a person with roles everywhere, and returns them with a token.
    ///
    /// # Errors
    /// When the server says no.
    pub async fn invite(&self, name: &str, roles: &[&str]) -> anyhow::Result<Self> {
        let roles: Vec<Value> = roles.iter().map(|r| json!({ "role": r })).collect();
        let person = self
            .post("/people", &json!({ "name": name, "roles": roles }))
            .await?;
        let id = text(&person, "id")?;
        let token = self
            .post(
                &format!("/people/{id}/tokens"),
                &json!({ "name": "demo", "expires_in_days": 90 }),
            )
            .await?;
        let token = text(&token, "token")?.to_owned();
        Ok(Self::new(name, self.client.clone(), &self.url, token))
    }

    /// Reads.
    ///
    /// # Errors
    /// When the server says no.
    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.send(Method::GET, path, None).await
    }

    /// Writes.
    ///
    /// # Errors
    /// When the server says no.
    pub async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.send(Method::POST, path, Some(body)).await
    }

    /// Replaces.
    ///
    /// # Errors
    /// When the server says no.
    pub async fn put(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.send(Method::PUT, path, Some(body)).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let mut request = self
            .client
            .request(method.clone(), format!("{}/api/v1{path}", self.url))
            .bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await?;
        let status = response.status();
        let text = response.text().await?;
        anyhow::ensure!(
            status.is_success(),
            "{} {method} {path}: {status} {text}",
            self.name
        );
        Ok(if text.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&text)?
        })
    }
}

/// A text field of an answer.
///
/// # Errors
/// When it is not there.
pub fn text<'a>(answer: &'a Value, field: &str) -> anyhow::Result<&'a str> {
    answer[field]
        .as_str()
        .with_context(|| format!("an answer without {field}"))
}
