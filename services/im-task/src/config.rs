//! Settings of im-task, with their defaults.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Configuration of one instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// The database writer.
    pub persist: Persist,
    /// Fan-out of large groups.
    pub fanout: Fanout,
    /// Reactions to events.
    pub events: Events,
    /// Clean-up jobs.
    pub cleanup: Cleanup,
    /// Longest wait for one answer of another service, in milliseconds. Default 10,000.
    pub rpc_timeout_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            persist: Persist::default(),
            fanout: Fanout::default(),
            events: Events::default(),
            cleanup: Cleanup::default(),
            rpc_timeout_ms: 10_000,
        }
    }
}

impl Config {
    /// [`Self::rpc_timeout_ms`] as a duration.
    pub fn rpc_timeout(&self) -> Duration {
        Duration::from_millis(self.rpc_timeout_ms)
    }
}

/// The database writer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Persist {
    /// Consumers of the topic in this process. Default 1: the embedded database has one writer.
    pub workers: usize,
    /// Most messages in one write, at most 1,000. Default 1,000.
    pub batch: usize,
}

impl Default for Persist {
    fn default() -> Self {
        Self { workers: 1, batch: 1_000 }
    }
}

/// Fan-out of large groups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Fanout {
    /// Consumers of the topic in this process. Default 1.
    pub workers: usize,
    /// Members per page, at most 1,000. Default 1,000.
    pub page: i32,
    /// How long a task waits for the message's row before it delivers anyway, in milliseconds. Default 1,000.
    pub row_wait_ms: u64,
}

impl Default for Fanout {
    fn default() -> Self {
        Self { workers: 1, page: 1_000, row_wait_ms: 1_000 }
    }
}

/// Reactions to events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Events {
    /// Consumers of the topics in this process. Default 1.
    pub workers: usize,
    /// Events taken at once. Default 256.
    pub batch: usize,
    /// Event ids remembered to skip repeats. Default 65,536.
    pub remembered: usize,
    /// Groups above this size get no read receipts. Default 500.
    pub receipts_max_members: i32,
}

impl Default for Events {
    fn default() -> Self {
        Self { workers: 1, batch: 256, remembered: 65_536, receipts_max_members: 500 }
    }
}

/// Clean-up jobs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cleanup {
    /// Seconds between two runs. Default 60.
    pub interval_s: u64,
    /// Sessions without a sign of life for this many seconds are cleaned. Default 90, above the 60 s
    /// between two heartbeats of a gateway.
    pub presence_after_s: u64,
    /// Records per call. Default 500.
    pub batch: i32,
    /// Guests without activity for this many days are removed. Default 30.
    pub guest_days: u64,
}

impl Default for Cleanup {
    fn default() -> Self {
        Self { interval_s: 60, presence_after_s: 90, batch: 500, guest_days: 30 }
    }
}
