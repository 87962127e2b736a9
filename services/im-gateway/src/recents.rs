//! What was just sent to single users, for connections that appear a moment too late.
//!
//! A user who is online with one device, or who left an instant ago, counts as reached when a
//! message is fanned out. A second device that registers right then would have to wait for the next
//! message: it was not in the table yet, and the row is not in history yet. So frames are kept for
//! as long as a row usually takes to reach history, and given to whoever registers meanwhile.
//! Clients drop repeats by seqId.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use gochat_core::ids::{ConnId, UserId};
use hashbrown::HashMap;
use parking_lot::Mutex;

use crate::clock;
use crate::config::Replay;
use crate::state::Gw;
use crate::ws::conn::Conn;

const SHARDS: usize = 64;

struct Entry {
    at_ms: u64,
    /// The connection it came from; that one got an acknowledgement instead.
    skip: ConnId,
    /// The message; 0 = a signal.
    message: i64,
    /// Place in its conversation: late frames are handed to newcomers in their order.
    seq: i64,
    frame: Bytes,
}

type Shard = Mutex<HashMap<UserId, VecDeque<Entry>, ahash::RandomState>>;

/// What a frame is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct About {
    /// The message; 0 = a signal.
    pub(crate) message: i64,
    /// Its place in its conversation; signals come last.
    pub(crate) seq: i64,
}

impl About {
    /// A signal: it may be about a message that has to be heard before.
    pub(crate) const SIGNAL: Self = Self {
        message: 0,
        seq: i64::MAX,
    };
}

/// Recent frames by user; bounded in age, in frames per user, and in bytes altogether.
pub(crate) struct Recents {
    shards: Vec<Shard>,
    bytes: AtomicUsize,
    limits: Replay,
}

impl Recents {
    pub(crate) fn new(limits: Replay) -> Self {
        let shards = (0..SHARDS).map(|_| Shard::default()).collect();
        Self {
            shards,
            bytes: AtomicUsize::new(0),
            limits,
        }
    }

    /// Keeps a frame for a user. To be called before the table is asked for the user's connections:
    /// a connection that is not there yet will find the frame here.
    pub(crate) fn remember(&self, user: UserId, skip: ConnId, about: About, frame: &Bytes) {
        // Full: nothing is kept for a moment. A gap is still found by the next seqId.
        if self.bytes.load(Ordering::Relaxed) + frame.len() > self.limits.direct_max_bytes {
            return;
        }
        let now = clock::ticks_ms();
        let mut shard = self.shard(user).lock();
        let entries = shard.entry(user).or_default();
        self.forget(entries, now);
        if entries.len() >= self.limits.direct_max_frames
            && let Some(oldest) = entries.pop_front()
        {
            self.bytes.fetch_sub(oldest.frame.len(), Ordering::Relaxed);
        }
        self.bytes.fetch_add(frame.len(), Ordering::Relaxed);
        entries.push_back(Entry {
            at_ms: now,
            skip,
            message: about.message,
            seq: about.seq,
            frame: frame.clone(),
        });
    }

    /// Whether the user's connections here had this message: those that were there then got it, and those that
    /// came since found it here.
    pub(crate) fn has(&self, user: UserId, message: i64) -> bool {
        let oldest = clock::ticks_ms().saturating_sub(self.limits.direct_max_age_ms);
        let shard = self.shard(user).lock();
        let mut entries = shard.get(&user).into_iter().flatten();
        entries.any(|entry| entry.message == message && entry.at_ms > oldest)
    }

    /// Makes a newcomer visible with everything it may just have missed: frames of its user and
    /// broadcasts. What is sent later finds it in the table.
    pub(crate) fn admit(&self, gw: &Gw, conn: &Arc<Conn>) {
        let now = clock::ticks_ms();
        let mut shard = self.shard(conn.user()).lock();
        if let Some(entries) = shard.get_mut(&conn.user()) {
            self.forget(entries, now);
            // A push that came late to an older connection is not late for this one.
            let mut missed: Vec<&Entry> = entries.iter().filter(|e| e.skip != conn.id()).collect();
            missed.sort_by_key(|entry| entry.seq);
            for entry in missed {
                conn.enqueue(&entry.frame, gw.queue);
            }
        }
        gw.broadcasts.admit(gw, conn);
    }

    /// Forgets what is too old; called about once per second.
    pub(crate) fn sweep(&self) {
        let now = clock::ticks_ms();
        for shard in &self.shards {
            shard.lock().retain(|_, entries| {
                self.forget(entries, now);
                !entries.is_empty()
            });
        }
    }

    fn forget(&self, entries: &mut VecDeque<Entry>, now: u64) {
        let max_age = self.limits.direct_max_age_ms;
        while entries
            .front()
            .is_some_and(|e| now.saturating_sub(e.at_ms) >= max_age)
            && let Some(oldest) = entries.pop_front()
        {
            self.bytes.fetch_sub(oldest.frame.len(), Ordering::Relaxed);
        }
    }

    fn shard(&self, user: UserId) -> &Shard {
        let mixed = user.get().wrapping_mul(0x9E37_79B9_7F4A_7C15);
        &self.shards[(mixed >> 58) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(n: u64) -> UserId {
        UserId::new(n).unwrap()
    }

    fn about(message: i64) -> About {
        About { message, seq: 1 }
    }

    fn frame(len: usize) -> Bytes {
        Bytes::from(vec![b'x'; len])
    }

    #[test]
    fn memory_is_bounded_per_user_and_altogether() {
        let limits = Replay {
            direct_max_frames: 3,
            direct_max_bytes: 100,
            ..Replay::default()
        };
        let recents = Recents::new(limits);
        for _ in 0..10 {
            recents.remember(user(1), 0, about(1), &frame(10));
        }
        assert_eq!(recents.bytes.load(Ordering::Relaxed), 30);
        for n in 2..100 {
            recents.remember(user(n), 0, about(1), &frame(10));
        }
        assert_eq!(recents.bytes.load(Ordering::Relaxed), 100);
    }

    #[test]
    fn a_message_is_known_by_user() {
        let recents = Recents::new(Replay::default());
        recents.remember(user(1), 0, about(7), &frame(10));
        assert!(recents.has(user(1), 7));
        assert!(!recents.has(user(1), 8) && !recents.has(user(2), 7));
    }

    #[test]
    fn what_is_old_is_forgotten() {
        let recents = Recents::new(Replay {
            direct_max_age_ms: 0,
            ..Replay::default()
        });
        recents.remember(user(1), 0, about(1), &frame(10));
        assert!(!recents.has(user(1), 1));
        recents.sweep();
        assert_eq!(recents.bytes.load(Ordering::Relaxed), 0);
        assert!(recents.shards.iter().all(|shard| shard.lock().is_empty()));
    }
}
