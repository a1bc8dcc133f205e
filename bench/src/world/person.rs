//! Somebody who uses the API.

use anyhow::Context;
use reqwest::{Client, Method};
use serde_json::Value;

/// A person with a token.
#[derive(Debug, Clone)]
pub struct Person {
    client: Client,
    url: String,
    token: String,
}

impl Person {
    /// Somebody who has a token already.
    #[must_use]
    pub fn new(url: String, token: String) -> Self {
        Self {
            client: Client::new(),
            url,
            token,
        }
    }

    /// The same person at another server.
    #[must_use]
    pub fn at(&self, url: String) -> Self {
        Self {
            url,
            ..self.clone()
        }
    }

    /// Writes.
    ///
    /// # Errors
    /// When the server says no.
    pub async fn post(&self, path: &str, body: Value) -> anyhow::Result<Value> {
        self.send(Method::POST, path, Some(body)).await
    }

    /// Replaces.
    ///
    /// # Errors
    /// When the server says no.
    pub async fn put(&self, path: &str, body: Value) -> anyhow::Result<Value> {
        self.send(Method::PUT, path, Some(body)).await
    }

    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> anyhow::Result<Value> {
        let url = format!("{}/api/v1{path}", self.url);
        let mut request = self
            .client
            .request(method.clone(), url)
            .bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await?;
        let status = response.status();
        let text = response.text().await?;
        anyhow::ensure!(status.is_success(), "{method} {path}: {status} {text}");
        if text.is_empty() {
            return Ok(Value::Null);
        }
        Ok(serde_json::from_str(&text)?)
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
