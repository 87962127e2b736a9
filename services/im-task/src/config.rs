//! Settings of im-task, with their defaults.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Configuration of im-task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Name of this instance, unique among those that live. Default `im-task-1`.
    pub instance_id: String,
    /// Deadline of a call to im-repo or a gateway in milliseconds. Default 5000.
    pub call_timeout_ms: u64,
    /// First and longest pause before failed work is tried again, in milliseconds. Default 100 and 5000.
    pub retry_first_ms: u64,
    /// See [`retry_first_ms`](Self::retry_first_ms).
    pub retry_max_ms: u64,
    /// The database writer.
    pub persist: Persist,
    /// Fan-out of large groups.
    pub fanout: Fanout,
    /// Reactions to events.
    pub events: Events,
    /// Clean-up.
    pub cleanup: Cleanup,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            instance_id: "im-task-1".to_owned(),
            call_timeout_ms: 5_000,
            retry_first_ms: 100,
            retry_max_ms: 5_000,
            persist: Persist::default(),
            fanout: Fanout::default(),
            events: Events::default(),
            cleanup: Cleanup::default(),
        }
    }
}

impl Config {
    pub(crate) fn call_timeout(&self) -> Duration {
        Duration::from_millis(self.call_timeout_ms)
    }
}

/// The database writer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Persist {
    /// Members of the group in this process. Default 1: what waits while one batch is written makes the next.
    pub workers: usize,
    /// Most messages of one `BatchSaveMessages`; at most 1000. Default 500.
    pub batch: usize,
    /// Minimum time from the beginning of one batch to the beginning of the next one that isn't
    /// full, in milliseconds. A message that comes after a longer rest is written at once, and so
    /// are all that wait when a reader waits for a row. Default 25: at most some 40 commits a
    /// second are made while no reader waits.
    pub pace_ms: u64,
    /// Additional time a batch that isn't full waits for more messages, in milliseconds. Default 0.
    /// A larger value makes fewer, larger commits, and all reads of what was just acknowledged wait
    /// for it.
    pub linger_ms: u64,
    /// Recipients that still wait to be looked up again because presence is away; beyond it the oldest are left to their next
    /// synchronisation. Default 10000 messages.
    pub recheck_backlog: usize,
}

impl Default for Persist {
    fn default() -> Self {
        Self {
            workers: 1,
            batch: 500,
            pace_ms: 25,
            linger_ms: 0,
            recheck_backlog: 10_000,
        }
    }
}

/// Fan-out of large groups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Fanout {
    /// Members of the group in this process. Default 2.
    pub workers: usize,
    /// Tasks handled in one step. Default 64.
    pub tasks: usize,
    /// Members per page when the task names no other; at most 1000. Default 1000.
    pub page: u32,
    /// How long to wait for the row of a message before it is delivered without, in milliseconds. Default 1000.
    pub row_wait_ms: u64,
}

impl Default for Fanout {
    fn default() -> Self {
        Self {
            workers: 2,
            tasks: 64,
            page: 1_000,
            row_wait_ms: 1_000,
        }
    }
}

/// Reactions to events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Events {
    /// Members of the group in this process. Default 1.
    pub workers: usize,
    /// Events handled in one step. Default 200.
    pub batch: usize,
    /// Event ids remembered to drop repeats. Default 20000.
    pub remembered: usize,
    /// Members looked up at once, at most 1000; groups with more are told by records instead of calls. Default 1000.
    pub members_page: u32,
    /// Groups with more members don't hear who read what. Default 500.
    pub receipt_members_max: i32,
    /// Authors told about one read receipt in a group. Default 200.
    pub receipt_authors_max: i32,
}

impl Default for Events {
    fn default() -> Self {
        Self {
            workers: 1,
            batch: 200,
            remembered: 20_000,
            members_page: 1_000,
            receipt_members_max: 500,
            receipt_authors_max: 200,
        }
    }
}

/// Clean-up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cleanup {
    /// Pause between searches for dead sessions in seconds. Default 60.
    pub sessions_every_s: u64,
    /// A session without a sign of life for this many seconds is dead. Default 90. More than the gateways'
    /// `presence.heartbeat_s`: else sessions that live are removed, and registered again, all the time.
    pub session_silence_s: i64,
    /// Pause between searches for old guests in seconds. Default 3600.
    pub guests_every_s: u64,
    /// Guests not seen for this many days are deleted. Default 30.
    pub guest_days: i64,
    /// Pause between searches for old audit records in seconds. Default 3600.
    pub audit_every_s: u64,
    /// Audit records older than this many days are deleted. Default 90.
    pub audit_days: i64,
    /// Rows per call. Default 500.
    pub batch: i32,
    /// Pause between searches for topics of gateways that are gone, in seconds. Default 600.
    pub topics_every_s: u64,
    /// Such a topic is deleted when its instance id was free for this many seconds. Default 86400.
    pub topic_free_s: i64,
}

impl Default for Cleanup {
    fn default() -> Self {
        Self {
            sessions_every_s: 60,
            session_silence_s: 90,
            guests_every_s: 3_600,
            guest_days: 30,
            audit_every_s: 3_600,
            audit_days: 90,
            batch: 500,
            topics_every_s: 600,
            topic_free_s: 86_400,
        }
    }
}
