//! Whether an instance deserves calls: one that fails some in a row gets none for a while, longer each time.

use gochat_core::breaker::{Breaker, Outcome, Policy, State, Ticket};
use parking_lot::Mutex;

use super::super::config::ChannelConfig;

/// Its record of failures. Times are in milliseconds of the endpoint's clock.
pub(super) struct Conduct {
    limits: Limits,
    record: Mutex<Record>,
}

/// The part of the configuration that calls need.
#[derive(Clone, Copy)]
struct Limits {
    eject_after: u32,
    eject_ms: u64,
    eject_max_ms: u64,
}

#[derive(Default)]
struct Record {
    breaker: Breaker,
    /// How often it was ejected since it last did well.
    ejections: u32,
}

/// What a call's end changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// No calls for a while, for the so many-th time in a row.
    Ejected(u32),
    /// It did well after an ejection.
    Back,
}

impl Conduct {
    pub(super) fn new(config: &ChannelConfig) -> Self {
        Self {
            limits: Limits {
                eject_after: config.eject_after.max(1),
                eject_ms: config.eject_ms,
                eject_max_ms: config.eject_max_ms,
            },
            record: Mutex::default(),
        }
    }

    /// Whether it may get calls.
    pub(super) fn admits(&self, now: u64) -> bool {
        let record = self.record.lock();
        record
            .breaker
            .admits(self.limits.policy(record.ejections), now)
    }

    /// A call begins. `None`: it goes to an ejected instance because there is no other, and is not judged.
    pub(super) fn admit(&self, now: u64) -> Option<Ticket> {
        let mut record = self.record.lock();
        let policy = self.limits.policy(record.ejections);
        record.breaker.admit(policy, now)
    }

    /// A call ended. A failure that is `grave` ejects the instance alone, others when there are some in a row.
    pub(super) fn judge(
        &self,
        ticket: Ticket,
        outcome: Outcome,
        grave: bool,
        now: u64,
    ) -> Option<Verdict> {
        let mut record = self.record.lock();
        let mut policy = self.limits.policy(record.ejections);
        if grave {
            policy.failure_threshold = 1;
        }
        match record.breaker.record(ticket, outcome, policy, now)? {
            State::Open => {
                record.ejections = record.ejections.saturating_add(1);
                Some(Verdict::Ejected(record.ejections))
            }
            State::Closed => {
                record.ejections = 0;
                Some(Verdict::Back)
            }
            State::HalfOpen => None,
        }
    }
}

impl Limits {
    /// Each further ejection lasts twice as long.
    fn policy(self, ejections: u32) -> Policy {
        let doubled = self
            .eject_ms
            .saturating_mul(1 << ejections.saturating_sub(1).min(16));
        Policy {
            failure_threshold: self.eject_after,
            success_threshold: 1,
            open_ms: doubled.min(self.eject_max_ms),
        }
    }
}
