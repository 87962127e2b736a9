//! The trace id of the call in hand.
//!
//! Every call has one, the header `x-trace-id`: taken from the caller or made up, passed on to every call made
//! meanwhile. Spans of calls that are sampled are [`telemetry`](crate::telemetry)'s business.

use std::future::Future;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue};
use tracing::Span;

/// The header.
pub const HEADER: &str = "x-trace-id";
const MAX_BYTES: usize = 128;

tokio::task_local! {
    static TRACE: Arc<str>;
}

/// The trace id of the call in hand; `None` outside of one.
pub fn current() -> Option<Arc<str>> {
    TRACE.try_with(Arc::clone).ok()
}

/// Runs something under a trace id: calls made meanwhile carry it.
pub async fn scope<F: Future>(id: Arc<str>, call: F) -> F::Output {
    TRACE.scope(id, call).await
}

/// Adds what the callee needs to go on with the trace. A trace id that is there already stays.
pub(super) fn inject(headers: &mut HeaderMap) {
    if !headers.contains_key(HEADER) {
        let id = current().unwrap_or_else(made_up);
        if let Ok(value) = HeaderValue::from_str(&id) {
            headers.insert(HEADER, value);
        }
    }
}

/// The trace id of a call that came in, and the span its log lines stand in.
pub(super) fn extract(headers: &HeaderMap, path: &str) -> (Arc<str>, Span) {
    let sent = headers.get(HEADER).and_then(|value| value.to_str().ok());
    let id = match sent.filter(|id| !id.is_empty() && id.len() <= MAX_BYTES) {
        Some(id) => id.into(),
        None => made_up(),
    };
    let method = path.trim_start_matches('/');
    let span = tracing::debug_span!("rpc", method, trace_id = %id, span_id = tracing::field::Empty);
    (id, span)
}

/// A new trace id.
pub(super) fn made_up() -> Arc<str> {
    format!("{:032x}", rand::random::<u128>()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn calls_made_during_a_call_carry_its_trace_id() {
        let incoming =
            HeaderMap::from_iter([(HEADER.parse().unwrap(), HeaderValue::from_static("t-1"))]);
        let (id, _) = extract(&incoming, "/a.B/C");
        let outgoing = scope(id, async {
            let mut headers = HeaderMap::new();
            inject(&mut headers);
            headers
        })
        .await;
        assert_eq!(outgoing[HEADER], "t-1");
    }

    #[test]
    fn a_call_without_a_usable_trace_id_gets_one() {
        let long = HeaderValue::from_str(&"x".repeat(MAX_BYTES + 1)).unwrap();
        let headers = HeaderMap::from_iter([(HEADER.parse().unwrap(), long)]);
        assert_eq!(extract(&headers, "/").0.len(), 32);
        let mut headers = HeaderMap::new();
        inject(&mut headers);
        assert_eq!(headers[HEADER].len(), 32);
    }
}
