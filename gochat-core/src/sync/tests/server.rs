//! What the tiny server decided, and what of it is in its database.

use std::collections::BTreeMap;

use crate::ids::{ConversationId, Rev, SeqId};
use crate::sync::{ChangesPage, HistoryPage, Message, Quote};

/// The messages and changes of one conversation in the order of `rev`.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// The message that `rev` - 1 is about, as it was after that.
    records: Vec<Message>,
    /// How many of them are in the database.
    pub(super) stored: usize,
}

impl Log {
    /// Appends what `rev` [`next`](Self::next) is about.
    pub(super) fn push(&mut self, mut message: Message) -> Message {
        message.rev = self.next();
        self.records.push(message.clone());
        message
    }

    pub(super) fn next(&self) -> Rev {
        self.records.len() as Rev + 1
    }

    /// All messages by number, as they are.
    pub(super) fn truth(&self) -> Vec<Message> {
        self.rows(self.records.len())
    }

    /// All messages by number, as they were after so many messages and changes.
    pub(super) fn rows(&self, records: usize) -> Vec<Message> {
        let newest = self.records[..records].iter();
        let newest: BTreeMap<SeqId, &Message> = newest.map(|m| (m.seq_id, m)).collect();
        let quoted = |message: &Message| {
            let quote = message.reply_to.as_ref()?;
            newest.get(&quote.seq_id).map(|quoted| Quote::of(quoted))
        };
        let rows = newest.values().map(|message| Message {
            // What a quote shows is read where the quoted message stands.
            reply_to: quoted(message),
            ..(*message).clone()
        });
        rows.collect()
    }

    /// The record that gave a message its place.
    pub(super) fn sent(&self, seq: SeqId) -> &Message {
        let mut records = self.records.iter();
        records.find(|m| m.seq_id == seq).expect("it was sent")
    }

    /// A page of history out of the first so many records.
    pub(super) fn history(
        &self,
        records: usize,
        after: SeqId,
        limit: usize,
        at_least: (SeqId, Rev),
    ) -> HistoryPage {
        let rows = self.rows(records);
        let messages: Vec<_> = rows.iter().filter(|m| m.seq_id > after).cloned().collect();
        let goes_on = messages.len() > limit;
        let is_late = !goes_on && (rows.len() as SeqId) < at_least.0;
        HistoryPage {
            messages: messages.into_iter().take(limit).collect(),
            behind: is_late || (records as Rev) < at_least.1,
        }
    }

    /// A page of changes out of the first so many records.
    pub(super) fn changes(&self, records: usize, after: Rev, limit: usize) -> ChangesPage {
        let mut messages = self.rows(records);
        messages.retain(|m| m.rev > after);
        messages.sort_by_key(|m| m.rev);
        let goes_on = messages.len() > limit;
        messages.truncate(limit);
        let last = messages.last().map_or(0, |m| m.rev);
        ChangesPage {
            complete_to: if goes_on {
                last
            } else {
                after.max(records as Rev)
            },
            head_rev: self.records.len() as Rev,
            has_more: goes_on,
            messages,
        }
    }
}

/// Whether so many records show what a reader was told of.
pub(super) fn shows(log: &Log, records: usize, at_least: (SeqId, Rev)) -> bool {
    let rows = log.rows(records).len() as SeqId;
    records as Rev >= at_least.1 && rows >= at_least.0
}

/// All conversations.
pub(super) type Logs = BTreeMap<ConversationId, Log>;
