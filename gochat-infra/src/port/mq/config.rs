//! How to consume.

use std::sync::Arc;
use std::time::Duration;

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
    /// Transactional id (unique per live consumer, stable across restarts of it). Needed for [`Consumer::transact`](super::Consumer::transact).
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

    /// Makes [`Consumer::transact`](super::Consumer::transact) possible under this id.
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
