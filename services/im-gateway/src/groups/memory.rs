//! The last seconds of pushes to groups.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use gochat_core::audience::Audience;
use gochat_core::ids::{ConnId, UserId};
use hashbrown::HashMap;

use super::Push;
use crate::clock;
use crate::config::Replay;
use crate::recents::About;

/// Pushes remembered.
const PUSHES_MAX: usize = 4_096;
/// Bytes of their frames and lists of members.
const BYTES_MAX: usize = 16 << 20;

struct Entry {
    at_ms: u64,
    push: Push,
    /// Number of bytes that the entry adds to the memory.
    bytes: usize,
}

/// Recent pushes; bounded in age, number and bytes. When a bound cuts them short, a newcomer sees
/// the gap with the next message.
pub(crate) struct Memory {
    entries: VecDeque<Entry>,
    by_message: HashMap<i64, Arc<Audience>>,
    bytes: usize,
    max_age_ms: u64,
    /// Frames given to one newcomer; stays below the queue of a connection.
    max_frames: usize,
}

impl Memory {
    pub(super) fn new(limits: &Replay) -> Self {
        Self {
            entries: VecDeque::new(),
            by_message: HashMap::new(),
            bytes: 0,
            max_age_ms: limits.max_age_ms,
            max_frames: (limits.direct_max_frames / 2).max(1),
        }
    }

    /// Keeps a push, before the table is asked for its connections.
    pub(super) fn keep(&mut self, push: &Push) {
        let now = clock::ticks_ms();
        self.forget(now);
        // A list is counted with the first message of a run that shares it.
        let newest = self.entries.back();
        let is_shared =
            newest.is_some_and(|entry| Arc::ptr_eq(&entry.push.audience, &push.audience));
        let list = if is_shared {
            0
        } else {
            8 * push.audience.users().len()
        };
        let bytes = push.frame.len() + list;
        self.bytes += bytes;
        if push.about.message != 0 {
            self.by_message
                .insert(push.about.message, Arc::clone(&push.audience));
        }
        self.entries.push_back(Entry {
            at_ms: now,
            push: push.clone(),
            bytes,
        });
        while self.entries.len() > PUSHES_MAX || self.bytes > BYTES_MAX {
            self.drop_oldest();
        }
    }

    pub(super) fn has(&self, user: UserId, message: i64) -> bool {
        let known = self.by_message.get(&message);
        known.is_some_and(|audience| audience.contains(user))
    }

    /// What a connection of this user may just have missed, the newest frames, oldest first.
    pub(crate) fn missed(&mut self, user: UserId, conn: ConnId) -> Vec<(About, Bytes)> {
        if self.entries.is_empty() {
            return Vec::new();
        }
        self.forget(clock::ticks_ms());
        let mut known: HashMap<*const Audience, bool> = HashMap::new();
        let mut missed: Vec<_> = self
            .entries
            .iter()
            .rev()
            .map(|entry| &entry.push)
            .filter(|push| {
                let list = Arc::as_ptr(&push.audience);
                let is_member = known
                    .entry(list)
                    .or_insert_with(|| push.audience.contains(user));
                *is_member && push.skip != conn
            })
            .take(self.max_frames)
            .map(|push| (push.about, push.frame.clone()))
            .collect();
        missed.reverse();
        missed
    }

    /// Forgets what is too old.
    pub(crate) fn sweep(&mut self) {
        self.forget(clock::ticks_ms());
    }

    fn forget(&mut self, now_ms: u64) {
        let max_age = self.max_age_ms;
        let is_old = |entry: &Entry| now_ms.saturating_sub(entry.at_ms) >= max_age;
        while self.entries.front().is_some_and(is_old) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(entry) = self.entries.pop_front() {
            self.bytes -= entry.bytes;
            self.by_message.remove(&entry.push.about.message);
        }
    }
}

#[cfg(test)]
mod tests {
    use gochat_core::audience::Roster;

    use super::*;

    fn user(n: u64) -> UserId {
        UserId::new(n).unwrap()
    }

    fn push(message: i64, members: &[u64], len: usize) -> Push {
        let roster = Roster::loaded(members.iter().map(|n| user(*n)));
        Push {
            about: About {
                message,
                seq: message,
                conversation: 1,
            },
            again: false,
            frame: Bytes::from(vec![b'x'; len]),
            skip: 9,
            audience: Arc::new(roster.everyone()),
        }
    }

    #[test]
    fn a_newcomer_finds_what_its_user_was_pushed_as_a_member() {
        let mut memory = Memory::new(&Replay::default());
        memory.keep(&push(1, &[1, 2], 10));
        memory.keep(&push(2, &[2, 3], 10));
        let missed = |memory: &mut Memory, n, conn| -> Vec<i64> {
            let missed = memory.missed(user(n), conn);
            missed.iter().map(|(about, _)| about.message).collect()
        };
        assert_eq!(missed(&mut memory, 2, 5), [1, 2]);
        assert_eq!(missed(&mut memory, 3, 5), [2]);
        assert_eq!(missed(&mut memory, 4, 5), [0; 0]);
        assert_eq!(missed(&mut memory, 2, 9), [0; 0], "it came from there");
        assert!(memory.has(user(1), 1) && !memory.has(user(1), 2));
        memory.max_frames = 1;
        assert_eq!(missed(&mut memory, 2, 5), [2], "the newest ones");
    }

    #[test]
    fn memory_is_bounded_by_number_bytes_and_age() {
        let mut memory = Memory::new(&Replay::default());
        for n in 0..PUSHES_MAX as i64 + 10 {
            memory.keep(&push(n + 1, &[1], 10));
        }
        assert_eq!(memory.entries.len(), PUSHES_MAX);
        assert_eq!(memory.by_message.len(), PUSHES_MAX);
        assert!(!memory.has(user(1), 1));
        for n in 0..20 {
            memory.keep(&push(n - 100, &[1], 1 << 20));
            assert!(memory.bytes <= BYTES_MAX);
        }
        memory.max_age_ms = 0;
        memory.sweep();
        assert_eq!((memory.entries.len(), memory.bytes), (0, 0));
        assert!(memory.by_message.is_empty());
    }

    #[test]
    fn a_list_that_messages_share_is_counted_once() {
        let mut memory = Memory::new(&Replay::default());
        let first = push(1, &[1, 2, 3], 10);
        memory.keep(&first);
        memory.keep(&first);
        assert_eq!(memory.bytes, 10 + 24 + 10);
    }
}
