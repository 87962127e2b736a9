//! Traces of messages and calls: spans that cost nothing for what is not sampled.
//!
//! Whether something is traced is decided once, at the edge ([`root`]). A trace goes on where the W3C header
//! `traceparent` with the sampled flag is: in the headers of records and of calls. So a [`Context`] is always one of a
//! sampled trace, `Option<Context>` is the whole decision, and what is not sampled has no header, no span and no
//! allocation.
//!
//! Spans are made with explicit starts and ends and handed to the process's [`Sink`]; nothing here depends on an
//! exporter. Without a sink, contexts are passed on as they came, so that a service that exports nothing does not
//! break the traces of others.

mod context;
mod number;
mod sampling;
mod span;

use std::future::Future;
use std::sync::OnceLock;

pub use context::{Context, TRACEPARENT};
pub use sampling::{Sampling, accepted, root, set_sampling};
pub use span::{Finished, Kind, Span, Value};

/// Takes spans that have ended. Called where they end, on hot paths too: it must not wait.
pub trait Sink: Send + Sync + 'static {
    /// Takes a span.
    fn take(&self, span: Finished);
}

static SINK: OnceLock<Box<dyn Sink>> = OnceLock::new();

/// Gives the process its sink and begins to sample; `false` when there is one already.
pub fn install(sink: impl Sink, sampling: &Sampling) -> bool {
    let first = SINK.set(Box::new(sink)).is_ok();
    if first {
        set_sampling(sampling);
    }
    first
}

tokio::task_local! {
    static CURRENT: Context;
}

/// What calls made now belong to; `None` when it isn't sampled.
pub fn current() -> Option<Context> {
    CURRENT.try_with(|context| *context).ok()
}

/// Does work of a trace: calls made meanwhile carry it. `None` leaves everything as it is.
pub async fn within<F: Future>(context: Option<Context>, work: F) -> F::Output {
    match context {
        Some(context) => CURRENT.scope(context, work).await,
        None => work.await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_within_a_trace_knows_it_and_other_work_does_not() {
        let context = Context::parse(b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        assert!(context.is_some());
        assert_eq!(within(context, async { current() }).await, context);
        assert_eq!(within(None, async { current() }).await, None);
        let inner = within(context, async { within(None, async { current() }).await });
        assert_eq!(inner.await, context);
    }
}
