//! What the sequencer must know of a conversation before it judges a message.

use gochat_core::ids::{ConversationId, MessageId, Rev, SeqId, UnixMillis, UserId};
use gochat_core::message::{Emoji, Tally};

use super::{ConversationRow, MemberRow};

/// Asks for the facts of many conversations.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FactsRequest {
    /// Which conversations, each with the senders whose standing matters.
    pub conversations: Vec<FactsOf>,
    /// Conversations up to this size are answered with all members, larger ones only with the
    /// asked senders.
    pub max_members: u32,
    /// Newest messages and changes per conversation for the idempotency window; 0 = none.
    pub recent_max: u32,
    /// No recent messages and changes made before this instant.
    pub recent_since: UnixMillis,
    /// Maximum number of members, recent messages, resends and targets of one answer, estimated
    /// before they are read. An answer ends before the conversation with which it would be exceeded; the first
    /// one is always answered.
    pub max_rows: usize,
}

/// One asked conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FactsOf {
    /// Which conversation.
    pub id: ConversationId,
    /// The asker knows members and blocks: neither is read.
    pub without_members: bool,
    /// Users whose membership is needed even when the member list is too long.
    pub senders: Vec<UserId>,
    /// Messages and changes to look for, by author and the author's own id: messages however old,
    /// changes as long as they are remembered.
    pub resends: Vec<Resend>,
    /// Messages that are to be changed.
    pub targets: Vec<MessageId>,
    /// Messages that are answered: they are among the [targets](ConversationFacts::targets) of the
    /// answer, with an excerpt.
    pub quotes: Vec<MessageId>,
    /// Messages that are to be reacted to, and by whom.
    pub reactors: Vec<(MessageId, UserId)>,
}

/// A message or change that may be stored already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resend {
    /// Author of the message or of the change.
    pub sender: UserId,
    /// The author's own id of it.
    pub client_msg_id: String,
    /// A change is meant, and not a message.
    pub is_change: bool,
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
    /// Newest messages and changes that carry a client id, by ascending `rev`.
    pub recent: Vec<RecentMessage>,
    /// Of each asked resend the stored message or change with the lowest number, if there is one. What isn't here is not
    /// stored up to the row's newest number: both are of one snapshot.
    pub resends: Vec<RecentMessage>,
    /// Those of the asked targets and quotes that are stored, each once, of the same snapshot. Of several messages under
    /// one id the one stored last is meant.
    pub targets: Vec<TargetRow>,
    /// Reactions of the asked reactors, of the same snapshot.
    pub reactors: Vec<ReactorRow>,
}

/// A reaction of a user who is about to react to the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReactorRow {
    /// The message.
    pub message_id: MessageId,
    /// The user.
    pub user_id: UserId,
    /// What the user reacted with.
    pub emoji: Emoji,
}

/// What a change of a message, or an answer to it, is judged by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetRow {
    /// Id.
    pub message_id: MessageId,
    /// Position.
    pub seq_id: SeqId,
    /// Author.
    pub sender_id: UserId,
    /// When it was made.
    pub created_at: UnixMillis,
    /// Recalled.
    pub deleted: bool,
    /// Number of edits.
    pub edit_count: u32,
    /// Pinned.
    pub pinned: bool,
    /// Reactions.
    pub reactions: Tally,
    /// Number of the message type.
    pub message_type: i32,
    /// Of a message that is answered: the beginning of a text
    /// ([`excerpt`](gochat_core::message::excerpt)).
    pub excerpt: String,
}

/// A stored message or change as the idempotency window remembers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecentMessage {
    /// Author of the message or of the change.
    pub sender_id: UserId,
    /// The author's own id of it.
    pub client_msg_id: String,
    /// The message, or the one that was changed.
    pub message_id: MessageId,
    /// Position of that message.
    pub seq_id: SeqId,
    /// The number that was acknowledged, over messages and changes of the conversation.
    pub rev: Rev,
    /// When it was made.
    pub created_at: UnixMillis,
    /// A change, and not a message.
    pub is_change: bool,
}
