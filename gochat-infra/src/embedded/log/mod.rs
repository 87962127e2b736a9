//! The embedded log: one journal on disk for all topics, with consumer groups and atomic steps.
//!
//! ```text
//! producers, consumers ──requests──▶ queue ─▶ writer thread ─▶ segment files
//!        ▲                                        │ after fdatasync
//!        └────────────── tails of partitions ◀────┘
//! ```
//!
//! * A request (the records of a `send`, or the outputs and offsets of a `transact`) is written inside one frame with
//!   a checksum, so it is there as a whole or not at all.
//! * One thread writes; one `fdatasync` serves everything that waited for it (group commit).
//!   Records of topics that are visible on append wait for the sync of what is derived from them
//!   (`queue`).
//! * A second thread makes room ahead: zeros, and the next segment (`ahead`).
//! * The newest records stay in memory, shared with readers; older ones are read back from the segments.
//! * A segment begins with a checkpoint of topics, offsets and progress, so opening reads one segment only, and
//!   segments are deleted from the oldest on once every declared consumer is past them.
//! * Room on the disk is taken before records are written: without room they are refused with
//!   [`MqErrorKind::Full`], and taken again when there is some.
//! * A failed write poisons the log: everything is refused with [`MqErrorKind::Poisoned`] until it is opened again,
//!   because after a failed sync nobody knows what the disk holds.

mod ahead;
mod codec;
mod consumer;
mod file;
mod group;
mod journal;
#[cfg(test)]
mod power_cut;
mod producer;
mod queue;
mod read;
mod recovery;
mod retention;
mod segment;
mod shared;
mod tail_cache;
#[cfg(test)]
mod tape;
#[cfg(test)]
mod tests;
mod topic;
mod writer;

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use async_trait::async_trait;
use hashbrown::HashMap;
use parking_lot::{Mutex, RwLock};

pub use journal::Fsync;

use self::ahead::Ahead;
use self::codec::FrameBuf;
use self::consumer::{LogConsumer, read_at};
use self::file::Folder;
use self::journal::{Journal, Options};
use self::producer::LogProducer;
use self::queue::TopicChange;
use self::recovery::Recovered;
use self::shared::{NewRequest, Shared};
use self::topic::Topic;
use self::writer::Writer;
use crate::embedded::disk::DiskGuard;
use crate::port::mq::{
    Consumer, ConsumerConfig, Durability, InRecord, Mq, MqError, MqErrorKind, MqResult, Producer,
    TopicPartition, TopicSpec,
};

/// How the embedded log works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// Directory of the journal; created if missing. Used by one process at a time.
    pub dir: PathBuf,
    /// Size at which a new segment begins. Default 64 MiB.
    pub segment_bytes: u64,
    /// Bound of all segments together. When consumers lag this far behind, `send` is refused with `Full`. Default 10 GiB.
    pub max_disk_bytes: u64,
    /// Newest records of disk topics kept in memory. Default 64 MiB.
    pub cache_bytes: usize,
    /// Records that may wait for the writer before senders wait. Default 32 MiB.
    pub max_queue_bytes: usize,
    /// Zeros written ahead of the end of the open segment, which makes syncing cheaper. Default 4 MiB.
    pub zero_ahead_bytes: u64,
    /// When to force bytes to the disk. Default: always before reporting success.
    pub fsync: Fsync,
    /// Refuses new records while the disk is full. Default: none, the disk's own error decides.
    pub disk: Option<DiskGuard>,
}

impl LogConfig {
    /// Defaults over a directory.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            segment_bytes: 64 << 20,
            max_disk_bytes: 10 << 30,
            cache_bytes: 64 << 20,
            max_queue_bytes: 32 << 20,
            zero_ahead_bytes: 4 << 20,
            fsync: Fsync::Always,
            disk: None,
        }
    }
}

