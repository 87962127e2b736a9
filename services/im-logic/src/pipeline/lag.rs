//! How many records wait: what operators scale im-logic by.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use gochat_infra::port::mq::{Mq, MqResult, Poll, TopicPartition};
use gochat_infra::topics::LOGIC_UPSTREAM_GROUP;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// How often it is measured.
const EVERY: Duration = Duration::from_secs(5);

/// Measures the partitions of one worker, beside its loop: a log that answers late holds up no message.
pub(super) struct Lag {
    mq: Arc<dyn Mq>,
    owned: BTreeSet<TopicPartition>,
    measured: Instant,
    under_way: Option<JoinHandle<()>>,
}

impl Lag {
    pub(super) fn new(mq: Arc<dyn Mq>) -> Self {
        Self {
            mq,
            owned: BTreeSet::new(),
            measured: Instant::now(),
            under_way: None,
        }
    }

    /// Takes note of what the worker got and lost. What it lost is for its new owner to report.
    pub(super) fn follow(&mut self, poll: &Poll) {
        if !poll.revoked.is_empty() {
            self.stop();
        }
        for lost in &poll.revoked {
            self.owned.remove(lost);
            report(lost, 0);
        }
        let assigned = poll.assigned.iter().map(|progress| progress.tp.clone());
        self.owned.extend(assigned);
    }

    /// Begins to measure if it is time.
    pub(super) fn measure(&mut self) {
        let busy = self.under_way.as_ref().is_some_and(|m| !m.is_finished());
        if busy || self.measured.elapsed() < EVERY {
            return;
        }
        self.measured = Instant::now();
        let (mq, owned) = (self.mq.clone(), self.owned.clone());
        self.under_way = Some(tokio::spawn(async move {
            for tp in &owned {
                // A log that is away keeps the last figure; its absence has an alert of its own.
                if let Ok(records) = behind(&*mq, tp).await {
                    report(tp, records);
                }
            }
        }));
    }

    fn stop(&mut self) {
        if let Some(measurement) = self.under_way.take() {
            measurement.abort();
        }
    }
}

impl Drop for Lag {
    fn drop(&mut self) {
        self.stop();
        for tp in &self.owned {
            report(tp, 0);
        }
    }
}

/// Records of a partition that no step has passed.
async fn behind(mq: &dyn Mq, tp: &TopicPartition) -> MqResult<u64> {
    let passed = mq.committed(LOGIC_UPSTREAM_GROUP, tp).await?.unwrap_or(0);
    Ok(mq.end_offset(tp).await?.saturating_sub(passed))
}

fn report(tp: &TopicPartition, records: u64) {
    let labels = [
        ("topic", tp.topic.to_string()),
        ("partition", tp.partition.to_string()),
        ("group", LOGIC_UPSTREAM_GROUP.to_owned()),
    ];
    metrics::gauge!("gochat_kafka_consumer_lag", &labels).set(records as f64);
}

#[cfg(test)]
mod tests {
    use gochat_infra::embedded::log::{EmbeddedLog, LogConfig};
    use gochat_infra::port::mq::{ConsumerConfig, OutRecord};
    use gochat_infra::topics;

    use super::*;

    #[tokio::test]
    async fn a_record_counts_until_a_step_has_passed_it() {
        let folder = tempfile::tempdir().unwrap();
        let log = EmbeddedLog::open(LogConfig::new(folder.path().join("log"))).unwrap();
        log.ensure_topics(&topics::specs(1)).await.unwrap();
        let record = || OutRecord::new(topics::UPSTREAM, "key", b"value".to_vec());
        log.producer().send(vec![record(), record()]).await.unwrap();
        let tp = TopicPartition::new(topics::UPSTREAM, 0);
        assert_eq!(behind(&log, &tp).await.unwrap(), 2);

        let config = ConsumerConfig::group(LOGIC_UPSTREAM_GROUP, [topics::UPSTREAM]);
        let mut consumer = log.consumer(config.transactional("one")).await.unwrap();
        let mut left = 2;
        while left > 0 {
            let polled = consumer.poll(left, EVERY).await.unwrap();
            let passed = polled.batches.iter().filter_map(|batch| batch.progress());
            consumer.transact(vec![], passed.collect()).await.unwrap();
            left -= polled
                .batches
                .iter()
                .map(|b| b.records.len())
                .sum::<usize>();
        }
        assert_eq!(behind(&log, &tp).await.unwrap(), 0);
    }
}
