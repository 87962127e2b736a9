//! Dead letters: records that can never succeed, kept for people to look at.

use std::sync::Arc;

use bytes::Bytes;
use gochat_core::error::Error;
use gochat_infra::port::mq::{InRecord, OutRecord, Producer, TopicPartition};
use gochat_infra::topics;

use crate::worker::not_now;

/// Writes the dead letters of one group.
#[derive(Clone)]
pub(crate) struct DeadLetters {
    producer: Arc<dyn Producer>,
    topic: Arc<str>,
}

impl DeadLetters {
    pub(crate) fn new(producer: Arc<dyn Producer>, group: &str) -> Self {
        Self { producer, topic: topics::dead_letters(group) }
    }

    /// Puts a record aside with the reason; its value stays as it was.
    ///
    /// # Errors
    /// When the log refuses: the record must not be committed then.
    pub(crate) async fn put(&self, tp: &TopicPartition, record: &InRecord, reason: &str) -> Result<(), Error> {
        tracing::error!(partition = %tp, offset = record.offset, reason, "record put aside");
        metrics::counter!("gochat_dlq_total", "topic" => tp.topic.to_string()).increment(1);
        let text = |value: String| Bytes::from(value);
        let headers = record
            .record
            .headers
            .clone()
            .with("X-DLQ-Topic", text(tp.topic.to_string()))
            .with("X-DLQ-Partition", text(tp.partition.to_string()))
            .with("X-DLQ-Offset", text(record.offset.to_string()))
            .with("X-DLQ-Error", text(reason.to_owned()))
            .with("X-DLQ-Attempts", text("1".to_owned()))
            .with("X-DLQ-Time", text(gochat_infra::ids::now_ms().to_string()));
        let letter = OutRecord::new(self.topic.clone(), record.record.key.clone(), record.record.value.clone())
            .with_headers(headers);
        self.producer.send(vec![letter]).await.map_err(not_now)?;
        Ok(())
    }
}
