//! Head and window of one conversation.

use super::key::ClientKey;
use super::window::{Entry, Window};
use crate::ids::{MessageId, SeqId, UnixMillis};

/// What a message was given, and what a resend of it is given again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Assigned {
    /// Id of the message.
    pub message_id: MessageId,
    /// Position in the conversation.
    pub seq: SeqId,
    /// When it was sequenced; whole seconds, because that is what the stored row keeps.
    pub at: UnixMillis,
}

/// A stored message as storage remembers it: input of [`ConversationLog::recover`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recorded {
    /// Author and client id.
    pub key: ClientKey,
    /// Id of the message.
    pub message_id: MessageId,
    /// Position in the conversation.
    pub seq: SeqId,
    /// When it was sequenced.
    pub at: UnixMillis,
}

/// Outcome of [`ConversationLog::admit`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admitted {
    /// A message that wasn't seen before: it has the next number now, staged.
    New(Assigned),
    /// A repeat: this is what its first sending was given.
    Replay(Assigned),
}

/// The sequencer of one conversation.
///
/// Order of calls: [`recover`](Self::recover) with what storage knows, then any number of rounds of
/// [`find`](Self::find) / [`append`](Self::append) (or [`admit`](Self::admit), which is both)
/// closed by [`commit`](Self::commit) or [`rollback`](Self::rollback).
///
/// ```
/// use gochat_core::ids::{MessageId, UserId};
/// use gochat_core::sequence::{Admitted, ClientKey, ConversationLog};
/// let mut log = ConversationLog::default();
/// let key = ClientKey::new(UserId::new(1).unwrap(), "c-1");
/// let id = |n| MessageId::new(n).unwrap();
///
/// let Admitted::New(first) = log.admit(key, 1_000, || id(100)) else { panic!() };
/// assert_eq!(first.seq, 1);
/// log.commit(1_000);
/// assert_eq!(log.admit(key, 2_000, || id(101)), Admitted::Replay(first));
/// ```
#[derive(Debug, Clone, Default)]
pub struct ConversationLog {
    head: SeqId,
    committed: SeqId,
    window: Window,
}

impl ConversationLog {
    /// The newest number, staged ones included; 0 before the first message.
    pub fn head(&self) -> SeqId {
        self.head
    }

    /// The newest number that can't be rolled back.
    pub fn committed(&self) -> SeqId {
        self.committed
    }

    /// Messages remembered in the window: the memory the log takes, 40 bytes each.
    pub fn remembered(&self) -> usize {
        self.window.len()
    }

    /// Unites with what a source of recovery knows: its head and its messages, in any order.
    ///
    /// Call it once per source (database, tail of `persist`); the order of sources doesn't matter.
    /// Staged messages, if there are any, are forgotten first.
    pub fn recover(&mut self, head: SeqId, messages: impl IntoIterator<Item = Recorded>) {
        self.rollback();
        let mut newest = head.max(self.head);
        self.window.merge(messages.into_iter().map(|recorded| {
            newest = newest.max(recorded.seq);
            Entry::new(&recorded)
        }));
        self.head = newest;
        self.committed = newest;
    }

    /// What this key was given before, while it is inside the window.
    pub fn find(&self, key: &ClientKey, now: UnixMillis) -> Option<Assigned> {
        let entry = self.window.find(key, self.head, now)?;
        let at = u64::from(entry.at_secs) * 1000;
        Some(Assigned {
            message_id: entry.message_id,
            seq: entry.seq,
            at,
        })
    }

    /// Every message from this number on is inside the window: what [`find`](Self::find) doesn't know was not among
    /// them. 1 while the window reaches back to the first message.
    pub fn known_from(&self, now: UnixMillis) -> SeqId {
        let oldest = self.window.oldest(self.head, now);
        oldest.unwrap_or(self.head.saturating_add(1))
    }

    /// Gives the next number to a message that [`find`](Self::find) doesn't know. Staged.
    pub fn append(&mut self, key: ClientKey, message_id: MessageId, now: UnixMillis) -> Assigned {
        let seq = self.head.saturating_add(1);
        let at = now - now % 1000;
        self.head = seq;
        self.window.push(Entry::new(&Recorded {
            key,
            message_id,
            seq,
            at,
        }));
        Assigned {
            message_id,
            seq,
            at,
        }
    }

    /// [`find`](Self::find), else [`append`](Self::append); the id is made only when it is needed.
    pub fn admit(
        &mut self,
        key: ClientKey,
        now: UnixMillis,
        message_id: impl FnOnce() -> MessageId,
    ) -> Admitted {
        match self.find(&key, now) {
            Some(first) => Admitted::Replay(first),
            None => Admitted::New(self.append(key, message_id(), now)),
        }
    }

