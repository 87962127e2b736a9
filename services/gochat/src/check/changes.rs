//! Changes of messages: what clients wish, are told, and hold.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use gochat_core::message::ChangeKind;
use serde_json::Value;

use super::observe::{Place, Who};

/// Messages of one's own, and of others, that a client may still change.
const KEPT: usize = 40;
/// A message is taken back within this time: authors have two minutes, and the wish may be repeated.
pub(super) const RECALL_WITHIN: Duration = Duration::from_secs(30);

/// How often each emoji stands under a message.
pub(super) type Counts = BTreeMap<String, u64>;

/// A change as its author wishes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) who: Who,
    pub(super) place: Place,
    pub(super) message_id: String,
    pub(super) seq: u64,
    pub(super) kind: ChangeKind,
    /// Text of an edit, emoji of a reaction.
    pub(super) content: String,
}

/// An acknowledgement of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ChangeAck {
    pub(super) place: Place,
    pub(super) client_id: String,
    pub(super) message_id: String,
    pub(super) seq: u64,
    pub(super) rev: u64,
}

/// A change as it was pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) seq: u64,
    pub(super) rev: u64,
    pub(super) message_id: String,
    pub(super) kind: String,
    /// Of an edit.
    pub(super) content: String,
    /// Of a reaction.
    pub(super) reactions: Counts,
}

/// All of it, of one client or of all.
#[derive(Debug, Clone, Default)]
pub(super) struct Changes {
    /// By client id.
    pub(super) wishes: BTreeMap<String, Wish>,
    /// Every acknowledgement, repetitions included.
    pub(super) acks: Vec<ChangeAck>,
    /// Refused for good, with the code.
    pub(super) refused: BTreeMap<String, String>,
    /// Wished and never answered: may have had effect once or not at all.
    pub(super) unknown: BTreeSet<String>,
    /// Pages of changes that were read while the load ran.
    pub(super) pages: u64,
}

impl Changes {
    pub(super) fn merge(&mut self, other: Self) {
        self.wishes.extend(other.wishes);
        self.acks.extend(other.acks);
        self.refused.extend(other.refused);
        self.unknown.extend(other.unknown);
        self.pages += other.pages;
    }
}

/// A message as a client holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) rev: u64,
    pub(super) content: String,
    pub(super) deleted: bool,
    pub(super) reactions: Counts,
    pub(super) pinned: bool,
}

impl Held {
    /// A message to which nothing has happened yet.
    pub(super) fn new(rev: u64, content: &str) -> Self {
        Self {
            rev,
            content: content.to_owned(),
            deleted: false,
            reactions: Counts::new(),
            pinned: false,
        }
    }
}

/// The counts in a message as it is read or pushed.
pub(super) fn counts(message: &Value) -> Counts {
    let reactions = message["reactions"].as_array().into_iter().flatten();
    let count = |r: &Value| {
        let emoji = r["emoji"].as_str().unwrap_or_default().to_owned();
        (emoji, r["count"].as_u64().unwrap_or(0))
    };
    reactions.map(count).collect()
}

/// What a client holds of one conversation. It looks for what it missed by `rev` alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Replica {
    /// Everything up to and with this `rev` was caught up on.
    pub(super) complete: u64,
    /// By place in the conversation.
    pub(super) messages: BTreeMap<u64, Held>,
}

impl Replica {
    /// Takes a message as it was sent or read, unless something newer is known. A push tells one
    /// part of a message; what is read tells all of them.
    pub(super) fn apply(&mut self, seq: u64, state: Held) {
        let known = self.messages.get(&seq).map_or(0, |held| held.rev);
        if state.rev >= known {
            self.messages.insert(seq, state);
        }
    }

    /// Takes a pushed change, unless something newer is known.
    pub(super) fn patch(&mut self, told: &Told) {
        let Some(held) = self
            .messages
            .get_mut(&told.seq)
            .filter(|h| h.rev < told.rev)
        else {
            return;
        };
        held.rev = told.rev;
        match told.kind.as_str() {
            "edited" => held.content.clone_from(&told.content),
            "recalled" => {
                *held = Held {
                    deleted: true,
                    ..Held::new(told.rev, "")
                }
            }
            "reaction" => held.reactions.clone_from(&told.reactions),
            "pinned" => held.pinned = true,
            "unpinned" => held.pinned = false,
            _ => {}
        }
    }

    /// Takes a page of `/changes`; false when more follows.
    pub(super) fn catch_up(&mut self, page: &Value) -> bool {
        for message in page["messages"].as_array().into_iter().flatten() {
            let state = Held {
                rev: message["rev"].as_u64().unwrap_or(0),
                content: message["content"].as_str().unwrap_or_default().to_owned(),
                deleted: message["deleted"] == true,
                reactions: counts(message),
                pinned: message["pinned"] == true,
            };
            self.apply(message["seqId"].as_u64().unwrap_or(0), state);
        }
        let complete = page["completeTo"].as_u64().unwrap_or(0);
        self.complete = self.complete.max(complete);
        page["hasMore"] != true
    }
}

/// A change without an answer.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    pub(super) wish: Wish,
    pub(super) sent: Instant,
}

/// An own message that was acknowledged, or one of others that was pushed.
#[derive(Debug, Clone)]
pub(super) struct Own {
    pub(super) place: Place,
    pub(super) message_id: String,
    pub(super) seq: u64,
    pub(super) at: Instant,
}

/// What a client needs to make changes.
#[derive(Debug, Default)]
pub(super) struct Pen {
    own: VecDeque<Own>,
    /// Messages of others.
    seen: VecDeque<Own>,
    pub(super) waiting: BTreeMap<String, Pending>,
}

impl Pen {
    /// An own message was acknowledged.
    pub(super) fn note(&mut self, own: Own) {
        if self.own.len() >= KEPT {
            self.own.pop_front();
        }
        self.own.push_back(own);
    }

    /// A message of somebody else was pushed.
    pub(super) fn note_other(&mut self, message: Own) {
        if self.seen.len() >= KEPT {
            self.seen.pop_front();
        }
        self.seen.push_back(message);
    }

    /// One of the last messages that fits, whoever wrote it, by a number drawn at random.
    pub(super) fn choose_any(&self, drawn: usize, fits: impl Fn(&Own) -> bool) -> Option<&Own> {
        let all: Vec<&Own> = self
            .own
            .iter()
            .chain(&self.seen)
            .filter(|own| fits(own))
            .collect();
        all.get(drawn % all.len().max(1)).copied()
    }

    /// One of the last own messages, by a number drawn at random.
    pub(super) fn choose(&self, drawn: usize) -> Option<&Own> {
        self.own.get(drawn % self.own.len().max(1))
    }

    /// A change that waits for longer than this.
    pub(super) fn overdue(&self, after: Duration) -> Option<String> {
        let mut waiting = self.waiting.iter();
        let late = waiting.find(|(_, pending)| pending.sent.elapsed() > after);
        late.map(|(id, _)| id.clone())
    }
}
