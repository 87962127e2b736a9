//! Settings of the pipeline.

use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use gochat_core::error::{Error, ErrorCode, Result};
use gochat_core::fanout::Budget;
use gochat_core::message::{DraftLimits, EDIT_WINDOW_MS, RECALL_WINDOW_MS};
use gochat_core::ratelimit::Rule;
use gochat_core::step::{Limits, Pace};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// Settings of the upstream workers. Every field has a default.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct PipelineConfig {
    /// Workers, each with partitions of its own and a transaction under way; 0, the default, takes half of the cores, at
    /// most 4. Fewer write fuller transactions: on two cores with everything else on them, one worker delivers in two
    /// thirds of the time of two (docs/benchmarks.md).
    pub workers: usize,
    /// Most records of one atomic step. Default 1,024.
    pub batch_max: usize,
    /// Conversations kept in memory per partition. Default 100,000.
    pub conversations: usize,
    /// Bytes of conversations to aim for per partition; sends are refused at twice as many. Default 64 MiB.
    pub memory_bytes: usize,
    /// Members up to which a group is served directly (`fanout.direct_max`): its owner holds the
    /// list of members. Larger groups are paged by im-task. Default 10,000, at most 10,000.
    pub direct_max: usize,
    /// Lets [`direct_max`](Self::direct_max) change while the workers run.
    #[serde(skip)]
    pub direct_max_live: LiveNumber,
    /// Members of a group that are looked up in presence for one message, at most. Default 500.
    pub fanout_lookups: usize,
    /// Members per live gateway from which each gateway gets the list of members instead, and
    /// presence is not asked. Default 16.
    pub fanout_members_from: usize,
    /// Member ids written for one message, at most: members × live gateways, 8 bytes each. Beyond
    /// it members are looked up or paged. Default 200,000.
    pub fanout_ids: usize,
    /// Most characters of a message. Default 5,000.
    pub content_chars: usize,
    /// Most characters of a guest's message. Default 1,000.
    pub guest_chars: usize,
    /// Budgets of conversations.
    pub pace: PaceConfig,
    /// Longest wait for im-repo, in milliseconds. Default 2,000.
    pub rpc_timeout_ms: u64,
    /// How long records are held back when conversation facts can't be loaded, in milliseconds.
    /// Beyond it, messages of conversations that aren't in memory are refused, retryably, so that
    /// the others go on. Default 3,000.
    pub facts_grace_ms: u64,
    /// Seconds after which conversation facts are loaded again although no change was announced: whoever made one may
    /// have died before. Default 60.
    pub facts_ttl_s: u64,
    /// Authors' names kept in memory per worker. Default 50,000.
    pub people: usize,
    /// Seconds after which an author's name is read again. Default 60.
    pub people_ttl_s: u64,
    /// How long authors may edit a message, in milliseconds; set by `logic.limits.edit_window_ms`.
    #[serde(skip)]
    pub edit_window_ms: u64,
    /// How long authors may take a message back; set by `logic.limits.recall_window_ms`.
    #[serde(skip)]
    pub recall_window_ms: u64,
}

/// What all authors of a conversation together may send; beyond it `SLOW_MODE` says when the next
/// may be sent.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct PaceConfig {
    /// Messages in the world chat. Default 20/s, burst 100.
    pub world_messages: Rule,
    /// Bytes of messages in the world chat. Default 32,768/s, burst 262,144.
    pub world_bytes: Rule,
    /// Part of both that guests may use up, in percent: 1 to 100. Default 50.
    pub guests_percent: u32,
    /// KiB that a group costs, bytes × members. Default 10,000/s, burst 100,000.
    pub group_kib: Rule,
    /// Switches all of them off, and the limit of guests' messages, for load tests. Default false;
    /// `logic.budgets.disabled` switches them off as well.
    pub disabled: bool,
}

impl Default for PaceConfig {
    fn default() -> Self {
        let Pace {
            world_messages,
            world_bytes,
            guests_percent,
            group_kib,
        } = Pace::default();
        Self {
            world_messages,
            world_bytes,
            guests_percent,
            group_kib,
            disabled: false,
        }
    }
}

