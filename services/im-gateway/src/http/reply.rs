//! The envelopes every answer comes in.

use axum::response::{IntoResponse, Response};
use gochat_core::error::{Error, ErrorCode};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;

use super::version::etag;
use crate::limits::Refused;

/// A success on its way out.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Envelope<T> {
    /// Always true.
    pub(crate) success: bool,
    /// A word for people.
    pub(crate) message: &'static str,
    /// What was asked for; absent when there is nothing to give.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) data: Option<T>,
}

/// A refusal as clients see it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ErrorBody<'a> {
    /// Always false.
    success: bool,
    /// A sentence for people.
    message: &'a str,
    /// The stable code to switch on.
    code: &'a str,
    /// Names the request in the server's logs.
    trace_id: &'a str,
    /// Whether the same request can succeed later.
    details: ErrorDetails,
}

/// More about a refusal.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorDetails {
    /// Whether the same request can succeed later without a change.
    retryable: bool,
    /// Seconds after which it may be accepted, where that is known; the same as the header
    /// `Retry-After`.
    #[serde(rename = "retryAfter", skip_serializing_if = "Option::is_none")]
    retry_after: Option<u32>,
}

/// An answer of a handler.
pub(crate) struct Reply<T> {
    status: StatusCode,
    data: Option<T>,
    version: Option<i64>,
}

/// What handlers return.
pub(crate) type ApiResult<T> = Result<Reply<T>, ApiError>;

/// An answer without data.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Nothing {}

impl<T> Reply<T> {
    /// 200 with data.
    pub(crate) fn ok(data: T) -> Self {
        Self {
            status: StatusCode::OK,
            data: Some(data),
            version: None,
        }
    }

    /// 201 with data.
    pub(crate) fn created(data: T) -> Self {
        Self {
            status: StatusCode::CREATED,
            data: Some(data),
            version: None,
        }
    }

    /// Names the version of what is answered, as `ETag`.
    pub(crate) fn tagged(mut self, version: i64) -> Self {
        self.version = Some(version);
        self
    }
}

impl Reply<Nothing> {
    /// 200 without data.
    pub(crate) fn done() -> Self {
        Self {
            status: StatusCode::OK,
            data: None,
            version: None,
        }
    }
}

impl<T: Serialize> IntoResponse for Reply<T> {
    fn into_response(self) -> Response {
        let envelope = Envelope {
            success: true,
            message: "ok",
            data: self.data,
        };
        let mut response = json_response(self.status, &envelope);
        if let Some(version) = self.version {
            response.headers_mut().insert(header::ETAG, etag(version));
        }
        response
    }
}

/// A refusal on its way out. Its body is written by the middleware, which knows the trace id.
#[derive(Debug, Clone)]
pub(crate) struct ApiError {
    pub(crate) error: Error,
    status: Option<StatusCode>,
    headers: &'static [(HeaderName, &'static str)],
}

impl ApiError {
    /// A malformed request, in words.
    pub(crate) fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> Self {
        Error::new(ErrorCode::InvalidParams, message).into()
    }

    /// Over a rate limit, and when to come back.
    pub(crate) fn limited(refused: Refused) -> Self {
        Self::from(refused)
    }

    /// Says when to come back.
    pub(crate) fn retry_after(mut self, seconds: u64) -> Self {
        self.error = self.error.after(seconds.saturating_mul(1_000));
        self
    }

    /// Another HTTP status than the catalogue's.
    pub(crate) fn with_status(mut self, status: StatusCode) -> Self {
        self.status = Some(status);
        self
    }

    /// Headers that belong to this refusal.
    pub(crate) fn with_headers(mut self, headers: &'static [(HeaderName, &'static str)]) -> Self {
        self.headers = headers;
        self
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status.unwrap_or_else(|| {
            StatusCode::from_u16(self.error.code.http_status())
                .ok()
                // A refusal is never a success, whatever the catalogue says about replays.
                .filter(|status| !status.is_success())
                .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
        })
    }

    /// The response with its body.
    pub(crate) fn render(&self, trace: &str) -> Response {
        let body = ErrorBody {
            success: false,
            message: &self.error.message,
            code: self.error.code.code(),
            trace_id: trace,
            details: ErrorDetails {
                retryable: self.error.is_retryable(),
                retry_after: self.error.retry_after_s(),
            },
        };
        let mut response = json_response(self.status(), &body);
        if let Some(seconds) = self.error.retry_after_s() {
            let headers = response.headers_mut();
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        for (name, value) in self.headers {
            let headers = response.headers_mut();
            headers.insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

/// A body beyond its limit.
pub(crate) fn too_large() -> ApiError {
    let error = Error::new(ErrorCode::MessageTooLarge, "The request body is too large.");
    ApiError::from(error).with_status(StatusCode::PAYLOAD_TOO_LARGE)
}

impl<E: Into<Error>> From<E> for ApiError {
    fn from(error: E) -> Self {
        Self {
            error: error.into(),
            status: None,
            headers: &[],
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// A response with a JSON body.
pub(crate) fn json_response(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(bytes) => {
            let json = HeaderValue::from_static("application/json");
            (status, [(header::CONTENT_TYPE, json)], bytes).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "an answer can't be written as JSON");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
