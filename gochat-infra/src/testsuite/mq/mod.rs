//! What every [`Mq`] must do.

mod groups;
mod records;
mod transact;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::port::mq::{
    Consumer, ConsumerConfig, InRecord, Mq, OutRecord, Placed, Poll, TopicPartition, TopicSpec,
};

pub use groups::*;
pub use records::*;
pub use transact::*;

/// A log that can be taken down and brought back with what it had on disk.
#[async_trait]
pub trait Restart: Send {
    /// The log as it runs now.
    fn mq(&self) -> Arc<dyn Mq>;

    /// Ends the log as a crash of its user would and starts it again. Handles of before are dead.
    async fn restart(&mut self);

    /// The shortest time between two polls that the log can insist on.
    fn shortest_poll_interval(&self) -> Duration {
        Duration::from_millis(100)
    }
}

type Subject = Box<dyn Restart>;

/// Every wait in the suite ends by then; nothing waits that long when the adapter is right.
const LIMIT: Duration = Duration::from_secs(20);

async fn topic(mq: &Arc<dyn Mq>, spec: TopicSpec) -> Arc<str> {
    mq.ensure_topics(std::slice::from_ref(&spec))
        .await
        .expect("the topic can be made");
    spec.name
}

async fn send(mq: &Arc<dyn Mq>, records: Vec<OutRecord>) -> Vec<Placed> {
    mq.producer()
        .send(records)
        .await
        .expect("records are accepted")
}

/// `n` records with the values 0.. in one partition.
fn numbered(topic: &Arc<str>, partition: u32, n: usize) -> Vec<OutRecord> {
    let record = |i: usize| OutRecord::new(topic.clone(), "", i.to_string());
    (0..n).map(|i| record(i).to_partition(partition)).collect()
}

fn values<'a>(records: impl IntoIterator<Item = &'a InRecord>) -> Vec<String> {
    let text = |r: &InRecord| String::from_utf8_lossy(&r.record.value).into_owned();
    records.into_iter().map(text).collect()
}

fn texts(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|i| i.to_string()).collect()
}

async fn join(mq: &Arc<dyn Mq>, config: ConsumerConfig) -> Box<dyn Consumer> {
    mq.consumer(config).await.expect("a consumer can be made")
}

async fn poll(consumer: &mut Box<dyn Consumer>) -> Poll {
    consumer
        .poll(100, Duration::from_millis(20))
        .await
        .expect("poll works")
}

/// Polls until `n` records came; panics when they don't.
async fn take(consumer: &mut Box<dyn Consumer>, n: usize) -> Vec<(TopicPartition, InRecord)> {
    let collect = async {
        let mut all = Vec::new();
        while all.len() < n {
            let polled = consumer.poll(n - all.len(), LIMIT).await;
            for batch in polled.expect("poll works").batches {
                all.extend(batch.records.into_iter().map(|r| (batch.tp.clone(), r)));
            }
        }
        all
    };
    tokio::time::timeout(LIMIT, collect)
        .await
        .expect("the records arrive")
}

async fn take_values(consumer: &mut Box<dyn Consumer>, n: usize) -> Vec<String> {
    values(take(consumer, n).await.iter().map(|(_, r)| r))
}

/// Polls without taking records until the consumer has exactly `n` more partitions than before. (A member may be given
/// more until another one has joined.)
async fn settle(consumer: &mut Box<dyn Consumer>, n: usize) {
    let mut owned = 0;
    let wait = async {
        while owned != n {
            let news = consumer.poll(0, LIMIT).await.expect("poll works");
            owned = owned + news.assigned.len() - news.revoked.len();
        }
    };
    tokio::time::timeout(LIMIT, wait)
        .await
        .expect("the partitions arrive");
}

async fn everything(mq: &Arc<dyn Mq>, tp: &TopicPartition) -> Vec<String> {
    let mut all = Vec::new();
    let mut from = 0;
    loop {
        let records = mq.read(tp, from, 7).await.expect("records can be read");
        let Some(last) = records.last() else {
            return all;
        };
        from = last.offset + 1;
        all.extend(values(&records));
    }
}

/// Runs all facts on `$make`, an async expression that builds a `Box<dyn Restart>`.
#[macro_export]
macro_rules! mq_suite {
    ($make:expr) => {
        $crate::__facts!(
            $make,
            $crate::testsuite::mq,
            [
                records_of_a_partition_are_read_in_the_order_they_were_sent,
                a_key_decides_the_partition_as_kafka_clients_do,
                keys_values_and_headers_come_back_unchanged,
                what_was_sent_survives_a_restart,
                topics_are_made_once_and_keep_their_shape,
                a_deleted_topic_is_gone_with_its_offsets,
                topics_are_listed_by_the_beginning_of_their_name,
                wrong_records_are_refused_as_a_whole,
                a_reader_without_a_group_sees_everything_after_its_start,
                many_senders_at_once_lose_and_mix_nothing,
                a_group_resumes_at_its_committed_offset_after_a_restart,
                a_group_starts_at_the_first_record_or_at_the_end_as_told,
                what_was_not_committed_comes_again,
                two_members_share_the_partitions,
                a_new_owner_starts_at_the_committed_offset,
                leaving_hands_over_at_once,
                a_member_that_lost_its_partition_is_fenced,
                a_dropped_poll_loses_nothing,
                a_poll_for_nothing_keeps_the_membership_without_taking_records,
                seeking_back_reads_again,
                waiting_for_a_group_ends_when_it_has_passed,
                a_step_shows_outputs_and_progress_together,
                a_refused_step_shows_nothing_and_is_polled_again,
                a_step_of_a_fenced_owner_shows_nothing,
                a_chain_of_steps_survives_a_restart_exactly_once,
            ]
        );
    };
}
