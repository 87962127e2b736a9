//! When to ask a dependency that failed a moment ago.

use std::time::Duration;

use gochat_infra::rpc::Backoff;
use tokio::time::Instant;

/// Conversation facts are away: first everything waits, then only what needs them is refused.
#[derive(Debug)]
pub(super) struct Outage {
    grace: Duration,
    since: Option<Instant>,
    next_try: Instant,
    backoff: Backoff,
}

/// What to do with a batch whose facts can't be loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Hold it back and try again.
    Hold,
    /// Go on without the facts.
    Degrade,
}

impl Outage {
    pub(super) fn new(grace: Duration, now: Instant) -> Self {
        Self {
            grace,
            since: None,
            next_try: now,
            backoff: Backoff::default(),
        }
    }

    /// Whether to ask at all: not between the tries of a long outage.
    pub(super) fn may_ask(&self, now: Instant) -> bool {
        !self.is_long(now) || now >= self.next_try
    }

    pub(super) fn succeeded(&mut self) {
        self.since = None;
        self.backoff.reset();
    }

    pub(super) fn failed(&mut self, now: Instant) -> Verdict {
        self.since.get_or_insert(now);
        if !self.is_long(now) {
            return Verdict::Hold;
        }
        self.next_try = now + self.backoff.next_delay();
        Verdict::Degrade
    }

    fn is_long(&self, now: Instant) -> bool {
        self.since
            .is_some_and(|since| now.duration_since(since) >= self.grace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_outage_holds_and_a_long_one_degrades_with_rare_tries() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut outage = Outage::new(Duration::from_secs(3), start);
        assert_eq!(outage.failed(at(0)), Verdict::Hold);
        assert!(outage.may_ask(at(100)));
        assert_eq!(outage.failed(at(2_999)), Verdict::Hold);
        assert_eq!(outage.failed(at(3_000)), Verdict::Degrade);
        assert!(!outage.may_ask(at(3_001)));
        assert!(outage.may_ask(at(3_101)));
        outage.succeeded();
        assert_eq!(
            outage.failed(at(4_000)),
            Verdict::Hold,
            "a new outage has its own grace"
        );
    }
}
