//! The log port: partitioned, ordered, durable records with consumer groups and an atomic
//! consume-process-produce step.
//!
//! # Contract
//!
//! * **Order.** Records of one partition have offsets 0, 1, 2 … in the order they were accepted, and every
//!   reader sees them in that order. Two calls to [`Producer::send`] where the second began after the first
//!   resolved are in that order; between partitions there is no order. Offsets may have gaps (Kafka's
//!   transaction markers take one), so never compute a count from a difference.
//! * **Partition of a key.** `gochat_core::partition` (murmur2, as Kafka clients do), so every adapter agrees.
//! * **Durability.** A record of a [`Durability::Disk`] topic survives SIGKILL and power loss from the moment the
//!   call that wrote it resolved with `Ok`. A record of a [`Durability::Memory`] topic lives in a bounded
//!   buffer for as long as the process; its loss must be repaired by the protocol above.
//! * **Visibility.** Readers see committed records only: what [`Consumer::transact`] wrote appears as a whole or
//!   never. A record is visible when it is durable, except on topics with [`VisibleOn::Append`].
//! * **Delivery.** A group resumes at its committed offset. With [`Consumer::commit`] that is at-least-once; with
//!   [`Consumer::transact`] exactly-once as far as the outputs and the offsets go.
//! * **Errors.** `Err` from a write means: not visible now. It may still become durable when the failure hit the
//!   acknowledgement, which is why consumers resume from the *committed* offset after a failed `transact`, and why
//!   senders must be idempotent above this port. [`MqError::is_retryable`] says whether the same call can work later.
//! * **Cancel safety.** Every future may be dropped. A dropped `send`, `commit` or `transact` may or may not take
//!   effect (all of it or none); a dropped `poll` loses nothing.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

/// Largest key + value + headers of one record, as in the Kafka contract.
pub const MAX_RECORD_BYTES: usize = 1 << 20;

/// Result of this port.
pub type MqResult<T> = Result<T, MqError>;

/// One partition of one topic. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    /// Topic name.
    pub topic: Arc<str>,
    /// Partition number, from 0.
    pub partition: u32,
}

impl TopicPartition {
    /// Names a partition.
    pub fn new(topic: impl Into<Arc<str>>, partition: u32) -> Self {
        Self {
            topic: topic.into(),
            partition,
        }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.partition)
    }
}

/// Where records live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Survives the process and the machine's power.
    Disk,
    /// Lives in RAM; the oldest records of a partition are dropped beyond this many bytes. A consumer that fell
    /// behind sees it in [`Batch::skipped`]. (The Kafka adapter maps this to a topic with a short retention.)
    Memory {
        /// Bound per partition, in bytes of keys, values and headers.
        max_partition_bytes: usize,
    },
}

/// When a record of a disk topic is delivered to consumers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum VisibleOn {
    /// Only once it is durable.
    #[default]
    Durable,
    /// As soon as it has its place in the log; the sender's `send` still waits for durability. Only for topics whose
    /// every consumer acts through [`Consumer::transact`]: what the consumer derived lies behind the record in the
    /// same journal, so it can't become durable or visible without it. Adapters may ignore this (Kafka does).
    Append,
}

/// What a topic looks like. Made with [`TopicSpec::disk`] or [`TopicSpec::memory`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSpec {
    /// Name, unique in the log.
    pub name: Arc<str>,
    /// Number of partitions, at least 1. Never changes once the topic exists.
    pub partitions: u32,
    /// Disk or memory.
    pub durability: Durability,
    /// When consumers see records.
    pub visible_on: VisibleOn,
    /// Groups whose consumption releases the records: nothing that one of them has not committed is ever deleted,
    /// also when that group has not started yet.
    pub consumers: Vec<Arc<str>>,
    /// How long records of a disk topic *without* [`consumers`](Self::consumers) are kept at least.
    pub retention: Duration,
}

