//! Invitation links of groups.

use async_trait::async_trait;
use gochat_core::ids::{ConversationId, UnixMillis, UserId};
use gochat_core::membership::{Link, LinkTerms};

use super::{DbResult, GroupOutcome};

/// A link to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLink {
    /// Unguessable code made by the caller.
    pub code: String,
    /// Group that the link leads to.
    pub conversation: ConversationId,
    /// Maker of the link, judged by the role in the group.
    pub creator: UserId,
    /// Bounds of the link.
    pub terms: LinkTerms,
    /// Maximum number of open links of the group; beyond it the link is refused.
    pub cap: u32,
    /// Now.
    pub now: UnixMillis,
}

/// A stored link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkRow {
    /// Code of the link.
    pub code: String,
    /// Group that the link leads to.
    pub conversation_id: ConversationId,
    /// Maker of the link.
    pub creator_id: UserId,
    /// Number of users who may join by the link; 0 = as many as the group has room for.
    pub max_uses: u32,
    /// Number of users who joined by the link.
    pub used: u32,
    /// Time at which the link was made.
    pub created_at: UnixMillis,
    /// Time at which the link ends by itself.
    pub expires_at: UnixMillis,
}

impl LinkRow {
    /// The link as core judges it.
    pub const fn link(&self) -> Link {
        Link {
            creator: self.creator_id,
            terms: LinkTerms {
                max_uses: self.max_uses,
                expires_at: self.expires_at,
            },
            used: self.used,
        }
    }
}

/// Invitation links. What changes them is judged by core in the transaction that writes, with the
/// group held: of two users who take the last use, one gets it.
#[async_trait]
pub trait InvitationLinkStore: Send + Sync {
    /// Makes a link; links of the group that have ended or are used up go. `TOO_MANY_INVITATIONS`
    /// beyond the cap, and the refusals of [`decide_link`](gochat_core::membership::decide_link).
    async fn create_link(&self, new: NewLink) -> DbResult<LinkRow>;

    /// The link with this code, open or not.
    async fn link(&self, code: &str) -> DbResult<Option<LinkRow>>;

    /// Open links of a group in the order they were made, at most
    /// [`MAX_PAGE`](super::MAX_PAGE), of one maker or of all.
    async fn links(
        &self,
        conversation: ConversationId,
        creator: Option<UserId>,
        now: UnixMillis,
    ) -> DbResult<Vec<LinkRow>>;

    /// Revokes a link of a group as `by`. False when there is no such link, which is fine: the call
    /// may be a repeat. The refusals of
    /// [`decide_revoke`](gochat_core::membership::decide_revoke).
    async fn revoke_link(
        &self,
        conversation: ConversationId,
        code: &str,
        by: UserId,
    ) -> DbResult<bool>;

    /// Makes the user a member by a link and counts the use. `None` and no use for a user who is a
    /// member already. The refusals of
    /// [`decide_link_use`](gochat_core::membership::decide_link_use).
    async fn use_link(
        &self,
        code: &str,
        user: UserId,
        now: UnixMillis,
    ) -> DbResult<(LinkRow, Option<GroupOutcome>)>;
}
