//! Invitations to groups: memberships that wait for the consent of the invited user.

use async_trait::async_trait;
use gochat_core::ids::{ConversationId, RequestId, UnixMillis, UserId};

use super::{DbResult, GroupOutcome};

/// An invitation to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewInvitation {
    /// Id made by the caller; unused when the user has an invitation to this group already.
    pub id: RequestId,
    /// To which group.
    pub conversation: ConversationId,
    /// Who is invited.
    pub user: UserId,
    /// Who invites.
    pub inviter: UserId,
    /// Most open invitations of one user; beyond it the invitation is refused.
    pub cap: u32,
    /// Now.
    pub now: UnixMillis,
    /// When the invitation ends by itself.
    pub expires_at: UnixMillis,
}

/// An open invitation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvitationRow {
    /// Id.
    pub id: RequestId,
    /// To which group.
    pub conversation_id: ConversationId,
    /// Who is invited.
    pub user_id: UserId,
    /// Who invites.
    pub inviter_id: UserId,
    /// When the invitation was made.
    pub created_at: UnixMillis,
    /// When the invitation ends by itself.
    pub expires_at: UnixMillis,
}

/// Invitations.
#[async_trait]
pub trait GroupInvitationStore: Send + Sync {
    /// Invites a user. A user who has an invitation to this group already keeps the row, with the
    /// new end. Ended invitations of the user go. `RATE_LIMITED` beyond the cap.
    async fn invite(&self, new: NewInvitation) -> DbResult<InvitationRow>;

    /// Open invitations of a user in the order they were made, behind `after`, at most `limit`
    /// ([`MAX_PAGE`](super::MAX_PAGE)).
    async fn invitations(
        &self,
        user: UserId,
        now: UnixMillis,
        after: Option<RequestId>,
        limit: u32,
    ) -> DbResult<Vec<InvitationRow>>;

    /// Answers an invitation of `user`. Accepting makes the user a member in the same transaction,
    /// judged as a command of the system: capacity and the end of the group count. The row goes
    /// unless the command is refused. `INVITATION_NOT_FOUND` for ended and foreign ones.
    async fn answer_invitation(
        &self,
        id: RequestId,
        user: UserId,
        accept: bool,
        now: UnixMillis,
    ) -> DbResult<(InvitationRow, Option<GroupOutcome>)>;

    /// Conversations of each of these users, counted up to `cap`; users without one are left out.
    async fn conversation_counts(&self, users: &[UserId], cap: u32)
    -> DbResult<Vec<(UserId, u32)>>;
}
