//! Messages and read pointers.

use async_trait::async_trait;
use gochat_core::ids::{ConversationId, MessageId, Rev, SeqId, UnixMillis, UserId};
use gochat_core::message::{ChangeKind, Emoji, FormerText, References, Reply, Tally};
use gochat_core::receipt::MemberPointer;

use super::{DbResult, UserBrief};

/// A stored message. Content, extra, reactions and references are empty once it was recalled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageRow {
    /// Id.
    pub id: MessageId,
    /// Identifier of the conversation.
    pub conversation_id: ConversationId,
    /// Position in it.
    pub seq_id: SeqId,
    /// Author.
    pub sender_id: UserId,
    /// Number of the message type (1 text, 2 image …).
    pub message_type: i32,
    /// What was said.
    pub content: String,
    /// The author's own id of the message.
    pub client_msg_id: Option<String>,
    /// JSON text.
    pub extra: Option<String>,
    /// Recalled.
    pub deleted: bool,
    /// When it was made.
    pub created_at: UnixMillis,
    /// When it was made, edited or recalled.
    pub updated_at: UnixMillis,
    /// Number of its last change, over messages and changes of the conversation; the number of the
    /// message itself while it has no change.
    pub rev: Rev,
    /// When it was last edited.
    pub edited_at: Option<UnixMillis>,
    /// Number of edits.
    pub edit_count: u32,
    /// Pinned.
    pub pinned: bool,
    /// Reactions.
    pub reactions: Tally,
    /// What it refers to; `None` for a message that refers to nothing.
    pub references: Option<Box<References>>,
}

/// A message together with its author.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageEntry {
    /// The message.
    pub message: MessageRow,
    /// The author; `None` when the account row is missing.
    pub sender: Option<UserBrief>,
}

/// A message to be stored. The sequencer has decided everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMessage {
    /// Id.
    pub id: MessageId,
    /// Identifier of the conversation.
    pub conversation_id: ConversationId,
    /// Position in it, from 1.
    pub seq_id: SeqId,
    /// Author.
    pub sender_id: UserId,
    /// Number of the message type.
    pub message_type: i32,
    /// What was said.
    pub content: String,
    /// The author's own id of the message.
    pub client_msg_id: Option<String>,
    /// JSON text.
    pub extra: Option<String>,
    /// When it was made.
    pub created_at: UnixMillis,
    /// Number over messages and changes of the conversation. 0 = the sequencer gives none: the
    /// store gives the next one.
    pub rev: Rev,
    /// What it refers to; boxed, for most messages refer to nothing.
    pub references: Option<Box<References>>,
}

/// A change of a message, to be stored. The sequencer has judged it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewChange {
    /// Identifier of the conversation.
    pub conversation_id: ConversationId,
    /// Number over messages and changes of the conversation, from 1.
    pub rev: Rev,
    /// What it does.
    pub kind: ChangeKind,
    /// The message that is changed.
    pub message_id: MessageId,
    /// Position of that message.
    pub seq_id: SeqId,
    /// User that makes the change.
    pub sender_id: UserId,
    /// The operator's own id of the change.
    pub client_msg_id: Option<String>,
    /// Of an edit: what the message says from now on. Of a reaction: its emoji.
    pub content: String,
    /// Of an edit: JSON text.
    pub extra: Option<String>,
    /// How often the message was edited, with this change; edits alone set it.
    pub edit_count: u32,
    /// Of an edit: the text before it is kept.
    pub keeps_former: bool,
    /// Of a pin: the group is owed a system message that tells it, written in the same transaction.
    pub tells: bool,
    /// Whether the message is pinned after it; pins and their ends alone set it.
    pub pinned: bool,
    /// The reactions to the message after it; reactions alone set them.
    pub reactions: Tally,
    /// When it was made.
    pub created_at: UnixMillis,
}

