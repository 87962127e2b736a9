//! Everything clients were told, and what history says afterwards.

use std::collections::{BTreeMap, BTreeSet};

use gochat_core::ids::UserId;
use gochat_core::membership::Role;

use super::changes::{Changes, Counts, Replica, Told};
use super::deletions::AllDeletions;
use super::people::{Outcomes, Tale};
use super::references::{Quote, References};
use super::sessions::{History, Rules};

/// A conversation, by its number in the run.
pub(super) type Place = usize;
/// The world chat is the first.
pub(super) const WORLD: Place = 0;
/// A user, by number.
pub(super) type Who = usize;

/// An acknowledgement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ack {
    pub(super) place: Place,
    pub(super) client_id: String,
    pub(super) message_id: String,
    pub(super) seq: u64,
}

/// A message as it was pushed, or as a row of history.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) seq: u64,
    /// Of its last change; of a push, of the message itself.
    pub(super) rev: u64,
    pub(super) deleted: bool,
    /// Number of edits.
    pub(super) edits: u64,
    pub(super) reactions: Counts,
    pub(super) pinned: bool,
    /// Whether its reader deleted it for themselves.
    pub(super) hidden: bool,
    pub(super) message_id: String,
    pub(super) sender: String,
    pub(super) client_id: String,
    pub(super) content: String,
    pub(super) references: References,
    /// What it says of the message that it answers; read, not pushed.
    pub(super) quote: Option<Quote>,
}

impl Row {
    /// Whether both are the same message, however it was changed.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let key = |row: &Self| {
            (
                row.seq,
                row.message_id.clone(),
                row.sender.clone(),
                row.client_id.clone(),
            )
        };
        key(self) == key(other)
    }

    /// Whether it says what it said when it was sent.
    pub(super) const fn is_untouched(&self) -> bool {
        !self.deleted && self.edits == 0
    }

    /// Whether nothing happened to it since it was sent.
    pub(super) fn is_new(&self) -> bool {
        self.is_untouched() && !self.pinned && self.reactions.is_empty()
    }

    /// Whether a client of the run wrote it; client ids read `run-user-number`.
    pub(super) fn is_by(&self, who: Who) -> bool {
        let author = self.client_id.split('-').nth(1);
        author.and_then(|text| text.parse().ok()) == Some(who)
    }
}

/// What one connection brought, in order.
#[derive(Debug, Clone, Default)]
pub(super) struct Connection {
    pub(super) who: Who,
    pub(super) pushes: Vec<(Place, Row)>,
    /// Changes of messages that were pushed.
    pub(super) changes: Vec<(Place, Told)>,
    /// Numbers of pushed messages in the order in which they came. Changes come in any order: their
    /// `rev` tells which one is newer.
    pub(super) order: Vec<(Place, u64)>,
    /// Entries of `order` that came before the connection had settled: what was on its way while it opened may be among
    /// them, late. `None`: it never settled.
    pub(super) settled: Option<usize>,
    /// Pushes of conversations the user isn't in.
    pub(super) strangers: Vec<String>,
}

/// A line of a user's conversation list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) last_seq: u64,
    pub(super) last_read: u64,
    pub(super) unread: i64,
    /// Unread messages that name the user.
    pub(super) mentions: u64,
    /// Number of messages that the user deleted for themselves.
    pub(super) hidden: u64,
    /// Number of the last message that the user cleared away.
    pub(super) cleared: u64,
}

/// Members, owner and name of a group, as one of its members sees them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Crew {
    pub(super) owner: Option<UserId>,
    pub(super) members: BTreeMap<UserId, Role>,
    /// What the group says of its size.
    pub(super) count: u64,
    pub(super) name: String,
    pub(super) version: u64,
    /// Text of the announcement; empty when there is none.
    pub(super) announcement: String,
    /// Whether only admins and the owner may write.
    pub(super) mute_all: bool,
    /// Members who may not write.
    pub(super) muted: BTreeSet<UserId>,
    /// Nothing else is known of a dissolved group.
    pub(super) is_dissolved: bool,
}