impl TopicSpec {
    /// A disk topic. Default: visible when durable, no declared consumers, kept 7 days.
    pub fn disk(name: impl Into<Arc<str>>, partitions: u32) -> Self {
        Self {
            name: name.into(),
            partitions,
            durability: Durability::Disk,
            visible_on: VisibleOn::Durable,
            consumers: Vec::new(),
            retention: Duration::from_secs(7 * 86_400),
        }
    }

    /// A memory topic bounded to 16 MiB per partition.
    pub fn memory(name: impl Into<Arc<str>>, partitions: u32) -> Self {
        let durability = Durability::Memory {
            max_partition_bytes: 16 << 20,
        };
        Self {
            durability,
            ..Self::disk(name, partitions)
        }
    }

    /// Declares a group whose progress holds records back from deletion.
    #[must_use]
    pub fn consumed_by(mut self, group: impl Into<Arc<str>>) -> Self {
        self.consumers.push(group.into());
        self
    }

    /// Sets when records become visible.
    #[must_use]
    pub fn visible_on(mut self, visible_on: VisibleOn) -> Self {
        self.visible_on = visible_on;
        self
    }

    /// Sets how long records without declared consumers are kept.
    #[must_use]
    pub fn retention(mut self, retention: Duration) -> Self {
        self.retention = retention;
        self
    }

    /// Turns the topic into a memory topic with this bound per partition.
    #[must_use]
    pub fn max_partition_bytes(mut self, max_partition_bytes: usize) -> Self {
        self.durability = Durability::Memory {
            max_partition_bytes,
        };
        self
    }
}

/// Record headers: none, or a shared list. Cloning never copies the list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers(Option<Arc<Vec<(Cow<'static, str>, Bytes)>>>);

impl Headers {
    /// No headers; allocates nothing.
    pub const fn none() -> Self {
        Self(None)
    }

    /// All headers in the order they were added.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Bytes)> {
        self.0
            .iter()
            .flat_map(|list| list.iter().map(|(name, value)| (name.as_ref(), value)))
    }

    /// The value of the first header with this name.
    pub fn find(&self, name: &str) -> Option<&Bytes> {
        self.iter()
            .find_map(|(n, value)| (n == name).then_some(value))
    }

    /// Number of headers.
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |list| list.len())
    }

    /// Whether there is no header.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a header (copies a list that is shared).
    #[must_use]
    pub fn with(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<Bytes>) -> Self {
        let list = self.0.get_or_insert_default();
        Arc::make_mut(list).push((name.into(), value.into()));
        self
    }

    /// Bytes of all names and values.
    pub fn size(&self) -> usize {
        self.iter()
            .map(|(name, value)| name.len() + value.len())
            .sum()
    }
}

/// What a record carries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// Decides the partition unless one is given. Empty: any partition.
    pub key: Bytes,
    /// The payload.
    pub value: Bytes,
    /// Metadata.
    pub headers: Headers,
}

impl Record {
    /// A record without headers.
    pub fn new(key: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        Self {
            key: key.into(),
            value: value.into(),
            headers: Headers::none(),
        }
    }

    /// Bytes of key, value and headers, as counted against [`MAX_RECORD_BYTES`] and memory bounds.
    pub fn size(&self) -> usize {
        self.key.len() + self.value.len() + self.headers.size()
    }
}

/// A record on its way into the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutRecord {
    /// Topic.
    pub topic: Arc<str>,
    /// Partition; `None` = by key.
    pub partition: Option<u32>,
    /// Content.
    pub record: Record,
}

impl OutRecord {
    /// A record without headers, partitioned by key.
    pub fn new(topic: impl Into<Arc<str>>, key: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        Self {
            topic: topic.into(),
            partition: None,
            record: Record::new(key, value),
        }
    }

    /// Fixes the partition.
    #[must_use]
    pub fn to_partition(mut self, partition: u32) -> Self {
        self.partition = Some(partition);
        self
    }

    /// Replaces the headers.
    #[must_use]
    pub fn with_headers(mut self, headers: Headers) -> Self {
        self.record.headers = headers;
        self
    }
}

