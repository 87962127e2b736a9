//! The writer thread: group commit.
//!
//! It takes everything that waits, encodes it into frames, writes them with one call, makes them durable with one
//! `fdatasync`, and only then lets the world see it. While the disk works, the next group gathers.
//!
//! Records of topics that are visible on append are shown right after the write. That is safe because whatever a
//! consumer derives from them comes back through this thread and gets a later place in the same journal: it can't be durable,
//! and so not visible, without the record itself.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use hashbrown::HashMap;

use super::codec::FrameBuf;
use super::journal::{Journal, now_ms};
use super::queue::{Request, Routed, TopicChange};
use super::retention;
use super::shared::{Shared, disk_full};
use super::topic::{Partition, PartitionId};
use crate::embedded::disk::DiskGuard;
use crate::os;
use crate::port::mq::{MqError, MqErrorKind, Placed, Record};

/// A frame is closed once it has this many payload bytes, so that reading back from disk works in small steps.
const FRAME_BYTES: usize = 256 << 10;
/// Requests per group commit.
const MAX_GROUP: usize = 4096;
/// How often closed segments are looked at.
const RETENTION_EVERY: Duration = Duration::from_secs(1);

/// Bytes of the journal beside those of the requests: heads of frames.
const FRAME_ROOM: u64 = 64 << 10;
/// Pause after a group that was refused for lack of room.
const REFUSAL_PAUSE: Duration = Duration::from_millis(20);
/// Fewest bytes of a segment that ends early because the disk is full.
const EARLY_ROLL: u64 = 1 << 20;
/// Pause before the next segment when the disk is full.
const ROLL_PAUSE: Duration = Duration::from_millis(500);

/// State of the writer thread.
pub(super) struct Writer {
    shared: Arc<Shared>,
    journal: Journal,
    frames: FrameBuf,
    /// Cached records in the order they came: what to evict first.
    cached: VecDeque<Cached>,
    cached_bytes: usize,
    looked: Instant,
    /// No segment begins before that, after one that ended early or found no room.
    roll_after: Instant,
}

/// Records of one run in the cache.
struct Cached {
    partition: Arc<Partition>,
    upto: u64,
    bytes: usize,
}

