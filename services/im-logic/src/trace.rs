//! The trace id of the call in hand: taken from the metadata, passed on to im-repo and into events.

use std::future::Future;
use std::sync::Arc;

use tonic::metadata::MetadataMap;

const KEY: &str = "x-trace-id";
const MAX_BYTES: usize = 128;

tokio::task_local! {
    static TRACE: Arc<str>;
}

/// The trace id of the current call; empty outside of one.
pub(crate) fn current() -> Arc<str> {
    TRACE.try_with(Arc::clone).unwrap_or_else(|_| "".into())
}

/// The trace id a caller sent, else a new one.
pub(crate) fn of(metadata: &MetadataMap) -> Arc<str> {
    let sent = metadata.get(KEY).and_then(|value| value.to_str().ok());
    match sent.filter(|id| !id.is_empty() && id.len() <= MAX_BYTES) {
        Some(id) => id.into(),
        None => uuid::Uuid::now_v7().to_string().into(),
    }
}

/// Runs a call under its trace id.
pub(crate) async fn scope<F: Future>(id: Arc<str>, call: F) -> F::Output {
    TRACE.scope(id, call).await
}

/// Puts the current trace id into the metadata of a call we make.
pub(crate) fn inject(metadata: &mut MetadataMap) {
    if let Ok(value) = current().parse() {
        metadata.insert(KEY, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_call_passes_the_trace_id_on_that_it_was_given() {
        let mut incoming = MetadataMap::new();
        incoming.insert(KEY, "t-1".parse().unwrap());
        let outgoing = scope(of(&incoming), async {
            let mut metadata = MetadataMap::new();
            inject(&mut metadata);
            metadata
        })
        .await;
        assert_eq!(outgoing.get(KEY).unwrap(), "t-1");
    }

    #[test]
    fn a_missing_or_excessive_trace_id_is_replaced() {
        let mut metadata = MetadataMap::new();
        assert_eq!(of(&metadata).len(), 36);
        metadata.insert(KEY, "x".repeat(MAX_BYTES + 1).parse().unwrap());
        assert_eq!(of(&metadata).len(), 36);
    }
}