/// The log. Dropping it serves what waits, syncs and lets the directory go.
pub struct EmbeddedLog {
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl EmbeddedLog {
    /// Opens or creates a log. Blocks while it reads the last segment.
    ///
    /// # Errors
    /// `Locked`: another process uses the directory. `Corrupt`: data that was durable is damaged. `Unavailable`: the directory can't
    /// be read or written.
    pub fn open(config: LogConfig) -> MqResult<Self> {
        Self::start(config, |_| {})
    }

    /// `prepare` sees the journal before the writer takes it.
    fn start(config: LogConfig, prepare: impl FnOnce(&mut Journal)) -> MqResult<Self> {
        let at = config.dir.clone();
        let unusable = |error| unusable(&at, error);
        std::fs::create_dir_all(&config.dir).map_err(unusable)?;
        let lock = lock(&config)?;
        let mut recovered = recovery::recover(&config.dir)?;
        if recovered.cut > 0 {
            let cut = recovered.index.segments.back();
            tracing::warn!(
                bytes = recovered.cut,
                file = %cut.map_or_else(|| config.dir.clone(), |s| segment::path(&config.dir, s.id)).display(),
                offset = cut.map_or(0, |s| s.len),
                "cut an unfinished write off the journal"
            );
        }
        let index = Arc::new(RwLock::new(std::mem::take(&mut recovered.index)));
        let dir = config.dir.clone();
        let options = Options {
            fsync: config.fsync,
            segment_bytes: config.segment_bytes,
            zero_ahead: config.zero_ahead_bytes,
        };
        let shared = Arc::new(Shared::new(
            config,
            dir.clone(),
            index.clone(),
            recovered.next_topic,
        ));
        restore(&shared, recovered);
        let folder = Folder::new(dir);
        let ahead = Ahead::start(folder.clone(), shared.config.disk.clone()).map_err(unusable)?;
        let journal = if index.read().segments.is_empty() {
            let mut frames = FrameBuf::default();
            writer::checkpoint(&shared, &HashMap::new(), &mut frames);
            Journal::create(folder, frames.bytes(), options, index, ahead)
        } else {
            Journal::resume(folder, options, index, ahead)
        };
        let mut journal = journal.map_err(unusable)?;
        prepare(&mut journal);
        let writer = Writer::new(shared.clone(), journal);
        let run = move || {
            writer.run();
            // Said aloud, because a child process that is just being started holds a copy of the handle.
            if let Err(error) = lock.unlock() {
                tracing::warn!(%error, "the directory of the log is let go with the handle only");
            }
        };
        let thread = std::thread::Builder::new()
            .name("gochat-log".into())
            .spawn(run)
            .map_err(unusable)?;
        Ok(Self {
            shared,
            writer: Mutex::new(Some(thread)),
        })
    }

    /// Refuses new work, serves what waits, syncs and releases the directory. Blocks for that long.
    pub fn close(&self) {
        self.shared
            .fail(MqError::new(MqErrorKind::Closed, "the log was closed"));
        if let Some(thread) = self.writer.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the writer thread of the log panicked");
        }
    }

    /// Why the log refuses work: closed or poisoned. For readiness.
    ///
    /// # Errors
    /// The reason.
    pub fn health(&self) -> MqResult<()> {
        self.shared.check()
    }

    /// Creates or changes one topic in the plan; `None` when it is as asked already.
    fn plan(&self, spec: &TopicSpec) -> MqResult<Option<Arc<Topic>>> {
        let Ok(existing) = self.shared.topic(&spec.name) else {
            if spec.partitions == 0 {
                return Err(invalid(format!("topic {} needs a partition", spec.name)));
            }
            let id = self.shared.next_topic.fetch_add(1, Ordering::AcqRel);
            return Ok(Some(Arc::new(Topic::new(id, spec.clone()))));
        };
        let disk = spec.durability == Durability::Disk;
        if existing.spec.partitions != spec.partitions || existing.is_disk() != disk {
            return Err(invalid(format!(
                "topic {} exists in another shape",
                spec.name
            )));
        }
        let mut merged = existing.spec.clone();
        merged.retention = spec.retention;
        for group in &spec.consumers {
            if !merged.consumers.contains(group) {
                merged.consumers.push(group.clone());
            }
        }
        Ok((merged != existing.spec).then(|| Arc::new(existing.with_spec(merged))))
    }

    async fn change_topics(&self, topics: Vec<TopicChange>) -> MqResult<()> {
        let mut request = NewRequest::records(Vec::new());
        request.topics = topics;
        self.shared.submit(request).await.map(drop)
    }
}

#[async_trait]
impl Mq for EmbeddedLog {
    async fn ensure_topics(&self, specs: &[TopicSpec]) -> MqResult<()> {
        self.shared.check()?;
        let _one_at_a_time = self.shared.admin.lock().await;
        let mut disk = Vec::new();
        for spec in specs {
            match self.plan(spec)? {
                Some(topic) if topic.is_disk() => disk.push(TopicChange::Put(topic)),
                Some(topic) => self.shared.put_topic(topic),
                None => {}
            }
        }
        if disk.is_empty() {
            Ok(())
        } else {
            self.change_topics(disk).await
        }
    }

