//! Settings of im-repo, with their defaults.

use std::time::Duration;

use gochat_infra::cached::Keep;
use serde::{Deserialize, Serialize};

/// Configuration of im-repo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Apply waiting schema migrations at start. Default true.
    pub migrate: bool,
    /// How long copies live in the cache.
    pub cache: CacheTimes,
    /// Checking of passwords.
    pub password: Password,
    /// Sessions a user may have when the caller names no limit. Default 5.
    pub sessions_per_user: u32,
    /// Longest life of an access token in milliseconds: so long the end of a session is remembered
    /// when the caller names no time. Default 15 min.
    pub access_token_ms: u64,
    /// Days for which nobody else gets the name of a deleted account. Default 30.
    pub name_hold_days: u64,
    /// Pause between clean-ups of expired sessions and held names, in milliseconds. Default 10 min.
    pub purge_interval_ms: u64,
    /// Largest request in bytes. Default 16 MiB.
    pub max_request_bytes: usize,
    /// Reads that wait for rows on their way.
    pub reads: Reads,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            migrate: true,
            cache: CacheTimes::default(),
            password: Password::default(),
            sessions_per_user: 5,
            access_token_ms: 15 * 60 * 1000,
            name_hold_days: 30,
            purge_interval_ms: 10 * 60 * 1000,
            max_request_bytes: 16 * 1024 * 1024,
            reads: Reads::default(),
        }
    }
}

/// Reads that wait for rows on their way: their reader was told of a number that isn't stored yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reads {
    /// Longest wait for a row in milliseconds; after it the answer says that it is behind. Default 1000.
    pub wait_ms: u64,
    /// Conversations that may be waited for at once; a read beyond it is answered at once, and says
    /// that it is behind. Default 10,000.
    pub most: usize,
}

impl Default for Reads {
    fn default() -> Self {
        Self {
            wait_ms: 1_000,
            most: 10_000,
        }
    }
}

/// Lifetimes of cached copies in milliseconds, spread by ±10 %.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CacheTimes {
    /// Users. Default 24 h.
    pub user_ms: u64,
    /// Conversations. Default 30 min.
    pub conversation_ms: u64,
    /// "There is no such thing". Default 45 s.
    pub absent_ms: u64,
}

impl Default for CacheTimes {
    fn default() -> Self {
        Self {
            user_ms: 24 * 60 * 60 * 1000,
            conversation_ms: 30 * 60 * 1000,
            absent_ms: 45 * 1000,
        }
    }
}

impl CacheTimes {
    pub(crate) fn users(&self) -> Keep {
        self.keep(self.user_ms)
    }

    pub(crate) fn conversations(&self) -> Keep {
        self.keep(self.conversation_ms)
    }

    fn keep(&self, present_ms: u64) -> Keep {
        Keep {
            present: Duration::from_millis(present_ms),
            absent: Duration::from_millis(self.absent_ms),
        }
    }
}

/// Bounds on password checks, each of which costs some 20 ms and 19 MiB.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Password {
    /// Checks at the same time; 0 = one per processor. Default 0.
    pub workers: usize,
    /// Checks that may wait; beyond them callers are told to come back. Default 256.
    pub queue: usize,
}

impl Default for Password {
    fn default() -> Self {
        Self {
            workers: 0,
            queue: 256,
        }
    }
}
