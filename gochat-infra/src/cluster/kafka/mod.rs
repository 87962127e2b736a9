//! The log on Apache Kafka.
//!
//! | of the port | here |
//! |---|---|
//! | `send` | one idempotent producer per process, `acks=all`; the partition is computed by us |
//! | `poll` | one consumer of the classic group protocol per port consumer; records are taken from librdkafka's queue by the caller itself, woken by its callback |
//! | `transact` | one transaction: outputs, offsets with the group's metadata (KIP-447), commit |
//! | `read`, `end_offset` | up to the high watermark of the moment of the call, see `reader` |
//! | `partitions` | a list that is refreshed in the background |
//!
//! **Eager rebalances, on purpose.** Every member gives all partitions back before the group hands them out anew, and
//! takes up those it gets again where it was, when nobody has committed in between. Incremental ("cooperative")
//! rebalances would save that pause of some milliseconds, but librdkafka 2.12 keeps the partitions of a cooperative
//! member that was thrown out while it rejoined: it would read on from its old place what another member has
//! committed meanwhile, and the same input would be processed twice. With eager rebalances a member owns nothing while
//! it joins, so the metadata its transactions carry always are those of the generation that gave it the partitions.
//!
//! **Invariants.** Rebalances are acted on inside `poll` only. Whatever blocks (commits, transactions, positions) runs
//! on one thread per consumer, in the order it was asked for. Positions change only through that thread, and records
//! that librdkafka fetched before a change are dropped by it.

mod config;
mod consumer;
mod context;
mod error;
mod health;
mod names;
mod off_thread;
mod offsets;
mod polled;
mod producer;
mod reader;
mod record;
mod slot;
mod topics;
mod txn;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;

pub use config::{KafkaConfig, KafkaSasl, KafkaTls, Stamp};

use crate::port::mq::{
    Consumer, ConsumerConfig, InRecord, Mq, MqError, MqErrorKind, MqResult, Producer,
    TopicPartition, TopicSpec,
};
use consumer::KafkaConsumer;
use context::Connection;
use names::Names;
use offsets::Offsets;
use producer::{KafkaProducer, Sender};
use reader::Readers;
use topics::Topics;

/// Questions for unknown topics and attempts to reach a broker again lead to one request in this time.
const QUESTIONS_EVERY: Duration = Duration::from_millis(100);

/// The log on Apache Kafka. Cheap to clone; the last clone ends the clients.
#[derive(Clone)]
pub struct KafkaMq(Arc<Shared>);

/// What all handles share.
struct Shared {
    config: KafkaConfig,
    names: Names,
    connection: Connection,
    topics: Topics,
    sender: Sender,
    readers: Readers,
    offsets: Offsets,
    closed: AtomicBool,
}

impl KafkaMq {
    /// Connects and reads the list of topics.
    ///
    /// # Errors
    /// `Invalid`: a setting librdkafka does not take. `Unavailable`: no broker answers.
    pub async fn connect(config: KafkaConfig) -> MqResult<Self> {
        let shared = Arc::new(Shared {
            names: Names::new(&config),
            connection: Connection::default(),
            topics: Topics::new(&config)?,
            sender: Sender::new(&config)?,
            readers: Readers::new(&config)?,
            offsets: Offsets::default(),
            closed: AtomicBool::new(false),
            config,
        });
        shared.refresh_topics(Duration::ZERO).await?;
        let weak = Arc::downgrade(&shared);
        let thread = std::thread::Builder::new()
            .name("kafka-topics".into())
            .spawn(move || follow_topics(&weak))
            .map_err(|error| {
                MqError::new(MqErrorKind::Unavailable, format!("no thread: {error}"))
            })?;
        shared.topics.followed_by(thread.thread().clone());
        Ok(Self(shared))
    }

    /// Whether the last look at the brokers failed; for readiness.
    pub fn is_down(&self) -> bool {
        self.0.connection.is_down()
    }

    /// Refuses everything from now on. Consumers leave their groups when they are dropped.
    pub fn close(&self) {
        self.0.closed.store(true, Ordering::Release);
    }
}

/// Keeps the list of topics and the state of the connection current until the log is gone. Woken by a question for an
/// unknown topic.
fn follow_topics(shared: &Weak<Shared>) {
    let mut pause = Duration::ZERO;
    loop {
        std::thread::park_timeout(pause);
        let Some(shared) = shared.upgrade().filter(|shared| !shared.is_closed()) else {
            return;
        };
        let outcome = shared.refresh(QUESTIONS_EVERY);
        // A refresh that failed is repeated soon: it tells when Kafka is back.
        pause = match outcome {
            Ok(()) if shared.topics.is_asked() => QUESTIONS_EVERY,
            Ok(()) => Duration::from_millis(shared.config.metadata_refresh_ms),
            Err(_) => QUESTIONS_EVERY,
        };
    }
}

impl Shared {
    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    fn check(&self) -> MqResult<()> {
        match self.is_closed() {
            true => Err(MqError::new(MqErrorKind::Closed, "the log was closed")),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl Mq for KafkaMq {
    async fn ensure_topics(&self, specs: &[TopicSpec]) -> MqResult<()> {
        self.0.check()?;
        self.0.ensure(specs).await
    }

    async fn delete_topic(&self, topic: &str) -> MqResult<()> {
        self.0.check()?;
        self.0.delete(topic).await
    }

    fn partitions(&self, topic: &str) -> MqResult<u32> {
        let found = self.0.topics.find_or_ask(topic);
        found
            .map(|topic| topic.partitions)
            .ok_or_else(|| MqError::unknown_topic(topic))
    }

    async fn topics(&self, prefix: &str) -> MqResult<Vec<Arc<str>>> {
        self.0.check()?;
        self.0.refresh_topics(QUESTIONS_EVERY).await?;
        Ok(self.0.topics.names(prefix))
    }

    fn producer(&self) -> Arc<dyn Producer> {
        Arc::new(KafkaProducer(self.0.clone()))
    }

    async fn consumer(&self, config: ConsumerConfig) -> MqResult<Box<dyn Consumer>> {
        self.0.check()?;
        let consumer = KafkaConsumer::join(self.0.clone(), config).await?;
        Ok(Box::new(consumer))
    }

    async fn committed(&self, group: &str, tp: &TopicPartition) -> MqResult<Option<u64>> {
        self.0.check()?;
        self.0.committed(group, tp).await
    }

    async fn wait_committed(&self, group: &str, tp: &TopicPartition, offset: u64) -> MqResult<()> {
        self.0.check()?;
        self.0.wait_committed(group, tp, offset).await
    }

    async fn read(&self, tp: &TopicPartition, from: u64, max: usize) -> MqResult<Vec<InRecord>> {
        self.0.check()?;
        self.0.read(tp, from, max).await
    }

    async fn end_offset(&self, tp: &TopicPartition) -> MqResult<u64> {
        self.0.check()?;
        self.0.end_offset(tp).await
    }
}
