//! Announcements of groups: who has read them. The text is part of the conversation.

use async_trait::async_trait;
use gochat_core::ids::{ConversationId, UnixMillis, UserId};

use super::DbResult;

/// Answer of [`AnnouncementStore::read_announcement`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnnouncementOutcome {
    /// Newest version that the user has read; 0 for none.
    pub version: u64,
    /// The present text is read.
    pub is_read: bool,
    /// Something was written; `false` for a repeat.
    pub changed: bool,
}

/// What of an announcement was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AnnouncementReads {
    /// Newest version that the user has read; 0 for none.
    pub version: u64,
    /// Number of members that have read the version asked for.
    pub readers: u32,
}

/// A member that has read the present text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnnouncementReader {
    /// The member.
    pub user: UserId,
    /// Time at which the member read the text.
    pub read_at: UnixMillis,
}

/// Asks for readers of an announcement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnnouncementQuery {
    /// The group.
    pub conversation: ConversationId,
    /// The version that was read.
    pub version: u64,
    /// Starts behind this reader, named by the time and the user.
    pub after: Option<(UnixMillis, UserId)>,
    /// Maximum number of readers, cut to [`MAX_PAGE`](super::MAX_PAGE).
    pub limit: u32,
}

/// A page of readers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AnnouncementPage {
    /// In the order in which they read, ties by user.
    pub readers: Vec<AnnouncementReader>,
    /// There are more behind this page.
    pub has_more: bool,
}

/// Who has read which version of the announcement of a group: one row per member, that ends with
/// the membership.
#[async_trait]
pub trait AnnouncementStore: Send + Sync {
    /// Stores that a member has read a version, as far as
    /// [`Announcement::read`](gochat_core::conversation::Announcement::read) lets it, in one
    /// transaction. Doing it again changes nothing.
    ///
    /// Errors: `CONVERSATION_NOT_FOUND`, `NOT_CONVERSATION_MEMBER`, `INVALID_PARAMS` for a version
    /// that there never was.
    async fn read_announcement(
        &self,
        conversation: ConversationId,
        user: UserId,
        version: u64,
        now: UnixMillis,
    ) -> DbResult<AnnouncementOutcome>;

    /// What a user has read, and how many members have read `version`. Costs one range of an index,
    /// whose length is bounded by the members of a group.
    async fn announcement_reads(
        &self,
        conversation: ConversationId,
        user: UserId,
        version: u64,
    ) -> DbResult<AnnouncementReads>;

    /// One page of the readers of a version. Who reads a newer one is no reader of it any more.
    async fn announcement_readers(&self, query: AnnouncementQuery) -> DbResult<AnnouncementPage>;
}
