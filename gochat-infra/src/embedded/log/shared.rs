//! What the handles, the consumers and the writer thread share.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use hashbrown::HashMap;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Semaphore, oneshot};

use super::LogConfig;
use super::group::Group;
use super::journal::now_ms;
use super::queue::{Commit, Queue, Request, Routed, TopicChange};
use super::segment::Index;
use super::topic::{Partition, PartitionId, Topic};
use crate::embedded::disk::{DiskGuard, REFUSAL};
use crate::port::mq::{
    MAX_RECORD_BYTES, MqError, MqErrorKind, MqResult, OutRecord, Placed, TopicPartition,
};

/// Bound of one call, so that its frame stays readable in one piece.
const MAX_REQUEST_BYTES: usize = 64 << 20;

/// Longest time that records of topics visible on append wait for a sync of something else, which
/// makes them durable too. No acknowledgement waits for it: what is derived from the records is
/// synced at once, and the records with it.
pub(super) const RIDE: Duration = Duration::from_millis(1);

/// Wakes the writer when dropped.
struct Nudge<'q>(&'q Queue);

impl Drop for Nudge<'_> {
    fn drop(&mut self) {
        self.0.nudge();
    }
}

/// State of the log.
pub(super) struct Shared {
    pub(super) config: LogConfig,
    pub(super) dir: PathBuf,
    pub(super) topics: RwLock<HashMap<Arc<str>, Arc<Topic>>>,
    pub(super) groups: RwLock<HashMap<Arc<str>, Arc<Group>>>,
    pub(super) index: Arc<RwLock<Index>>,
    pub(super) queue: Queue,
    /// Bytes of records that may wait for the writer.
    room: Arc<Semaphore>,
    /// Bytes of all segments.
    pub(super) disk_bytes: AtomicU64,
    /// Why nothing works any more.
    failure: Mutex<Option<MqError>>,
    /// Creation and deletion of topics, one at a time.
    pub(super) admin: tokio::sync::Mutex<()>,
    /// Id of the next topic; ids are never used twice.
    pub(super) next_topic: AtomicU32,
}

impl Shared {
    pub(super) fn new(
        config: LogConfig,
        dir: PathBuf,
        index: Arc<RwLock<Index>>,
        next_topic: u32,
    ) -> Self {
        let room = Arc::new(Semaphore::new(
            config.max_queue_bytes.min(Semaphore::MAX_PERMITS),
        ));
        Self {
            config,
            dir,
            topics: RwLock::default(),
            groups: RwLock::default(),
            index,
            queue: Queue::default(),
            room,
            disk_bytes: AtomicU64::new(0),
            failure: Mutex::new(None),
            admin: tokio::sync::Mutex::new(()),
            next_topic: AtomicU32::new(next_topic),
        }
    }

    /// Refuses when the log was closed or poisoned.
    pub(super) fn check(&self) -> MqResult<()> {
        self.failure.lock().clone().map_or(Ok(()), Err)
    }

    /// Ends all work: everything is refused with this error from now on. The first call wins.
    pub(super) fn fail(&self, error: MqError) {
        self.failure.lock().get_or_insert(error);
        self.queue.close();
        self.room.close();
        for group in self.groups.read().values() {
            group.wake_all();
        }
        for topic in self.topics.read().values() {
            topic
                .partitions
                .iter()
                .for_each(|partition| partition.wake());
        }
    }

    /// Offset below which every consumer of a disk topic has committed all records. `None` when
    /// the topic has no consumers, or one has committed nothing.
    pub(super) fn consumed_upto(&self, partition: &Partition) -> Option<u64> {
        let topics = self.topics.read();
        let topic = topics.get(&partition.tp.topic)?;
        let groups = self.groups.read();
        let committed = |name: &Arc<str>| groups.get(name)?.committed(partition.id);
        let mut upto = None;
        for name in &topic.spec.consumers {
            let offset = committed(name)?;
            upto = Some(upto.map_or(offset, |upto: u64| upto.min(offset)));
        }
        upto
    }

    pub(super) fn topic(&self, name: &str) -> MqResult<Arc<Topic>> {
        self.topics
            .read()
            .get(name)
            .cloned()
            .ok_or_else(|| MqError::unknown_topic(name))
    }

    pub(super) fn partition(&self, tp: &TopicPartition) -> MqResult<Arc<Partition>> {
        let topic = self.topic(&tp.topic)?;
        let partition = topic.partitions.get(tp.partition as usize);
        partition
            .cloned()
            .ok_or_else(|| MqError::unknown_topic(&tp.to_string()))
    }

    pub(super) fn group(&self, name: &Arc<str>) -> Arc<Group> {
        if let Some(group) = self.groups.read().get(name) {
            return group.clone();
        }
        let mut groups = self.groups.write();
        groups
            .entry(name.clone())
            .or_insert_with(|| Arc::new(Group::new(name.clone())))
            .clone()
    }

    pub(super) fn put_topic(&self, topic: Arc<Topic>) {
        self.topics.write().insert(topic.spec.name.clone(), topic);
    }

    pub(super) fn remove_topic(&self, topic: &Topic) {
        self.topics.write().remove(&topic.spec.name);
        topic
            .partitions
            .iter()
            .for_each(|partition| partition.delete());
        for group in self.groups.read().values() {
            group.forget_topic(topic.id);
        }
    }

