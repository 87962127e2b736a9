//! What goes in and out of a [`ClientSession`](super::ClientSession).

use crate::error::Error;
use crate::ids::{ConversationId, MessageId, Rev, SeqId, UserId};
use crate::own_state::OwnState;
use crate::sync::{Message, Millis, OutboxLimits, Outgoing, Reaction};

/// How a session behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Messages to load from before the moment a conversation is first seen.
    pub initial_history: u64,
    /// Messages per history page.
    pub page_limit: u32,
    /// History requests at a time.
    pub parallel_fetches: usize,
    /// Conversations followed at most; pushes of further ones are ignored.
    pub max_conversations: usize,
    /// Time between two pings.
    pub ping_every: Millis,
    /// Silence after which the connection counts as dead.
    pub dead_after: Millis,
    /// Bounds of the outbox.
    pub outbox: OutboxLimits,
}

impl Default for Options {
    /// 50 messages of history, pages of 100, four at a time, 100,000 conversations, ping
    /// every 30 s, dead after 70 s.
    fn default() -> Self {
        Self {
            initial_history: 50,
            page_limit: 100,
            parallel_fetches: 4,
            max_conversations: 100_000,
            ping_every: 30_000,
            dead_after: 70_000,
            outbox: OutboxLimits::default(),
        }
    }
}

/// Where a session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Getting a token.
    Authenticating,
    /// Opening the socket.
    Connecting,
    /// Connected; learning what was missed. Messages can be sent and arrive already.
    Syncing,
    /// Connected and up to date.
    Ready,
    /// Waiting before the next try.
    BackingOff,
    /// For good: the user closed it, the credentials are bad, or another connection took its place.
    Closed,
}

/// What the driver is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Get an access token, then `handle_authenticated` or `handle_auth_failed`.
    Authenticate {
        /// The token in hand was refused; a new one is needed.
        renew: bool,
    },
    /// Open the socket, then `handle_connected` or `handle_connect_failed`.
    Connect,
    /// The token of the open connection ends soon: get a newer one, then `handle_renewed` or
    /// `handle_renew_failed`.
    RenewToken,
    /// Drop the socket; nothing needs to be reported.
    Disconnect,
    /// Write a text message to the socket.
    Send(String),
    /// `GET /conversations`, then `handle_listed` or `handle_list_failed` with the same ticket.
    ListConversations {
        /// To be handed back.
        ticket: u64,
        /// Where the page starts, as the one before said; `None` for the first page.
        cursor: Option<String>,
        /// Only what changed since, in Unix seconds.
        last_sync: Option<i64>,
    },
    /// `GET /conversations/{id}/messages?after_seq=`, then `handle_fetched` or `handle_fetch_failed`.
    FetchMessages {
        /// Where.
        conversation_id: ConversationId,
        /// Messages after this number, ascending.
        after_seq: SeqId,
        /// At most so many.
        limit: u32,
        /// The highest number known of: the answer must reach it, or say that it doesn't.
        at_least: SeqId,
        /// The answer must show the messages as they were at this `rev` or later, or say that it
        /// doesn't; 0 asks for nothing.
        at_least_rev: Rev,
    },
    /// `GET /conversations/{id}/changes?after_rev=`, then `handle_changes` or
    /// `handle_fetch_failed`.
    FetchChanges {
        /// Identifier of the conversation.
        conversation_id: ConversationId,
        /// Messages that are new or changed behind this number, by ascending `rev`.
        after_rev: Rev,
        /// Maximum number of messages of the page.
        limit: u32,
        /// The highest number known of: the answer must reach it, as far as the server can.
        at_least: Rev,
    },
}

/// What became of a message: apply it with [`Message::apply`]. Of two states of a message the one
/// with the higher `rev` is newer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changed {
    /// Place of the message.
    pub seq_id: SeqId,
    /// Number of the change, over messages and changes.
    pub rev: Rev,
    /// Whether the message is recalled now.
    pub deleted: bool,
    /// Whether the user deleted it for themselves, on this device or another one. A push doesn't
    /// know that: it tells everybody the same.
    pub hidden: bool,
    /// What the message says now; `None` when the change left content and extra as they were.
    pub content: Option<String>,
    /// JSON text that travels with the content; `None` when there is none.
    pub extra: Option<String>,
    /// Unix seconds of the last edit; `None` when the change left it as it was, as a recall does.
    pub edited_at: Option<i64>,
    /// Number of edits of the message.
    pub edit_count: u32,
    /// How often each emoji stands under the message now; `None` when the change left that as it
    /// was.
    pub reactions: Option<Vec<Reaction>>,
    /// The user's own reaction that was pushed, made on another device, and whether it was put
    /// there or taken back.
    pub own_reaction: Option<(String, bool)>,
    /// Whether the message is pinned now; `None` when the change left that as it was.
    pub pinned: Option<bool>,
    /// `edited`, `recalled`, `reaction`, `pinned` or `unpinned`; `None` when it was learned by
    /// catching up, which tells the outcome of any number of changes.
    pub kind: Option<String>,
    /// User that made the change; `None` when it was learned by catching up.
    pub operator_id: Option<UserId>,
}

