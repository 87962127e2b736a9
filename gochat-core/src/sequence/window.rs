//! The idempotency window: a ring of the newest messages and changes and, once it is long, an index.

use std::collections::VecDeque;

use hashbrown::HashTable;

use super::key::{ClientKey, hash, is_change, is_system};
use super::log::{Head, Recorded};
use crate::ids::{MessageId, Rev, SeqId, UnixMillis, UserId};

/// Messages and changes a window reaches back, counted from the head.
pub const WINDOW_MESSAGES: u64 = 10_000;

/// Milliseconds a window reaches back.
pub const WINDOW_MS: u64 = 24 * 60 * 60 * 1000;

/// Up to this length a scan beats an index, and most conversations never get longer.
const SCAN_LENGTH: usize = 32;

/// Entries that are looked through for a message that is changed: it takes less time than asking
/// the database, and most of what is changed was sent a moment ago.
const LOOK_BACK: usize = 1_024;

/// A message, and what became of it until now.
#[derive(Debug, Clone, Copy)]
pub(super) struct Since {
    pub(super) sent: Entry,
    /// It was changed.
    pub(super) is_changed: bool,
    /// The user who was asked about changed it.
    pub(super) is_changed_by: bool,
}

/// One remembered message or change, 40 bytes. Seconds are enough for 24 hours and last until 2106.
///
/// Of the fingerprint 96 bits are kept: chance makes two ids of one author equal in a window of
/// 10,000 with a probability of about 2⁻⁷⁰. Of both numbers the lower half is kept: the upper one
/// follows from the head, as long as a change is about one of the last 2³² messages.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    sender: UserId,
    print: u64,
    pub(super) message_id: MessageId,
    seq: u32,
    rev: u32,
    print_rest: u32,
    pub(super) at_secs: u32,
}

/// The number with this lower half that is nearest below `head`, or `head` itself.
fn below(head: u64, low: u32) -> u64 {
    head.saturating_sub(u64::from((head as u32).wrapping_sub(low)))
}

impl Entry {
    pub(super) fn new(recorded: &Recorded) -> Self {
        let Recorded {
            key,
            message_id,
            seq,
            rev,
            at,
        } = *recorded;
        let (print, print_rest) = key.parts();
        Self {
            sender: key.sender,
            print,
            message_id,
            seq: seq as u32,
            rev: rev as u32,
            print_rest,
            at_secs: u32::try_from(at / 1000).unwrap_or(u32::MAX),
        }
    }

    /// Who sent the message or made the change.
    pub(super) fn sender(&self) -> UserId {
        self.sender
    }

    /// Whether the system wrote it.
    pub(super) fn is_system(&self) -> bool {
        is_system(self.print_rest)
    }

    /// Position of the message, or of the one that was changed.
    pub(super) fn seq(&self, head: Head) -> SeqId {
        below(head.seq, self.seq)
    }

    /// Number over messages and changes.
    pub(super) fn rev(&self, head: Head) -> Rev {
        below(head.rev, self.rev)
    }

    /// How many messages and changes came after it.
    fn age(&self, head: Head) -> u64 {
        u64::from((head.rev as u32).wrapping_sub(self.rev))
    }

    fn has(&self, key: &ClientKey) -> bool {
        self.is_of(key.sender, key.parts())
    }

    fn is_of(&self, sender: UserId, print: (u64, u32)) -> bool {
        self.sender == sender && (self.print, self.print_rest) == print
    }

    fn is_like(&self, other: &Self) -> bool {
        self.is_of(other.sender, (other.print, other.print_rest))
    }

    /// A well mixed hash for tables.
    fn hash(&self) -> u64 {
        hash(self.sender, self.print)
    }

    fn is_live(&self, head: Head, now: UnixMillis) -> bool {
        self.age(head) < WINDOW_MESSAGES
            && now.saturating_sub(u64::from(self.at_secs) * 1000) < WINDOW_MS
    }
}

/// Entries in ascending order of `rev`.
#[derive(Debug, Clone, Default)]
pub(super) struct Window {
    ring: VecDeque<Entry>,
    /// Entries dropped from the front so far: `position - dropped` is an index into the ring.
    dropped: u32,
    /// Positions by key, wrapping; empty while a scan is cheaper.
    index: HashTable<u32>,
}

impl Window {
    pub(super) fn len(&self) -> usize {
        self.ring.len()
    }

    /// The live entry of this key.
    pub(super) fn find(&self, key: &ClientKey, head: Head, now: UnixMillis) -> Option<&Entry> {
        let found = if self.index.is_empty() {
            self.ring.iter().rev().find(|entry| entry.has(key))
        } else {
            self.index
                .find(key.hash(), |at| self.at(*at).has(key))
                .map(|at| self.at(*at))
        };
        found.filter(|entry| entry.is_live(head, now))
    }

    /// The live entry of this message above `after`. Its changes come later.
    pub(super) fn of(
        &self,
        message: MessageId,
        after: Rev,
        head: Head,
        now: UnixMillis,
    ) -> Option<&Entry> {
        let from = self.ring.partition_point(|entry| entry.rev(head) <= after);
        let found = self
            .ring
            .range(from..)
            .find(|entry| entry.message_id == message);
        found.filter(|entry| entry.is_live(head, now))
    }