impl Crew {
    /// A group that was dissolved.
    pub(super) fn dissolved() -> Self {
        Self {
            is_dissolved: true,
            ..Self::default()
        }
    }
}

/// All of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Observed {
    /// Every acknowledgement, repetitions included.
    pub(super) acks: Vec<Ack>,
    /// What was sent: client id → content.
    pub(super) sent: BTreeMap<String, String>,
    /// What those of them that refer to anything refer to.
    pub(super) references: BTreeMap<String, References>,
    /// Ids of the users, by number.
    pub(super) users: Vec<String>,
    /// Sent and never acknowledged: may be there once or not at all.
    pub(super) unknown: BTreeSet<String>,
    pub(super) connections: Vec<Connection>,
    /// Messages sent more than once.
    pub(super) resent: u64,
    /// Highest read report that was answered with success.
    pub(super) read: BTreeMap<(Who, Place), u64>,
    /// Changes of messages, and what became of them.
    pub(super) changes: Changes,
    /// What clients hold of messages by what they were pushed and caught up on.
    pub(super) replicas: BTreeMap<(Who, Place), Replica>,
    /// What users deleted for themselves.
    pub(super) deletions: AllDeletions,
    /// Newest `rev` of each conversation.
    pub(super) head_revs: BTreeMap<Place, u64>,
    /// Timelines the SDK built by itself.
    pub(super) timelines: Vec<(Who, BTreeMap<Place, Vec<Row>>)>,
    /// History as each reader sees it.
    pub(super) history: BTreeMap<(Who, Place), Vec<Row>>,
    /// Reactions that history calls the reader's own, with the places of their messages.
    pub(super) mine: BTreeMap<(Who, Place), BTreeSet<(u64, String)>>,
    pub(super) lists: BTreeMap<(Who, Place), Listed>,
    /// Groups that got commands, and who gave them.
    pub(super) clubs: Vec<(String, Vec<Who>)>,
    /// Those of them that tell what happens to them.
    pub(super) tales: Vec<Tale>,
    /// Commands about groups.
    pub(super) commands: Outcomes,
    /// Commands given at once that no order explains.
    pub(super) unexplained: Vec<String>,
    /// Those groups at the end; `None` when none of the cast could see one.
    pub(super) crews: Vec<(String, Option<Crew>)>,
    /// What happened to the sessions of accounts.
    pub(super) histories: Vec<History>,
    /// Clients whose tokens were not renewed, although nothing ended their sessions.
    pub(super) signed_out: Vec<String>,
    /// What the contract promises about sessions, and what was done to the system.
    pub(super) rules: Rules,
}

impl Connection {
    /// Numbers of its pushes, each with whether the connection had settled by then.
    pub(super) fn in_order(&self) -> impl Iterator<Item = (Place, u64, bool)> {
        let settled = self.settled.unwrap_or(usize::MAX);
        let pushes = self.order.iter().enumerate();
        pushes.map(move |(at, (place, rev))| (*place, *rev, at >= settled))
    }
}

impl Observed {
    /// Adds what another client saw.
    pub(super) fn merge(&mut self, other: Self) {
        self.acks.extend(other.acks);
        self.sent.extend(other.sent);
        self.references.extend(other.references);
        self.unknown.extend(other.unknown);
        self.connections.extend(other.connections);
        self.resent += other.resent;
        self.read.extend(other.read);
        self.changes.merge(other.changes);
        self.replicas.extend(other.replicas);
        self.deletions.extend(other.deletions);
        self.timelines.extend(other.timelines);
        self.clubs.extend(other.clubs);
        self.tales.extend(other.tales);
        self.commands.add(&other.commands);
        self.unexplained.extend(other.unexplained);
        self.histories.extend(other.histories);
    }

    pub(super) fn pushed(&self) -> usize {
        self.connections.iter().map(|c| c.pushes.len()).sum()
    }

    pub(super) fn rows(&self) -> usize {
        self.history.values().map(Vec::len).sum()
    }
}