    /// What was staged stands for ever; entries that left the window are dropped.
    pub fn commit(&mut self, now: UnixMillis) {
        self.committed = self.head;
        self.window.trim(self.head, now);
    }

    /// Forgets what was staged: its numbers will be given again.
    pub fn rollback(&mut self) {
        if self.head != self.committed {
            self.head = self.committed;
            self.window.truncate(self.head);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{WINDOW_MESSAGES, WINDOW_MS};
    use super::*;
    use crate::ids::UserId;

    fn key(n: u64) -> ClientKey {
        ClientKey::new(UserId::new(1).unwrap(), &n.to_string())
    }

    fn send(log: &mut ConversationLog, n: u64, now: UnixMillis) -> Admitted {
        log.admit(key(n), now, || MessageId::new(n + 1).unwrap())
    }

    fn seq(admitted: Admitted) -> (SeqId, bool) {
        match admitted {
            Admitted::New(a) => (a.seq, true),
            Admitted::Replay(a) => (a.seq, false),
        }
    }

    #[test]
    fn a_rolled_back_number_is_given_again() {
        let mut log = ConversationLog::default();
        assert_eq!(seq(send(&mut log, 1, 0)), (1, true));
        log.commit(0);
        assert_eq!(seq(send(&mut log, 2, 0)), (2, true));
        log.rollback();
        assert_eq!(log.head(), 1);
        assert_eq!(
            seq(send(&mut log, 3, 0)),
            (2, true),
            "client id 2 never took place"
        );
        assert_eq!(seq(send(&mut log, 1, 0)), (1, false));
    }

    #[test]
    fn the_window_ends_after_exactly_its_number_of_messages() {
        let mut log = ConversationLog::default();
        for n in 0..WINDOW_MESSAGES {
            send(&mut log, n, 0);
        }
        log.commit(0);
        assert_eq!(
            seq(send(&mut log, 0, 0)),
            (1, false),
            "the oldest is still inside"
        );
        send(&mut log, WINDOW_MESSAGES, 0);
        assert_eq!(
            seq(send(&mut log, 0, 0)),
            (WINDOW_MESSAGES + 2, true),
            "and now outside"
        );
        log.commit(0);
        assert_eq!(log.remembered() as u64, WINDOW_MESSAGES);
    }

    #[test]
    fn the_window_ends_after_exactly_a_day() {
        let mut log = ConversationLog::default();
        send(&mut log, 1, 5_000);
        log.commit(5_000);
        assert_eq!(seq(send(&mut log, 1, 5_000 + WINDOW_MS - 1)), (1, false));
        assert_eq!(seq(send(&mut log, 1, 5_000 + WINDOW_MS)), (2, true));
        log.commit(5_000 + WINDOW_MS);
        assert_eq!(log.remembered(), 1);
    }

    #[test]
    fn a_clock_that_goes_back_keeps_the_window() {
        let mut log = ConversationLog::default();
        send(&mut log, 1, 9_000_000);
        log.commit(9_000_000);
        assert_eq!(seq(send(&mut log, 1, 0)), (1, false));
    }

    #[test]
    fn a_rollback_finds_what_a_staged_entry_had_hidden() {
        let mut log = ConversationLog::default();
        for n in 0..40 {
            send(&mut log, n, 0);
        }
        log.commit(0);
        assert_eq!(seq(send(&mut log, 0, WINDOW_MS)), (41, true));
        log.rollback();
        assert_eq!(seq(send(&mut log, 0, 0)), (1, false));
    }

    #[test]
    fn sources_of_recovery_unite_in_either_order() {
        let recorded = |n: u64| Recorded {
            key: key(n),
            message_id: MessageId::new(n + 1).unwrap(),
            seq: n + 1,
            at: 0,
        };
        let database: Vec<_> = (0..60).rev().map(recorded).collect();
        let tail: Vec<_> = (50..80).map(recorded).collect();
        for swap in [false, true] {
            let mut log = ConversationLog::default();
            let (a, b) = if swap {
                (&tail, &database)
            } else {
                (&database, &tail)
            };
            log.recover(if swap { 0 } else { 60 }, a.iter().copied());
            log.recover(if swap { 60 } else { 0 }, b.iter().copied());
            assert_eq!((log.head(), log.remembered()), (80, 80));
            for n in 0..80 {
                assert_eq!(seq(send(&mut log, n, 0)), (n + 1, false));
            }
            assert_eq!(seq(send(&mut log, 80, 0)), (81, true));
        }
    }
}
