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
use gochat_core::ids::{ConnId, ConversationId, UserId};
use hashbrown::HashMap;
use parking_lot::Mutex;

use crate::clock;
use crate::config::Replay;
use crate::state::Gw;
use crate::ws::conn::Conn;
use crate::ws::newest::Spot;

const SHARDS: usize = 64;

struct Entry {
    at_ms: u64,
    /// The connection it came from; that one got an acknowledgement instead.
    skip: ConnId,
    /// The message; 0 = a signal, below 0 = a change.
    message: i64,
    /// Place in its conversation: late frames are handed to newcomers in their order.
    seq: i64,
    /// Hash of that conversation; 0 = a signal.
    conversation: u64,
    /// `None` once there were too many: only that it was sent is still known.
    frame: Option<Bytes>,
}

impl Entry {
    const fn about(&self) -> About {
        About {
            message: self.message,
            seq: self.seq,
            conversation: self.conversation,
        }
    }
}

/// What one user was sent, oldest first.
#[derive(Default)]
struct Sent {
    entries: VecDeque<Entry>,
    /// Entries at the front without a frame.
    bare: usize,
}

/// Entries per user, without frames for the most part: a frame is dropped much earlier.
const ENTRIES: usize = 512;

type Shard = Mutex<HashMap<UserId, Sent, ahash::RandomState>>;

/// What a frame is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct About {
    /// The message; 0 = a signal, below 0 = a change.
    pub(crate) message: i64,
    /// Its place in its conversation; signals and changes come last.
    pub(crate) seq: i64,
    /// Hash of its conversation; 0 = a signal.
    pub(crate) conversation: u64,
}

impl About {
    /// Where it stands in the order of messages of a connection; changes have no place there.
    pub(crate) const fn spot(&self, again: bool) -> Spot {
        if self.message < 0 {
            return Spot::NONE;
        }
        Spot {
            conversation: self.conversation,
            seq: self.seq,
            again,
        }
    }

    /// A signal: it may be about a message that has to be heard before.
    pub(crate) const SIGNAL: Self = Self {
        message: 0,
        seq: i64::MAX,
        conversation: 0,
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
        let sent = shard.entry(user).or_default();
        self.forget(sent, now);
        if sent.entries.len() - sent.bare >= self.limits.direct_max_frames {
            self.strip_oldest(sent);
        }
        if sent.entries.len() >= ENTRIES {
            self.drop_oldest(sent);
        }
        self.bytes.fetch_add(frame.len(), Ordering::Relaxed);
        sent.entries.push_back(Entry {
            at_ms: now,
            skip,
            message: about.message,
            seq: about.seq,
            conversation: about.conversation,
            frame: Some(frame.clone()),
        });
    }

    /// Forgets the oldest frame that is left, and remembers that there was one.
    fn strip_oldest(&self, sent: &mut Sent) {
        if let Some(entry) = sent.entries.get_mut(sent.bare) {
            let frame = entry.frame.take();
            self.bytes
                .fetch_sub(frame.map_or(0, |f| f.len()), Ordering::Relaxed);
            sent.bare += 1;
        }
    }

    fn drop_oldest(&self, sent: &mut Sent) {
        match sent.entries.pop_front().and_then(|entry| entry.frame) {
            Some(frame) => drop(self.bytes.fetch_sub(frame.len(), Ordering::Relaxed)),
            None => sent.bare = sent.bare.saturating_sub(1),
        }
    }

    /// Whether the user's connections here had this message: those that were there then got it, and those that
    /// came since found it here.
    pub(crate) fn has(&self, user: UserId, message: i64) -> bool {
        let now = clock::ticks_ms();
        let is_young = |at_ms| now.saturating_sub(at_ms) < self.limits.direct_max_age_ms;
        let shard = self.shard(user).lock();
        // Newest first: a message that is asked for was sent a moment ago.
        let entries = shard.get(&user).into_iter().flat_map(|sent| &sent.entries);
        let mut young = entries.rev().take_while(|entry| is_young(entry.at_ms));
        young.any(|entry| entry.message == message)
    }

    /// Makes a newcomer visible with everything it may just have missed: frames of its user and
    /// broadcasts. What is sent later finds it in the table.
    pub(crate) fn admit(&self, gw: &Gw, conn: &Arc<Conn>) {
        let now = clock::ticks_ms();
        let world = gw.hash_of(&ConversationId::World.to_string());
        // Messages of the world chat come from both memories: they are put in order together.
        let mut of_world = Vec::new();
        let mut shard = self.shard(conn.user()).lock();
        let mut of_groups = gw.groups.memory();
        let mut missed = of_groups.missed(conn.user(), conn.id());
        if let Some(sent) = shard.get_mut(&conn.user()) {
            self.forget(sent, now);
            // A push that came late to an older connection is not late for this one.
            let others = sent.entries.iter().filter(|e| e.skip != conn.id());
            missed.extend(others.filter_map(|entry| Some((entry.about(), entry.frame.clone()?))));
        }
        missed.sort_by_key(|(about, _)| about.seq);
        for (about, frame) in missed {
            if about.conversation == world {
                of_world.push((about.seq, frame));
                continue;
            }
            conn.enqueue_message(&frame, gw.queue, about.spot(false));
        }
        gw.broadcasts.admit(gw, conn, of_world);
    }

    /// Forgets what is too old; called about once per second.
    pub(crate) fn sweep(&self) {
        let now = clock::ticks_ms();
        for shard in &self.shards {
            shard.lock().retain(|_, sent| {
                self.forget(sent, now);
                !sent.entries.is_empty()
            });
        }
    }

    fn forget(&self, sent: &mut Sent, now: u64) {
        let max_age = self.limits.direct_max_age_ms;
        let is_old = |entry: &Entry| now.saturating_sub(entry.at_ms) >= max_age;
        while sent.entries.front().is_some_and(is_old) {
            self.drop_oldest(sent);
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
        About {
            message,
            seq: 1,
            conversation: 1,
        }
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
    fn a_message_is_known_longer_than_its_frame_is_kept() {
        let recents = Recents::new(Replay {
            direct_max_frames: 2,
            ..Replay::default()
        });
        for message in 1..=ENTRIES as i64 + 1 {
            recents.remember(user(1), 0, about(message), &frame(10));
        }
        assert_eq!(recents.bytes.load(Ordering::Relaxed), 20);
        assert!(recents.has(user(1), 2) && recents.has(user(1), ENTRIES as i64 + 1));
        assert!(!recents.has(user(1), 1), "this is bounded, too");
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
