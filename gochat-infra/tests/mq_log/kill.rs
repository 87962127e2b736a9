//! A real process, really killed.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use gochat_infra::port::mq::{ConsumerConfig, Mq, TopicPartition, TopicSpec};
use tempfile::TempDir;

use super::{open, record};

const DIR: &str = "GOCHAT_TEST_LOG_DIR";
const PARTITIONS: u32 = 3;

/// The child: sends for ever and prints a line for every record that was reported durable. Does nothing in
/// an ordinary test run.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_writes_until_it_is_killed() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let log = open(std::path::Path::new(&dir), |config| {
        config.segment_bytes = 64 << 10
    });
    log.ensure_topics(&[
        TopicSpec::disk("t", PARTITIONS).consumed_by("g"),
        TopicSpec::disk("out", PARTITIONS),
    ])
    .await
    .unwrap();
    let writers: Vec<_> = (0..PARTITIONS)
        .map(|p| tokio::spawn(write(log.producer(), p)))
        .collect();
    let config = ConsumerConfig::group("g", ["t"]).transactional("x");
    let mut consumer = log.consumer(config).await.unwrap();
    loop {
        let polled = consumer
            .poll(20, std::time::Duration::from_secs(10))
            .await
            .unwrap();
        let copy = |tp: &TopicPartition, value: &[u8]| {
            record(
                "out",
                tp.partition,
                String::from_utf8_lossy(value).into_owned(),
            )
        };
        let outputs = polled
            .batches
            .iter()
            .flat_map(|b| b.records.iter().map(|r| copy(&b.tp, &r.record.value)))
            .collect();
        let offsets = polled
            .batches
            .iter()
            .filter_map(gochat_infra::port::mq::Batch::progress)
            .collect();
        consumer.transact(outputs, offsets).await.unwrap();
        assert!(writers.iter().all(|writer| !writer.is_finished()));
    }
}

async fn write(producer: std::sync::Arc<dyn gochat_infra::port::mq::Producer>, partition: u32) {
    for i in 0u64.. {
        let record = record(
            "t",
            partition,
            format!("{i}-{}", "x".repeat((i % 400) as usize)),
        );
        producer.send(vec![record]).await.unwrap();
        println!("durable {partition} {i}");
    }
}

#[tokio::test]
async fn whatever_was_reported_durable_is_there_after_sigkill() {
    let dir = TempDir::new().unwrap();
    let mut reported = [None; PARTITIONS as usize];
    for round in 1..=3u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "--nocapture",
                "mq_log::kill::child_writes_until_it_is_killed",
            ])
            .env(DIR, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut last = [None; PARTITIONS as usize];
        for line in lines
            .by_ref()
            .map_while(Result::ok)
            .filter(|l| l.contains("durable"))
            .take(400)
        {
            note(&line, &mut last);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        lines
            .map_while(Result::ok)
            .for_each(|line| note(&line, &mut last));
        assert!(
            last.iter().any(Option::is_some),
            "the child worked in round {round}"
        );
        for (all, last) in reported.iter_mut().zip(last) {
            *all = Some(all.unwrap_or(0) + last.map_or(0, |i: u64| i + 1));
        }
        check(dir.path(), reported).await;
    }
}

fn note(line: &str, last: &mut [Option<u64>; PARTITIONS as usize]) {
    let mut words = line.split("durable ").nth(1).unwrap_or("").split(' ');
    let mut number = || words.next().and_then(|word| word.parse::<u64>().ok());
    if let (Some(partition), Some(i)) = (number(), number()) {
        last[partition as usize] = last[partition as usize].max(Some(i));
    }
}

/// Everything reported is there, in order; outputs are the inputs up to the committed offset, exactly.
async fn check(dir: &std::path::Path, reported: [Option<u64>; PARTITIONS as usize]) {
    let log = open(dir, |_| {});
    for (partition, reported) in reported.into_iter().enumerate() {
        let tp = |topic: &str| TopicPartition::new(topic, partition as u32);
        let end = log.end_offset(&tp("t")).await.unwrap();
        assert!(
            end >= reported.unwrap_or(0),
            "partition {partition}: {end} of {reported:?}"
        );
        let committed = log.committed("g", &tp("t")).await.unwrap().unwrap_or(0);
        assert_eq!(
            log.end_offset(&tp("out")).await.unwrap(),
            committed,
            "partition {partition}"
        );
        assert!(committed <= end);
        let mut from = committed.saturating_sub(200);
        while from < committed {
            let inputs = log.read(&tp("t"), from, 100).await.unwrap();
            let outputs = log.read(&tp("out"), from, 100).await.unwrap();
            for (input, output) in inputs
                .iter()
                .zip(&outputs)
                .filter(|(i, _)| i.offset < committed)
            {
                assert_eq!(
                    (input.offset, &input.record.value),
                    (output.offset, &output.record.value)
                );
            }
            from = outputs.last().map_or(committed, |last| last.offset + 1);
        }
    }
}
