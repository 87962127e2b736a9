//! Topics in memory: partitions, their newest records, and who waits for more.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::port::mq::{Durability, InRecord, Record, TopicPartition, TopicSpec, VisibleOn};
use crate::topics::metric_label;

/// Number of records for which a partition keeps its room, however few it holds.
const SPARE_RECORDS: usize = 2_048;

/// Names a partition inside the journal; topic ids are never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct PartitionId {
    pub(super) topic: u32,
    pub(super) partition: u32,
}

/// A topic as it is now; replaced as a whole when its spec changes, the partitions stay.
#[derive(Debug)]
pub(super) struct Topic {
    pub(super) id: u32,
    pub(super) spec: TopicSpec,
    pub(super) partitions: Vec<Arc<Partition>>,
}

impl Topic {
    /// An empty topic.
    pub(super) fn new(id: u32, spec: TopicSpec) -> Self {
        let partitions = (0..spec.partitions)
            .map(|p| Arc::new(Partition::new(id, p, &spec)))
            .collect();
        Self {
            id,
            spec,
            partitions,
        }
    }

    /// The same partitions under another spec.
    pub(super) fn with_spec(&self, spec: TopicSpec) -> Self {
        Self {
            id: self.id,
            spec,
            partitions: self.partitions.clone(),
        }
    }

    pub(super) fn is_disk(&self) -> bool {
        self.spec.durability == Durability::Disk
    }
}

/// One partition: its offsets and the tail of its records.
pub(super) struct Partition {
    pub(super) id: PartitionId,
    pub(super) tp: TopicPartition,
    /// `Some` for memory topics.
    memory_bound: Option<usize>,
    pub(super) visible_on_append: bool,
    deleted: AtomicBool,
    tail: Mutex<Tail>,
    appended: metrics::Counter,
}

#[derive(Default)]
struct Tail {
    /// First offset that is kept anywhere.
    start: u64,
    /// Offset of the first record in `records`.
    base: u64,
    records: VecDeque<(i64, Record)>,
    /// Offset the next record gets.
    next: u64,
    /// Readers see offsets below this.
    visible: u64,
    bytes: usize,
    watchers: Vec<Watcher>,
}

/// A consumer that is woken when records come.
struct Watcher {
    wake: Arc<Notify>,
    /// Offset up to which a consumer without a group was handed the records of a memory partition.
    read: Option<u64>,
}

/// Answer of [`Partition::read`].
#[derive(Debug, PartialEq, Eq)]
pub(super) enum TailRead {
    /// Records (maybe none) after `skipped` that are gone.
    Found {
        records: Vec<InRecord>,
        skipped: u64,
    },
    /// The records `from..upto` are on disk only.
    OnDisk { from: u64, upto: u64, skipped: u64 },
}

impl Partition {
    fn new(topic: u32, partition: u32, spec: &TopicSpec) -> Self {
        Self {
            id: PartitionId { topic, partition },
            tp: TopicPartition {
                topic: spec.name.clone(),
                partition,
            },
            memory_bound: match spec.durability {
                Durability::Memory {
                    max_partition_bytes,
                } => Some(max_partition_bytes),
                Durability::Disk => None,
            },
            visible_on_append: spec.visible_on == VisibleOn::Append,
            deleted: AtomicBool::new(false),
            tail: Mutex::default(),
            appended: metrics::counter!("gochat_kafka_messages_total",
                "topic" => metric_label(&spec.name).to_owned(), "direction" => "produce", "result" => "ok"),
        }
    }

    pub(super) fn is_memory(&self) -> bool {
        self.memory_bound.is_some()
    }

    pub(super) fn is_deleted(&self) -> bool {
        self.deleted.load(Ordering::Acquire)
    }

    /// Marks the partition as gone and wakes its readers so that they notice.
    pub(super) fn delete(&self) {
        self.deleted.store(true, Ordering::Release);
        self.tail.lock().records.clear();
        self.wake();
    }

    /// Sets what recovery found: records `start..next` are on disk.
    pub(super) fn restore(&self, start: u64, next: u64) {
        let mut tail = self.tail.lock();
        (tail.start, tail.base, tail.next, tail.visible) = (start, next, next, next);
    }

    /// Records below `start` were deleted from disk.
    pub(super) fn raise_start(&self, start: u64) {
        let mut tail = self.tail.lock();
        tail.start = tail.start.max(start);
    }

