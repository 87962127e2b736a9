//! What clients delete for themselves, and what they must see of it.
//!
//! The first member of every conversation deletes nothing there, so that one reader sees all of it.

mod judge;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

pub(super) use self::judge::audit;
use super::observe::{Observed, Place, Row, Who};

/// What became of the requests to delete one message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Asked {
    /// Requests without an answer: they may be carried out or not, now or later.
    pub(super) open: u32,
    /// One was acknowledged: the message is gone for good.
    pub(super) done: bool,
}

impl Asked {
    /// Whether the message may be gone.
    const fn may_hold(self) -> bool {
        self.done || self.open > 0
    }
}

/// What one user deleted of one conversation for themselves.
#[derive(Debug, Clone, Default)]
pub(super) struct Deletions {
    /// Single messages, by place.
    pub(super) messages: BTreeMap<u64, Asked>,
    /// Acknowledged ones, in the order of their answers.
    done: Vec<u64>,
    /// Bound of clearing that was acknowledged.
    pub(super) cleared: u64,
    /// Bounds of clearing without an answer: they may hold or not, now or later.
    pub(super) clearing: Vec<u64>,
    /// Number of times that the conversation was cleared.
    pub(super) clears: u64,
    /// Codes of refusals.
    pub(super) refused: BTreeSet<String>,
    /// What clients saw while the load ran and must not have seen, in words.
    pub(super) faults: Vec<String>,
    /// The server's list of deleted messages with their versions, as a second device reads it.
    pub(super) listed: Vec<(u64, u64)>,
    /// Messages as they stand around deleted ones.
    pub(super) around: Vec<Row>,
}

/// What was acknowledged when a request left: its answer must know of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Known {
    done: usize,
    cleared: u64,
}

impl Deletions {
    /// What is acknowledged now.
    pub(super) const fn known(&self) -> Known {
        Known {
            done: self.done.len(),
            cleared: self.cleared,
        }
    }

    /// The deletion of a message is asked for.
    pub(super) fn ask(&mut self, seq: u64) {
        self.messages.entry(seq).or_default().open += 1;
    }

    /// It was acknowledged, or refused for good.
    pub(super) fn answer(&mut self, seq: u64, refused: Option<String>) {
        let asked = self.messages.entry(seq).or_default();
        asked.open = asked.open.saturating_sub(1);
        match refused {
            Some(code) => drop(self.refused.insert(code)),
            None if asked.done => {}
            None => {
                asked.done = true;
                self.done.push(seq);
            }
        }
    }

    /// Clearing up to a place is asked for.
    pub(super) fn ask_clear(&mut self, up_to: u64) {
        self.clearing.push(up_to);
    }

    /// Clearing up to a place was refused for good.
    pub(super) fn refuse_clear(&mut self, up_to: u64, code: String) {
        self.answered_clear(up_to);
        self.refused.insert(code);
    }

    fn answered_clear(&mut self, up_to: u64) {
        if let Some(at) = self.clearing.iter().position(|open| *open == up_to) {
            self.clearing.swap_remove(at);
        }
    }

    /// Clearing up to a place was acknowledged, with the bound that holds now: messages that have
    /// no row yet stay.
    pub(super) fn clear(&mut self, up_to: u64, bound: u64, known: Known) {
        self.answered_clear(up_to);
        if bound < known.cleared {
            let before = known.cleared;
            self.faults
                .push(format!("is cleared up to {bound} after {before}"));
        }
        self.clears += 1;
        self.cleared = self.cleared.max(bound);
    }

    /// Looks at messages that the server showed: what was deleted before they were asked for says
    /// nothing.
    pub(super) fn shown(&mut self, page: &Value, known: Known) {
        let done = self.done.get(..known.done).unwrap_or_default();
        for message in page["messages"].as_array().into_iter().flatten() {
            let seq = message["seqId"].as_u64().unwrap_or(0);
            let is_blank = message["hidden"] == true && message["content"] == "";
            if seq <= known.cleared || (done.contains(&seq) && !is_blank) {
                self.faults.push(format!("was shown number {seq} again"));
            }
        }
    }

    /// Highest bound of clearing that may hold.
    pub(super) fn cleared_at_most(&self) -> u64 {
        let open = self.clearing.iter().copied().max();
        open.unwrap_or(0).max(self.cleared)
    }

    /// Whether the user may see less of a message than others.
    pub(super) fn may_lack(&self, seq: u64) -> bool {
        seq <= self.cleared_at_most() || self.messages.get(&seq).is_some_and(|a| a.may_hold())
    }

    /// Whether everything that was asked for has an answer.
    fn is_settled(&self) -> bool {
        self.clearing.is_empty() && self.messages.values().all(|asked| asked.open == 0)
    }

    /// Acknowledged deletions of single messages.
    pub(super) const fn count(&self) -> usize {
        self.done.len()
    }
}

/// A message that says no more than its place.
pub(super) fn blank(row: &Row) -> Row {
    Row {
        seq: row.seq,
        rev: row.rev,
        deleted: row.deleted,
        edits: row.edits,
        message_id: row.message_id.clone(),
        sender: row.sender.clone(),
        hidden: true,
        ..Row::default()
    }
}

/// By user and conversation.
pub(super) type AllDeletions = BTreeMap<(Who, Place), Deletions>;

/// Acknowledged deletions, those without an answer, and how often conversations were cleared.
pub(super) fn counts(observed: &Observed) -> (usize, usize, u64) {
    let all = observed.deletions.values();
    let open = |d: &Deletions| d.messages.values().filter(|a| a.open > 0).count();
    (
        all.clone().map(Deletions::count).sum(),
        all.clone().map(open).sum(),
        all.map(|d| d.clears).sum(),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_deleted_before_a_page_was_asked_for_says_nothing_on_it() {
        let mut deletions = Deletions::default();
        let early = deletions.known();
        deletions.ask(4);
        deletions.answer(4, None);
        let whole = json!({"messages": [{"seqId": 4, "content": "text"}]});
        deletions.shown(&whole, early);
        assert!(deletions.faults.is_empty(), "{deletions:?}");
        let blank = json!({"messages": [{"seqId": 4, "content": "", "hidden": true}]});
        deletions.shown(&blank, deletions.known());
        assert!(deletions.faults.is_empty(), "{deletions:?}");
        deletions.shown(&whole, deletions.known());
        assert_eq!(deletions.faults.len(), 1);
        deletions.ask_clear(6);
        deletions.clear(6, 6, early);
        deletions.shown(&blank, deletions.known());
        assert_eq!(deletions.faults.len(), 2);
        deletions.clear(5, 5, deletions.known());
        assert_eq!(deletions.faults.len(), 3);
    }

    #[test]
    fn a_refused_deletion_may_not_hold_and_an_unanswered_one_may() {
        let mut deletions = Deletions::default();
        deletions.ask(1);
        assert!(deletions.may_lack(1) && !deletions.is_settled());
        deletions.answer(1, Some("RATE_LIMITED".to_owned()));
        assert!(!deletions.may_lack(1) && deletions.is_settled());
    }
}