/// Everything one group commit has to do after the write.
#[derive(Default)]
struct Group {
    /// (partition, first offset, frame position) for the index.
    notes: Vec<(PartitionId, u64, u64)>,
    /// Where partitions end once the group is durable.
    ends: HashMap<PartitionId, (Arc<Partition>, u64)>,
    requests: Vec<(Request, Vec<Placed>)>,
    /// Records for memory topics, shown together with what is durable.
    memory: Vec<Routed>,
    sync: bool,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, journal: Journal) -> Self {
        let (frames, cached) = (FrameBuf::default(), VecDeque::new());
        Self {
            shared,
            journal,
            frames,
            cached,
            cached_bytes: 0,
            looked: Instant::now(),
            roll_after: Instant::now(),
        }
    }

    /// Serves requests until the queue is closed and empty.
    pub(super) fn run(mut self) {
        while let Some(requests) = self
            .shared
            .clone()
            .queue
            .take(MAX_GROUP, self.journal.sync_due_in())
        {
            self.group_commit(requests);
        }
        if let Err(error) = self.journal.close() {
            tracing::error!(%error, "the last sync of the journal failed");
        }
    }

    /// One round.
    fn group_commit(&mut self, requests: Vec<Request>) {
        if self.poisoned() {
            return;
        }
        // Before anything is numbered: what is refused leaves no trace.
        let bytes = FRAME_ROOM + requests.iter().map(Request::disk_bytes).sum::<u64>();
        if let Err(error) = self.journal.reserve(bytes) {
            return match os::is_full(&error) {
                true => self.refuse(requests),
                false => self.poison(&error),
            };
        }
        let group = self.encode(requests);
        let done = self.store(&group);
        if let Err(error) = done {
            // Before the requests are dropped: that is how their callers learn to ask for the reason.
            return self.poison(&error);
        }
        self.publish(group);
        self.evict();
        if let Err(error) = self.housekeeping() {
            self.poison(&error);
        }
    }

    /// Answers that there is no room.
    fn refuse(&mut self, requests: Vec<Request>) {
        metrics::counter!("gochat_log_full_total").increment(requests.len() as u64);
        for request in requests {
            request.finish(Err(disk_full()));
        }
        // Records that are not needed any more may make room.
        if let Err(error) = self.housekeeping() {
            self.poison(&error);
        }
        // Whoever retries at once must not keep the thread busy.
        std::thread::sleep(REFUSAL_PAUSE);
    }

    /// Writes the frames and makes them durable.
    fn store(&mut self, group: &Group) -> std::io::Result<()> {
        if !self.frames.bytes().is_empty() {
            self.journal.append(self.frames.bytes(), &group.notes)?;
            let written = self.frames.bytes().len() as u64;
            self.shared.disk_bytes.fetch_add(written, Ordering::Relaxed);
        }
        for (partition, end) in group.ends.values().filter(|(p, _)| p.visible_on_append) {
            partition.publish(*end);
        }
        if group.sync || self.journal.sync_due_in().is_some_and(|due| due.is_zero()) {
            self.journal.sync(false)?;
        }
        Ok(())
    }

    /// Shows what is durable and answers.
    fn publish(&self, group: Group) {
        for (partition, end) in group.ends.values().filter(|(p, _)| !p.visible_on_append) {
            partition.publish(*end);
        }
        Shared::append_memory(group.memory);
        for (request, places) in group.requests {
            self.apply(&request);
            request.finish(Ok(places));
        }
    }

    fn poison(&self, error: &std::io::Error) {
        tracing::error!(%error, "the journal is poisoned");
        metrics::gauge!("gochat_log_poisoned").set(1.0);
        let folder = self.shared.dir.display();
        let text = os::explain("write the journal in", folder, error);
        self.shared.fail(MqError::new(MqErrorKind::Poisoned, text));
    }

    fn poisoned(&self) -> bool {
        self.shared
            .check()
            .is_err_and(|error| error.kind == MqErrorKind::Poisoned)
    }

    fn encode(&mut self, requests: Vec<Request>) -> Group {
        self.frames.clear();
        let mut group = Group::default();
        let now = now_ms();
        for mut request in requests {
            group.sync |= request.sync;
            let records = std::mem::take(&mut request.records);
            let mut places = Vec::with_capacity(if request.want_places {
                records.len()
            } else {
                0
            });
            self.encode_records(
                records,
                now,
                request.want_places.then_some(&mut places),
                &mut group,
            );
            for commit in request
                .commits
                .iter()
                .filter(|commit| !commit.partition.is_memory())
            {
                self.frames
                    .offset(&commit.group.name, commit.partition.id, commit.offset);
            }
            for change in &request.topics {
                match change {
                    TopicChange::Put(topic) => self.frames.topic(topic.id, &topic.spec),
                    TopicChange::Delete(topic) => self.frames.topic_deleted(topic.id),
                }
            }
            if self.frames.payload_len() >= FRAME_BYTES {
                self.frames.finish(self.journal.synced());
            }
            group.requests.push((request, places));
        }
        self.frames.finish(self.journal.synced());
        group
    }

    /// Runs of records of the same partition become one section each.
    fn encode_records(
        &mut self,
        records: Vec<Routed>,
        now: i64,
        mut places: Option<&mut Vec<Placed>>,
        group: &mut Group,
    ) {
        let mut records = records.into_iter().peekable();
        let mut run = Vec::new();
        while let Some(Routed { partition, record }) = records.next() {
            if partition.is_memory() {
                group.memory.push(Routed { partition, record });
                continue;
            }
            run.push(record);
            while let Some(next) = records.next_if(|next| Arc::ptr_eq(&next.partition, &partition))
            {
                run.push(next.record);
            }
            let pos = self.journal.pos() + self.frames.begin() as u64;
            let base = partition.next();
            self.frames.records(partition.id, base, now, run.iter());
            let bytes = run.iter().map(Record::size).sum::<usize>();
            let end = base + run.len() as u64;
            if let Some(places) = &mut places {
                places.extend((base..end).map(|offset| Placed {
                    partition: partition.id.partition,
                    offset,
                }));
            }
            partition.append(run.drain(..), now);
            group.notes.push((partition.id, base, pos));
            self.cached_bytes += bytes;
            self.cached.push_back(Cached {
                partition: partition.clone(),
                upto: end,
                bytes,
            });
            group.ends.insert(partition.id, (partition, end));
        }
    }

    /// What a durable request changes in memory.
    fn apply(&self, request: &Request) {
        for commit in &request.commits {
            commit.group.commit(commit.partition.id, commit.offset);
        }
        for change in &request.topics {
            match change {
                TopicChange::Put(topic) => self.shared.put_topic(topic.clone()),
                TopicChange::Delete(topic) => self.shared.remove_topic(topic),
            }
        }
    }

    /// Keeps the cache of disk records within its bound, oldest out first.
    fn evict(&mut self) {
        while self.cached_bytes > self.shared.config.cache_bytes {
            let Some(oldest) = self.cached.pop_front() else {
                break;
            };
            oldest.partition.evict(oldest.upto);
            self.cached_bytes -= oldest.bytes;
        }
    }

    /// Whether a new segment should begin: the open one is full, or closing it lets its records be deleted on a disk
    /// that needs the room.
    fn wants_roll(&self) -> bool {
        let is_low = || {
            self.shared
                .config
                .disk
                .as_ref()
                .is_some_and(DiskGuard::is_low)
        };
        let wanted = self.journal.wants_roll() || self.journal.pos() >= EARLY_ROLL && is_low();
        wanted && Instant::now() >= self.roll_after
    }

    fn housekeeping(&mut self) -> std::io::Result<()> {
        let is_early = !self.journal.wants_roll();
        if self.wants_roll() {
            let heads = self.shared.heads();
            self.frames.clear();
            checkpoint(&self.shared, &heads, &mut self.frames);
            match self.journal.roll(heads, self.frames.bytes()) {
                Ok(()) => {
                    self.looked = Instant::now() - RETENTION_EVERY;
                    if is_early {
                        self.roll_after = Instant::now() + ROLL_PAUSE;
                    }
                }
                // The open segment grows on until there is room for the next one.
                Err(error) if os::is_full(&error) => {
                    self.roll_after = Instant::now() + ROLL_PAUSE;
                    tracing::warn!(%error, "no room for the next segment of the journal");
                }
                Err(error) => return Err(error),
            }
        }
        if self.looked.elapsed() >= RETENTION_EVERY {
            self.looked = Instant::now();
            retention::drop_consumed(&self.shared, &mut self.journal)?;
        }
        Ok(())
    }
}

/// Writes the state a segment starts from, as one frame.
pub(super) fn checkpoint(
    shared: &Shared,
    heads: &HashMap<PartitionId, u64>,
    frames: &mut FrameBuf,
) {
    frames.begin();
    let topics = shared.topics.read();
    frames.next_topic(shared.next_topic.load(Ordering::Acquire));
    for topic in topics.values().filter(|topic| topic.is_disk()) {
        frames.topic(topic.id, &topic.spec);
    }
    for (id, next) in heads {
        frames.end(*id, *next);
    }
    for group in shared.groups.read().values() {
        for (id, offset) in group.all_committed() {
            if heads.contains_key(&id) {
                frames.offset(&group.name, id, offset);
            }
        }
    }
    frames.finish(0);
}
