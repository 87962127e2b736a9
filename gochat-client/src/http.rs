//! Requests and envelopes.

use std::time::Duration;

use bytes::Bytes;
use gochat_core::error::{Error as Refusal, ErrorCode};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, USER_AGENT};
use http::{Method, Request};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::address::Endpoint;
use crate::net::{Connector, failure};
use crate::{Error, ErrorKind, Result};

/// Longest answer that is read.
const MAX_ANSWER: usize = 16 << 20;

/// A pooled HTTP client for one server, and what its WebSocket needs too.
#[derive(Debug, Clone)]
pub(crate) struct Http {
    client: Client<Connector, Full<Bytes>>,
    pub(crate) connector: Connector,
    pub(crate) endpoint: Endpoint,
    pub(crate) timeout: Duration,
    pub(crate) user_agent: HeaderValue,
}

#[derive(Deserialize)]
struct Envelope<T> {
    success: bool,
    #[serde(default = "Option::default")]
    data: Option<T>,
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

impl Http {
    pub(crate) fn new(
        endpoint: Endpoint,
        connector: Connector,
        timeout: Duration,
        user_agent: HeaderValue,
    ) -> Self {
        Self {
            client: Client::builder(TokioExecutor::new()).build(connector.clone()),
            connector,
            endpoint,
            timeout,
            user_agent,
        }
    }

    /// One request to `/api{path}`; gives the `data` of the envelope.
    pub(crate) async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&(impl Serialize + ?Sized)>,
        token: Option<&str>,
    ) -> Result<T> {
        self.call_within(self.timeout, method, path, body, token)
            .await
    }

    /// The same with a time limit of its own.
    pub(crate) async fn call_within<T: DeserializeOwned>(
        &self,
        limit: Duration,
        method: Method,
        path: &str,
        body: Option<&(impl Serialize + ?Sized)>,
        token: Option<&str>,
    ) -> Result<T> {
        let request = self.request(method, path, body, token)?;
        let exchange = async {
            let response = self.client.request(request).await.map_err(failure)?;
            let status = response.status().as_u16();
            let body = Limited::new(response.into_body(), MAX_ANSWER)
                .collect()
                .await;
            Ok::<_, Error>((status, body.map_err(Error::transport)?.to_bytes()))
        };
        let timeout = tokio::time::timeout(limit, exchange);
        let (status, body) = timeout
            .await
            .map_err(|_| Error::from(ErrorKind::Timeout))??;
        read_envelope(status, &body)
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<&(impl Serialize + ?Sized)>,
        token: Option<&str>,
    ) -> Result<Request<Full<Bytes>>> {
        let mut request = Request::builder()
            .method(method)
            .uri(self.endpoint.api(path))
            .header(USER_AGENT, self.user_agent.clone());
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, bearer(token)?);
        }
        let bytes = match body {
            Some(body) => {
                request = request.header(CONTENT_TYPE, "application/json");
                serde_json::to_vec(body).map_err(|e| Error::with_source(ErrorKind::BadAnswer, e))?
            }
            None => Vec::new(),
        };
        request
            .body(Full::new(bytes.into()))
            .map_err(|e| Error::with_source(ErrorKind::BadAnswer, e))
    }
}

/// The refusal that a bare status means.
pub(crate) const fn refusal_of(status: u16) -> ErrorCode {
    match status {
        401 => ErrorCode::Unauthorized,
        403 => ErrorCode::Forbidden,
        404 => ErrorCode::NotFound,
        429 => ErrorCode::RateLimited,
        503 => ErrorCode::ServiceUnavailable,
        500.. => ErrorCode::Internal,
        _ => ErrorCode::InvalidParams,
    }
}

/// The header value, marked so that nothing prints it.
pub(crate) fn bearer(token: &str) -> Result<HeaderValue> {
    let value = HeaderValue::from_str(&format!("Bearer {token}"));
    let mut value = value.map_err(|_| Error::from(Refusal::from(ErrorCode::InvalidTokenFormat)))?;
    value.set_sensitive(true);
    Ok(value)
}

fn read_envelope<T: DeserializeOwned>(status: u16, body: &[u8]) -> Result<T> {
    let envelope: Envelope<serde_json::Value> = match serde_json::from_slice(body) {
        Ok(envelope) => envelope,
        // A proxy in between has its own words for these.
        Err(_) if status == 429 => return Err(Refusal::from(ErrorCode::RateLimited).into()),
        Err(_) if status >= 500 => return Err(Refusal::from(ErrorCode::ServiceUnavailable).into()),
        Err(e) => return Err(Error::with_source(ErrorKind::BadAnswer, e)),
    };
    if !envelope.success {
        let known = ErrorCode::from_code(&envelope.code);
        let code = known.unwrap_or(refusal_of(status));
        return Err(Refusal::new(code, envelope.message).into());
    }
    let data = envelope.data.unwrap_or_else(|| serde_json::json!({}));
    serde_json::from_value(data).map_err(|e| Error::with_source(ErrorKind::BadAnswer, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(default)]
    struct Data {
        n: i32,
    }

    #[test]
    fn success_gives_the_data_and_tolerates_its_absence() {
        let data: Data = read_envelope(200, br#"{"success":true,"data":{"n":3}}"#).unwrap();
        assert_eq!(data.n, 3);
        assert!(read_envelope::<Data>(200, br#"{"success":true,"message":"ok"}"#).is_ok());
    }

    #[test]
    fn refusals_keep_their_code_and_words() {
        let body = br#"{"success":false,"code":"MEMBER_MUTED","message":"hush"}"#;
        let error = read_envelope::<Data>(403, body).unwrap_err();
        let refusal = error.refusal().unwrap();
        assert_eq!(
            (refusal.code, &*refusal.message),
            (ErrorCode::MemberMuted, "hush")
        );
        assert!(!error.is_retryable());
    }

    #[test]
    fn a_proxy_that_speaks_html_is_a_busy_server() {
        assert!(
            read_envelope::<Data>(502, b"<html>")
                .unwrap_err()
                .is_retryable()
        );
        assert!(
            !read_envelope::<Data>(200, b"<html>")
                .unwrap_err()
                .is_retryable()
        );
    }
}
