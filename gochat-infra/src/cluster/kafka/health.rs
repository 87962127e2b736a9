//! Tells a client whose work can't succeed any more from a Kafka that is away.
//!
//! librdkafka 2.12 drops brokers that are missing in an answer of the metadata, and a client may then never find its
//! coordinator again: `rd_kafka_send_offsets_to_transaction` does not return (librdkafka #5511), `rd_kafka_committed`
//! always fails. A broker that is fenced for a second is enough. Only a new client helps.

use std::time::Duration;

use tokio::time::Instant;

/// How the work of a client goes.
#[derive(Debug)]
pub(super) struct Health {
    patience: Duration,
    failing_since: Option<Instant>,
}

impl Health {
    pub(super) fn new(patience: Duration) -> Self {
        Self {
            patience,
            failing_since: None,
        }
    }

    /// Some work succeeded, or the client is another one.
    pub(super) fn well(&mut self) {
        self.failing_since = None;
    }

    /// Some work failed for want of an answer; `true` when that has gone on for long. The next time is as long away.
    pub(super) fn failed(&mut self, now: Instant) -> bool {
        let since = *self.failing_since.get_or_insert(now);
        let long = now.duration_since(since) >= self.patience;
        if long {
            self.failing_since = Some(now);
        }
        long
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_failures_without_a_success_between_them_count() {
        let (start, mut health) = (Instant::now(), Health::new(Duration::from_secs(10)));
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(!health.failed(at(0)));
        assert!(!health.failed(at(9)));
        health.well();
        assert!(!health.failed(at(12)));
        assert!(!health.failed(at(21)));
        assert!(health.failed(at(22)));
        assert!(!health.failed(at(23)), "not at once again");
        assert!(health.failed(at(32)));
    }
}