/// A record read from the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InRecord {
    /// Place in the partition.
    pub offset: u64,
    /// Unix milliseconds when the log accepted it.
    pub timestamp_ms: i64,
    /// Content, shared with the log's memory (no copy).
    pub record: Record,
}

/// Where a sent record ended up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// Partition of the record's topic.
    pub partition: u32,
    /// Offset in that partition.
    pub offset: u64,
}

/// "The group has finished everything of this partition before `offset`", that is last handled + 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Partition.
    pub tp: TopicPartition,
    /// Next offset to read.
    pub offset: u64,
}

/// Records of one partition, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Partition they come from.
    pub tp: TopicPartition,
    /// Never empty unless `skipped > 0`.
    pub records: Vec<InRecord>,
    /// Records this consumer missed just before these because a bounded topic dropped them.
    pub skipped: u64,
}

impl Batch {
    /// What to commit when all of this batch is done; `None` for an empty batch.
    pub fn progress(&self) -> Option<Progress> {
        self.records.last().map(|last| Progress {
            tp: self.tp.clone(),
            offset: last.offset + 1,
        })
    }
}

/// What one [`Consumer::poll`] brought. Handle in this order: `revoked`, `assigned`, `batches`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Poll {
    /// Partitions this consumer no longer owns: drop their state, commit nothing more for them.
    pub revoked: Vec<TopicPartition>,
    /// Partitions that are newly owned, with the offset reading starts at.
    pub assigned: Vec<Progress>,
    /// Records, at most one batch per partition.
    pub batches: Vec<Batch>,
}

impl Poll {
    /// Number of records in all batches.
    pub fn len(&self) -> usize {
        self.batches.iter().map(|batch| batch.records.len()).sum()
    }

    /// Whether the wait ended with nothing at all.
    pub fn is_empty(&self) -> bool {
        self.revoked.is_empty() && self.assigned.is_empty() && self.batches.is_empty()
    }
}

/// Where a group starts on a partition it has never committed, and a consumer without a group always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start {
    /// At the first record that is kept.
    #[default]
    Earliest,
    /// After the last record there is at assignment.
    Latest,
}

/// How to consume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerConfig {
    /// Group that shares the partitions and remembers offsets. `None`: read all partitions alone, commit nothing.
    pub group: Option<Arc<str>>,
    /// Topics, which must exist.
    pub topics: Vec<Arc<str>>,
    /// Start without a committed offset.
    pub start: Start,
    /// Transactional id (unique per live consumer, stable across restarts of it). Needed for [`Consumer::transact`].
    pub transactional: Option<Arc<str>>,
    /// A member that does not poll for this long loses its partitions (and is fenced if it comes back).
    pub max_poll_interval: Duration,
    /// Upper bound of one poll in bytes (at least one record is always returned).
    pub max_poll_bytes: usize,
}

impl ConsumerConfig {
    /// Member of a group, starting at the earliest record, 30 s between polls, 8 MiB per poll.
    pub fn group<T: Into<Arc<str>>>(
        group: impl Into<Arc<str>>,
        topics: impl IntoIterator<Item = T>,
    ) -> Self {
        Self {
            group: Some(group.into()),
            topics: topics.into_iter().map(Into::into).collect(),
            start: Start::Earliest,
            transactional: None,
            max_poll_interval: Duration::from_secs(30),
            max_poll_bytes: 8 << 20,
        }
    }

    /// A consumer of its own that reads every partition from the end.
    pub fn tail<T: Into<Arc<str>>>(topics: impl IntoIterator<Item = T>) -> Self {
        Self {
            group: None,
            start: Start::Latest,
            ..Self::group("", topics)
        }
    }

    /// Sets the start position.
    #[must_use]
    pub fn start(mut self, start: Start) -> Self {
        self.start = start;
        self
    }

    /// Makes [`Consumer::transact`] possible under this id.
    #[must_use]
    pub fn transactional(mut self, id: impl Into<Arc<str>>) -> Self {
        self.transactional = Some(id.into());
        self
    }

