//! Topics and partitions.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

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
    /// Lives in RAM. Records that every consumer without a group was handed may be dropped; the
    /// oldest records of a partition are dropped beyond this many bytes, handed out or not. A
    /// consumer that fell behind sees it in [`Batch::skipped`](super::Batch::skipped). (The Kafka
    /// adapter maps this to a topic with a short retention.)
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
    /// every consumer acts through [`Consumer::transact`](super::Consumer::transact): what the consumer derived lies behind the record in the
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