    /// Gives records their offsets and puts them into the tail, invisible. Returns the first offset.
    pub(super) fn append(&self, records: impl Iterator<Item = Record>, timestamp_ms: i64) -> u64 {
        let tail = &mut *self.tail.lock();
        let base = tail.next;
        for record in records {
            tail.bytes += record.size();
            tail.records.push_back((timestamp_ms, record));
            tail.next += 1;
        }
        self.appended.increment(tail.next - base);
        base
    }

    /// Makes everything below `upto` visible and wakes the readers.
    pub(super) fn publish(&self, upto: u64) {
        self.show(upto);
        self.wake();
    }

    /// Makes everything below `upto` visible.
    pub(super) fn show(&self, upto: u64) {
        let mut tail = self.tail.lock();
        tail.visible = tail.visible.max(upto);
    }

    /// Appends to a memory partition, visible at once; drops the oldest beyond the bound. Returns the first offset.
    pub(super) fn append_memory(
        &self,
        records: impl Iterator<Item = Record>,
        timestamp_ms: i64,
    ) -> u64 {
        let base = self.append(records, timestamp_ms);
        let tail = &mut *self.tail.lock();
        tail.visible = tail.next;
        let bound = self.memory_bound.unwrap_or(usize::MAX);
        while tail.bytes > bound && tail.records.len() > 1 {
            tail.drop_oldest();
        }
        tail.start = tail.base;
        tail.wake();
        base
    }

    /// Notes how far a consumer without a group was handed the records of a memory partition, and
    /// drops those that every consumer of the partition was handed: they are on their way to
    /// sockets, and nothing reads them twice.
    pub(super) fn note_read(&self, reader: &Arc<Notify>, upto: u64) {
        let tail = &mut *self.tail.lock();
        let known = tail.watchers.iter_mut();
        for watcher in known.filter(|watcher| Arc::ptr_eq(&watcher.wake, reader)) {
            watcher.read = Some(upto);
        }
        let low = tail.watchers.iter().map(|watcher| watcher.read).min();
        if let Some(Some(low)) = low {
            tail.drop_below(low);
            tail.start = tail.base;
        }
    }

    /// Forgets cached records below `upto`, which stay on disk. Returns their bytes.
    pub(super) fn evict(&self, upto: u64) -> usize {
        self.tail.lock().drop_below(upto)
    }

    /// Whether no record below `upto` is cached.
    pub(super) fn is_evicted(&self, upto: u64) -> bool {
        self.tail.lock().base >= upto
    }

    /// Visible records from `from`, or where to find them.
    pub(super) fn read(&self, from: u64, max: usize, max_bytes: usize) -> TailRead {
        let tail = self.tail.lock();
        let at = from.max(tail.start);
        let skipped = at - from;
        if at < tail.base {
            return TailRead::OnDisk {
                from: at,
                upto: tail.base.min(tail.visible),
                skipped,
            };
        }
        let mut records = Vec::new();
        let mut bytes = 0;
        let available = tail.visible.saturating_sub(at).min(max as u64) as usize;
        let first = (at - tail.base) as usize;
        if available > 0 {
            records.reserve(available);
            for (i, (timestamp_ms, record)) in
                tail.records.range(first..first + available).enumerate()
            {
                bytes += record.size();
                if bytes > max_bytes && i > 0 {
                    break;
                }
                let (timestamp_ms, record) = (*timestamp_ms, record.clone());
                records.push(InRecord {
                    offset: at + i as u64,
                    timestamp_ms,
                    record,
                });
            }
        }
        TailRead::Found { records, skipped }
    }

    /// (first kept, visible end).
    pub(super) fn bounds(&self) -> (u64, u64) {
        let tail = self.tail.lock();
        (tail.start, tail.visible)
    }

    /// Offset the next record gets.
    pub(super) fn next(&self) -> u64 {
        self.tail.lock().next
    }

    pub(super) fn watch(&self, wake: &Arc<Notify>) {
        let wake = wake.clone();
        self.tail.lock().watchers.push(Watcher { wake, read: None });
    }

    pub(super) fn unwatch(&self, wake: &Arc<Notify>) {
        self.tail
            .lock()
            .watchers
            .retain(|watcher| !Arc::ptr_eq(&watcher.wake, wake));
    }

