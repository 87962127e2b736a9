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
//! * **The end.** [`Mq::end_offset`] lies beyond every record whose write was answered `Ok`, visible already or not, and
//!   [`Mq::read`] answers "nothing more" only when it has got past all of those. Kafka makes the records of a
//!   transaction visible a moment *after* it answered that it is committed; whoever takes over from the writer of
//!   such records must not miss them. As the end may lie beyond the last record (a marker), "a group has
//!   everything" is: its committed offset is at the end, or reading from there is empty.
//! * **Delivery.** A group resumes at its committed offset. With [`Consumer::commit`] that is at-least-once; with
//!   [`Consumer::transact`] exactly-once as far as the outputs and the offsets go.
//! * **Errors.** `Err` from a write means: not visible now. It may still become durable when the failure hit the
//!   acknowledgement, which is why consumers resume from the *committed* offset after a failed `transact`, and why
//!   senders must be idempotent above this port. [`MqError::is_retryable`] says whether the same call can work later.
//! * **Cancel safety.** Every future may be dropped. A dropped `send`, `commit` or `transact` may or may not take
//!   effect (all of it or none); a dropped `poll` loses nothing.

mod config;
mod consume;
mod error;
mod record;
mod topic;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

pub use config::{ConsumerConfig, Start};
pub use consume::{passed, rewind, tail};
pub use error::{MqError, MqErrorKind, MqResult};
pub use record::{
    Batch, Headers, InRecord, MAX_RECORD_BYTES, OutRecord, Placed, Poll, Progress, Record,
};
pub use topic::{Durability, TopicPartition, TopicSpec, VisibleOn};

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

    /// Names of the topics that begin with `prefix`, in order; `_`-topics of the log itself are left out.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn topics(&self, prefix: &str) -> MqResult<Vec<Arc<str>>>;

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

    /// The group's committed offset (next to read); `None` when it never committed. Waits for steps that are being
    /// committed, so that the answer is not older than the last `Ok`.
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
    /// than there are. Empty = there is nothing up to the end as it was when the call was made, including what was
    /// acknowledged but not visible then: the call waits for that.
    ///
    /// # Errors
    /// `UnknownTopic`, `Corrupt`. `Unavailable`, also when a write that began before the call (of a process that was
    /// killed, say) stays undecided for long: hold back and retry.
    async fn read(&self, tp: &TopicPartition, from: u64, max: usize) -> MqResult<Vec<InRecord>>;

    /// Offset the next accepted record will have or exceed; beyond every acknowledged one.
    ///
    /// # Errors
    /// `UnknownTopic`, `Unavailable`.
    async fn end_offset(&self, tp: &TopicPartition) -> MqResult<u64>;
}
