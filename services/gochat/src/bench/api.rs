//! HTTP as a benchmark needs it: one pool for all users, plain JSON values.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

use super::Result;
use super::tokens::Tokens;

/// Password of all registered users of a run.
const PASSWORD: &str = "bench-password";
/// Tries of a request that is refused for the moment.
const TRIES: u32 = 8;

/// A client of one server.
#[derive(Clone)]
pub(crate) struct Api {
    client: Client<HttpConnector, Full<Bytes>>,
    authority: String,
}

/// A signed-in user.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) tokens: Tokens,
}

impl Account {
    /// The access token that is good now.
    pub(crate) fn token(&self) -> String {
        self.tokens.access()
    }
}

impl Api {
    pub(crate) fn new(url: &str) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Self {
            client,
            authority: authority(url),
        }
    }

    /// One request; status and JSON.
    pub(crate) async fn once(
        &self,
        method: Method,
        path: &str,
        token: &str,
        body: Option<&Value>,
    ) -> Result<(u16, Value)> {
        let uri = format!("http://{}/api{path}", self.authority);
        let mut request = Request::builder().method(method).uri(uri);
        if !token.is_empty() {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        let response = self
            .client
            .request(request.body(Full::new(body.into()))?)
            .await?;
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await?.to_bytes();
        Ok((
            status,
            serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        ))
    }

    /// The `data` of a request that must succeed; waits and tries again while the server is busy.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        token: &str,
        body: Option<&Value>,
    ) -> Result<Value> {
        let mut wait = Duration::from_millis(50);
        let mut last = String::new();
        for _ in 0..TRIES {
            match self.once(method.clone(), path, token, body).await {
                Ok((200..=299, mut answer)) => return Ok(answer["data"].take()),
                Ok((status, answer)) if status != 429 && status < 500 => {
                    return Err(format!("{method} {path}: {status} {}", answer["code"]).into());
                }
                Ok((status, answer)) => last = format!("{status} {}", answer["code"]),
                Err(e) => last = e.to_string(),
            }
            tokio::time::sleep(wait).await;
            wait *= 2;
        }
        Err(format!("{method} {path} keeps failing: {last}").into())
    }

    /// Whether the server says that it can work.
    pub(crate) async fn is_healthy(&self) -> bool {
        let uri = format!("http://{}/health", self.authority);
        let Ok(request) = Request::get(uri).body(Full::new(Bytes::new())) else {
            return false;
        };
        let asking = tokio::time::timeout(Duration::from_secs(2), self.client.request(request));
        matches!(asking.await, Ok(Ok(answer)) if answer.status() == 200)
    }

    /// A new guest; solves a challenge where the server asks for one.
    pub(crate) async fn guest(&self) -> Result<Account> {
        let post = async |body| {
            self.call(Method::POST, "/auth/guest", "", Some(&body))
                .await
        };
        let data = match post(json!({})).await {
            Err(e) if e.to_string().contains("PROOF_REQUIRED") => {
                let path = "/auth/challenge";
                let challenge = text(&self.call(Method::GET, path, "", None).await?["challenge"])?;
                let proof = gochat_client::proof::solve(&challenge).await?;
                post(json!({ "proof": proof })).await?
            }
            data => data?,
        };
        account(&data)
    }

    /// A new registered user.
    pub(crate) async fn member(&self, name: &str) -> Result<Account> {
        let body = json!({ "username": name, "password": PASSWORD });
        self.call(Method::POST, "/auth/register", "", Some(&body))
            .await?;
        let data = self
            .call(Method::POST, "/auth/login", "", Some(&body))
            .await?;
        account(&data)
    }

    /// Another session of a user of the run: access and refresh token.
    pub(crate) async fn sign_in(&self, name: &str) -> Result<(String, String)> {
        let body = json!({ "username": name, "password": PASSWORD });
        let data = self
            .call(Method::POST, "/auth/login", "", Some(&body))
            .await?;
        Ok((text(&data["accessToken"])?, text(&data["refreshToken"])?))
    }

    /// A new conversation; gives its id. A group without settings of its own tells nothing of
    /// itself: what is counted are the messages that were sent.
    pub(crate) async fn open(&self, by: &Account, body: &Value) -> Result<String> {
        let mut body = body.clone();
        if body["type"] == 2 && body["settings"].is_null() {
            body["settings"] = json!({"group_settings": {"system_messages": false}});
        }
        let body = &body;
        let data = self
            .call(Method::POST, "/conversations", &by.token(), Some(body))
            .await?;
        text(&data["id"])
    }
}

/// Whether a request failed before any of it left: nobody listened.
pub(crate) fn never_sent(error: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    let error = error.downcast_ref::<hyper_util::client::legacy::Error>();
    error.is_some_and(hyper_util::client::legacy::Error::is_connect)
}

/// `host:port` of a URL.
pub(crate) fn authority(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or_default().to_owned()
}

fn account(data: &Value) -> Result<Account> {
    Ok(Account {
        id: text(&data["user"]["id"])?,
        name: text(&data["user"]["username"])?,
        tokens: Tokens::of(data).ok_or("the tokens are missing")?,
    })
}

fn text(value: &Value) -> Result<String> {
    value
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| "an id or a name is missing".into())
}
