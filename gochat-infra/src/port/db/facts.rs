//! What the sequencer must know of a conversation before it judges a message.

use gochat_core::ids::{ConversationId, MessageId, SeqId, UnixMillis, UserId};

use super::{ConversationRow, MemberRow};

/// Asks for the facts of many conversations.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FactsRequest {
    /// Which conversations, each with the senders whose standing matters.
    pub conversations: Vec<FactsOf>,
    /// Conversations up to this size are answered with all members, larger ones only with the
    /// asked senders.
    pub max_members: u32,
    /// Newest messages per conversation for the idempotency window; 0 = none.
    pub recent_max: u32,
    /// No recent messages made before this instant.
    pub recent_since: UnixMillis,
    /// Maximum number of members, recent messages and resends of one answer, estimated before they
    /// are read. An answer ends before the conversation with which it would be exceeded; the first
    /// one is always answered.
    pub max_rows: usize,
}

/// One asked conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FactsOf {
    /// Which conversation.
    pub id: ConversationId,
    /// Users whose membership is needed even when the member list is too long.
    pub senders: Vec<UserId>,
    /// Messages to look for, by author and the author's own id, however old.
    pub resends: Vec<(UserId, String)>,
}

/// The facts of one conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConversationFacts {
    /// Which conversation.
    pub id: ConversationId,
    /// The row; `None` when it doesn't exist.
    pub conversation: Option<ConversationRow>,
    /// All members when `members_complete`, else the asked senders that are members.
    pub members: Vec<MemberRow>,
    /// Whether `members` is the whole list.
    pub members_complete: bool,
    /// Single chats: one side blocked the other.
    pub blocked: bool,
    /// Newest messages that carry a client id, oldest first.
    pub recent: Vec<RecentMessage>,
    /// Of each asked resend the stored message with the lowest number, if there is one. What isn't here is not stored up
    /// to the row's newest number: both are of one snapshot.
    pub resends: Vec<RecentMessage>,
}

/// A stored message as the idempotency window remembers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecentMessage {
    /// Author.
    pub sender_id: UserId,
    /// The author's own id of the message.
    pub client_msg_id: String,
    /// Id.
    pub message_id: MessageId,
    /// Position.
    pub seq_id: SeqId,
    /// When it was made.
    pub created_at: UnixMillis,
}
