//! Crashes in the middle of a write, and damage.

use std::time::Duration;

use gochat_infra::embedded::log::{EmbeddedLog, LogConfig};
use gochat_infra::port::mq::{ConsumerConfig, Mq, MqErrorKind, Poll, TopicPartition, TopicSpec};
use tempfile::TempDir;

use super::{copy_journal, open, record, segments};

fn tp(topic: &str) -> TopicPartition {
    TopicPartition::new(topic, 0)
}

async fn values(log: &EmbeddedLog, topic: &str) -> Vec<String> {
    let records = log.read(&tp(topic), 0, 1_000).await.unwrap();
    records
        .iter()
        .map(|r| String::from_utf8_lossy(&r.record.value).into_owned())
        .collect()
}

/// A directory with a `send` and two steps in it, and the length of the journal after each.
async fn scene() -> (TempDir, Vec<u64>) {
    let dir = TempDir::new().unwrap();
    // So that the length of the file is the end of the journal.
    let log = open(dir.path(), |config| config.zero_ahead_bytes = 0);
    let specs = [
        TopicSpec::disk("in", 1).consumed_by("g"),
        TopicSpec::disk("out", 1),
    ];
    log.ensure_topics(&specs).await.unwrap();
    let length = || std::fs::metadata(&segments(dir.path())[0]).unwrap().len();
    let mut lengths = vec![length()];
    let inputs = (0..2).map(|i| record("in", 0, i.to_string())).collect();
    log.producer().send(inputs).await.unwrap();
    lengths.push(length());
    let config = ConsumerConfig::group("g", ["in"]).transactional("t");
    let mut consumer = log.consumer(config).await.unwrap();
    for step in 0..2 {
        let polled: Poll = consumer.poll(1, Duration::from_secs(10)).await.unwrap();
        let outputs = ["a", "b"]
            .map(|name| record("out", 0, format!("{step}{name}")))
            .into();
        let progress = polled.batches[0].progress().into_iter().collect();
        consumer.transact(outputs, progress).await.unwrap();
        lengths.push(length());
    }
    (dir, lengths)
}

#[tokio::test]
async fn a_journal_cut_at_any_byte_holds_whole_steps_only() {
    let (dir, lengths) = scene().await;
    let (after_topics, full) = (lengths[0], lengths[3]);
    let mut seen = Vec::new();
    for cut in after_topics..=full {
        let copy = TempDir::new().unwrap();
        copy_journal(dir.path(), copy.path());
        let file = std::fs::OpenOptions::new()
            .write(true)
            .open(&segments(copy.path())[0])
            .unwrap();
        file.set_len(cut).unwrap();
        let log = open(copy.path(), |_| {});
        let steps = lengths[2..].iter().filter(|&&length| length <= cut).count();
        let expected: Vec<_> = ["0a", "0b", "1a", "1b"]
            .iter()
            .take(2 * steps)
            .map(ToString::to_string)
            .collect();
        assert_eq!(values(&log, "out").await, expected, "cut at {cut}");
        let committed = log.committed("g", &tp("in")).await.unwrap();
        assert_eq!(
            committed,
            (steps > 0).then_some(steps as u64),
            "cut at {cut}"
        );
        let inputs = if cut >= lengths[1] { 2 } else { 0 };
        assert_eq!(values(&log, "in").await.len(), inputs, "cut at {cut}");
        seen.push(steps);
        log.producer()
            .send(vec![record("out", 0, "more")])
            .await
            .unwrap();
        drop(log);
        assert_eq!(
            values(&open(copy.path(), |_| {}), "out")
                .await
                .last()
                .map(String::as_str),
            Some("more")
        );
    }
    assert!([0, 1, 2].iter().all(|steps| seen.contains(steps)));
}

#[tokio::test]
async fn garbage_after_the_last_frame_is_cut() {
    let (dir, lengths) = scene().await;
    for garbage in [vec![0u8; 4096], b"GCL1GCL1GCL1".repeat(100), vec![0xff; 3]] {
        let copy = TempDir::new().unwrap();
        copy_journal(dir.path(), copy.path());
        let path = &segments(copy.path())[0];
        let mut bytes = std::fs::read(path).unwrap();
        bytes.extend(garbage);
        std::fs::write(path, bytes).unwrap();
        let log = open(copy.path(), |config| config.zero_ahead_bytes = 0);
        assert_eq!(values(&log, "out").await.len(), 4);
        assert_eq!(std::fs::metadata(path).unwrap().len(), lengths[3]);
    }
}

#[tokio::test]
async fn damage_inside_durable_data_is_reported_not_cut() {
    let (dir, lengths) = scene().await;
    let path = &segments(dir.path())[0];
    let mut bytes = std::fs::read(path).unwrap();
    bytes[usize::try_from(lengths[0]).unwrap() + 30] ^= 1;
    std::fs::write(path, &bytes).unwrap();
    let error = EmbeddedLog::open(LogConfig::new(dir.path())).unwrap_err();
    assert_eq!(error.kind, MqErrorKind::Corrupt);
    assert_eq!(std::fs::read(path).unwrap(), bytes, "nothing was touched");
}

#[tokio::test]
async fn a_missing_segment_is_reported() {
    let dir = TempDir::new().unwrap();
    let log = open(dir.path(), |config| config.segment_bytes = 500);
    log.ensure_topics(&[TopicSpec::disk("t", 1).consumed_by("g")])
        .await
        .unwrap();
    for i in 0..20 {
        log.producer()
            .send(vec![record("t", 0, format!("{i:0100}"))])
            .await
            .unwrap();
    }
    drop(log);
    std::fs::remove_file(&segments(dir.path())[1]).unwrap();
    let error = EmbeddedLog::open(LogConfig::new(dir.path())).unwrap_err();
    assert_eq!(error.kind, MqErrorKind::Corrupt);
}

#[tokio::test]
async fn a_directory_serves_one_log_at_a_time() {
    let dir = TempDir::new().unwrap();
    let first = open(dir.path(), |_| {});
    let error = EmbeddedLog::open(LogConfig::new(dir.path())).unwrap_err();
    assert_eq!(error.kind, MqErrorKind::Locked);
    first.close();
    open(dir.path(), |_| {});
}

#[tokio::test]
async fn a_closed_log_refuses_and_wakes_who_waits() {
    let dir = TempDir::new().unwrap();
    let log = std::sync::Arc::new(open(dir.path(), |_| {}));
    log.ensure_topics(&[TopicSpec::disk("t", 1)]).await.unwrap();
    let producer = log.producer();
    let mut consumer = log
        .consumer(ConsumerConfig::group("g", ["t"]))
        .await
        .unwrap();
    consumer.poll(0, Duration::from_secs(10)).await.unwrap();
    let poller = tokio::spawn(async move { consumer.poll(1, Duration::from_secs(100)).await });
    let barrier = log.clone();
    let barrier = tokio::spawn(async move { barrier.wait_committed("g", &tp("t"), 1).await });
    tokio::task::yield_now().await;
    log.close();
    assert_eq!(poller.await.unwrap().unwrap_err().kind, MqErrorKind::Closed);
    assert_eq!(
        barrier.await.unwrap().unwrap_err().kind,
        MqErrorKind::Closed
    );
    let error = producer.send(vec![record("t", 0, "x")]).await.unwrap_err();
    assert_eq!(error.kind, MqErrorKind::Closed);
}
