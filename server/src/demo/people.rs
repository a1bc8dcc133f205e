//! People of the story, at the admin API over HTTPS: like anybody else.

use anyhow::Context;
use reqwest::{Client, Method};
use serde_json::{Value, json};

/// Someone with a token.
#[derive(Clone)]
pub struct Someone {
    /// Name.
    pub name: String,
    client: Client,
    url: String,
    token: String,
}

impl Someone {
    /// Someone who has a token already.
    pub fn new(name: &str, client: Client, url: &str, token: String) -> Self {
        Self {
            name: name.to_owned(),
            client,
            url: url.to_owned(),
            token,
        }
    }

    /// Adds a person with roles everywhere, and returns them with a token.
    pub async fn invite(&self, name: &str, roles: &[&str]) -> anyhow::Result<Self> {
        let roles: Vec<Value> = roles.iter().map(|r| json!({ "role": r })).collect();
        let person = self
            .post("/people", &json!({ "name": name, "roles": roles }))
            .await?;
        let id = person["id"].as_str().context("a person without an id")?;
        let token = self
            .post(
                &format!("/people/{id}/tokens"),
                &json!({ "name": "demo", "expires_in_days": 90 }),
            )
            .await?;
        let token = token["token"]
            .as_str()
            .context("a token that is not shown")?;
        Ok(Self::new(
            name,
            self.client.clone(),
            &self.url,
            token.to_owned(),
        ))
    }

    /// Reads.
    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.send(Method::GET, path, None).await
    }

    /// Writes.
    pub async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.send(Method::POST, path, Some(body)).await
    }

    /// Replaces.
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
