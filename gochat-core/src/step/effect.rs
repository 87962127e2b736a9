//! What goes out.

use std::ops::Range;

use super::record::{Changed, Referred};
use crate::error::Error;
use crate::fanout::GatewayIx;
use crate::ids::{MessageId, Rev, SeqId, UnixMillis, UserId};

/// A record of the batch together with what its message or change was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sequenced {
    /// Place of the record in the batch: the caller holds the content.
    pub record: usize,
    /// Id of the message, or of the one that is changed.
    pub message_id: MessageId,
    /// Position in the conversation of that message.
    pub seq: SeqId,
    /// Number over messages and changes.
    pub rev: Rev,
    /// When it was sequenced, whole seconds.
    pub at: UnixMillis,
}

/// Users of an effect: a range of [`Effects::users`]. Messages of one conversation share ranges.
pub type Users = Range<usize>;

/// Recipients whose sessions may have changed since fan-out looked at them: those who got one until the
/// row is written may have missed both the push and the row.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Later {
    /// Members without a session.
    pub recheck: Users,
    /// Members of a group with a session. Empty for a single chat, whose id names both.
    pub reached: Users,
    /// Presence was away: it was sent to gateways that may not be all there are.
    pub unknown: bool,
    /// The recipients are the members of the group, whoever they are when the row is written. The
    /// two lists name the author at most, so the record stays small however large the group is.
    pub members: bool,
    /// Every live gateway got the list of members.
    pub listed: bool,
}

/// One thing to do. All effects of a batch and its consumed offsets become visible in **one**
/// transaction, or none does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Append the message or change to `persist`. Always the first effect of a new one.
    Persist {
        /// Which message.
        message: Sequenced,
        /// Of a change: what it makes of its message.
        changed: Option<Box<Changed>>,
        /// Of a message: what it refers to.
        referred: Option<Box<Referred>>,
        /// Of an edit: what the message says now is not pushed. Some members may not read what was
        /// said before they joined, and may read it in history if they may.
        withheld: bool,
        /// Who may have to hear of it again once the row is written.
        later: Later,
    },
    /// Send the message to users of one gateway.
    Deliver {
        /// Message that is sent.
        message: Sequenced,
        /// Gateway that gets the record.
        gateway: GatewayIx,
        /// True if the gateway holds the connection that sent the message and is owed the ack.
        to_origin: bool,
        /// Users there, at least one.
        targets: Users,
    },
    /// Send the message to those members of the group who are connected to one gateway.
    ToMembers {
        /// Message that is sent.
        message: Sequenced,
        /// Gateway that gets the record.
        gateway: GatewayIx,
        /// True if the gateway holds the connection that sent the message and is owed the ack.
        to_origin: bool,
        /// All members of the group, ascending.
        members: Users,
    },
    /// Send the message to everybody on one gateway.
    Broadcast {
        /// Message that is sent.
        message: Sequenced,
        /// Gateway that gets the record.
        gateway: GatewayIx,
        /// True if the gateway holds the connection that sent the message and is owed the ack.
        to_origin: bool,
    },
    /// Hand the message to the task that pages the members. The author is served already.
    Fanout {
        /// Which message.
        message: Sequenced,
    },
    /// Ack the sender, who gets it by no other record: a repeat, or nobody else on that gateway.
    Ack {
        /// Which message; for a repeat, what its first sending was given.
        message: Sequenced,
        /// The sender's gateway.
        gateway: GatewayIx,
        /// The message was accepted before.
        replay: bool,
    },
    /// Tell the sender that the message was refused.
    Nack {
        /// Place of the record in the batch.
        record: usize,
        /// The sender's gateway.
        gateway: GatewayIx,
        /// Why.
        error: Error,
    },
    /// Move the record to the dead-letter topic.
    DeadLetter {
        /// Place of the record in the batch.
        record: usize,
        /// Why, for the operator.
        reason: &'static str,
    },
}

impl Effect {
    /// Place in the batch of the record this answers.
    pub const fn record(&self) -> usize {
        match self {
            Self::Persist { message, .. }
            | Self::Deliver { message, .. }
            | Self::ToMembers { message, .. }
            | Self::Broadcast { message, .. }
            | Self::Fanout { message }
            | Self::Ack { message, .. } => message.record,
            Self::Nack { record, .. } | Self::DeadLetter { record, .. } => *record,
        }
    }
}

/// The effects of a batch, in order of its records. Reused from batch to batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Effects {
    /// What to do.
    pub list: Vec<Effect>,
    /// Backing of every [`Users`] range.
    pub users: Vec<UserId>,
}

impl Effects {
    /// The users behind a range.
    pub fn users(&self, range: &Users) -> &[UserId] {
        &self.users[range.clone()]
    }

    /// Forgets everything and keeps the memory.
    pub fn clear(&mut self) {
        self.list.clear();
        self.users.clear();
    }
}
