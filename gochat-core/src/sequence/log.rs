//! Head and window of one conversation.

use super::key::ClientKey;
use super::window::{Entry, WINDOW_MESSAGES, Window};
use crate::ids::{MessageId, Rev, SeqId, UnixMillis, UserId};

/// The newest numbers of a conversation; 0 before the first message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Head {
    /// Of messages.
    pub seq: SeqId,
    /// Of messages and changes.
    pub rev: Rev,
}

impl Head {
    /// The newer of both, number by number.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self {
            seq: self.seq.max(other.seq),
            rev: self.rev.max(other.rev),
        }
    }
}

/// What a message or a change was given, and what a resend of it is given again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Assigned {
    /// Id of the message, or of the one that is changed.
    pub message_id: MessageId,
    /// Position in the conversation of the message, or of the one that is changed.
    pub seq: SeqId,
    /// Number over messages and changes.
    pub rev: Rev,
    /// When it was sequenced; whole seconds, because that is what the stored row keeps.
    pub at: UnixMillis,
}

/// A stored message or change as storage remembers it: input of [`ConversationLog::recover`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recorded {
    /// Author and client id; [`ClientKey::of_change`] for a change.
    pub key: ClientKey,
    /// Id of the message, or of the one that was changed.
    pub message_id: MessageId,
    /// Position of that message.
    pub seq: SeqId,
    /// Number over messages and changes.
    pub rev: Rev,
    /// When it was sequenced.
    pub at: UnixMillis,
}

impl Recorded {
    /// With the `rev` it has when none was given: before there were changes, both numbers were one.
    fn counted(self) -> Self {
        Self {
            rev: self.rev.max(self.seq),
            ..self
        }
    }
}

/// Answer of [`ConversationLog::since_sent`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SinceSent {
    /// Who sent the message.
    pub author: UserId,
    /// What it was given.
    pub sent: Assigned,
    /// The system wrote it.
    pub is_system: bool,
    /// It was changed since.
    pub is_changed: bool,
    /// The user who was asked about changed it since.
    pub is_changed_by: bool,
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
    head: Head,
    committed: Head,
    window: Window,
}

impl ConversationLog {
    /// The newest numbers, staged ones included.
    pub fn head(&self) -> Head {
        self.head
    }

    /// The newest numbers that can't be rolled back.
    pub fn committed(&self) -> Head {
        self.committed
    }

    /// Messages and changes remembered in the window: the memory the log takes, 40 bytes each.
    pub fn remembered(&self) -> usize {
        self.window.len()
    }

    /// Unites with what a source of recovery knows: its head and its messages and changes, in any
    /// order.
    ///
    /// Call it once per source (database, tail of `persist`); the order of sources doesn't matter.
    /// Staged messages, if there are any, are forgotten first.
    pub fn recover(&mut self, head: Head, recorded: impl IntoIterator<Item = Recorded>) {
        self.rollback();
        let mut newest = head.max(self.head);
        let recorded: Vec<Recorded> = recorded.into_iter().map(Recorded::counted).collect();
        for Recorded { seq, rev, .. } in &recorded {
            newest = newest.max(Head {
                seq: *seq,
                rev: *rev,
            });
        }
        newest.rev = newest.rev.max(newest.seq);
        let reachable = recorded
            .iter()
            .filter(|one| newest.rev - one.rev < WINDOW_MESSAGES);
        self.window.merge(newest, reachable.map(Entry::new));
        self.head = newest;
        self.committed = newest;
    }

    /// What this key was given before, while it is inside the window.
    pub fn find(&self, key: &ClientKey, now: UnixMillis) -> Option<Assigned> {
        let entry = self.window.find(key, self.head, now)?;
        Some(self.assigned(entry))
    }

    fn assigned(&self, entry: &Entry) -> Assigned {
        Assigned {
            message_id: entry.message_id,
            seq: entry.seq(self.head),
            rev: entry.rev(self.head),
            at: u64::from(entry.at_secs) * 1000,
        }
    }