/// A message that is answered, as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotedRow {
    /// Id.
    pub id: MessageId,
    /// Position in the conversation.
    pub seq_id: SeqId,
    /// Author.
    pub sender_id: UserId,
    /// Number of the message type.
    pub message_type: i32,
    /// Beginning of a text ([`excerpt`](gochat_core::message::excerpt)); empty for other types and
    /// once the message was recalled.
    pub excerpt: String,
    /// Recalled.
    pub deleted: bool,
    /// Number of edits.
    pub edit_count: u32,
    /// When it was made.
    pub created_at: UnixMillis,
}

/// What became of one message or change of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SaveOutcome {
    /// Stored now.
    Stored,
    /// Was stored before: the same id at the same place, or a change that the message has had, or
    /// a newer one.
    Duplicate,
    /// Refused: its place holds another message. This must never happen; the adapter counts it
    /// (`gochat_db_message_conflicts_total{kind="place"}`) and logs an error.
    Conflict,
    /// Refused: the message that is changed isn't stored. This must never happen; the adapter
    /// counts it (`gochat_db_message_conflicts_total{kind="missing"}`) and logs an error.
    Missing,
}

/// Which way to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Direction {
    /// Oldest first.
    Ascending,
    /// Newest first.
    #[default]
    Descending,
}

/// Asks for messages by position. Both bounds are inclusive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangeQuery {
    /// Identifier of the conversation.
    pub conversation: ConversationId,
    /// Lowest seq; `None` = from the first.
    pub from: Option<SeqId>,
    /// Highest seq; `None` = to the newest.
    pub to: Option<SeqId>,
    /// Which way; it decides at which end the limit cuts.
    pub direction: Direction,
    /// At most this many, cut to [`MAX_PAGE`](super::MAX_PAGE).
    pub limit: u32,
    /// Only these message types; empty = all.
    pub types: Vec<i32>,
    /// Never answered by a replica: the reader knows of a number that a page lacked.
    pub fresh: bool,
}

/// A page of messages.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MessagePage {
    /// In the direction asked.
    pub messages: Vec<MessageEntry>,
    /// There are (or, with a type filter, may be) more within the bounds.
    pub has_more: bool,
    /// Where the next page starts in the direction asked; `None` at the end. A type filter looks at
    /// a bounded number of messages per call, so a filtered page can be short and still go on.
    pub next_seq_id: Option<SeqId>,
}

/// Asks for what is new or changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangesQuery {
    /// Identifier of the conversation.
    pub conversation: ConversationId,
    /// The reader has everything up to and with this number.
    pub after_rev: Rev,
    /// At most this many, cut to [`MAX_CHANGES_PAGE`](super::MAX_CHANGES_PAGE).
    pub limit: u32,
    /// Never answered by a replica: the reader knows of a number that a page lacked.
    pub fresh: bool,
}

/// A page of what is new or changed, of one snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChangesPage {
    /// Each message once, as it is now, by ascending [`rev`](MessageRow::rev).
    pub messages: Vec<MessageEntry>,
    /// Newest number of the conversation; 0 when it doesn't exist or is empty.
    pub head_rev: Rev,
    /// More follows the last message.
    pub has_more: bool,
}

/// Asks who reacted to a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReactionsQuery {
    /// Identifier of the conversation.
    pub conversation: ConversationId,
    /// Identifier of the message.
    pub message: MessageId,
    /// Only reactions with this emoji.
    pub emoji: Option<Emoji>,
    /// Reactions made after this number.
    pub after_rev: Rev,
    /// At most this many, cut to [`MAX_PAGE`](super::MAX_PAGE).
    pub limit: u32,
}

/// A reaction to a message, with its user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReactionEntry {
    /// Number of the change that put it there.
    pub rev: Rev,
    /// User that reacted.
    pub user_id: UserId,
    /// What the user reacted with.
    pub emoji: Emoji,
    /// When it was made.
    pub created_at: UnixMillis,
    /// The user; `None` when the account row is missing.
    pub user: Option<UserBrief>,
}

