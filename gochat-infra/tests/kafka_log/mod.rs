//! Helpers and facts of the log on Kafka.

mod chain;
mod facts;
mod handover;
mod outage;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gochat_infra::cluster::kafka::{KafkaConfig, KafkaMq};
use gochat_infra::port::mq::{Mq, MqErrorKind};
use gochat_infra::testsuite::mq::Restart;

/// Short, so that tests don't wait for long, and longer than a member is starved on a busy machine.
pub(crate) const SESSION: Duration = Duration::from_secs(3);

/// The broker under test.
pub(crate) fn brokers() -> String {
    std::env::var("GOCHAT_TEST_KAFKA").unwrap_or_else(|_| "127.0.0.1:9092".into())
}

/// Settings of an installation nobody else uses.
pub(crate) fn config() -> KafkaConfig {
    KafkaConfig {
        prefix: format!("test-{:016x}-", rand::random::<u64>()),
        session_timeout_ms: SESSION.as_millis() as u64,
        ..KafkaConfig::new(brokers())
    }
}

pub(crate) async fn connect(config: &KafkaConfig) -> KafkaMq {
    match KafkaMq::connect(config.clone()).await {
        Ok(mq) => mq,
        Err(error) if error.kind == MqErrorKind::Unavailable => panic!(
            "no Kafka at {}: start one with `make infra-up`, or set GOCHAT_TEST_KAFKA ({error})",
            config.brokers
        ),
        Err(error) => panic!("{error}"),
    }
}

/// A log whose restart ends the client and connects a new one. Its topics are deleted when it is dropped.
pub(crate) struct Reconnected {
    config: KafkaConfig,
    mq: KafkaMq,
}

impl Reconnected {
    pub(crate) async fn new() -> Self {
        Self::with(config()).await
    }

    pub(crate) async fn with(config: KafkaConfig) -> Self {
        let mq = connect(&config).await;
        Self { config, mq }
    }

    pub(crate) fn kafka(&self) -> &KafkaMq {
        &self.mq
    }
}

#[async_trait]
impl Restart for Reconnected {
    fn mq(&self) -> Arc<dyn Mq> {
        Arc::new(self.mq.clone())
    }

    async fn restart(&mut self) {
        self.mq.close();
        self.mq = connect(&self.config).await;
    }

    fn shortest_poll_interval(&self) -> Duration {
        SESSION
    }
}

impl Drop for Reconnected {
    fn drop(&mut self) {
        let mq = self.mq.clone();
        let clean = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.unwrap().block_on(async {
                for topic in mq.topics("").await.unwrap_or_default() {
                    // Left-overs are harmless: the next run uses other names.
                    drop(mq.delete_topic(&topic).await);
                }
            });
        });
        drop(clean.join());
    }
}