    async fn delete_topic(&self, topic: &str) -> MqResult<()> {
        self.shared.check()?;
        let _one_at_a_time = self.shared.admin.lock().await;
        let Ok(topic) = self.shared.topic(topic) else {
            return Ok(());
        };
        if topic.is_disk() {
            return self.change_topics(vec![TopicChange::Delete(topic)]).await;
        }
        self.shared.remove_topic(&topic);
        Ok(())
    }

    async fn topics(&self, prefix: &str) -> MqResult<Vec<Arc<str>>> {
        self.shared.check()?;
        let topics = self.shared.topics.read();
        let mut names: Vec<_> = topics
            .keys()
            .filter(|name| name.starts_with(prefix))
            .cloned()
            .collect();
        names.sort_unstable();
        Ok(names)
    }

    fn partitions(&self, topic: &str) -> MqResult<u32> {
        self.shared.topic(topic).map(|topic| topic.spec.partitions)
    }

    fn producer(&self) -> Arc<dyn Producer> {
        Arc::new(LogProducer {
            shared: self.shared.clone(),
        })
    }

    async fn consumer(&self, config: ConsumerConfig) -> MqResult<Box<dyn Consumer>> {
        self.shared.check()?;
        Ok(Box::new(LogConsumer::new(self.shared.clone(), config)?))
    }

    async fn committed(&self, group: &str, tp: &TopicPartition) -> MqResult<Option<u64>> {
        let partition = self.shared.partition(tp)?;
        let group = self.shared.groups.read().get(group).cloned();
        Ok(group.and_then(|group| group.committed(partition.id)))
    }

    async fn wait_committed(&self, group: &str, tp: &TopicPartition, offset: u64) -> MqResult<()> {
        let partition = self.shared.partition(tp)?;
        let group = self.shared.group(&Arc::from(group));
        let mut changes = group.changes();
        loop {
            changes.borrow_and_update();
            if group.committed(partition.id).is_some_and(|at| at >= offset) {
                return Ok(());
            }
            self.shared.check()?;
            if partition.is_deleted() {
                return Err(MqError::unknown_topic(&tp.to_string()));
            }
            if changes.changed().await.is_err() {
                return Err(MqError::new(MqErrorKind::Closed, "the log was closed"));
            }
        }
    }

    async fn read(&self, tp: &TopicPartition, from: u64, max: usize) -> MqResult<Vec<InRecord>> {
        const MAX_READ_BYTES: usize = 8 << 20;
        let partition = self.shared.partition(tp)?;
        read_at(&self.shared, &partition, from, max, MAX_READ_BYTES, None)
            .await
            .map(|read| read.records)
    }

    async fn end_offset(&self, tp: &TopicPartition) -> MqResult<u64> {
        self.shared
            .partition(tp)
            .map(|partition| partition.bounds().1)
    }
}

impl Drop for EmbeddedLog {
    fn drop(&mut self) {
        self.close();
    }
}

impl std::fmt::Debug for EmbeddedLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddedLog")
            .field("dir", &self.shared.dir)
            .finish_non_exhaustive()
    }
}

/// Brings topics, offsets and progress back.
fn restore(shared: &Shared, recovered: Recovered) {
    let index = shared.index.read();
    let starts = index.segments.front().map(|oldest| &oldest.heads);
    for (id, spec) in recovered.topics {
        let topic = Topic::new(id, spec);
        for partition in &topic.partitions {
            let start = starts
                .and_then(|heads| heads.get(&partition.id))
                .copied()
                .unwrap_or(0);
            partition.restore(
                start,
                recovered.ends.get(&partition.id).copied().unwrap_or(0),
            );
        }
        shared.put_topic(Arc::new(topic));
    }
    for ((group, id), offset) in recovered.committed {
        shared.group(&group).commit(id, offset);
    }
    shared
        .disk_bytes
        .store(index.disk_bytes(), Ordering::Relaxed);
}

/// Takes the directory for this process; released when the file is dropped, also by SIGKILL.
fn lock(config: &LogConfig) -> MqResult<File> {
    let path = config.dir.join("lock");
    let file = File::create(&path).map_err(|error| unusable(&path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => {
            let text = format!("another process uses {}", config.dir.display());
            Err(MqError::new(MqErrorKind::Locked, text))
        }
        Err(std::fs::TryLockError::Error(error)) => Err(unusable(&path, error)),
    }
}

fn unusable(path: &std::path::Path, error: std::io::Error) -> MqError {
    let text = crate::os::explain("use the log in", path.display(), &error);
    MqError::new(MqErrorKind::Unavailable, text)
}

fn invalid(text: String) -> MqError {
    MqError::new(MqErrorKind::Invalid, text)
}