/// A page of reactions to a message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReactionsPage {
    /// By ascending number.
    pub reactions: Vec<ReactionEntry>,
    /// More follows the last one.
    pub has_more: bool,
}

/// Pinned messages, of one snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PinsPage {
    /// The one that was pinned last first.
    pub messages: Vec<MessageEntry>,
    /// Newest number of the conversation; 0 when it doesn't exist or is empty.
    pub head_rev: Rev,
}

/// Answer of [`MessageStore::recall`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecallOutcome {
    /// The message after the recall, its content empty.
    pub message: MessageRow,
    /// It was recalled now; `false` when it had been before.
    pub newly: bool,
}

/// Where a read pointer stands after [`MessageStore::advance_pointer`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadOutcome {
    /// Where it stood before.
    pub previous: SeqId,
    /// Where it stands now. Smaller than asked when the asked seq isn't stored (yet): a caller
    /// that knows the message exists repeats the call after a moment.
    pub pointer: SeqId,
    /// The head the pointer was compared with.
    pub head: SeqId,
    /// Head − pointer.
    pub unread: u64,
    /// It moved.
    pub changed: bool,
    /// The user had marked the conversation as unread; the mark is gone.
    pub unmarked: bool,
}

impl ReadOutcome {
    /// The number that was meant by `asked`: 0 is the newest, and none lies beyond the head.
    pub(crate) fn wanted(&self, asked: SeqId) -> SeqId {
        match asked {
            0 => self.head,
            seq => seq.min(self.head),
        }
    }
}

/// Messages by conversation and seq, and how far everybody has read.
#[async_trait]
pub trait MessageStore: Send + Sync {
    /// Stores messages, then changes of messages by ascending `rev`, in one transaction with what
    /// follows from them:
    ///
    /// * the conversation's heads, last message and `updated_at` move forward (never back); a
    ///   change moves `updated_at` when it changes the newest message;
    /// * the author's read pointer moves to the author's newest seq: who writes has read;
    /// * a single chat hidden by one side shows again with a message;
    /// * users named by a message, or everybody, have a mention until the message is recalled.
    ///
    /// An edit replaces content and extra. A recall erases them, all reactions and what the message
    /// refers to for good and takes the pin off: a change after it only counts as a change. A reaction is put or taken
    /// away, and the message keeps the tally that its newest reaction brings. A pin is set (again:
    /// it stands on top) or taken off, and the conversation counts its pins. A change of one kind
    /// leaves alone what the others keep. Every change is remembered by its author and the author's
    /// own id.
    ///
    /// One outcome per message and then one per change, in the order given. Idempotent: what is
    /// stored already is [`SaveOutcome::Duplicate`], also within one batch, and moves nothing back.
    /// A refusal spoils only its own message or change. A message that comes without a `rev` gets
    /// the next one when it is stored.
    ///
    /// A message whose id stands at another place is stored under its own
    /// place all the same, because it was acknowledged; the adapter counts it
    /// (`gochat_db_message_conflicts_total{kind="id"}`) and logs an error. The conversation row is
    /// made when it is missing, so that an acknowledged message can't get lost. `now` stamps
    /// `updated_at`.
    async fn save_batch(
        &self,
        messages: Vec<NewMessage>,
        changes: Vec<NewChange>,
        now: UnixMillis,
    ) -> DbResult<Vec<SaveOutcome>>;

    /// One message. `conversation` is a hint for adapters that split by it; when given, a message
    /// of another conversation is not found. Of several messages under one id the one stored last
    /// is meant, here and in [`recall`](Self::recall).
    async fn message(
        &self,
        id: MessageId,
        conversation: Option<ConversationId>,
    ) -> DbResult<Option<MessageEntry>>;

    /// Messages by position.
    async fn messages(&self, query: RangeQuery) -> DbResult<MessagePage>;

    /// The present state of messages of one conversation that are answered, in any order; one that
    /// isn't stored is left out. At most [`MAX_CHANGES_PAGE`](super::MAX_CHANGES_PAGE). `fresh` =
    /// never answered by a replica.
    async fn quoted(
        &self,
        conversation: ConversationId,
        replies: &[Reply],
        fresh: bool,
    ) -> DbResult<Vec<QuotedRow>>;

