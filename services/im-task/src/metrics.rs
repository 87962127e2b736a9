//! Names of the metrics, in one place.

use gochat_infra::port::mq::TopicPartition;

/// Records by topic and outcome.
pub(crate) fn consumed(topic: &str, result: &'static str, count: usize) {
    let labels = [
        ("topic", topic.to_owned()),
        ("direction", "consume".to_owned()),
        ("result", result.to_owned()),
    ];
    metrics::counter!("gochat_kafka_messages_total", &labels).increment(count as u64);
}

/// A record was put aside for good.
pub(crate) fn dead_letter(topic: &str) {
    metrics::counter!("gochat_dlq_total", "topic" => topic.to_owned()).increment(1);
}

/// How far a group is behind on one partition.
pub(crate) fn lag(group: &'static str, tp: &TopicPartition, records: u64) {
    let labels = [
        ("topic", tp.topic.to_string()),
        ("partition", tp.partition.to_string()),
        ("group", group.to_owned()),
    ];
    metrics::gauge!("gochat_kafka_consumer_lag", &labels).set(records as f64);
}

/// Users by what became of a signal for them.
pub(crate) fn signal(signal: &'static str, result: &'static str, users: usize) {
    let labels = [("type", signal), ("result", result)];
    metrics::counter!("gochat_signals_total", &labels).increment(users as u64);
}

/// Recipients that could not be looked up or reached and are left to their next synchronisation.
pub(crate) fn dropped(reason: &'static str, count: usize) {
    metrics::counter!("gochat_downstream_dropped_total", "reason" => reason)
        .increment(count as u64);
}

/// Seconds from sequencing to the last page of a fan-out.
pub(crate) fn fanout_latency(seconds: f64) {
    metrics::histogram!("gochat_fanout_latency_seconds").record(seconds.max(0.0));
}

/// Messages written to the database.
pub(crate) fn persisted(count: usize) {
    metrics::counter!("gochat_messages_persisted_total").increment(count as u64);
}

/// Whether a partition stands still at a record that must not be passed: 1 or 0.
pub(crate) fn stopped(group: &'static str, tp: &TopicPartition, is_stopped: bool) {
    let labels = [
        ("topic", tp.topic.to_string()),
        ("partition", tp.partition.to_string()),
        ("group", group.to_owned()),
    ];
    metrics::gauge!("gochat_partition_stopped", &labels).set(f64::from(u8::from(is_stopped)));
}
