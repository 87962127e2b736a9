//! Which records of disk topics stay in memory.
//!
//! A record is kept until every consumer of its topic has committed it, or until the newer records
//! need the room. Records of topics without consumers leave by the second way only.

use std::collections::VecDeque;
use std::sync::Arc;

use super::topic::Partition;

/// Number of entries below which stale ones are left in place.
const SPARE_ENTRIES: usize = 1_024;

/// The cached records in the order they came: what to evict first.
pub(super) struct TailCache {
    runs: VecDeque<Run>,
    /// Bytes of `runs`.
    bytes: usize,
    /// Bytes of `runs` whose records are gone already.
    stale: usize,
    max_bytes: usize,
    /// Number of entries at which stale ones are taken out.
    sweep_at: usize,
}

/// Records of one run.
struct Run {
    partition: Arc<Partition>,
    upto: u64,
    bytes: usize,
}

impl TailCache {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self {
            runs: VecDeque::new(),
            bytes: 0,
            stale: 0,
            max_bytes,
            sweep_at: SPARE_ENTRIES,
        }
    }

    /// Bytes of records in memory.
    pub(super) fn live_bytes(&self) -> usize {
        self.bytes.saturating_sub(self.stale)
    }

    /// Notes records that were appended to a partition, up to this offset.
    pub(super) fn push(&mut self, partition: Arc<Partition>, upto: u64, bytes: usize) {
        self.bytes += bytes;
        self.runs.push_back(Run {
            partition,
            upto,
            bytes,
        });
    }

    /// Drops records that every consumer has committed.
    pub(super) fn release(&mut self, partition: &Partition, upto: u64) {
        self.stale += partition.evict(upto);
    }

    /// Keeps the cache within its bound, oldest records out first.
    pub(super) fn trim(&mut self) {
        while let Some(oldest) = self.runs.front() {
            let is_gone = oldest.partition.is_evicted(oldest.upto);
            if !is_gone && self.live_bytes() <= self.max_bytes {
                break;
            }
            let freed = oldest.partition.evict(oldest.upto);
            self.bytes -= oldest.bytes;
            self.stale = self.stale.saturating_sub(oldest.bytes - freed);
            self.runs.pop_front();
        }
        if self.runs.len() >= self.sweep_at {
            self.sweep();
        }
        let room = self.runs.capacity();
        if room > 2 * SPARE_ENTRIES && self.runs.len() < room / 8 {
            self.runs.shrink_to(room / 4);
            self.sweep_at = self.sweep_at.min(2 * self.runs.len() + SPARE_ENTRIES);
        }
    }

    /// Takes stale entries out from behind one that stays.
    fn sweep(&mut self) {
        self.runs.retain(|run| {
            let stays = !run.partition.is_evicted(run.upto);
            if !stays {
                self.bytes -= run.bytes;
                self.stale = self.stale.saturating_sub(run.bytes);
            }
            stays
        });
        self.sweep_at = 2 * self.runs.len() + SPARE_ENTRIES;
        self.runs.shrink_to(self.sweep_at);
    }
}

#[cfg(test)]
mod tests {
    use super::super::topic::Topic;
    use super::*;
    use crate::port::mq::{Record, TopicSpec};

    fn append(cache: &mut TailCache, partition: &Arc<Partition>, records: usize) {
        let run = (0..records).map(|_| Record::new("", vec![0u8; 10]));
        let upto = partition.append(run, 0) + records as u64;
        partition.publish(upto);
        cache.push(partition.clone(), upto, 10 * records);
    }

    #[test]
    fn what_was_consumed_makes_room_for_what_was_not() {
        let topic = Topic::new(0, TopicSpec::disk("t", 2));
        let (slow, quick) = (&topic.partitions[0], &topic.partitions[1]);
        let mut cache = TailCache::new(100);
        append(&mut cache, slow, 5);
        for i in 1..=10_000 {
            append(&mut cache, quick, 1);
            cache.release(quick, i);
            cache.trim();
        }
        assert_eq!(cache.live_bytes(), 50, "nobody has consumed those");
        assert!(!slow.is_evicted(1));
        assert!(
            cache.runs.len() <= 2 * SPARE_ENTRIES,
            "{}",
            cache.runs.len()
        );
        append(&mut cache, slow, 8);
        cache.trim();
        assert!(slow.is_evicted(5) && !slow.is_evicted(13));
        assert_eq!(cache.live_bytes(), 80);
        // A part of a run.
        cache.release(slow, 7);
        cache.trim();
        assert_eq!(cache.live_bytes(), 60);
        cache.release(slow, 13);
        cache.trim();
        assert_eq!((cache.bytes, cache.stale, cache.runs.len()), (0, 0, 0));
    }

    #[test]
    fn the_room_of_many_runs_is_given_back() {
        let topic = Topic::new(0, TopicSpec::disk("t", 1));
        let partition = &topic.partitions[0];
        let mut cache = TailCache::new(usize::MAX);
        for _ in 0..50_000 {
            append(&mut cache, partition, 1);
        }
        for upto in (0..=50_000).step_by(100) {
            cache.release(partition, upto);
            cache.trim();
        }
        assert_eq!(cache.runs.len(), 0);
        assert!(cache.runs.capacity() <= 2 * SPARE_ENTRIES);
    }
}
