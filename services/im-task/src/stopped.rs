//! Partitions that stand still at a record the group must not pass.
//!
//! A record that may hang on an acknowledgement is neither skipped nor buried when the work on it
//! is refused. Its partition stops there, the other partitions go on, and the record is tried again
//! with a growing pause: the cause is outside (an older im-repo, a row that must not be there), so
//! the partition goes on by itself once the cause is gone.

use gochat_infra::port::mq::{Batch, TopicPartition};
use gochat_infra::rpc::Backoff;
use tokio::time::Instant;

use crate::metrics;

/// Refusals in a row after which a stopped partition is alerted.
const ALERT_AFTER: u32 = 3;

/// A record that was refused although it must not be passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    /// Partition of the record.
    pub(crate) tp: TopicPartition,
    /// Offset of the record.
    pub(crate) offset: u64,
    /// Why, as a sentence.
    pub(crate) reason: String,
}

/// A partition that stands still.
struct Stopped {
    /// The refused record and those behind it in the same poll: at most one batch.
    batch: Batch,
    /// Refusals of the same record in a row.
    refusals: u32,
    backoff: Backoff,
    next: Instant,
}

/// The stopped partitions of one worker.
pub(crate) struct StoppedPartitions {
    group: &'static str,
    backoff: Backoff,
    all: Vec<Stopped>,
}

impl StoppedPartitions {
    /// None yet; `backoff` gives the pauses between attempts.
    pub(crate) fn new(group: &'static str, backoff: Backoff) -> Self {
        Self {
            group,
            backoff,
            all: Vec::new(),
        }
    }

    /// Whether records of this partition have to wait for an earlier one.
    pub(crate) fn contains(&self, tp: &TopicPartition) -> bool {
        self.all.iter().any(|stopped| stopped.batch.tp == *tp)
    }

    /// The records whose next attempt is due.
    pub(crate) fn due(&self, now: Instant) -> Vec<Batch> {
        let due = self.all.iter().filter(|stopped| stopped.next <= now);
        due.map(|stopped| stopped.batch.clone()).collect()
    }

    /// Stops the partition of `batch`, whose first record was refused, or keeps it stopped.
    pub(crate) fn stop(&mut self, batch: Batch, reason: &str, now: Instant) {
        let at = match self.all.iter().position(|one| one.batch.tp == batch.tp) {
            Some(at) => at,
            None => {
                self.all.push(Stopped {
                    batch: batch.clone(),
                    refusals: 0,
                    backoff: self.backoff.clone(),
                    next: now,
                });
                self.all.len() - 1
            }
        };
        let stopped = &mut self.all[at];
        let offset = |batch: &Batch| batch.records.first().map(|record| record.offset);
        if offset(&stopped.batch) != offset(&batch) {
            // The record before it was done; another one is refused now.
            (stopped.refusals, stopped.backoff) = (0, self.backoff.clone());
        }
        stopped.batch = batch;
        stopped.refusals += 1;
        stopped.next = now + stopped.backoff.next_delay();
        let (tp, offset, refusals) = (
            &stopped.batch.tp,
            offset(&stopped.batch).unwrap_or_default(),
            stopped.refusals,
        );
        let group = self.group;
        if refusals < ALERT_AFTER {
            tracing::warn!(%tp, offset, group, refusals, reason, "a record was refused; it is tried again");
        } else {
            metrics::stopped(group, tp, true);
            tracing::error!(%tp, offset, group, refusals, reason,
                "the partition stands still: an acknowledged record is refused and must not be passed; \
                 docs/operations.md, \"A partition stands still\", says what to do");
        }
    }

    /// The partition goes on, or belongs to another worker. `true` when it had been stopped.
    pub(crate) fn release(&mut self, tp: &TopicPartition) -> bool {
        let Some(at) = self.all.iter().position(|one| one.batch.tp == *tp) else {
            return false;
        };
        self.all.swap_remove(at);
        metrics::stopped(self.group, tp, false);
        true
    }

    /// Forgets all of them: the group is joined anew and hands their records out again.
    pub(crate) fn clear(&mut self) {
        for stopped in self.all.drain(..) {
            metrics::stopped(self.group, &stopped.batch.tp, false);
        }
    }
}

/// Cuts the records from `offset` on off a batch.
pub(crate) fn split_at(batch: &mut Batch, offset: u64) -> Batch {
    let at = batch
        .records
        .iter()
        .position(|record| record.offset >= offset)
        .unwrap_or(batch.records.len());
    Batch {
        tp: batch.tp.clone(),
        records: batch.records.split_off(at),
        skipped: 0,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use gochat_infra::port::mq::{InRecord, Record};

    use super::*;

    fn batch(offsets: std::ops::Range<u64>) -> Batch {
        let record = |offset| InRecord {
            offset,
            timestamp_ms: 0,
            record: Record::default(),
        };
        Batch {
            tp: TopicPartition::new("t", 1),
            records: offsets.map(record).collect(),
            skipped: 0,
        }
    }

    #[test]
    fn a_stopped_partition_is_tried_again_with_growing_pauses_until_it_is_released() {
        let backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
        let mut stopped = StoppedPartitions::new("g", backoff);
        let mut whole = batch(3..9);
        let rest = split_at(&mut whole, 5);
        assert_eq!((whole.records.len(), rest.records[0].offset), (2, 5));
        let tp = rest.tp.clone();
        let start = Instant::now();
        stopped.stop(rest, "no", start);
        assert!(stopped.contains(&tp) && stopped.due(start).is_empty());
        let mut now = start;
        for _ in 0..10 {
            now += Duration::from_secs(60);
            let due = stopped.due(now);
            assert_eq!(due[0].records.len(), 4, "nothing behind it was dropped");
            stopped.stop(due.into_iter().next().unwrap(), "no", now);
        }
        assert!(stopped.due(now + Duration::from_secs(29)).is_empty());
        assert!(stopped.release(&tp) && !stopped.release(&tp));
        assert!(!stopped.contains(&tp));
    }
}
