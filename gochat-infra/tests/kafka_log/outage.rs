//! A broker that is killed or paused. It is one of its own, so that other tests don't notice.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use gochat_infra::cluster::kafka::{KafkaConfig, KafkaMq};
use gochat_infra::port::mq::{ConsumerConfig, Mq, MqErrorKind, OutRecord, TopicSpec};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::chain;
use super::{SESSION, config, connect};

/// What `send` may take until it refuses, as the settings say, and some more for a busy machine.
const BOUND: Duration = Duration::from_millis(2_000);
const SLACK: Duration = Duration::from_millis(8_000);
/// How long the broker is paused. It beats every 2 s, so its session of 3 s is mostly over when it wakes; longer pauses
/// showed what happens then less often.
const PAUSE: Duration = Duration::from_millis(2_700);

/// After an outage the chain has to go on without a person. A client that is of no use is known after half a minute.
const HEALED: Duration = Duration::from_secs(180);

/// A broker of this test.
struct Broker {
    dir: TempDir,
    port: u16,
    controller: u16,
}

impl Broker {
    fn start() -> Self {
        let ports = gochat_infra::listen::free_ports(2).unwrap();
        let broker = Self {
            dir: TempDir::new().unwrap(),
            port: ports[0],
            controller: ports[1],
        };
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
            .env(
                "GOCHAT_INFRA_KAFKA_CONTROLLER_PORT",
                self.controller.to_string(),
            )
            .env("GOCHAT_INFRA_KAFKA_HEAP", "384m")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "infra {command} kafka: {said}");
    }

    /// Stops the broker's process for longer than the session it has with its controller: it is fenced when it wakes,
    /// and for a moment clients are told of a Kafka without brokers.
    async fn pause(&self) {
        let file = self.dir.path().join("run/kafka.pid");
        let pid = std::fs::read_to_string(file).unwrap();
        let pid = Pid::from_raw(pid.lines().next().unwrap().parse().unwrap()).unwrap();
        kill_process(pid, Signal::STOP).unwrap();
        tokio::time::sleep(PAUSE).await;
        kill_process(pid, Signal::CONT).unwrap();
    }

    async fn connect(&self) -> KafkaMq {
        let config = KafkaConfig {
            brokers: format!("127.0.0.1:{}", self.port),
            delivery_timeout_ms: BOUND.as_millis() as u64,
            session_timeout_ms: SESSION.as_millis() as u64,
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
    assert!(began.elapsed() < BOUND, "known by now");
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
        loop {
            match tail.poll(10, Duration::from_secs(1)).await {
                Ok(polled) if !polled.batches.is_empty() => break,
                Ok(_) => {}
                // The client of the reader may still be in its back-off.
                Err(error) => {
                    assert!(error.is_retryable(), "{error}");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        }
    };
    tokio::time::timeout(HEALED, again).await.expect("in time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_goes_on_after_the_broker_was_killed() {
    let broker = Broker::start();
    let mq = broker.connect().await;
    const INPUTS: u64 = 6_000;
    let members = members(&mq, INPUTS).await;
    for done in [500, 2_500] {
        reached(&mq, done).await;
        broker.infra("kill");
        broker.infra("start");
    }
    finish(&mq, INPUTS, members).await;
}

/// librdkafka may never find its coordinator again then (#5511): clients have to be replaced.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_goes_on_after_the_broker_was_fenced() {
    let broker = Broker::start();
    let mq = broker.connect().await;
    const INPUTS: u64 = 8_000;
    let members = members(&mq, INPUTS).await;
    for done in [500, 2_500, 4_500] {
        reached(&mq, done).await;
        broker.pause().await;
    }
    finish(&mq, INPUTS, members).await;
}

/// Two members of a chain that has all its inputs: a send that fails may be written all the same.
async fn members(mq: &KafkaMq, inputs: u64) -> Vec<chain::Member> {
    chain::topics(mq).await;
    for first in (0..inputs).step_by(500) {
        for partition in 0..chain::PARTITIONS {
            let record = |i: u64| OutRecord::new("in", "", i.to_string()).to_partition(partition);
            let records = (first..first + 500).map(record).collect();
            mq.producer().send(records).await.unwrap();
        }
    }
    (0..2).map(|i| chain::start(mq, format!("m{i}"))).collect()
}

/// Waits until the chain is as long as that.
async fn reached(mq: &KafkaMq, length: usize) {
    let began = Instant::now();
    loop {
        match chain::numbers(mq, 0).await {
            Ok(numbers) if numbers.len() >= length => return,
            Ok(_) => {}
            Err(error) => assert!(error.is_retryable(), "{error}"),
        }
        assert!(began.elapsed() < HEALED, "it stands still");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn finish(mq: &KafkaMq, inputs: u64, members: Vec<chain::Member>) {
    chain::verify(mq, inputs).await;
    for member in members {
        member.leave().await;
    }
}
