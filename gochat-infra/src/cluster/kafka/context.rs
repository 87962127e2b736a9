//! What librdkafka tells its clients: logs, errors, rebalances.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::RDKafkaRespErr;

/// Logs connection trouble when it begins and when it ends, not for every record it hits.
#[derive(Debug, Default)]
pub(super) struct Connection {
    down: AtomicBool,
}

impl Connection {
    /// Takes a sign of life or of death; logs the change.
    pub(super) fn note(&self, alive: bool, reason: &str) {
        if self.down.swap(!alive, Ordering::Relaxed) == alive {
            if alive {
                tracing::info!("Kafka can be reached again");
            } else {
                tracing::warn!(reason, "Kafka can't be reached");
            }
            metrics::counter!("gochat_kafka_connection_changes_total").increment(1);
        }
    }

    pub(super) fn is_down(&self) -> bool {
        self.down.load(Ordering::Relaxed)
    }
}

/// Context of clients that expect no events.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Quiet;

impl ClientContext for Quiet {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, text: &str) {
        log(level, fac, text);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        note_error(&error, reason);
    }
}

impl ConsumerContext for Quiet {}

/// librdkafka repeats itself for every broker and attempt, so its warnings are details here.
pub(super) fn log(level: RDKafkaLogLevel, fac: &str, text: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
            tracing::error!(target: "librdkafka", fac, "{text}");
        }
        _ => tracing::debug!(target: "librdkafka", fac, "{text}"),
    }
}

pub(super) fn note_error(error: &KafkaError, reason: &str) {
    if error.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal) {
        tracing::warn!(%error, reason, "a Kafka client can't go on and is built anew");
    } else {
        tracing::debug!(%error, reason, "Kafka client error");
    }
}

/// A change of assignment that waits until the caller polls.
#[derive(Debug)]
pub(super) enum Rebalance {
    /// The group gives these (topic on the cluster, partition).
    Assign(Vec<(String, i32)>),
    /// The group takes everything. `lost`: it belongs to others already.
    Revoke {
        /// Whether it is too late to commit.
        lost: bool,
    },
}

/// Context of consumers of the port: keeps rebalances instead of acting on them.
#[derive(Debug, Default)]
pub(super) struct Membership {
    pending: Mutex<VecDeque<Rebalance>>,
    closing: AtomicBool,
}

impl Membership {
    pub(super) fn next(&self) -> Option<Rebalance> {
        self.pending.lock().pop_front()
    }

    pub(super) fn has_news(&self) -> bool {
        !self.pending.lock().is_empty()
    }

    /// From now on partitions are given back without asking.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::Release);
    }
}

impl ClientContext for Membership {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, text: &str) {
        log(level, fac, text);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        note_error(&error, reason);
    }
}

impl ConsumerContext for Membership {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        err: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        if self.closing.load(Ordering::Acquire) {
            if let Err(error) = consumer.unassign() {
                tracing::debug!(%error, "could not give partitions back");
            }
            return;
        }
        let assign = matches!(err, RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS);
        let event = if assign {
            let parts = list.elements();
            Rebalance::Assign(
                parts
                    .iter()
                    .map(|part| (part.topic().to_owned(), part.partition()))
                    .collect(),
            )
        } else {
            Rebalance::Revoke {
                lost: consumer.assignment_lost(),
            }
        };
        self.pending.lock().push_back(event);
    }
}