    /// Sets the longest time between two polls.
    #[must_use]
    pub fn max_poll_interval(mut self, interval: Duration) -> Self {
        self.max_poll_interval = interval;
        self
    }
}

/// Writes records.
#[async_trait]
pub trait Producer: Send + Sync {
    /// Appends records; resolves with one place per record, in order, once all of them are durable (memory topics:
    /// visible). Takes its place in the order when first polled. Records of one call are not atomic for readers.
    ///
    /// # Errors
    /// `Unavailable`, `Full`: retry with back-off. `UnknownTopic`, `TooLarge`, `Invalid`: nothing was written; this
    /// call can never work. `Closed`, `Poisoned`: the log must be opened again.
    async fn send(&self, records: Vec<OutRecord>) -> MqResult<Vec<Placed>>;
}

/// Reads records. One consumer is driven by one task; drop or [`close`](Consumer::close) leaves the group.
#[async_trait]
pub trait Consumer: Send {
    /// Returns as soon as there are records or a change of assignment, at the latest after `wait`.
    ///
    /// `max` bounds the records; `max = 0` brings assignment changes only, which is how a consumer that has to hold
    /// back (a dependency is away) stays in its group. Calling `poll` says that everything handed out before is
    /// committed or given up: a partition that has to move to another member moves now.
    /// Cancel-safe: a dropped call hands nothing out.
    ///
    /// # Errors
    /// `Unavailable`: retry. `UnknownTopic`: a topic was deleted. `Closed`, `Corrupt`, `Poisoned`: give up.
    async fn poll(&mut self, max: usize, wait: Duration) -> MqResult<Poll>;

    /// Remembers how far the group is. Survives SIGKILL once resolved; a power cut may undo the last
    /// commits (at-least-once). Offsets only matter per partition; several per call are allowed.
    ///
    /// # Errors
    /// `Fenced`: a named partition is not owned any more, nothing was committed; poll again and drop its state.
    /// `Unavailable`, `Full`: retry. `Invalid`: the consumer has no group.
    async fn commit(&mut self, offsets: Vec<Progress>) -> MqResult<()>;

    /// Writes outputs and offsets in one atomic step: after `Ok` all of it is durable and visible; after `Err` or a
    /// crash all of it or nothing. Needs [`ConsumerConfig::transactional`].
    ///
    /// After any `Err` the named partitions are rewound: the next `poll` hands out records from the *committed*
    /// offset again, so the caller drops what it derived. (If the failed step did take effect after all, the committed
    /// offset says so.)
    ///
    /// # Errors
    /// As [`commit`](Consumer::commit) and [`Producer::send`].
    async fn transact(&mut self, outputs: Vec<OutRecord>, offsets: Vec<Progress>) -> MqResult<()>;

    /// Moves the read position of owned partitions (not the committed offset), e.g. back to retry.
    ///
    /// # Errors
    /// `Fenced`: a partition is not owned.
    fn seek(&mut self, positions: &[Progress]) -> MqResult<()>;

    /// Leaves the group at once so that others take over without waiting. Drop does the same, best effort.
    ///
    /// # Errors
    /// `Unavailable` when the others could not be told.
    async fn close(self: Box<Self>) -> MqResult<()>;
}

