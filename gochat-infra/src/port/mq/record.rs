//! Records on their way in and out.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

use super::TopicPartition;

/// Largest key + value + headers of one record, as in the Kafka contract.
pub const MAX_RECORD_BYTES: usize = 1 << 20;

/// Record headers: none, or a shared list. Cloning never copies the list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers(Option<Arc<HeaderList>>);

type HeaderList = Vec<(Cow<'static, str>, Bytes)>;

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

/// What one [`Consumer::poll`](super::Consumer::poll) brought. Handle in this order: `revoked`, `assigned`, `batches`.
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
