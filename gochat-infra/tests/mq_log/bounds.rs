//! Bounds: memory, disk, and what is deleted when.

use std::time::Duration;

use gochat_infra::embedded::log::{EmbeddedLog, Fsync};
use gochat_infra::port::mq::{
    ConsumerConfig, Mq, MqErrorKind, Progress, TopicPartition, TopicSpec,
};
use tempfile::TempDir;

use super::{open, record, segments};

const WAIT: Duration = Duration::from_secs(10);

fn tp(topic: &str) -> TopicPartition {
    TopicPartition::new(topic, 0)
}

async fn fill(log: &EmbeddedLog, topic: &str, n: usize) {
    for i in 0..n {
        log.producer()
            .send(vec![record(topic, 0, format!("{i:0100}"))])
            .await
            .unwrap();
    }
}

async fn commit(log: &EmbeddedLog, topic: &'static str, group: &'static str, offset: u64) {
    let mut consumer = log
        .consumer(ConsumerConfig::group(group, [topic]))
        .await
        .unwrap();
    consumer.poll(0, WAIT).await.unwrap();
    consumer
        .commit(vec![Progress {
            tp: tp(topic),
            offset,
        }])
        .await
        .unwrap();
}

/// Retention runs with the writer's rounds, at most once a second: keep writing until it shows.
async fn until_first_offset_is(log: &EmbeddedLog, topic: &str, at_least: u64) {
    let started = std::time::Instant::now();
    loop {
        let first = log.read(&tp(topic), 0, 1).await.unwrap();
        if first.first().is_none_or(|r| r.offset >= at_least) {
            return;
        }
        assert!(started.elapsed() < WAIT, "segments were not dropped");
        log.producer()
            .send(vec![record("tick", 0, "")])
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_consumer_that_falls_behind_a_memory_topic_is_told_what_it_missed() {
    let dir = TempDir::new().unwrap();
    let log = open(dir.path(), |_| {});
    log.ensure_topics(&[TopicSpec::memory("m", 1).max_partition_bytes(500)])
        .await
        .unwrap();
    let mut consumer = log.consumer(ConsumerConfig::tail(["m"])).await.unwrap();
    fill(&log, "m", 12).await;
    let polled = consumer.poll(100, WAIT).await.unwrap();
    let batch = &polled.batches[0];
    assert_eq!(
        (batch.skipped, batch.records.len(), batch.records[0].offset),
        (7, 5, 7)
    );
    fill(&log, "m", 1).await;
    let polled = consumer.poll(100, WAIT).await.unwrap();
    assert_eq!((polled.batches[0].skipped, polled.len()), (0, 1));
}

#[tokio::test]
async fn segments_go_when_every_declared_group_has_passed_and_not_before() {
    let dir = TempDir::new().unwrap();
    let small = |config: &mut gochat_infra::embedded::log::LogConfig| {
        (config.segment_bytes, config.zero_ahead_bytes) = (2_000, 0);
    };
    let log = open(dir.path(), small);
    let spec = TopicSpec::disk("t", 1)
        .consumed_by("one")
        .consumed_by("two");
    log.ensure_topics(&[spec, TopicSpec::disk("tick", 1).retention(Duration::ZERO)])
        .await
        .unwrap();
    fill(&log, "t", 100).await;
    let before = segments(dir.path()).len();
    assert!(before > 4);
    commit(&log, "t", "one", 100).await;
    drop(log);
    let log = open(dir.path(), small);
    fill(&log, "tick", 50).await;
    assert_eq!(
        log.read(&tp("t"), 0, 1).await.unwrap()[0].offset,
        0,
        "group two never came"
    );
    commit(&log, "t", "two", 60).await;
    until_first_offset_is(&log, "t", 30).await;
    let records = log.read(&tp("t"), 60, 100).await.unwrap();
    assert_eq!(records.len(), 40, "what two has not seen is all there");
    drop(log);
    let log = open(dir.path(), small);
    assert!(log.read(&tp("t"), 0, 1).await.unwrap()[0].offset >= 30);
    assert_eq!(log.end_offset(&tp("t")).await.unwrap(), 100);
    assert_eq!(log.committed("one", &tp("t")).await.unwrap(), Some(100));
}

#[tokio::test]
async fn a_full_disk_bound_refuses_senders_until_consumers_catch_up() {
    let dir = TempDir::new().unwrap();
    let log = open(dir.path(), |config| {
        config.segment_bytes = 4_000;
        config.max_disk_bytes = 20_000;
    });
    let specs = [
        TopicSpec::disk("t", 1).consumed_by("g"),
        TopicSpec::disk("out", 1).retention(Duration::ZERO),
    ];
    log.ensure_topics(&specs).await.unwrap();
    let error = loop {
        match log
            .producer()
            .send(vec![record("t", 0, format!("{:0100}", 1))])
            .await
        {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert_eq!(
        (error.kind, error.is_retryable()),
        (MqErrorKind::Full, true)
    );
    let mut consumer = log
        .consumer(ConsumerConfig::group("g", ["t"]).transactional("x"))
        .await
        .unwrap();
    let end = log.end_offset(&tp("t")).await.unwrap();
    let mut done = 0;
    while done < end {
        let polled = consumer.poll(50, WAIT).await.unwrap();
        let Some(batch) = polled.batches.first() else {
            continue;
        };
        done = batch.records.last().unwrap().offset + 1;
        let progress = batch.progress().into_iter().collect();
        consumer
            .transact(vec![record("out", 0, "derived")], progress)
            .await
            .expect("steps have a reserve");
    }
    let started = std::time::Instant::now();
    while log
        .producer()
        .send(vec![record("t", 0, "again")])
        .await
        .is_err()
    {
        assert!(started.elapsed() < WAIT, "there must be room again");
        // A commit makes the writer look at its segments.
        consumer
            .commit(vec![Progress {
                tp: tp("t"),
                offset: end,
            }])
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_deleted_group_less_topic_does_not_pin_the_disk() {
    let dir = TempDir::new().unwrap();
    let log = open(dir.path(), |config| config.segment_bytes = 2_000);
    let specs = [
        TopicSpec::disk("dlq", 1),
        TopicSpec::disk("tick", 1).retention(Duration::ZERO),
    ];
    log.ensure_topics(&specs).await.unwrap();
    fill(&log, "dlq", 50).await;
    let held = segments(dir.path()).len();
    fill(&log, "tick", 50).await;
    assert!(
        segments(dir.path()).len() > held,
        "dead letters are kept for their retention"
    );
    log.delete_topic("dlq").await.unwrap();
    let started = std::time::Instant::now();
    while segments(dir.path()).len() > 2 {
        assert!(started.elapsed() < WAIT, "segments were not dropped");
        log.producer()
            .send(vec![record("tick", 0, "")])
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn the_interval_policy_answers_before_the_sync_and_survives_a_close() {
    let dir = TempDir::new().unwrap();
    let lazy = |config: &mut gochat_infra::embedded::log::LogConfig| {
        config.fsync = Fsync::Interval(Duration::from_millis(5));
    };
    let log = open(dir.path(), lazy);
    log.ensure_topics(&[TopicSpec::disk("t", 1)]).await.unwrap();
    fill(&log, "t", 100).await;
    drop(log);
    assert_eq!(
        open(dir.path(), lazy)
            .read(&tp("t"), 0, 1_000)
            .await
            .unwrap()
            .len(),
        100
    );
}