/// The log.
#[async_trait]
pub trait Mq: Send + Sync + 'static {
    /// Creates the topics that don't exist and adds declared consumers to those that do. Idempotent.
    /// When it resolves, disk topics survive a restart.
    ///
    /// # Errors
    /// `Invalid`: a topic exists with another partition count or durability, or a spec has no partitions.
    async fn ensure_topics(&self, specs: &[TopicSpec]) -> MqResult<()>;

    /// Deletes a topic, its records and its offsets. Deleting an unknown topic is not an error.
    async fn delete_topic(&self, topic: &str) -> MqResult<()>;

    /// Partition count of a topic, answered from memory.
    ///
    /// # Errors
    /// `UnknownTopic`.
    fn partitions(&self, topic: &str) -> MqResult<u32>;

    /// A handle to write with; cheap, shareable between tasks.
    fn producer(&self) -> Arc<dyn Producer>;

    /// Joins a group (or reads alone). Partitions arrive with the first polls.
    ///
    /// # Errors
    /// `UnknownTopic`, `Unavailable`, `Closed`.
    async fn consumer(&self, config: ConsumerConfig) -> MqResult<Box<dyn Consumer>>;

    /// The group's committed offset (next to read); `None` when it never committed.
    ///
    /// # Errors
    /// `UnknownTopic`, `Unavailable`.
    async fn committed(&self, group: &str, tp: &TopicPartition) -> MqResult<Option<u64>>;

    /// Resolves when the group's committed offset is `offset` or more. Waits for ever: put a deadline around it.
    ///
    /// # Errors
    /// `UnknownTopic` (also when the topic is deleted meanwhile), `Closed`.
    async fn wait_committed(&self, group: &str, tp: &TopicPartition, offset: u64) -> MqResult<()>;

    /// Visible records from `from` on (or from the first kept one if that is later), at most `max`, possibly fewer
    /// than there are. Empty = `from` is at the end.
    ///
    /// # Errors
    /// `UnknownTopic`, `Unavailable`, `Corrupt`.
    async fn read(&self, tp: &TopicPartition, from: u64, max: usize) -> MqResult<Vec<InRecord>>;

    /// Offset the next visible record will have or exceed.
    ///
    /// # Errors
    /// `UnknownTopic`, `Unavailable`.
    async fn end_offset(&self, tp: &TopicPartition) -> MqResult<u64>;
}

/// What went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MqErrorKind {
    /// The log can't be reached or is overloaded right now.
    Unavailable,
    /// The bound of the disk is reached until consumers catch up.
    Full,
    /// The caller is not the owner of a partition any more.
    Fenced,
    /// A record is larger than [`MAX_RECORD_BYTES`].
    TooLarge,
    /// There is no such topic or partition.
    UnknownTopic,
    /// The log was closed.
    Closed,
    /// Stored data that was reported durable can't be read back.
    Corrupt,
    /// A write to disk failed; the log refuses everything until it is opened again.
    Poisoned,
    /// Another process uses the directory.
    Locked,
    /// The call makes no sense in this state (a bug of the caller).
    Invalid,
}

impl MqErrorKind {
    /// Stable name for logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::Full => "full",
            Self::Fenced => "fenced",
            Self::TooLarge => "too_large",
            Self::UnknownTopic => "unknown_topic",
            Self::Closed => "closed",
            Self::Corrupt => "corrupt",
            Self::Poisoned => "poisoned",
            Self::Locked => "locked",
            Self::Invalid => "invalid",
        }
    }
}

/// Error of this port.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("log {}: {message}", kind.as_str())]
pub struct MqError {
    /// What to decide on.
    pub kind: MqErrorKind,
    /// What to read.
    pub message: Cow<'static, str>,
}

impl MqError {
    /// Makes an error.
    pub fn new(kind: MqErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    /// There is no topic of this name.
    pub fn unknown_topic(topic: &str) -> Self {
        Self::new(
            MqErrorKind::UnknownTopic,
            format!("there is no topic or partition {topic}"),
        )
    }

    /// Whether the same call can work later without anybody changing it.
    pub const fn is_retryable(&self) -> bool {
        matches!(self.kind, MqErrorKind::Unavailable | MqErrorKind::Full)
    }
}

impl From<MqError> for gochat_core::error::Error {
    fn from(error: MqError) -> Self {
        use gochat_core::error::ErrorCode;
        match error.kind {
            MqErrorKind::TooLarge => ErrorCode::MessageTooLarge.into(),
            MqErrorKind::Unavailable
            | MqErrorKind::Full
            | MqErrorKind::Fenced
            | MqErrorKind::Closed
            | MqErrorKind::Poisoned => ErrorCode::ServiceUnavailable.into(),
            _ => ErrorCode::Internal.into(),
        }
    }
}
