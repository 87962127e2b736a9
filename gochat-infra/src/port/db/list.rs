//! The conversation list.

use gochat_core::ids::{ConversationId, ConversationKind, SeqId, UnixMillis, UserId};
use gochat_core::own_state::OwnState;

use super::{ConversationRow, MemberRow, MessageEntry, UserBrief};

/// Asks for a page of a user's conversations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListQuery {
    /// Whose list.
    pub user: UserId,
    /// Only this kind.
    pub kind: Option<ConversationKind>,
    /// Only what changed after this instant (incremental sync). Rows are stamped when they are
    /// written, so a caller that uses its last answer's time should go back a few seconds.
    pub updated_after: Option<UnixMillis>,
    /// Starts behind this entry, named by its `updated_at` and id; rows that move between two pages
    /// neither repeat nor skip others. Wins over `offset`.
    pub after: Option<(UnixMillis, ConversationId)>,
    /// Skips this many.
    pub offset: u32,
    /// Maximum number of entries, cut to [`MAX_PAGE`](super::MAX_PAGE).
    pub limit: u32,
    /// Maximum number of removed conversations, cut to [`MAX_REMOVED`]. None are told without
    /// `updated_after`.
    pub removed_limit: u32,
    /// Removed conversations are told from behind this id on, in the order of the ids' text.
    pub removed_after: Option<ConversationId>,
    /// Conversations whose heads are wanted, of the same snapshot as the page.
    pub heads_of: Vec<ConversationId>,
}

/// Maximum number of removed conversations a page of the list names.
pub const MAX_REMOVED: u32 = 1_000;

impl ListQuery {
    /// The first page of the whole list.
    pub const fn first(user: UserId, limit: u32) -> Self {
        Self {
            user,
            kind: None,
            updated_after: None,
            after: None,
            offset: 0,
            limit,
            removed_limit: 0,
            removed_after: None,
            heads_of: Vec::new(),
        }
    }
}

/// Asks for conversations by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchQuery {
    /// Whose conversations.
    pub user: UserId,
    /// Part of the name.
    pub query: String,
    /// Only this kind.
    pub kind: Option<ConversationKind>,
    /// Starts behind this entry, named by its `updated_at` and id.
    pub after: Option<(UnixMillis, ConversationId)>,
    /// At most this many, cut to [`MAX_PAGE`](super::MAX_PAGE).
    pub limit: u32,
}

/// What a search found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SearchPage {
    /// Newest activity first, ties by id.
    pub entries: Vec<ConversationEntry>,
    /// There are more behind this page.
    pub has_more: bool,
}

/// One line of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConversationEntry {
    /// The conversation.
    pub conversation: ConversationRow,
    /// The user's membership; `None` for world.
    pub membership: Option<MemberRow>,
    /// The newest message with its sender.
    pub last_message: Option<MessageEntry>,
    /// The other side of a single chat.
    pub peer: Option<UserBrief>,
    /// Read up to here.
    pub last_read_seq_id: SeqId,
    /// Head − pointer; 0 in world for users who never opened it.
    pub unread: u64,
    /// Highest number that the peer of a single chat has read; 0 elsewhere.
    pub peer_read_seq_id: SeqId,
    /// Single chats: one side blocked the other.
    pub blocked: bool,
    /// The user's own state of the conversation; `None` for the defaults.
    pub own: Option<OwnState>,
    /// The user deleted the newest message for themselves.
    pub last_hidden: bool,
}

/// One page of the list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListPage {
    /// Newest activity first, ties by id.
    pub entries: Vec<ConversationEntry>,
    /// All that match, not only this page.
    pub total: u64,
    /// There are more behind this page.
    pub has_more: bool,
    /// Conversations that left the list after `updated_after`, in the order of their text.
    pub removed: Vec<ConversationId>,
    /// More conversations left the list than `removed` names.
    pub has_more_removed: bool,
    /// Heads of the conversations among `heads_of` that the user is in; world is everybody's.
    pub heads: Vec<(ConversationId, SeqId)>,
}