    /// Author and numbers of a message inside the window whose `rev` is above `after`, and whether
    /// the system wrote it.
    pub fn message(
        &self,
        id: MessageId,
        after: Rev,
        now: UnixMillis,
    ) -> Option<(UserId, Assigned, bool)> {
        let entry = self.window.of(id, after, self.head, now)?;
        Some((entry.sender(), self.assigned(entry), entry.is_system()))
    }

    /// A message of a short while ago and what became of it until now, as far as all of it is
    /// remembered.
    ///
    /// ```
    /// use gochat_core::ids::{MessageId, UserId};
    /// use gochat_core::sequence::{ClientKey, ConversationLog};
    /// let (a, b) = (UserId::new(1).unwrap(), UserId::new(2).unwrap());
    /// let id = MessageId::new(100).unwrap();
    /// let mut log = ConversationLog::default();
    /// let sent = log.append(ClientKey::new(a, "c-1"), id, 0);
    /// assert!(!log.since_sent(id, a).unwrap().is_changed);
    /// log.append_change(ClientKey::of_change(a, "c-2"), id, sent.seq, 0);
    /// let since = log.since_sent(id, b).unwrap();
    /// assert!(since.is_changed && !since.is_changed_by && since.author == a);
    /// ```
    pub fn since_sent(&self, id: MessageId, by: UserId) -> Option<SinceSent> {
        let staged = self.head.rev - self.committed.rev;
        let since = self.window.since_sent(id, by, self.head, staged)?;
        Some(SinceSent {
            author: since.sent.sender(),
            sent: self.assigned(&since.sent),
            is_system: since.sent.is_system(),
            is_changed: since.is_changed,
            is_changed_by: since.is_changed_by,
        })
    }

    /// When this user's newest message inside the window was sent, to the second; `None` when that was
    /// before `since`. Looks no further back. Messages that the system wrote in the user's name
    /// don't count.
    pub fn last_sent(&self, user: UserId, since: UnixMillis) -> Option<UnixMillis> {
        let since = u32::try_from(since / 1000).unwrap_or(u32::MAX);
        let at = self.window.last_sent(user, since)?;
        Some(u64::from(at) * 1000)
    }

    /// Every message and change from this `rev` on is inside the window: what [`find`](Self::find)
    /// doesn't know was not among them. 1 while the window reaches back to the first message.
    pub fn known_from(&self, now: UnixMillis) -> Rev {
        let oldest = self.window.oldest(self.head, now);
        oldest.unwrap_or(self.head.rev.saturating_add(1))
    }

    /// Gives the next numbers to a message that [`find`](Self::find) doesn't know. Staged.
    pub fn append(&mut self, key: ClientKey, message_id: MessageId, now: UnixMillis) -> Assigned {
        let seq = self.head.seq.saturating_add(1);
        self.head.seq = seq;
        self.push(key, message_id, seq, now)
    }

    /// Gives the next `rev` to a change of the message `message_id` at `seq`, which
    /// [`find`](Self::find) doesn't know. Staged.
    ///
    /// ```
    /// use gochat_core::ids::{MessageId, UserId};
    /// use gochat_core::sequence::{ClientKey, ConversationLog, Head};
    /// let (author, id) = (UserId::new(1).unwrap(), MessageId::new(100).unwrap());
    /// let mut log = ConversationLog::default();
    /// let sent = log.append(ClientKey::new(author, "c-1"), id, 0);
    /// let edited = log.append_change(ClientKey::of_change(author, "c-2"), id, sent.seq, 0);
    /// assert_eq!((edited.seq, edited.rev), (1, 2));
    /// assert_eq!(log.head(), Head { seq: 1, rev: 2 });
    /// ```
    pub fn append_change(
        &mut self,
        key: ClientKey,
        message_id: MessageId,
        seq: SeqId,
        now: UnixMillis,
    ) -> Assigned {
        self.push(key, message_id, seq, now)
    }