    /// Finds the partition of every record and checks sizes.
    pub(super) fn route(&self, records: Vec<OutRecord>) -> MqResult<Vec<Routed>> {
        let topics = self.topics.read();
        let mut last: Option<(Arc<str>, &Arc<Topic>)> = None;
        let mut routed = Vec::with_capacity(records.len());
        for (i, out) in records.into_iter().enumerate() {
            let topic = match &last {
                Some((name, topic)) if Arc::ptr_eq(name, &out.topic) => topic,
                _ => {
                    let topic = topics
                        .get(&out.topic)
                        .ok_or_else(|| MqError::unknown_topic(&out.topic))?;
                    &last.insert((out.topic.clone(), topic)).1
                }
            };
            let count = topic.spec.partitions;
            let partition = match out.partition {
                Some(partition) => partition,
                None if out.record.key.is_empty() => i as u32 % count,
                None => gochat_core::partition::of_key(&out.record.key, count),
            };
            if out.record.size() > MAX_RECORD_BYTES {
                let text = format!("a record for {} has {} bytes", out.topic, out.record.size());
                return Err(MqError::new(MqErrorKind::TooLarge, text));
            }
            let partition = topic.partitions.get(partition as usize);
            let partition = partition
                .cloned()
                .ok_or_else(|| MqError::unknown_topic(&out.topic))?;
            routed.push(Routed {
                partition,
                record: out.record,
            });
        }
        Ok(routed)
    }

    /// Refuses new records while the disk bound is reached. Steps that consume (`transact`) get an eighth more, because
    /// they are what makes room again.
    pub(super) fn check_room(&self, bytes: usize, consumes: bool) -> MqResult<()> {
        if !consumes && self.config.disk.as_ref().is_some_and(DiskGuard::is_low) {
            return Err(disk_full());
        }
        let bound = self.config.max_disk_bytes;
        let bound = if consumes {
            bound.saturating_add(bound / 8)
        } else {
            bound
        };
        let used = self
            .disk_bytes
            .load(Ordering::Relaxed)
            .saturating_add(bytes as u64);
        if used > bound {
            return Err(MqError::new(
                MqErrorKind::Full,
                "The server holds all the messages it may that are not stored yet; try again a little later.",
            ));
        }
        Ok(())
    }

    /// Queues a request for the writer (waits for room) and waits for its outcome.
    pub(super) async fn submit(&self, mut request: NewRequest) -> MqResult<Vec<Placed>> {
        if request.bytes > MAX_REQUEST_BYTES {
            return Err(MqError::new(
                MqErrorKind::TooLarge,
                "one call carries more than 64 MiB",
            ));
        }
        let bytes = request.bytes.clamp(1, self.config.max_queue_bytes);
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let permit = self
            .room
            .clone()
            .acquire_many_owned(bytes)
            .await
            .map_err(|_| self.closed())?;
        let (reply, mut outcome) = oneshot::channel();
        let guard = request.guard.take();
        let rides = self.queue.push(Request {
            records: request.records,
            commits: request.commits,
            topics: request.topics,
            sync: request.sync,
            want_places: request.want_places,
            reply: Some(reply),
            guard,
            early: None,
            _room: Some(permit),
        });
        if rides {
            // Also when the caller goes away: what is visible must not wait for ever.
            let nudge = Nudge(&self.queue);
            if let Ok(outcome) = tokio::time::timeout(RIDE, &mut outcome).await {
                std::mem::forget(nudge);
                return outcome.unwrap_or_else(|_| Err(self.closed()));
            }
        }
        outcome.await.unwrap_or_else(|_| Err(self.closed()))
    }

    /// Queues a commit nobody waits for; dropped when the log is closed.
    pub(super) fn submit_commit(&self, commit: Commit) {
        self.queue.push(Request {
            records: Vec::new(),
            commits: vec![commit],
            topics: Vec::new(),
            sync: false,
            want_places: false,
            reply: None,
            guard: None,
            early: None,
            _room: None,
        });
    }

    fn closed(&self) -> MqError {
        let failure = self.failure.lock().clone();
        failure.unwrap_or_else(|| MqError::new(MqErrorKind::Closed, "the log was closed"))
    }

    /// Appends to memory partitions without the writer; nothing to wait for.
    pub(super) fn append_memory(records: Vec<Routed>) -> Vec<Placed> {
        let now = now_ms();
        let place = |Routed { partition, record }: Routed| Placed {
            partition: partition.id.partition,
            offset: partition.append_memory(std::iter::once(record), now),
        };
        records.into_iter().map(place).collect()
    }

    /// Next offset of every disk partition, for a checkpoint.
    pub(super) fn heads(&self) -> HashMap<PartitionId, u64> {
        let topics = self.topics.read();
        let disk = topics.values().filter(|topic| topic.is_disk());
        disk.flat_map(|t| t.partitions.iter().map(|p| (p.id, p.next())))
            .collect()
    }
}

/// The refusal of records while the disk has no room.
pub(super) fn disk_full() -> MqError {
    MqError::new(MqErrorKind::Full, REFUSAL)
}

/// A request before it has its place in the queue.
pub(super) struct NewRequest {
    pub(super) records: Vec<Routed>,
    pub(super) commits: Vec<Commit>,
    pub(super) topics: Vec<TopicChange>,
    pub(super) sync: bool,
    pub(super) want_places: bool,
    pub(super) bytes: usize,
    pub(super) guard: Option<super::queue::CommitGuard>,
}

impl NewRequest {
    /// Records to append; sums their sizes.
    pub(super) fn records(records: Vec<Routed>) -> Self {
        let bytes = records.iter().map(|r| r.record.size() + 32).sum();
        Self {
            records,
            commits: Vec::new(),
            topics: Vec::new(),
            sync: true,
            want_places: true,
            bytes,
            guard: None,
        }
    }
}
