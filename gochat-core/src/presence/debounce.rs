//! The 30 seconds between "the last connection is gone" and "the user is offline".

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hash::Hash;

use hashbrown::HashMap;

use crate::ids::UnixMillis;

/// Milliseconds a user may be away unnoticed.
pub const OFFLINE_DELAY_MS: u64 = 30_000;

/// A timer per user without timers.
///
/// Order of calls: [`note_gone`](Self::note_gone) when the last connection went,
/// [`note_back`](Self::note_back) when one is there again, [`poll_due`](Self::poll_due) about
/// once a second. Memory grows with the users that are away, at most twice.
///
/// Whoever stops before a delay is over hands the rest of it to somebody else:
/// [`drain`](Self::drain) there, [`note_gone_until`](Self::note_gone_until) here.
///
/// ```
/// use gochat_core::presence::OfflineDebounce;
/// let mut away = OfflineDebounce::default();
/// away.note_gone(1_000, "ann");
/// away.note_gone(2_000, "bob");
/// assert!(away.note_back(&"bob"));
/// assert!(away.poll_due(30_999).is_empty());
/// assert_eq!(away.poll_due(40_000), ["ann"]);
/// ```
#[derive(Debug, Clone)]
pub struct OfflineDebounce<K> {
    delay: u64,
    due_at: HashMap<K, UnixMillis>,
    /// Earliest first; entries that `due_at` doesn't confirm are over.
    queue: BinaryHeap<Reverse<(UnixMillis, K)>>,
}

impl<K: Ord> Default for OfflineDebounce<K> {
    fn default() -> Self {
        Self::new(OFFLINE_DELAY_MS)
    }
}

impl<K: Ord> OfflineDebounce<K> {
    /// A debounce of `delay` milliseconds.
    pub fn new(delay: u64) -> Self {
        Self {
            delay,
            due_at: HashMap::new(),
            queue: BinaryHeap::new(),
        }
    }

    /// Users whose fate is open.
    pub fn len(&self) -> usize {
        self.due_at.len()
    }

    /// Whether nobody is away.
    pub fn is_empty(&self) -> bool {
        self.due_at.is_empty()
    }
}

impl<K: Eq + Hash + Ord + Clone> OfflineDebounce<K> {
    /// The last connection of `user` is gone; the delay starts (again).
    pub fn note_gone(&mut self, now: UnixMillis, user: K) {
        self.note_gone_until(now.saturating_add(self.delay), user);
    }

    /// The last connection of `user` is gone, and `due` is the end of a delay that may have begun
    /// elsewhere. It replaces one that runs for them.
    pub fn note_gone_until(&mut self, due: UnixMillis, user: K) {
        self.due_at.insert(user.clone(), due);
        self.queue.push(Reverse((due, user)));
        if self.queue.len() > 2 * self.due_at.len() + 16 {
            let due_at = &self.due_at;
            self.queue
                .retain(|Reverse((due, user))| due_at.get(user) == Some(due));
        }
    }

    /// `user` has a connection again. True when they were away, so nobody has to be told.
    pub fn note_back(&mut self, user: &K) -> bool {
        self.due_at.remove(user).is_some()
    }

    /// Users who were away for the whole delay; each is returned once.
    pub fn poll_due(&mut self, now: UnixMillis) -> Vec<K> {
        let mut gone = Vec::new();
        while self
            .queue
            .peek()
            .is_some_and(|Reverse((due, _))| *due <= now)
        {
            let Some(Reverse((due, user))) = self.queue.pop() else {
                break;
            };
            if self.due_at.get(&user) == Some(&due) {
                self.due_at.remove(&user);
                gone.push(user);
            }
        }
        gone
    }

    /// Everybody who is away, with the end of their delay: for the moment before a shutdown.
    pub fn drain(&mut self) -> Vec<(K, UnixMillis)> {
        self.queue.clear();
        self.due_at.drain().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_who_comes_back_in_time_was_never_away() {
        let mut away = OfflineDebounce::default();
        away.note_gone(0, 1);
        assert!(away.note_back(&1));
        assert!(away.poll_due(100_000).is_empty());
        assert!(!away.note_back(&1));
    }

    #[test]
    fn leaving_again_starts_the_delay_again() {
        let mut away = OfflineDebounce::default();
        away.note_gone(0, 1);
        away.note_back(&1);
        away.note_gone(20_000, 1);
        assert!(away.poll_due(49_999).is_empty());
        assert_eq!(away.poll_due(50_000), [1]);
        assert!(away.poll_due(90_000).is_empty(), "told once");
    }

    #[test]
    fn flapping_does_not_grow_the_queue() {
        let mut away = OfflineDebounce::default();
        for i in 0..10_000 {
            away.note_gone(i, 1);
            away.note_back(&1);
        }
        assert!(away.queue.len() <= 18);
        assert!(away.is_empty());
    }

    #[test]
    fn a_shutdown_drains_who_is_away() {
        let mut away = OfflineDebounce::default();
        away.note_gone(0, 1);
        away.note_gone(1, 2);
        away.note_back(&2);
        assert_eq!(away.drain(), [(1, OFFLINE_DELAY_MS)]);
        assert!(away.poll_due(100_000).is_empty());
    }

    #[test]
    fn the_rest_of_a_delay_that_began_elsewhere_is_not_behind_longer_ones() {
        let mut away = OfflineDebounce::default();
        away.note_gone(0, 1);
        away.note_gone_until(2_000, 2);
        away.note_gone_until(1_000, 3);
        assert_eq!(away.poll_due(2_000), [3, 2]);
        assert_eq!(away.poll_due(30_000), [1]);
    }
}
