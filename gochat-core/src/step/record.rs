//! What comes in: decoded records, and facts that were loaded for them.

use crate::error::{Error, ErrorCode};
use crate::fanout::GatewayIx;
use crate::ids::{ConversationId, MessageId, UserId};
use crate::message::{ChangeKind, Emoji, QuoteState, Refers, Reply, State, Target};
use crate::sequence::{ClientKey, Head, Recorded};

use super::facts::Facts;

/// A record of the batch, as far as the step needs to know it. Content stays with the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// A message or a change whose form is right ([`crate::message::Draft`]).
    Submit(Submission),
    /// A message or a change whose form is wrong: its author is told.
    Refused {
        /// Where the author's answer goes.
        gateway: GatewayIx,
        /// What is wrong.
        error: Error,
    },
    /// Facts about a conversation changed: forget what is cached.
    FactsChanged(ConversationId),
    /// A record that can never be understood.
    Poison {
        /// Why, for the operator.
        reason: &'static str,
    },
}

/// A message that wants numbers, or a change of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// Where it goes.
    pub conversation: ConversationId,
    /// Author and client id; [`ClientKey::of_change`] for a change.
    pub key: ClientKey,
    /// What is changed, and how; `None` for a message.
    pub change: Option<Change>,
    /// What the message refers to; boxed, for most refer to nothing.
    pub refers: Option<Box<Refers>>,
    /// Where the author's answer goes.
    pub gateway: GatewayIx,
    /// The author may have sent it before: when the idempotency window doesn't know it, the database is asked.
    pub resend: bool,
    /// It goes no further than to an earlier sending under its id, and is refused with this code if
    /// there was none: what it would say can't be had.
    pub only_repeat: Option<ErrorCode>,
    /// Bytes of content and extra, and what it costs to name users.
    pub bytes: u32,
    /// The content is longer than guests may write.
    pub long: bool,
}

/// A wish to change a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Kind of the change.
    pub kind: ChangeKind,
    /// Identifier of the message.
    pub target: MessageId,
    /// Emoji of a reaction.
    pub emoji: Option<Emoji>,
}

/// A change that is allowed, and what it makes of its message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// Kind of the change.
    pub kind: ChangeKind,
    /// User that makes the change.
    pub operator: UserId,
    /// The state after it.
    pub state: State,
    /// Of an edit: the text before it is kept. Decided once, when the edit is accepted.
    pub keeps_former: bool,
    /// Of a pin: the timeline of the group tells it. Decided once, when the pin is accepted.
    pub tells: bool,
}

/// What a message refers to, judged.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Referred {
    /// Message that is answered.
    pub reply: Option<Quoted>,
    /// Users that are named and are members, ascending.
    pub mentions: Vec<UserId>,
    /// Whether the message names everybody.
    pub mention_all: bool,
}

/// A message that is answered, as it is when the answer is judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quoted {
    /// Which message.
    pub reply: Reply,
    /// Whether it is as it was sent.
    pub state: QuoteState,
    /// Number of the message type; 0 when the message isn't in the database yet.
    pub kind: i32,
    /// What may be shown of it to everybody who gets the answer; empty when the message isn't in
    /// the database yet, or was edited since, or members may not read what was said before they
    /// joined.
    pub excerpt: Box<str>,
}

impl Submission {
    /// Whether the system wrote the message, in the name of the user whose command it tells of.
    pub fn is_system(&self) -> bool {
        self.key.is_system()
    }

    /// Message that is answered.
    pub(super) fn reply_to(&self) -> Option<MessageId> {
        self.refers.as_ref()?.reply_to
    }

    /// Users that are named.
    pub(super) fn mentions(&self) -> &[UserId] {
        self.refers.as_ref().map_or(&[], |refers| &refers.mentions)
    }

    /// The author of the message, or who makes the change.
    pub fn sender(&self) -> UserId {
        self.key.sender
    }
}

/// A conversation the step can't judge yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// Which conversation.
    pub conversation: ConversationId,
    /// Whether head and recent messages are needed as well: on first touch.
    pub with_recent: bool,
    /// Whether facts are needed; false when the machine has them and asks about messages only.
    pub with_facts: bool,
    /// Authors whose membership matters even when the group is too large to list. Distinct.
    pub senders: Vec<UserId>,
    /// Users that are named, whose membership matters likewise. Distinct, and bounded.
    pub named: Vec<UserId>,
    /// Places in the batch of resends that are to be looked for in the database: the window doesn't reach back far
    /// enough to tell.
    pub resends: Vec<usize>,
    /// Messages that are to be changed and whose facts aren't known. Distinct.
    pub targets: Vec<MessageId>,
    /// Messages that are answered: their facts and what they say are asked for. Distinct.
    pub quotes: Vec<MessageId>,
    /// Messages that are to be reacted to, and by whom: the user's own reactions are asked for.
    /// Distinct.
    pub reactors: Vec<(MessageId, UserId)>,
    /// Facts are there and may be used on when no answer comes; they are only old.
    pub refresh: bool,
}

/// Answer to a [`Need`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Loaded {
    /// Newest numbers in the database.
    pub head: Head,
    /// Messages and changes inside the idempotency window, in any order; empty unless they were
    /// asked for.
    pub recent: Vec<Recorded>,
    /// What was found of the resends that were asked for.
    pub resends: Vec<Looked>,
    /// Users that were asked for because they are named, and whether they are members.
    pub named: Vec<(UserId, bool)>,
    /// What is stored of the messages to be changed, as of `head`; `None` when it was not looked
    /// for.
    pub targets: Option<Found>,
    /// Facts; `None` when there is no such conversation, or when none were asked for.
    pub facts: Option<Facts>,
    /// The conversation is there, and facts weren't asked for: the machine keeps the ones it has.
    pub keeps_facts: bool,
}

/// What the database knows of messages that are to be changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// Those of the messages asked for that are stored.
    pub messages: Vec<(MessageId, Target)>,
    /// What is shown of the messages that are answered.
    pub excerpts: Vec<(MessageId, Excerpt)>,
    /// Own reactions of users to messages. Who isn't listed has none.
    pub own: Vec<(MessageId, UserId, Vec<Emoji>)>,
    /// Number of pinned messages of the conversation.
    pub pins: u32,
}

/// What is shown of a message that is answered, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// Number of the message type.
    pub kind: i32,
    /// Number of edits of the message: a text that was edited since isn't shown.
    pub edits: u32,
    /// [`crate::message::excerpt`] of its content.
    pub text: Box<str>,
}

/// What the database knows of one message or change that may be a repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Looked {
    /// Author and client id, as asked.
    pub key: ClientKey,
    /// What is stored of it; `None` when there is none up to [`Loaded::head`].
    pub found: Option<Recorded>,
}

/// A message or a change found in the tail of `persist` when a partition is taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TailRecord {
    /// Which conversation.
    pub conversation: ConversationId,
    /// What was assigned.
    pub recorded: Recorded,
    /// Of a change: what it made of its message.
    pub changed: Option<Changed>,
}

/// What the step must know about an author beyond the conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// The account exists.
    Known {
        /// Guest account.
        guest: bool,
        /// Neither disabled nor deleted.
        active: bool,
    },
    /// There is no such account.
    Missing,
    /// The lookup failed. Sending goes on; only where guests are not allowed it has to wait.
    Unknown,
}
