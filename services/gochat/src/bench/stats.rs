//! Latencies and counters.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Latencies in microseconds.
#[derive(Clone)]
pub(crate) struct Latency(Histogram<u64>);

impl Latency {
    /// Up to ten minutes, three digits.
    pub(crate) fn new() -> Self {
        Self(Histogram::new_with_max(600_000_000, 3).expect("the bounds are legal"))
    }

    pub(crate) fn record(&mut self, micros: u64) {
        self.0.saturating_record(micros.max(1));
    }

    pub(crate) fn p99(&self) -> u64 {
        self.0.value_at_quantile(0.99)
    }

    pub(crate) fn len(&self) -> u64 {
        self.0.len()
    }

    /// In milliseconds.
    pub(crate) fn summary(&self) -> Value {
        if self.0.is_empty() {
            return Value::Null;
        }
        let ms = |q: f64| millis(self.0.value_at_quantile(q));
        json!({
            "count": self.0.len(), "p50": ms(0.5), "p90": ms(0.9), "p99": ms(0.99),
            "p999": ms(0.999), "max": millis(self.0.max()),
        })
    }

    /// Value and count of every bucket in use, to travel between processes.
    pub(crate) fn export(&self) -> Vec<(u64, u64)> {
        let buckets = self.0.iter_recorded();
        buckets
            .map(|b| (b.value_iterated_to(), b.count_since_last_iteration()))
            .collect()
    }

    pub(crate) fn import(&mut self, buckets: &[(u64, u64)]) {
        for (value, count) in buckets {
            self.0.saturating_record_n(*value, *count);
        }
    }
}

fn millis(micros: u64) -> f64 {
    (micros as f64 / 1000.0 * 1000.0).round() / 1000.0
}

/// What one worker counted.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Counts {
    /// Messages put on the wire.
    pub(super) sent: u64,
    /// Acknowledged.
    pub(super) acked: u64,
    /// Edits put on the wire.
    #[serde(default)]
    pub(super) edits: u64,
    /// Edits that were refused.
    #[serde(default)]
    pub(super) edits_refused: u64,
    /// Edits that were acknowledged.
    #[serde(default)]
    pub(super) edits_acked: u64,
    /// Pushed to a receiver, repetitions not counted.
    pub(super) delivered: u64,
    /// Pushed again with a number seen before (legal: clients drop them).
    pub(super) repeats: u64,
    /// Pushed after a later one.
    pub(super) out_of_order: u64,
    /// Numbers that never came although later ones did.
    pub(super) gaps: u64,
    /// Acknowledged with a number not above that of an earlier message.
    pub(super) ack_disorder: u64,
    /// Refusals.
    pub(super) errors: u64,
    /// The code of one of them.
    pub(super) error_code: String,
    /// Connections that ended before they should.
    pub(super) closed: u64,
    /// Sends dropped because the server did not take earlier ones.
    pub(super) shed: u64,
}

impl Counts {
    pub(super) fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.acked += other.acked;
        self.edits += other.edits;
        self.edits_acked += other.edits_acked;
        self.edits_refused += other.edits_refused;
        self.delivered += other.delivered;
        self.repeats += other.repeats;
        self.out_of_order += other.out_of_order;
        self.gaps += other.gaps;
        self.ack_disorder += other.ack_disorder;
        self.errors += other.errors;
        self.closed += other.closed;
        self.shed += other.shed;
        if self.error_code.is_empty() {
            self.error_code.clone_from(&other.error_code);
        }
    }

    /// Whether I2 was broken in sight of a receiver or sender.
    pub(super) const fn violations(&self) -> u64 {
        self.out_of_order + self.gaps + self.ack_disorder
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_survive_the_trip_between_processes() {
        let (mut here, mut there) = (Latency::new(), Latency::new());
        (1..=1000).for_each(|n| here.record(n * 100));
        there.import(&here.export());
        assert_eq!(here.summary(), there.summary());
        assert_eq!(there.len(), 1000);
    }
}
