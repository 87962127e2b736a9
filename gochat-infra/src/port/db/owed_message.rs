//! System messages that changes of groups owe to their timelines.

use async_trait::async_trait;
use gochat_core::ids::{ConversationId, UnixMillis, UserId};

use super::DbResult;

/// A system message that has to be sent. It was written in the transaction of the change it tells
/// of, by [`gochat_core::membership::told`] and
/// [`told_of_edit`](gochat_core::membership::told_of_edit), and stays until
/// [`settle_owed`](OwedMessageStore::settle_owed).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwedMessage {
    /// Number of the row. The database gives it: ascending within a conversation in the order of
    /// the changes, and never given again.
    pub id: u64,
    /// Group that changed.
    pub conversation_id: ConversationId,
    /// User that made the change: the author of the message.
    pub sender_id: UserId,
    /// JSON of a [`SystemMessage`](gochat_core::message::SystemMessage).
    pub content: String,
    /// Time of the change.
    pub created_at: UnixMillis,
}

/// Which owed messages to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwedQuery {
    /// Of this conversation only; `None` is every conversation.
    pub conversation: Option<ConversationId>,
    /// Rows with a greater id only.
    pub after_id: u64,
    /// Rows of changes before this time only.
    pub before: UnixMillis,
    /// Maximum number of rows, cut to [`MAX_PAGE`](super::MAX_PAGE).
    pub limit: u32,
}

/// The outbox of system messages.
#[async_trait]
pub trait OwedMessageStore: Send + Sync {
    /// Owed messages that match, in ascending order of ids.
    async fn owed_messages(&self, query: OwedQuery) -> DbResult<Vec<OwedMessage>>;

    /// Deletes rows whose messages have their place, or can never have one; unknown ids are
    /// ignored. At most [`MAX_PAGE`](super::MAX_PAGE) ids are looked at. Returns how many rows are
    /// gone now.
    async fn settle_owed(&self, ids: &[u64]) -> DbResult<u64>;
}
