//! What happens, as a bounded stream.

use futures_util::Stream;
use gochat_core::sync::Event;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

/// One item of [`Events`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every item is an event: a box would cost an allocation each"
)]
pub enum Item {
    /// Something happened.
    Event(Event),
    /// The receiver was too slow and so many events were dropped. Messages among them are in
    /// history: load them with [`Api::history`](crate::api::Api::history). What became of older
    /// ones is told by [`Api::changes`](crate::api::Api::changes).
    Lagged(u64),
}

/// A receiver of events; see [`Client::subscribe`](crate::Client::subscribe).
#[derive(Debug)]
pub struct Events {
    receiver: Receiver<Event>,
}

impl Events {
    pub(crate) const fn new(receiver: Receiver<Event>) -> Self {
        Self { receiver }
    }

    /// The next item; `None` when the client is closed. Cancel-safe.
    pub async fn next(&mut self) -> Option<Item> {
        match self.receiver.recv().await {
            Ok(event) => Some(Item::Event(event)),
            Err(RecvError::Lagged(n)) => Some(Item::Lagged(n)),
            Err(RecvError::Closed) => None,
        }
    }

    /// The same as a [`Stream`].
    pub fn into_stream(self) -> impl Stream<Item = Item> + Send {
        futures_util::stream::unfold(self, |mut events| async {
            events.next().await.map(|item| (item, events))
        })
    }
}