impl PaceConfig {
    fn rules(&self) -> Option<Pace> {
        (!self.disabled).then_some(Pace {
            world_messages: self.world_messages,
            world_bytes: self.world_bytes,
            guests_percent: self.guests_percent,
            group_kib: self.group_kib,
        })
    }

    fn check(&self) -> Result<()> {
        for rule in [self.world_messages, self.world_bytes, self.group_kib] {
            rule.validated()?;
        }
        if (1..=100).contains(&self.guests_percent) {
            return Ok(());
        }
        Err(Error::new(
            ErrorCode::InvalidParams,
            "pipeline.pace.guests_percent must be 1 to 100.",
        ))
    }
}

/// A number that somebody may set while others work with it. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct LiveNumber(Arc<Mutex<Option<usize>>>);

impl LiveNumber {
    /// Sets the number; workers take it with their next batch.
    pub fn set(&self, number: usize) {
        *self.0.lock() = Some(number);
    }

    /// The number, once it was set.
    pub(super) fn get(&self) -> Option<usize> {
        *self.0.lock()
    }
}

impl Default for PipelineConfig {
    fn default() -> Self {
        let Limits {
            conversations,
            memory,
            fanout,
            facts_ttl,
            ..
        } = Limits::default();
        Self {
            workers: 0,
            batch_max: 1_024,
            conversations,
            memory_bytes: memory,
            direct_max: fanout.members,
            fanout_lookups: fanout.lookups,
            fanout_members_from: fanout.members_from,
            fanout_ids: fanout.ids,
            direct_max_live: LiveNumber::default(),
            content_chars: DraftLimits::default().content_chars,
            guest_chars: DraftLimits::default().guest_chars,
            pace: PaceConfig::default(),
            rpc_timeout_ms: 2_000,
            facts_grace_ms: 3_000,
            facts_ttl_s: facts_ttl / 1_000,
            people: 50_000,
            people_ttl_s: 60,
            edit_window_ms: EDIT_WINDOW_MS,
            recall_window_ms: RECALL_WINDOW_MS,
        }
    }
}

impl PipelineConfig {
    /// Refuses what can't work.
    ///
    /// # Errors
    /// `INVALID_PARAMS`, with a sentence that names the setting.
    pub fn check(&self) -> Result<()> {
        let wrong = |text| Err(Error::new(ErrorCode::InvalidParams, text));
        if self.batch_max == 0 {
            return wrong("pipeline.batch_max must be above 0.");
        }
        if self.conversations < self.batch_max || self.people < self.batch_max {
            return wrong(
                "pipeline.conversations and pipeline.people must not be below batch_max.",
            );
        }
        if self.direct_max > 10_000 {
            return wrong("pipeline.direct_max must not be above 10,000.");
        }
        if self.fanout_lookups > 10_000 || self.fanout_ids > 10_000_000 {
            return wrong(
                "pipeline.fanout_lookups must not be above 10,000, fanout_ids not above 10,000,000.",
            );
        }
        self.pace.check()
    }

    pub(super) fn workers(&self) -> usize {
        match self.workers {
            0 => {
                let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
                (cores / 2).clamp(1, 4)
            }
            workers => workers,
        }
    }

    pub(super) fn limits(&self) -> Limits {
        Limits {
            conversations: self.conversations,
            memory: self.memory_bytes,
            fanout: Budget {
                members: self.direct_max,
                lookups: self.fanout_lookups,
                members_from: self.fanout_members_from,
                ids: self.fanout_ids,
            },
            facts_ttl: self.facts_ttl_s.saturating_mul(1_000),
            pace: self.pace.rules(),
            edit_window: self.edit_window_ms,
        }
    }

    /// Sizes a message may have.
    pub fn draft_limits(&self) -> DraftLimits {
        DraftLimits {
            content_chars: self.content_chars,
            guest_chars: if self.pace.disabled {
                self.content_chars
            } else {
                self.guest_chars
            },
            ..DraftLimits::default()
        }
    }

    pub(super) fn rpc_timeout(&self) -> Duration {
        Duration::from_millis(self.rpc_timeout_ms)
    }

    pub(super) fn facts_grace(&self) -> Duration {
        Duration::from_millis(self.facts_grace_ms)
    }

    pub(super) fn people_ttl(&self) -> Duration {
        Duration::from_secs(self.people_ttl_s)
    }
}
