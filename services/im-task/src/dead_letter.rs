//! Records that can never succeed.

use gochat_infra::port::mq::{InRecord, OutRecord, TopicPartition};
use gochat_infra::topics;

use crate::{clock, metrics};

/// The record for the group's dead-letter topic: content as it was, and why it is there.
pub(crate) fn record(
    group: &str,
    tp: &TopicPartition,
    record: &InRecord,
    error: &str,
    attempts: u32,
) -> OutRecord {
    tracing::error!(%tp, offset = record.offset, error, "record moved to the dead letters");
    metrics::dead_letter(&tp.topic);
    metrics::consumed(&tp.topic, "dead", 1);
    let headers = record
        .record
        .headers
        .clone()
        .with("X-DLQ-Topic", tp.topic.to_string())
        .with("X-DLQ-Partition", tp.partition.to_string())
        .with("X-DLQ-Offset", record.offset.to_string())
        .with("X-DLQ-Error", error.to_owned())
        .with("X-DLQ-Attempts", attempts.to_string())
        .with("X-DLQ-Time", clock::now_s().to_string());
    let (key, value) = (record.record.key.clone(), record.record.value.clone());
    OutRecord::new(topics::dead_letters(group), key, value).with_headers(headers)
}
