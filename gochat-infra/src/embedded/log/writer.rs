//! The writer thread: group commit.
//!
//! It takes everything that waits, encodes it into frames, writes them with one call, makes them durable with one
//! `fdatasync`, and only then lets the world see it. While the disk works, the next group gathers.
//!
//! Records of topics that are visible on append are shown before they are written
//! ([`super::queue`]). That is safe because whatever a consumer derives from them comes back
//! through this thread and gets a later place in the same journal: it can't be durable, and so not
//! visible, without the record itself. Their own senders wait for the next sync, which is that of
//! the derived step, or one of their own a moment later ([`super::shared::RIDE`]).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use hashbrown::HashMap;

use super::codec::FrameBuf;
use super::journal::{Journal, now_ms};
use super::queue::{Early, Request, Routed, Taken, TopicChange};
use super::retention;
use super::shared::{Shared, disk_full};
use super::tail_cache::TailCache;
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
    cache: TailCache,
    cached: metrics::Gauge,
    /// Partitions whose consumers have moved on.
    consumed: Vec<Arc<Partition>>,
    looked: Instant,
    /// No segment begins before that, after one that ended early or found no room.
    roll_after: Instant,
    /// Written, visible, and answered with the next sync.
    riding: Vec<(Request, Vec<Placed>)>,
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
        let cache = TailCache::new(shared.config.cache_bytes);
        Self {
            shared,
            journal,
            frames: FrameBuf::default(),
            cache,
            cached: metrics::gauge!("gochat_memory_bytes", "part" => "log"),
            consumed: Vec::new(),
            looked: Instant::now(),
            roll_after: Instant::now(),
            riding: Vec::new(),
        }
    }

    /// Serves requests until the queue is closed and empty.
    pub(super) fn run(mut self) {
        self.shared.queue.settle(0, self.ride_room());
        while let Some(taken) = self
            .shared
            .clone()
            .queue
            .take(MAX_GROUP, self.journal.sync_due_in())
        {
            self.group_commit(taken);
        }
        self.finish_riders();
        if let Err(error) = self.journal.close() {
            tracing::error!(%error, "the last sync of the journal failed");
        }
    }

    /// Bytes of the open segment that may be promised to what rides.
    fn ride_room(&self) -> u64 {
        self.journal.room().saturating_sub(FRAME_ROOM)
    }

    /// Syncs and answers what still rides when the log is closed.
    fn finish_riders(&mut self) {
        if self.poisoned() || self.riding.is_empty() {
            return;
        }
        match self.journal.sync(true) {
            Ok(()) => self.answer_riders(),
            Err(error) => self.poison(&error),
        }
    }

    /// One round.
    fn group_commit(&mut self, taken: Taken) {
        if self.poisoned() {
            return;
        }
        let Taken { requests, nudged } = taken;
        let requests = match self.reserve(&requests) {
            Ok(()) => requests,
            Err(error) if os::is_full(&error) => self.refuse(requests),
            Err(error) => return self.poison(&error),
        };
        let kept = requests.iter().filter_map(|r| r.early.as_ref());
        let kept = kept.map(|early| early.bytes).sum();
        let late = requests.iter().filter(|r| r.is_late()).count();
        let group = self.encode(requests, nudged);
        self.shared.queue.numbered(late);
        let done = self.store(&group);
        if let Err(error) = done {
            // Before the requests are dropped: that is how their callers learn to ask for the reason.
            return self.poison(&error);
        }
        self.publish(group);
        self.evict();
        let room = if self.wants_roll() {
            0
        } else {
            self.ride_room()
        };
        self.shared.queue.settle(kept, room);
        if let Err(error) = self.housekeeping() {
            self.poison(&error);
        }
    }

    /// Takes room for what has none yet, before anything is numbered: what is refused leaves no
    /// trace.
    fn reserve(&mut self, requests: &[Request]) -> std::io::Result<()> {
        let fresh = requests.iter().filter(|r| r.early.is_none());
        let bytes = fresh.map(Request::disk_bytes).sum::<u64>();
        if bytes == 0 {
            return Ok(());
        }
        let bytes = FRAME_ROOM + bytes;
        let kept = self.shared.queue.claim(bytes, self.journal.room());
        self.journal.reserve(bytes + kept)
    }

    /// Answers that there is no room. Returns the requests that have their room already.
    fn refuse(&mut self, requests: Vec<Request>) -> Vec<Request> {
        let late = requests.iter().filter(|r| r.is_late()).count();
        self.shared.queue.numbered(late);
        let (early, refused): (Vec<_>, Vec<_>) =
            requests.into_iter().partition(|r| r.early.is_some());
        metrics::counter!("gochat_log_full_total").increment(refused.len() as u64);
        for request in refused {
            request.finish(Err(disk_full()));
        }
        if let Err(error) = self.journal.release() {
            tracing::warn!(%error, "the next segment of the journal could not be deleted");
        }
        // Whoever retries at once must not keep the thread busy.
        if early.is_empty() {
            std::thread::sleep(REFUSAL_PAUSE);
        }
        early
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
    fn publish(&mut self, group: Group) {
        let durable = || group.ends.values().filter(|(p, _)| !p.visible_on_append);
        durable().for_each(|(partition, end)| partition.show(*end));
        // These are pushes and acknowledgements: their readers are woken first.
        Shared::append_memory(group.memory);
        durable().for_each(|(partition, _)| partition.wake());
        for (request, places) in group.requests {
            match request.early.is_some() {
                true => self.riding.push((request, places)),
                false => {
                    self.apply(&request);
                    request.finish(Ok(places));
                }
            }
        }
        if group.sync || !self.journal.is_strict() {
            self.answer_riders();
        }
    }

    fn answer_riders(&mut self) {
        for (request, places) in self.riding.drain(..) {
            request.finish(Ok(places));
        }
    }

    fn poison(&mut self, error: &std::io::Error) {
        tracing::error!(%error, "the journal is poisoned");
        metrics::gauge!("gochat_log_poisoned").set(1.0);
        let folder = self.shared.dir.display();
        let text = os::explain("write the journal in", folder, error);
        self.shared.fail(MqError::new(MqErrorKind::Poisoned, text));
        self.riding.clear();
    }

    fn poisoned(&self) -> bool {
        self.shared
            .check()
            .is_err_and(|error| error.kind == MqErrorKind::Poisoned)
    }

    fn encode(&mut self, requests: Vec<Request>, nudged: bool) -> Group {
        self.frames.clear();
        let mut group = Group {
            sync: nudged,
            ..Group::default()
        };
        let now = now_ms();
        for mut request in requests {
            group.sync |= request.sync && request.early.is_none();
            let records = std::mem::take(&mut request.records);
            let mut places = Vec::with_capacity(if request.want_places {
                records.len()
            } else {
                0
            });
            self.encode_records(
                records,
                now,
                request.early.as_ref(),
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
        early: Option<&Early>,
        mut places: Option<&mut Vec<Placed>>,
        group: &mut Group,
    ) {
        let now = early.map_or(now, |early| early.timestamp_ms);
        let mut offsets = early.map(|early| early.offsets.iter());
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
            let base = match &mut offsets {
                // All of the run's records were numbered together.
                Some(offsets) => {
                    *offsets.nth(run.len() - 1).expect("one per record") + 1 - run.len() as u64
                }
                None => partition.next(),
            };
            self.frames.records(partition.id, base, now, run.iter());
            let bytes = run.iter().map(Record::size).sum::<usize>();
            let end = base + run.len() as u64;
            if let Some(places) = &mut places {
                places.extend((base..end).map(|offset| Placed {
                    partition: partition.id.partition,
                    offset,
                }));
            }
            match early {
                Some(_) => run.clear(),
                None => drop(partition.append(run.drain(..), now)),
            }
            group.notes.push((partition.id, base, pos));
            self.cache.push(partition.clone(), end, bytes);
            if early.is_none() {
                group.ends.insert(partition.id, (partition, end));
            }
        }
    }

    /// What a durable request changes in memory.
    fn apply(&mut self, request: &Request) {
        for commit in &request.commits {
            commit.group.commit(commit.partition.id, commit.offset);
            if !commit.partition.is_memory() {
                self.consumed.push(commit.partition.clone());
            }
        }
        for change in &request.topics {
            match change {
                TopicChange::Put(topic) => self.shared.put_topic(topic.clone()),
                TopicChange::Delete(topic) => self.shared.remove_topic(topic),
            }
        }
    }

    /// Drops from memory what every consumer has committed, and keeps the rest within its bound.
    /// Callers have their answers by then.
    fn evict(&mut self) {
        for partition in self.consumed.drain(..) {
            if let Some(upto) = self.shared.consumed_upto(&partition) {
                self.cache.release(&partition, upto);
            }
        }
        self.cache.trim();
        self.cached.set(self.cache.live_bytes() as f64);
    }

    /// Whether a new segment should begin: the open one is full, or closing it lets its records be
    /// deleted on a disk that needs the room.
    fn wants_roll(&self) -> bool {
        let is_low = || {
            self.shared
                .config
                .disk
                .as_ref()
                .is_some_and(DiskGuard::is_low)
        };
        let wanted = self.journal.is_full() || self.journal.pos() >= EARLY_ROLL && is_low();
        wanted && self.journal.can_roll() && Instant::now() >= self.roll_after
    }

    fn housekeeping(&mut self) -> std::io::Result<()> {
        let is_early = !self.journal.is_full();
        // What rides is numbered and not written: it goes into the open segment first, so that the
        // heads are exact.
        if self.wants_roll() && self.shared.queue.hold() {
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
            self.shared.queue.settle(0, self.ride_room());
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