    fn push(
        &mut self,
        key: ClientKey,
        message_id: MessageId,
        seq: SeqId,
        now: UnixMillis,
    ) -> Assigned {
        let rev = self.head.rev.saturating_add(1);
        let at = now - now % 1000;
        self.head.rev = rev;
        self.window.push(Entry::new(&Recorded {
            key,
            message_id,
            seq,
            rev,
            at,
        }));
        Assigned {
            message_id,
            seq,
            rev,
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
            self.window.truncate(self.head, self.committed.rev);
            self.head = self.committed;
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
        assert_eq!(log.head().seq, 1);
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
    fn changes_take_a_rev_and_no_seq() {
        let mut log = ConversationLog::default();
        send(&mut log, 0, 0);
        let change = |log: &mut ConversationLog, n: u64| {
            let key = ClientKey::of_change(UserId::new(1).unwrap(), &n.to_string());
            let first = log.find(&key, 0);
            first.unwrap_or_else(|| log.append_change(key, MessageId::new(1).unwrap(), 1, 0))
        };
        let first = change(&mut log, 0);
        assert_eq!((first.seq, first.rev), (1, 2));
        log.commit(0);
        assert_eq!(change(&mut log, 1).rev, 3);
        log.rollback();
        assert_eq!(
            change(&mut log, 2).rev,
            3,
            "a rolled back rev is given again"
        );
        assert_eq!(change(&mut log, 0), first, "a repeat gets what it got");
        let next = log.append(key(9), MessageId::new(10).unwrap(), 0);
        assert_eq!((next.seq, next.rev), (2, 4));
    }

    #[test]
    fn numbers_beyond_half_their_width_are_told_in_full() {
        let mut log = ConversationLog::default();
        let (seq, rev) = (u64::from(u32::MAX), u64::from(u32::MAX) * 3);
        log.recover(Head { seq, rev }, []);
        let sent = log.append(key(1), MessageId::new(1).unwrap(), 0);
        log.append(key(2), MessageId::new(2).unwrap(), 0);
        log.commit(0);
        assert_eq!(log.find(&key(1), 0), Some(sent));
        assert_eq!((sent.seq, sent.rev), (seq + 1, rev + 1));
        assert_eq!(log.known_from(0), rev + 1);
    }

    #[test]
    fn sources_of_recovery_unite_in_either_order() {
        let recorded = |n: u64| Recorded {
            key: key(n),
            message_id: MessageId::new(n + 1).unwrap(),
            seq: n + 1,
            rev: n + 1,
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
            let head = |n| Head { seq: n, rev: n };
            log.recover(head(if swap { 0 } else { 60 }), a.iter().copied());
            log.recover(head(if swap { 60 } else { 0 }), b.iter().copied());
            assert_eq!((log.head(), log.remembered()), (head(80), 80));
            for n in 0..80 {
                assert_eq!(seq(send(&mut log, n, 0)), (n + 1, false));
            }
            assert_eq!(seq(send(&mut log, 80, 0)), (81, true));
        }
    }

    #[test]
    fn a_user_s_newest_message_is_no_change_of_one() {
        let mut log = ConversationLog::default();
        let user = UserId::new(7).unwrap();
        let own = |n: u64| ClientKey::new(user, &n.to_string());
        let change = |n: u64| ClientKey::of_change(user, &n.to_string());
        let id = |n| MessageId::new(n).unwrap();
        let last = |log: &ConversationLog| log.last_sent(user, 5_000);
        assert_eq!(last(&log), None);
        // The message that is changed is not in the window any more.
        log.append_change(change(1), id(9), 1, 8_000);
        assert_eq!(last(&log), None);
        let first = log.append(own(1), id(1), 10_000);
        log.append(key(1), id(2), 20_000);
        log.commit(20_000);
        // Changes of an older and of the newest message.
        log.append_change(change(2), id(1), first.seq, 30_000);
        log.append_change(change(3), id(2), 2, 40_000);
        assert_eq!(last(&log), Some(10_000));
        assert_eq!(log.last_sent(user, 11_000), None);
        log.append(own(4), id(3), 50_500);
        assert_eq!(last(&log), Some(50_000));
        log.rollback();
        assert_eq!(last(&log), Some(10_000));
    }
}
