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
    /// Place in its conversation: late frames are handed to newcomers in their order.
    seq: i64,
    frame: Bytes,
}

type Shard = Mutex<HashMap<UserId, VecDeque<Entry>, ahash::RandomState>>;

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
    pub(crate) fn remember(&self, user: UserId, skip: ConnId, seq: i64, frame: &Bytes) {
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
            seq,
            frame: frame.clone(),
        });
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
            recents.remember(user(1), 0, 1, &frame(10));
        }
        assert_eq!(recents.bytes.load(Ordering::Relaxed), 30);
        for n in 2..100 {
            recents.remember(user(n), 0, 1, &frame(10));
        }
        assert_eq!(recents.bytes.load(Ordering::Relaxed), 100);
    }

    #[test]
    fn what_is_old_is_forgotten() {
        let recents = Recents::new(Replay {
            direct_max_age_ms: 0,
            ..Replay::default()
        });
        recents.remember(user(1), 0, 1, &frame(10));
        recents.sweep();
        assert_eq!(recents.bytes.load(Ordering::Relaxed), 0);
        assert!(recents.shards.iter().all(|shard| shard.lock().is_empty()));
    }
}