    pub(super) fn wake(&self) {
        self.tail.lock().wake();
    }
}

impl Tail {
    fn wake(&self) {
        self.watchers
            .iter()
            .for_each(|watcher| watcher.wake.notify_one());
    }

    /// Drops visible records below `upto`. Returns their bytes.
    fn drop_below(&mut self, upto: u64) -> usize {
        let before = self.bytes;
        while self.base < upto.min(self.visible) && !self.records.is_empty() {
            self.drop_oldest();
        }
        self.shrink();
        before - self.bytes
    }

    /// Gives the room of many records back once there are few.
    fn shrink(&mut self) {
        let room = self.records.capacity();
        if room > SPARE_RECORDS && self.records.len() < room / 8 {
            self.records.shrink_to(room / 4);
        }
    }

    fn drop_oldest(&mut self) {
        if let Some((_, record)) = self.records.pop_front() {
            self.bytes -= record.size();
            self.base += 1;
        }
    }
}

impl fmt::Debug for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Partition")
            .field("tp", &self.tp)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(len: usize) -> Record {
        Record::new("", vec![0u8; len])
    }

    fn offsets(read: TailRead) -> (Vec<u64>, u64) {
        let TailRead::Found { records, skipped } = read else {
            panic!("in memory: {read:?}")
        };
        (records.iter().map(|r| r.offset).collect(), skipped)
    }

    #[test]
    fn appended_records_are_invisible_until_published() {
        let topic = Topic::new(0, TopicSpec::disk("t", 1));
        let p = &topic.partitions[0];
        p.append([record(1), record(1)].into_iter(), 0);
        assert_eq!(offsets(p.read(0, 10, 100)), (vec![], 0));
        p.publish(1);
        assert_eq!(offsets(p.read(0, 10, 100)), (vec![0], 0));
    }

    #[test]
    fn a_memory_partition_drops_its_oldest_and_says_how_many_a_reader_missed() {
        let topic = Topic::new(0, TopicSpec::memory("t", 1).max_partition_bytes(30));
        let p = &topic.partitions[0];
        p.append_memory((0..5).map(|_| record(10)), 0);
        assert_eq!(offsets(p.read(0, 10, 100)), (vec![2, 3, 4], 2));
    }

    #[test]
    fn records_of_a_memory_partition_go_once_every_reader_was_handed_them() {
        let topic = Topic::new(0, TopicSpec::memory("t", 1));
        let p = &topic.partitions[0];
        let (quick, slow) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        p.watch(&quick);
        p.watch(&slow);
        p.append_memory((0..4).map(|_| record(10)), 0);
        p.note_read(&quick, 4);
        assert_eq!(offsets(p.read(0, 10, 100)), (vec![0, 1, 2, 3], 0));
        p.note_read(&slow, 3);
        assert_eq!(p.bounds(), (3, 4));
        p.unwatch(&slow);
        p.note_read(&quick, 4);
        assert_eq!((p.bounds(), p.tail.lock().bytes), ((4, 4), 0));
        p.append_memory([record(10)].into_iter(), 0);
        assert_eq!(offsets(p.read(4, 10, 100)), (vec![4], 0));
    }

    #[test]
    fn the_room_of_many_records_is_given_back() {
        let topic = Topic::new(0, TopicSpec::disk("t", 1));
        let p = &topic.partitions[0];
        p.append((0..50_000).map(|_| record(1)), 0);
        p.publish(50_000);
        for upto in (0..=50_000).step_by(1_000) {
            p.evict(upto);
        }
        assert!(p.is_evicted(50_000) && !p.is_evicted(50_001));
        assert!(p.tail.lock().records.capacity() <= 2 * SPARE_RECORDS);
    }

    #[test]
    fn evicted_records_are_found_on_disk_and_a_read_stops_at_its_byte_bound() {
        let topic = Topic::new(0, TopicSpec::disk("t", 1));
        let p = &topic.partitions[0];
        p.append((0..4).map(|_| record(10)), 0);
        p.publish(4);
        p.evict(2);
        assert_eq!(
            p.read(1, 10, 100),
            TailRead::OnDisk {
                from: 1,
                upto: 2,
                skipped: 0
            }
        );
        assert_eq!(offsets(p.read(2, 10, 15)), (vec![2], 0));
    }
}