/// What the user wants to know.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The state changed.
    State(State),
    /// The next message of a conversation, the user's own included; in order, each once.
    Message(Message),
    /// A message of ours is durable.
    Sent {
        /// What was sent.
        message: Outgoing,
        /// Its id.
        message_id: MessageId,
        /// Its place.
        seq_id: SeqId,
        /// Unix seconds.
        created_at: i64,
    },
    /// A message of ours was refused for good or given up.
    Refused {
        /// What was to be sent.
        message: Outgoing,
        /// Why.
        error: Error,
    },
    /// The user is no longer in this conversation.
    Left(ConversationId),
    /// Somebody read up to a message.
    Read {
        /// Where.
        conversation_id: ConversationId,
        /// Who.
        user_id: UserId,
        /// How far.
        seq_id: SeqId,
    },
    /// A message was changed, while this client was connected or away. Within a conversation these
    /// events come by ascending `rev`, each after the message it is about; a message from before
    /// the history that was loaded may be changed as well. A recall is told by [`Event::Recalled`]
    /// too.
    MessageChanged {
        /// Identifier of the conversation.
        conversation_id: ConversationId,
        /// Identifier of the message.
        message_id: MessageId,
        /// What became of it.
        change: Changed,
    },
    /// Everything up to these numbers was told before this event. A client that keeps them, once it
    /// has kept what was told, goes on from there in its next session.
    Progress {
        /// Identifier of the conversation.
        conversation_id: ConversationId,
        /// Messages up to this number were told.
        complete_to: SeqId,
        /// Changes up to this number were told.
        complete_rev: Rev,
    },
    /// A message was recalled.
    Recalled {
        /// Where.
        conversation_id: ConversationId,
        /// Which.
        message_id: MessageId,
        /// Its place.
        seq_id: SeqId,
    },
    /// Somebody is writing, or stopped.
    Typing {
        /// Where.
        conversation_id: ConversationId,
        /// Who.
        user_id: UserId,
        /// Writing, or not any more.
        is_typing: bool,
    },
    /// A friend came or went.
    Presence {
        /// Who.
        user_id: UserId,
        /// Came.
        online: bool,
    },
    /// Name, members or settings of a conversation changed, or it is new: load it again.
    ConversationChanged(ConversationId),
    /// The user changed what the user keeps about a conversation alone, or read its announcement,
    /// perhaps on another device. A state with a smaller version than the one that is known came
    /// late.
    OwnStateChanged {
        /// The conversation.
        conversation_id: ConversationId,
        /// The whole state. Messages up to and with `cleared_up_to` are to be forgotten.
        state: OwnState,
        /// The message that the user deleted for themselves with it. Who missed one asks for those
        /// that went since the last version it knows.
        hidden: Option<(MessageId, SeqId)>,
        /// Newest version of the announcement that the user has read, when that is what changed.
        announcement_read: Option<u64>,
    },
    /// A member of this group invites the user to it: ask for the invitations.
    Invited(ConversationId),
    /// Somebody asks to join a group that the user manages: ask for the requests.
    JoinRequested {
        /// The group.
        conversation_id: ConversationId,
        /// The asker.
        user_id: UserId,
    },
    /// The user's request to join a group was answered.
    JoinAnswered {
        /// The group.
        conversation_id: ConversationId,
        /// The user is a member now.
        accepted: bool,
    },
    /// A friend request arrived or was accepted: load friends again.
    FriendsChanged {
        /// The other side.
        user_id: UserId,
    },
    /// The server refused something that isn't a message, or says why it will hang up.
    Error(Error),
}

/// Why no token could be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthFailure {
    /// The credentials are bad: the session ends.
    Refused(Error),
    /// Server not reachable or busy: tried again later.
    Unavailable,
}

/// Why the socket could not be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectFailure {
    /// 401: a new token is needed.
    Unauthorized,
    /// 429: too many connections in a short time.
    TooMany,
    /// Server not reachable or busy.
    Unavailable,
}

/// One page of conversations.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listed {
    /// What the page holds.
    pub conversations: Vec<ListedConversation>,
    /// Conversations the user is no longer in.
    pub removed: Vec<ConversationId>,
    /// Where the next page starts; `None` at the end.
    pub next_cursor: Option<String>,
}

/// What syncing needs to know of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListedConversation {
    /// Which.
    pub id: ConversationId,
    /// Number of its newest message.
    pub last_seq: SeqId,
    /// Whether that message was recalled. Servers without changes leave it out of history.
    pub last_recalled: bool,
    /// Number of its newest message or change; 0 from a server without changes.
    pub last_rev: Rev,
    /// The user cleared it up to and with this message; 0 for not at all.
    pub cleared_up_to: SeqId,
}

/// A page of history.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HistoryPage {
    /// Messages by ascending number, recalled ones among them.
    pub messages: Vec<Message>,
    /// The page doesn't show all that it was asked to show: rows are on their way.
    pub behind: bool,
}

/// A page of messages that are new or changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChangesPage {
    /// Each once, as it is now, by ascending `rev`.
    pub messages: Vec<Message>,
    /// With this page everything up to this number is known.
    pub complete_to: Rev,
    /// The newest number the server knows of, on this page or not.
    pub head_rev: Rev,
    /// Whether more follows: what changed before `complete_to` and once more since is on pages
    /// behind this one.
    pub has_more: bool,
}
