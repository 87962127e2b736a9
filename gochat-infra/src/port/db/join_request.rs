//! Requests to join groups.

use async_trait::async_trait;
use gochat_core::ids::{ConversationId, RequestId, UnixMillis, UserId};
use gochat_core::membership::{JoinRequest, JoinStatus};

use super::{DbResult, GroupOutcome};

/// A request to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewJoinRequest {
    /// Id made by the caller; unused when the user has an open request to this group already.
    pub id: RequestId,
    /// Group to join.
    pub conversation: ConversationId,
    /// User that asks to join.
    pub user: UserId,
    /// Words of the asker; may be empty.
    pub text: String,
    /// Code of the link that the user asks by: a new request is a use of the link.
    pub link: Option<String>,
    /// Maximum number of open requests of one user.
    pub cap_user: u32,
    /// Maximum number of open requests of one group.
    pub cap_group: u32,
    /// Time after a refusal in which the user doesn't ask again, in milliseconds.
    pub cooldown: UnixMillis,
    /// Now.
    pub now: UnixMillis,
    /// Time at which the request ends by itself.
    pub expires_at: UnixMillis,
}

/// A stored request, open or answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinRequestRow {
    /// Id; requests are listed by it.
    pub id: RequestId,
    /// Group to join.
    pub conversation_id: ConversationId,
    /// User that asks to join.
    pub user_id: UserId,
    /// State.
    pub status: JoinStatus,
    /// Words of the asker; may be empty.
    pub text: String,
    /// Time at which the request was made.
    pub created_at: UnixMillis,
    /// Time at which the request was made or answered.
    pub changed_at: UnixMillis,
    /// Time at which the row is deleted.
    pub expires_at: UnixMillis,
}

impl JoinRequestRow {
    /// The request as core judges it.
    pub const fn request(&self) -> JoinRequest {
        JoinRequest {
            status: self.status,
            changed_at: self.changed_at,
            expires_at: self.expires_at,
        }
    }
}

/// Answer of [`JoinRequestStore::answer_join_request`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinAnswered {
    /// The request as it is now.
    pub request: JoinRequestRow,
    /// True if this call answered the request; a repeat changes nothing.
    pub changed: bool,
    /// The command that admitted the asker.
    pub outcome: Option<GroupOutcome>,
}

/// Requests to join groups, one per user and group. What changes them is judged by core in the
/// transaction that writes, with the group held.
#[async_trait]
pub trait JoinRequestStore: Send + Sync {
    /// Makes a request; true with a new one, false with the open one that was there. Rows of the
    /// group that have ended go. The refusals of
    /// [`decide_ask`](gochat_core::membership::decide_ask).
    async fn ask_to_join(&self, new: NewJoinRequest) -> DbResult<(JoinRequestRow, bool)>;

    /// The request of a user to a group, open or answered, until its row goes.
    async fn join_request(
        &self,
        conversation: ConversationId,
        user: UserId,
        now: UnixMillis,
    ) -> DbResult<Option<JoinRequestRow>>;

    /// Open requests of a group in the order they were made, behind `after`, at most `limit`
    /// ([`MAX_PAGE`](super::MAX_PAGE)). Askers who became members otherwise are left out.
    async fn join_requests(
        &self,
        conversation: ConversationId,
        now: UnixMillis,
        after: Option<RequestId>,
        limit: u32,
    ) -> DbResult<Vec<JoinRequestRow>>;

    /// Answers a request as `by`. Accepting makes the asker a member in the same transaction; when
    /// the asker can't be one, the request stays open and the outcome says why. The refusals of
    /// [`decide_join_answer`](gochat_core::membership::decide_join_answer).
    async fn answer_join_request(
        &self,
        conversation: ConversationId,
        user: UserId,
        by: UserId,
        accept: bool,
        now: UnixMillis,
    ) -> DbResult<JoinAnswered>;
}
