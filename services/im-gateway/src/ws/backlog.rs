//! Bytes that wait for slow readers, bounded over the whole process.
//!
//! Every connection may have a queue of [`queue_bytes`](crate::config::WebSocket::queue_bytes).
//! Many slow readers together could hold as many times that. The limit of each queue therefore
//! shrinks with what is left of the whole: the dynamic threshold of A. Choudhury and E. Hahne,
//! "Dynamic Queue Length Thresholds for Shared-Memory Packet Switches" (1998). However many
//! connections hold what they may, the next one still finds room.

use std::sync::atomic::{AtomicUsize, Ordering};

/// One queue may hold this fraction of what is left of the whole.
const SHARE: usize = 64;

/// Bytes in the queues of connections whose kernel buffers are full.
#[derive(Debug)]
pub(crate) struct Backlog {
    bytes: AtomicUsize,
    max: usize,
}

impl Backlog {
    /// A backlog that stays below `max` bytes.
    pub(crate) fn new(max: usize) -> Self {
        Self {
            bytes: AtomicUsize::new(0),
            max,
        }
    }

    /// Number of bytes that one queue may hold now, at most `limit`.
    pub(super) fn allowance(&self, limit: usize) -> usize {
        let left = self.max.saturating_sub(self.bytes());
        limit.min(left / SHARE)
    }

    /// Number of bytes that wait on all connections.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Counts a queue with `now` bytes in place of the `before` it had when it was counted last.
    pub(super) fn recount(&self, before: usize, now: usize) {
        if now > before {
            self.bytes.fetch_add(now - before, Ordering::Relaxed);
        } else if before > now {
            self.bytes.fetch_sub(before - now, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fills queues in turn until no queue may grow.
    fn fill(backlog: &Backlog, queues: usize, limit: usize) -> Vec<usize> {
        let mut held = vec![0; queues];
        loop {
            let before = backlog.bytes();
            for queue in &mut held {
                if *queue + 1_000 <= backlog.allowance(limit) {
                    backlog.recount(*queue, *queue + 1_000);
                    *queue += 1_000;
                }
            }
            if backlog.bytes() == before {
                return held;
            }
        }
    }

    #[test]
    fn a_few_slow_readers_have_the_whole_limit() {
        let backlog = Backlog::new(256 << 20);
        let held = fill(&backlog, 100, 1 << 20);
        assert!(held.iter().all(|bytes| *bytes > 1_040_000), "{held:?}");
    }

    #[test]
    fn however_many_hold_what_they_may_the_whole_is_bounded_and_the_next_finds_room() {
        for queues in [1_000, 3_000] {
            let backlog = Backlog::new(256 << 20);
            let held = fill(&backlog, queues, 1 << 20);
            assert!(backlog.bytes() <= 256 << 20);
            assert_eq!(held.iter().sum::<usize>(), backlog.bytes());
            assert!(backlog.allowance(1 << 20) > 64 << 10);
            for bytes in held {
                backlog.recount(bytes, 0);
            }
            assert_eq!(backlog.bytes(), 0);
        }
    }
}
