//! A JSON client.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::HeaderMap;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// Maximum time of an answer; a later one fails the test. A server gives itself 30 seconds at most.
const LONGEST: std::time::Duration = std::time::Duration::from_secs(90);

/// Connection pool to one server. Belongs to the test that made it: its connections live on that test's runtime.
#[derive(Clone)]
pub struct Http {
    base: String,
    client: Client<HttpConnector, Full<Bytes>>,
}

/// Status, headers and body of an answer.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Reply {
    /// `data` of a success; fails the test otherwise.
    #[track_caller]
    pub fn data(self) -> Value {
        assert!(
            self.status < 300,
            "expected success, got {} {}",
            self.status,
            self.body
        );
        assert_eq!(self.body["success"], true, "{}", self.body);
        self.body["data"].clone()
    }

    /// `data` of a success with this status; fails the test otherwise.
    #[track_caller]
    pub fn data_with(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        self.data()
    }

    /// The error code; empty for a success.
    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    /// Fails the test unless the answer is this refusal.
    #[track_caller]
    pub fn refused(&self, status: u16, code: &str) {
        assert_eq!((self.status, self.code()), (status, code), "{}", self.body);
        assert_eq!(self.body["success"], false);
    }

    /// A header as text; empty when it is absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |v| v.to_str().expect("a header of visible characters"))
    }
}

impl Http {
    pub fn new(base: String) -> Self {
        Self {
            base,
            client: Client::builder(TokioExecutor::new()).build_http(),
        }
    }

    pub fn base(&self) -> &str {
        &self.base
    }

    /// A call below `/api`, unless the path names a root of its own.
    pub async fn call(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: Option<Value>,
    ) -> Reply {
        let at_root = ["/api", "/health"]
            .iter()
            .any(|root| path.starts_with(root));
        let path = if at_root {
            path.to_owned()
        } else {
            format!("/api{path}")
        };
        let bytes = body.map_or_else(Bytes::new, |b| Bytes::from(b.to_string()));
        let bearer = token.map(|token| format!("Bearer {token}"));
        let headers: Vec<(&str, &str)> = bearer
            .iter()
            .map(|b| ("authorization", b.as_str()))
            .collect();
        self.raw(method, &path, &headers, bytes).await
    }

    /// Any request; the path is taken as it is.
    pub async fn raw(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Reply {
        let mut request = hyper::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body)).expect("a valid request");
        let exchange = async {
            let response = self.client.request(request).await;
            let (head, body) = response.expect("the server answers").into_parts();
            let body = body.collect().await.expect("a whole body");
            (head, body.to_bytes())
        };
        // A server that stands still fails the test, which would wait for ever otherwise.
        let Ok((head, bytes)) = tokio::time::timeout(LONGEST, exchange).await else {
            panic!("no answer to {method} {path} within {LONGEST:?}");
        };
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Reply {
            status: head.status.as_u16(),
            headers: head.headers,
            body,
        }
    }
}