    /// What a message said before it was edited, where that was kept
    /// ([`NewChange::keeps_former`]), by ascending number; at most
    /// [`FORMER_TEXTS_MAX`](gochat_core::message::FORMER_TEXTS_MAX). None of a message that was
    /// recalled. Never answered by a replica.
    async fn former_texts(
        &self,
        conversation: ConversationId,
        seq: SeqId,
    ) -> DbResult<Vec<FormerText>>;

    /// Messages that are new or changed since a number.
    async fn changes(&self, query: ChangesQuery) -> DbResult<ChangesPage>;

    /// Who reacted to a message, by ascending number of the reaction.
    async fn reactions(&self, query: ReactionsQuery) -> DbResult<ReactionsPage>;

    /// What a user reacted with to some messages of a conversation, at most
    /// [`MAX_CHANGES_PAGE`](super::MAX_CHANGES_PAGE) messages.
    async fn own_reactions(
        &self,
        conversation: ConversationId,
        user: UserId,
        messages: &[MessageId],
    ) -> DbResult<Vec<(MessageId, Emoji)>>;

    /// The pinned messages of a conversation, at most
    /// [`PINS_MAX`](gochat_core::message::PINS_MAX). `fresh` = never answered by a replica.
    async fn pins(&self, conversation: ConversationId, fresh: bool) -> DbResult<PinsPage>;

    /// Forgets changes made before `before`, at most `limit` of them; returns how many. The
    /// messages keep what the changes did; only a resend of such a change isn't recognised.
    async fn purge_changes(&self, before: UnixMillis, limit: u32) -> DbResult<u64>;

    /// The newest `limit_each` messages of each conversation in one statement, newest first;
    /// messages of one conversation stand together. At most
    /// [`MAX_MEMBER_PAGE`](super::MAX_MEMBER_PAGE) in all.
    async fn latest_messages(
        &self,
        ids: &[ConversationId],
        limit_each: u32,
    ) -> DbResult<Vec<MessageEntry>>;

    /// Recalls a message for sequencers that know no changes: it gets no number, so readers of
    /// [`changes`](Self::changes) don't hear of it. The message keeps its place and loses its
    /// content for readers. Unread counts stay.
    /// `MESSAGE_NOT_FOUND` when it isn't in that conversation. Doing it again changes nothing.
    async fn recall(
        &self,
        conversation: ConversationId,
        id: MessageId,
        now: UnixMillis,
    ) -> DbResult<RecallOutcome>;

    /// Authors of the messages with `after < seq ≤ to`, each once, at most `limit`.
    async fn authors_between(
        &self,
        conversation: ConversationId,
        after: SeqId,
        to: SeqId,
        limit: u32,
    ) -> DbResult<Vec<UserId>>;

    /// Moves a read pointer forward to `seq`, at most to the head; never back. A mark as unread ends
    /// with it, also when the pointer stays. `seq` 0 means the head.
    /// `CONVERSATION_NOT_FOUND` when there is no such conversation.
    async fn advance_pointer(
        &self,
        user: UserId,
        conversation: ConversationId,
        seq: SeqId,
        now: UnixMillis,
    ) -> DbResult<ReadOutcome>;

    /// Read pointers of members, in the order of user ids, at most `limit` of them
    /// ([`MAX_MEMBER_PAGE`](super::MAX_MEMBER_PAGE)). Members without a pointer have read nothing
    /// and are left out.
    async fn member_pointers(
        &self,
        conversation: ConversationId,
        limit: u32,
    ) -> DbResult<Vec<MemberPointer>>;

    /// How far a user has read, and when the pointer last moved; `None` without a pointer.
    async fn pointer(
        &self,
        user: UserId,
        conversation: ConversationId,
    ) -> DbResult<Option<(SeqId, UnixMillis)>>;
}
