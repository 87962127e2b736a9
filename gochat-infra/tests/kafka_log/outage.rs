//! A broker that is killed. It is one of its own, so that other tests don't notice.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use gochat_infra::cluster::kafka::{KafkaConfig, KafkaMq};
use gochat_infra::port::mq::{ConsumerConfig, Mq, MqErrorKind, OutRecord, TopicSpec};
use tempfile::TempDir;

use super::chain;
use super::{SESSION, config, connect};

/// What `send` may take until it refuses, as the settings say, and some more for a busy machine.
const BOUND: Duration = Duration::from_millis(2_000);
const SLACK: Duration = Duration::from_millis(3_000);

/// A broker of this test.
struct Broker {
    dir: TempDir,
    port: u16,
}

impl Broker {
    fn start() -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let dir = TempDir::new().unwrap();
        let broker = Self { dir, port };
        broker.infra("start");
        broker
    }

    fn infra(&self, command: &str) {
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../deploy/infra/infra");
        let done = Command::new(script)
            .args([command, "kafka"])
            .env("GOCHAT_INFRA", "packages")
            .env("GOCHAT_INFRA_DIR", self.dir.path())
            .env("GOCHAT_INFRA_KAFKA_PORT", self.port.to_string())
            .env("GOCHAT_INFRA_KAFKA_HEAP", "384m")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "infra {command} kafka: {said}");
    }

    async fn connect(&self) -> KafkaMq {
        let config = KafkaConfig {
            brokers: format!("127.0.0.1:{}", self.port),
            delivery_timeout_ms: BOUND.as_millis() as u64,
            session_timeout_ms: SESSION.as_millis() as u64 * 3,
            ..config()
        };
        connect(&config).await
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.infra("kill");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_broker_sends_are_refused_in_time_and_then_go_on() {
    let broker = Broker::start();
    let mq = broker.connect().await;
    mq.ensure_topics(&[TopicSpec::disk("t", 1)]).await.unwrap();
    let send = || async {
        let record = OutRecord::new("t", "", "v").to_partition(0);
        mq.producer().send(vec![record]).await
    };
    send().await.unwrap();
    let mut tail = mq.consumer(ConsumerConfig::tail(["t"])).await.unwrap();
    broker.infra("kill");
    for _ in 0..3 {
        let began = Instant::now();
        let error = send().await.unwrap_err();
        assert_eq!(
            (error.kind, error.is_retryable()),
            (MqErrorKind::Unavailable, true)
        );
        assert!(began.elapsed() < BOUND + SLACK, "{:?}", began.elapsed());
    }
    let began = Instant::now();
    assert!(send().await.is_err() && mq.is_down());
    assert!(began.elapsed() < Duration::from_millis(200), "known by now");
    let polled = tail.poll(10, Duration::from_millis(100)).await;
    // The first poll may tell of the assignment, and a busy client may say that the broker is away.
    assert!(
        polled.map_or_else(|e| e.is_retryable(), |poll| poll.batches.is_empty()),
        "readers just wait"
    );
    broker.infra("start");
    let again = async {
        while let Err(error) = send().await {
            assert!(error.is_retryable(), "{error}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        while tail
            .poll(10, Duration::from_secs(1))
            .await
            .unwrap()
            .is_empty()
        {}
    };
    let limit = Duration::from_secs(20);
    tokio::time::timeout(limit, again).await.expect("in time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_goes_on_after_the_broker_was_killed() {
    let broker = Broker::start();
    let mq = broker.connect().await;
    chain::topics(&mq).await;
    // All inputs first: a send that fails may be written all the same.
    const INPUTS: u64 = 6_000;
    for first in (0..INPUTS).step_by(500) {
        for partition in 0..chain::PARTITIONS {
            let record = |i: u64| OutRecord::new("in", "", i.to_string()).to_partition(partition);
            let records = (first..first + 500).map(record).collect();
            mq.producer().send(records).await.unwrap();
        }
    }
    let members: Vec<_> = (0..2).map(|i| chain::start(&mq, format!("m{i}"))).collect();
    for done in [500, 2_500] {
        while chain::numbers(&mq, 0).await.unwrap().len() < done {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        broker.infra("kill");
        broker.infra("start");
    }
    chain::verify(&mq, INPUTS).await;
    for member in members {
        member.leave().await;
    }
}
