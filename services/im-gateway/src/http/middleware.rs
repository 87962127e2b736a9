//! Around every request that was admitted: trace id, CORS, deadline, panics, envelope of refusals,
//! metrics, access log.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt as _;
use gochat_core::error::ErrorCode;
use gochat_infra::telemetry::{self, Kind, Span};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::AUTH_BODY_MAX;
use super::extract::Trace;
use super::reply::{ApiError, too_large};
use crate::metrics;
use crate::state::Gw;

/// Longest trace id taken from a client.
const TRACE_MAX: usize = 128;
/// What browsers may send, as the contract lists it.
const CORS_HEADERS: HeaderValue = HeaderValue::from_static(
    "Origin, Content-Type, Accept, Authorization, X-Trace-ID, X-Request-ID, X-Idempotency-Key, If-Match",
);
/// Seconds for which a browser may remember the answer to a preflight: each one counts as a
/// stranger's request.
const CORS_MAX_AGE: HeaderValue = HeaderValue::from_static("7200");
const CORS_METHODS: HeaderValue = HeaderValue::from_static("GET, POST, PUT, DELETE, OPTIONS");

/// The trace id of a request: the client's, a valid request id, the one inside `traceparent`, or a new one.
pub(crate) fn trace_of(headers: &HeaderMap) -> String {
    let text = |name| {
        headers
            .get(name)
            .and_then(|v: &HeaderValue| v.to_str().ok())
    };
    let own = text("x-trace-id").filter(|id| {
        (1..=TRACE_MAX).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic())
    });
    let request_id = || text("x-request-id").filter(|id| uuid::Uuid::try_parse(id).is_ok());
    let parent = || {
        let id = text("traceparent")?.split('-').nth(1)?;
        (id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit())).then_some(id)
    };
    own.or_else(request_id)
        .or_else(parent)
        .map_or_else(crate::upstream::new_trace, str::to_owned)
}

/// The response to a request refused outside the router.
pub(crate) fn refusal(
    gw: &Gw,
    refused: &ApiError,
    trace: &str,
    origin: Option<&HeaderValue>,
) -> Response {
    let mut response = refused.render(trace);
    stamp(&mut response, trace);
    cors(gw, origin, response.headers_mut());
    response
}

/// The middleware.
pub(crate) async fn guard(State(gw): State<Gw>, mut request: Request, next: Next) -> Response {
    let began = Instant::now();
    let trace = trace_of(request.headers());
    request.extensions_mut().insert(Trace(trace.clone()));
    let method = request.method().clone();
    let origin = request.headers().get(header::ORIGIN).cloned();
    let path = template_of(&request);
    let span = span_of(request.headers(), &method, &path, &trace);

    let mut response = if method == Method::OPTIONS {
        StatusCode::NO_CONTENT.into_response()
    } else {
        let context = span.as_ref().map(Span::context);
        telemetry::within(context, serve(&gw, request, next, &path)).await
    };
    if let Some(refusal) = response.extensions_mut().remove::<ApiError>() {
        response = refusal.render(&trace);
    }
    stamp(&mut response, &trace);
    cors(&gw, origin.as_ref(), response.headers_mut());

    let (status, took) = (response.status().as_u16(), began.elapsed());
    if let Some(span) = span {
        finish(span, response.status());
    }
    metrics::http(method_name(&method), &path, status, took);
    // The template, not the address: queries may carry tokens and searches.
    tracing::debug!(target: "access", %method, path, status, took_ms = took.as_millis(), trace_id = trace);
    response
}

/// The span of a request that is traced. Nobody wants to see probes.
fn span_of(headers: &HeaderMap, method: &Method, path: &str, trace: &str) -> Option<Span> {
    if *method == Method::OPTIONS || path == "/health" {
        return None;
    }
    let mut span = match telemetry::accepted(headers) {
        Some(parent) => Span::child(parent, "request", Kind::Server),
        None => telemetry::root("request", Kind::Server, trace)?,
    };
    span.rename(format!("{} {path}", method_name(method)));
    span.set("http.request.method", method_name(method));
    span.set("http.route", path.to_owned());
    Some(span)
}

fn finish(mut span: Span, status: StatusCode) {
    span.set("http.response.status_code", i64::from(status.as_u16()));
    if status.is_server_error() {
        span.fail(status.canonical_reason().unwrap_or("failed"));
    } else {
        span.end();
    }
}

async fn serve(gw: &Gw, request: Request, next: Next, path: &str) -> Response {
    if claims_too_much(gw, &request, path) {
        return too_large().into_response();
    }
    let deadline = Duration::from_millis(gw.config.http.request_timeout_ms);
    let work = AssertUnwindSafe(Box::pin(next.run(request))).catch_unwind();
    match tokio::time::timeout(deadline, work).await {
        Ok(Ok(response)) => response,
        Ok(Err(_panic)) => {
            tracing::error!(path, "a handler panicked");
            ApiError::from(ErrorCode::Internal).into_response()
        }
        Err(_) => ApiError::from(ErrorCode::Timeout).into_response(),
    }
}

/// Whether the body is announced to be larger than allowed: refused without reading it.
fn claims_too_much(gw: &Gw, request: &Request, path: &str) -> bool {
    let max = if path.starts_with("/api/auth/") {
        AUTH_BODY_MAX
    } else {
        gw.config.http.max_body_bytes
    };
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    length.is_some_and(|length| length > max as u64)
}

/// The route's template: few values, no ids. `/api/v1` counts as `/api`.
fn template_of(request: &Request) -> String {
    let matched = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("unmatched", MatchedPath::as_str);
    match matched.strip_prefix("/api/v1") {
        Some(rest) => format!("/api{rest}"),
        None => matched.to_owned(),
    }
}

/// The method as a label of few values.
pub(crate) fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        Method::HEAD => "HEAD",
        _ => "OTHER",
    }
}

fn stamp(response: &mut Response, trace: &str) {
    if let Ok(value) = HeaderValue::from_str(trace) {
        response.headers_mut().insert("x-trace-id", value.clone());
        response.headers_mut().insert("x-request-id", value);
    }
}

fn cors(gw: &Gw, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
    let allowed = &gw.config.http.cors_origins;
    let value = if allowed.iter().any(|a| a == "*") {
        HeaderValue::from_static("*")
    } else {
        let Some(origin) = origin else { return };
        if !allowed.iter().any(|a| a.as_bytes() == origin.as_bytes()) {
            return;
        }
        headers.insert(header::VARY, HeaderValue::from_static("Origin"));
        origin.clone()
    };
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, value);
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, CORS_METHODS);
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, CORS_HEADERS);
    let exposed = HeaderValue::from_static("X-Trace-ID, X-Request-ID, ETag");
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, CORS_MAX_AGE);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(name: &'static str, value: &str) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        trace_of(&headers)
    }

    #[test]
    fn trace_ids_are_taken_in_the_contract_s_order() {
        assert_eq!(trace("x-trace-id", "abc"), "abc");
        let id = "0190a5c8-7b3e-7000-8000-000000000001";
        assert_eq!(trace("x-request-id", id), id);
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(
            trace("traceparent", parent),
            "4bf92f3577b34da6a3ce929d0e0e4736"
        );
    }

    #[test]
    fn bad_trace_ids_are_replaced() {
        for (name, value) in [
            ("x-trace-id", "a b"),
            ("x-request-id", "7"),
            ("traceparent", "00-x"),
        ] {
            assert!(
                uuid::Uuid::parse_str(&trace(name, value)).is_ok(),
                "{name}: {value}"
            );
        }
    }
}
