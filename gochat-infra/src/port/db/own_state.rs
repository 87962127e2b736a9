//! Own states: settings of a conversation that belong to one user.

use async_trait::async_trait;
use gochat_core::ids::{ConversationId, UnixMillis, UserId};
use gochat_core::own_state::{OwnChange, OwnState};

use super::DbResult;

/// Answer of [`OwnStateStore::change_own_state`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnOutcome {
    /// The state after the change.
    pub state: OwnState,
    /// Something was written; `false` for a repeat.
    pub changed: bool,
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
}
