//! Own states: what belongs to one user of a conversation alone.

use async_trait::async_trait;
use gochat_core::ids::{ConversationId, MessageId, SeqId, UnixMillis, UserId};
use gochat_core::own_state::{OwnChange, OwnState};

use super::{DbResult, ReadOutcome};

/// Answer of [`OwnStateStore::change_own_state`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnOutcome {
    /// The state after the change.
    pub state: OwnState,
    /// Something was written; `false` for a repeat.
    pub changed: bool,
}

impl OwnOutcome {
    /// The outcome for a state, and the one after it if that is another one.
    pub(crate) fn of(state: OwnState, next: Option<OwnState>) -> Self {
        Self {
            changed: next.is_some(),
            state: next.unwrap_or(state),
        }
    }
}

/// Answer of [`OwnStateStore::clear_history`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClearOutcome {
    /// The state after it.
    pub own: OwnOutcome,
    /// What became of the read pointer.
    pub read: ReadOutcome,
}

/// A message that a user deleted for themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HiddenRow {
    /// Its position.
    pub seq_id: SeqId,
    /// The message.
    pub message_id: MessageId,
    /// Version of the state with which it went.
    pub version: u64,
}

/// States of conversations for single users. They end with the membership.
#[async_trait]
pub trait OwnStateStore: Send + Sync {
    /// Changes a user's state of a conversation: loads it, lets
    /// [`merged`](OwnState::merged) judge, and writes the outcome, in one transaction. Changes of
    /// one user take turns.
    ///
    /// Errors: `NOT_CONVERSATION_MEMBER` for strangers (everybody is in the world chat),
    /// `TOO_MANY_PINS`.
    async fn change_own_state(
        &self,
        user: UserId,
        conversation: ConversationId,
        change: OwnChange,
        now: UnixMillis,
    ) -> DbResult<OwnOutcome>;

    /// A user's state of a conversation; the defaults when nothing was ever changed.
    async fn own_state(&self, user: UserId, conversation: ConversationId) -> DbResult<OwnState>;

    /// Deletes a message for a user alone; [`after_hiding`](OwnState::after_hiding) judges. A
    /// message that the user doesn't see any more changes nothing. Whether there is such a message
    /// is for the caller to know.
    ///
    /// Errors: `NOT_CONVERSATION_MEMBER`, `TOO_MANY_HIDDEN`.
    async fn hide_message(
        &self,
        user: UserId,
        conversation: ConversationId,
        message: (SeqId, MessageId),
        now: UnixMillis,
    ) -> DbResult<OwnOutcome>;

    /// Clears a conversation for a user alone, up to and with `up_to` (0 = the newest message that
    /// is stored, and never beyond it), and moves the user's read pointer there, in one
    /// transaction. What was deleted message by message before is forgotten.
    ///
    /// Errors: `NOT_CONVERSATION_MEMBER`, `CONVERSATION_NOT_FOUND`.
    async fn clear_history(
        &self,
        user: UserId,
        conversation: ConversationId,
        up_to: SeqId,
        now: UnixMillis,
    ) -> DbResult<ClearOutcome>;

    /// Those of `seqs` that a user deleted for themselves, ascending.
    async fn hidden_among(
        &self,
        user: UserId,
        conversation: ConversationId,
        seqs: &[SeqId],
    ) -> DbResult<Vec<SeqId>>;

    /// Messages that a user deleted for themselves with a later version than `after`, by ascending
    /// version; at most `limit`.
    async fn hidden_messages(
        &self,
        user: UserId,
        conversation: ConversationId,
        after: u64,
        limit: u32,
    ) -> DbResult<Vec<HiddenRow>>;
}