    /// What became of a message since it was sent, when every number since then is in the ring. Looks
    /// [`LOOK_BACK`] entries back, not counting the `staged` ones that the running batch has added: a
    /// message that is found when the batch begins is found until it ends.
    pub(super) fn since_sent(
        &self,
        message: MessageId,
        by: UserId,
        head: Head,
        staged: u64,
    ) -> Option<Since> {
        let (mut is_changed, mut is_changed_by) = (false, false);
        let far = LOOK_BACK.saturating_add(usize::try_from(staged).unwrap_or(usize::MAX));
        let newest = self.ring.iter().rev().take(far).enumerate();
        for (newer, entry) in newest.filter(|(_, entry)| entry.message_id == message) {
            if is_change(entry.print_rest) {
                is_changed = true;
                is_changed_by |= entry.sender == by;
                continue;
            }
            // No number is missing when as many entries as numbers came since.
            return (entry.age(head) == newer as u64).then_some(Since {
                sent: *entry,
                is_changed,
                is_changed_by,
            });
        }
        None
    }

    /// When this user's newest message in the ring was sent, in Unix seconds; `None` when that was
    /// before `since`. Messages that the system wrote in the user's name don't count.
    pub(super) fn last_sent(&self, user: UserId, since: u32) -> Option<u32> {
        let young = self.ring.iter().rev().take_while(|e| e.at_secs >= since);
        let by_hand = |e: &&Entry| !is_change(e.print_rest) && !e.is_system();
        let mut own = young.filter(|e| e.sender == user && by_hand(e));
        own.next().map(|entry| entry.at_secs)
    }

    /// `rev` of the oldest live entry.
    pub(super) fn oldest(&self, head: Head, now: UnixMillis) -> Option<Rev> {
        let dead = self.ring.partition_point(|entry| !entry.is_live(head, now));
        self.ring.get(dead).map(|entry| entry.rev(head))
    }

    /// Adds the newest entry. A dead entry of the same key stops being found.
    pub(super) fn push(&mut self, entry: Entry) {
        if self.ring.len() == self.ring.capacity() {
            // Doubling would leave a third of the memory of all windows unused.
            self.ring.reserve_exact(self.ring.len() / 4 + 4);
        }
        self.ring.push_back(entry);
        if !self.index.is_empty() {
            self.index_newest();
        } else if self.ring.len() > SCAN_LENGTH {
            self.rebuild_index();
        }
    }

    /// Forgets the entries above `keep`.
    pub(super) fn truncate(&mut self, head: Head, keep: Rev) {
        let keep = self.ring.partition_point(|entry| entry.rev(head) <= keep);
        if keep < self.ring.len() {
            self.ring.truncate(keep);
            // Rare (a transaction failed), and it also finds again what a newer entry had hidden.
            self.rebuild_index();
        }
    }

    /// Drops entries that can't be found any more.
    pub(super) fn trim(&mut self, head: Head, now: UnixMillis) {
        while self
            .ring
            .front()
            .is_some_and(|entry| !entry.is_live(head, now))
        {
            if !self.index.is_empty() {
                let (hash, position) = (self.ring[0].hash(), self.dropped);
                if let Ok(found) = self.index.find_entry(hash, |at| *at == position) {
                    found.remove();
                }
            }
            self.ring.pop_front();
            self.dropped = self.dropped.wrapping_add(1);
        }
    }

    /// Unites with entries from another source; of two with one number the present one stays.
    /// `head` is the newest of both.
    pub(super) fn merge(&mut self, head: Head, others: impl Iterator<Item = Entry>) {
        let before = self.ring.len();
        self.ring.extend(others);
        if self.ring.len() > before {
            // Stable: entries that were here come first among equals, and dedup keeps the first.
            let entries = self.ring.make_contiguous();
            entries.sort_by_key(|entry| std::cmp::Reverse(entry.age(head)));
            let mut last = None;
            self.ring
                .retain(|entry| last.replace(entry.rev) != Some(entry.rev));
            self.rebuild_index();
        }
    }

    fn at(&self, position: u32) -> &Entry {
        &self.ring[position.wrapping_sub(self.dropped) as usize]
    }

    fn rebuild_index(&mut self) {
        self.index.clear();
        self.dropped = 0;
        if self.ring.len() > SCAN_LENGTH {
            let ring = std::mem::take(&mut self.ring);
            self.index.reserve(ring.len(), |_| 0);
            for entry in ring {
                self.ring.push_back(entry);
                self.index_newest();
            }
        }
    }

    /// Indexes the last entry, in place of an older one with the same key.
    fn index_newest(&mut self) {
        let position = self.dropped.wrapping_add(self.ring.len() as u32 - 1);
        let newest = self.ring[self.ring.len() - 1];
        let (ring, dropped) = (&self.ring, self.dropped);
        let entry = |at: &u32| &ring[at.wrapping_sub(dropped) as usize];
        let slot = self.index.entry(
            newest.hash(),
            |at| entry(at).is_like(&newest),
            |at| entry(at).hash(),
        );
        match slot {
            hashbrown::hash_table::Entry::Occupied(mut old) => *old.get_mut() = position,
            hashbrown::hash_table::Entry::Vacant(free) => drop(free.insert(position)),
        }
    }
}
