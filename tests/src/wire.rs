//! HTTP as a device speaks it, down to the bytes.

use std::time::Duration;

use agent_protocol::{Assignment, BASE_PATH, Problem};
use reqwest::{Client, Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// An answer as it came.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Status.
    pub status: u16,
    /// Headers.
    pub headers: reqwest::header::HeaderMap,
    /// Body.
    pub body: Vec<u8>,
}

impl Answer {
    /// A header's text; empty where there is none.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }

    /// The body of a success.
    #[must_use]
    pub fn json<T: DeserializeOwned>(&self) -> T {
        assert!(
            (200..300).contains(&self.status),
            "status {}: {}",
            self.status,
            self.text()
        );
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body of a failure: always problem+json that says the same status.
    #[must_use]
    pub fn problem(&self) -> Problem {
        assert_eq!(
            self.header("content-type"),
            "application/problem+json",
            "status {}: {}",
            self.status,
            self.text()
        );
        let problem: Problem = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(problem.status, self.status);
        problem
    }

    /// The field that a `422` names first.
    #[must_use]
    pub fn wrong_field(&self) -> String {
        assert_eq!(self.status, 422, "{}", self.text());
        self.problem().fields[0].field.clone()
    }
}

/// What a poll brought.
#[derive(Debug, Clone)]
pub struct Poll {
    /// 200 or 304, or a failure.
    pub status: u16,
    /// ETag.
    pub etag: String,
    /// Seconds until the next poll.
    pub poll_after: Option<u32>,
    /// The order, with a 200.
    pub assignment: Option<Assignment>,
    /// The answer itself.
    pub answer: Answer,
}

/// A connection to one server.
#[derive(Debug, Clone)]
pub struct Wire {
    client: Client,
    base: String,
}

impl Wire {
    /// To a server at `http://127.0.0.1:port`.
    #[must_use]
    pub fn to(url: &str) -> Self {
        server::tls::install_provider();
        let client = Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(50))
            .build()
            .unwrap();
        Self {
            client,
            base: url.to_owned(),
        }
    }

    /// Where the server is.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.base
    }

    /// A request to a path of the protocol.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let url = format!("{}{BASE_PATH}{path}", self.base);
        self.client.request(method, url)
    }

    /// Sends a request; no answer at all is an error of its own.
    ///
    /// # Errors
    /// When the connection fails.
    pub async fn try_send(request: reqwest::RequestBuilder) -> reqwest::Result<Answer> {
        let answer = request.send().await?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let body = answer.bytes().await?.to_vec();
        Ok(Answer {
            status,
            headers,
            body,
        })
    }

    /// Sends a request.
    pub async fn send(request: reqwest::RequestBuilder) -> Answer {
        Self::try_send(request).await.unwrap()
    }

    /// `GET` without a token.
    pub async fn get(&self, path: &str) -> Answer {
        Self::send(self.request(Method::GET, path)).await
    }

    /// `POST` of JSON without a token.
    pub async fn post(&self, path: &str, body: &impl Serialize) -> Answer {
        Self::send(self.request(Method::POST, path).json(body)).await
    }

    /// `GET` of a path outside of the protocol, such as `/readyz`: its status.
    pub async fn status_of(&self, path: &str) -> u16 {
        let answer = self.client.get(format!("{}{path}", self.base)).send().await;
        answer.map_or(0, |a| StatusCode::as_u16(&a.status()))
    }
}
