//! Clients whose end blocks.

use std::ops::Deref;

/// Ends what it holds on a thread of its own: librdkafka's clients wait for brokers when they are dropped, which
/// must not hold up an async thread.
pub(super) struct OffThread<T: Send + 'static>(Option<T>);

impl<T: Send + 'static> OffThread<T> {
    pub(super) fn new(client: T) -> Self {
        Self(Some(client))
    }
}

impl<T: Send + 'static> Deref for OffThread<T> {
    type Target = T;

    fn deref(&self) -> &T {
        match &self.0 {
            Some(client) => client,
            None => unreachable!("only drop takes the client"),
        }
    }
}

impl<T: Send + 'static> Drop for OffThread<T> {
    fn drop(&mut self) {
        let client = self.0.take();
        let end = std::thread::Builder::new().name("kafka-end".into());
        if let Err(error) = end.spawn(move || drop(client)) {
            tracing::warn!(%error, "a Kafka client could not be ended on a thread of its own");
        }
    }
}
