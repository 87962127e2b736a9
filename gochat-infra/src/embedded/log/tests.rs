//! Failing disks: needs the journal's insides.

use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::port::mq::{OutRecord, VisibleOn};

fn record(topic: &str) -> OutRecord {
    OutRecord::new(topic, "k", vec![7u8; 100])
}

#[tokio::test]
async fn a_failed_write_poisons_the_log_until_it_is_opened_again() {
    let dir = TempDir::new().unwrap();
    let config = LogConfig::new(dir.path());
    let log =
        EmbeddedLog::start(config.clone(), |journal| journal.fail_after = Some(2_000)).unwrap();
    let specs = [
        TopicSpec::disk("t", 1),
        TopicSpec::disk("a", 1).visible_on(VisibleOn::Append),
    ];
    log.ensure_topics(&specs).await.unwrap();
    let mut accepted = 0;
    let error = loop {
        match log.producer().send(vec![record("t"), record("a")]).await {
            Ok(_) => accepted += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(
        (error.kind, error.is_retryable()),
        (MqErrorKind::Poisoned, false)
    );
    assert!(accepted > 0);
    let t = TopicPartition::new("t", 0);
    assert_eq!(
        log.end_offset(&t).await.unwrap(),
        accepted,
        "what failed is not visible"
    );
    let again = log.producer().send(vec![record("t")]).await.unwrap_err();
    assert_eq!(again.kind, MqErrorKind::Poisoned);
    assert_eq!(log.health().unwrap_err().kind, MqErrorKind::Poisoned);
    let consumer = log.consumer(ConsumerConfig::group("g", ["t"])).await;
    assert!(consumer.is_err());
    log.close();

    let log = EmbeddedLog::open(config).unwrap();
    for topic in ["t", "a"] {
        let tp = TopicPartition::new(topic, 0);
        assert_eq!(log.end_offset(&tp).await.unwrap(), accepted);
    }
    log.producer().send(vec![record("t")]).await.unwrap();
}

#[tokio::test]
async fn a_dropped_step_is_settled_before_the_next_poll() {
    let dir = TempDir::new().unwrap();
    let log = EmbeddedLog::open(LogConfig::new(dir.path())).unwrap();
    log.ensure_topics(&[TopicSpec::disk("in", 1), TopicSpec::disk("out", 1)])
        .await
        .unwrap();
    log.producer()
        .send((0..3).map(|_| record("in")).collect())
        .await
        .unwrap();
    let config = ConsumerConfig::group("g", ["in"]).transactional("t");
    let mut consumer = log.consumer(config).await.unwrap();
    let wait = Duration::from_secs(10);
    let tp = TopicPartition::new("out", 0);
    let mut rounds = 0;
    // Dropped at its first await the step may or may not happen; either way nothing is lost or done twice.
    loop {
        let polled = consumer.poll(1, wait).await.unwrap();
        let Some(batch) = polled.batches.first() else {
            continue;
        };
        assert_eq!(log.end_offset(&tp).await.unwrap(), batch.records[0].offset);
        rounds += 1;
        let step = consumer.transact(vec![record("out")], batch.progress().into_iter().collect());
        tokio::select! { biased; _ = step => {}, () = std::future::ready(()) => {} }
        if batch.records[0].offset == 2 {
            break;
        }
    }
    assert!(rounds >= 3);
}

#[tokio::test]
async fn without_room_records_are_refused_and_taken_again_later() {
    let dir = TempDir::new().unwrap();
    let config = LogConfig::new(dir.path());
    let log = EmbeddedLog::start(config, |journal| journal.full_after = Some(200_000)).unwrap();
    log.ensure_topics(&[TopicSpec::disk("t", 1)]).await.unwrap();
    let t = TopicPartition::new("t", 0);
    let mut accepted = 0;
    let error = loop {
        match log.producer().send(vec![record("t")]).await {
            Ok(_) => accepted += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(
        (error.kind, error.is_retryable()),
        (MqErrorKind::Full, true)
    );
    assert!(error.message.contains("disk") && accepted > 0);
    assert!(log.health().is_ok(), "a full disk is a state");
    assert_eq!(log.end_offset(&t).await.unwrap(), accepted);
    let read = log.read(&t, 0, 10).await.unwrap();
    assert!(!read.is_empty(), "reading goes on");
    log.close();
    // There is room again.
    let log = EmbeddedLog::open(LogConfig::new(dir.path())).unwrap();
    let placed = log.producer().send(vec![record("t")]).await.unwrap();
    assert_eq!(placed[0].offset, accepted, "no number was lost");
}

#[tokio::test]
async fn a_full_disk_refuses_senders_and_lets_consumers_go_on() {
    let dir = TempDir::new().unwrap();
    let mut config = LogConfig::new(dir.path());
    let specs = [TopicSpec::disk("in", 1), TopicSpec::disk("out", 1)];
    let log = EmbeddedLog::open(config.clone()).unwrap();
    log.ensure_topics(&specs).await.unwrap();
    log.producer().send(vec![record("in")]).await.unwrap();
    log.close();
    config.disk = Some(DiskGuard::new(dir.path(), Some(u64::MAX / 4)));
    let log = EmbeddedLog::open(config).unwrap();
    let refused = log.producer().send(vec![record("in")]).await.unwrap_err();
    assert_eq!(refused.kind, MqErrorKind::Full);
    let config = ConsumerConfig::group("g", ["in"]).transactional("t");
    let mut consumer = log.consumer(config).await.unwrap();
    let batch = loop {
        let polled = consumer.poll(1, Duration::from_secs(10)).await.unwrap();
        if let Some(batch) = polled.batches.into_iter().next() {
            break batch;
        }
    };
    let offsets = batch.progress().into_iter().collect();
    consumer
        .transact(vec![record("out")], offsets)
        .await
        .unwrap();
    let out = TopicPartition::new("out", 0);
    assert_eq!(log.end_offset(&out).await.unwrap(), 1);
}

#[tokio::test]
async fn damage_names_the_file_and_the_byte() {
    let dir = TempDir::new().unwrap();
    let log = EmbeddedLog::open(LogConfig::new(dir.path())).unwrap();
    log.ensure_topics(&[TopicSpec::disk("t", 1)]).await.unwrap();
    for _ in 0..50 {
        log.producer().send(vec![record("t")]).await.unwrap();
    }
    log.close();
    let path = segment::path(dir.path(), 1);
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    std::fs::write(&path, bytes).unwrap();
    let error = EmbeddedLog::open(LogConfig::new(dir.path())).unwrap_err();
    assert_eq!(error.kind, MqErrorKind::Corrupt);
    assert!(error.message.contains(path.to_str().unwrap()), "{error}");
    assert!(error.message.contains("at byte "), "{error}");
}
