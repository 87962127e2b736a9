//! The list of topics: kept in memory, refreshed in the background, changed through the admin client.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::Thread;
use std::time::{Duration, Instant};

use ahash::RandomState;
use hashbrown::HashMap;
use metrics::Counter;
use parking_lot::{Mutex, RwLock};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::metadata::MetadataTopic;

use super::context::{Connection, Quiet};
use super::error::{from_code, from_kafka, unavailable};
use super::names::Names;
use super::{KafkaConfig, Stamp};
use crate::port::mq::{Durability, MqError, MqErrorKind, MqResult, TopicSpec};

/// A list younger than this is believed when it does not hold a name.
const FRESH: Duration = Duration::from_millis(250);
/// Longest wait for a created or deleted topic to be known everywhere.
const SETTLE: Duration = Duration::from_secs(15);
/// Topics whose records are not stamped by [`Stamp::Events`].
const MESSAGE_PATH: &str = "gochat.messages.";

/// A topic of the cluster.
pub(super) struct Topic {
    pub(super) name: Arc<str>,
    /// Name on the cluster.
    pub(super) wire: String,
    pub(super) partitions: u32,
    /// Whether every partition has a leader.
    led: bool,
    /// Whether records carry `X-Timestamp` and `X-Source`.
    pub(super) stamped: bool,
    pub(super) sent: Counter,
    pub(super) refused: Counter,
}

type Map = HashMap<Arc<str>, Arc<Topic>, RandomState>;

/// All topics of this installation.
pub(super) struct Topics {
    admin: AdminClient<Quiet>,
    known: RwLock<Map>,
    /// One refresh at a time; when the last one that worked began.
    refreshed: Mutex<Option<Instant>>,
    /// A name was asked for in vain since the list was read.
    asked: AtomicBool,
    /// The thread that reads the list.
    follower: OnceLock<Thread>,
}

impl Topics {
    pub(super) fn new(config: &KafkaConfig) -> MqResult<Self> {
        let admin = config
            .admin()
            .create_with_context(Quiet)
            .map_err(|error| from_kafka("an admin client", &error))?;
        Ok(Self {
            admin,
            known: RwLock::default(),
            refreshed: Mutex::default(),
            asked: AtomicBool::new(false),
            follower: OnceLock::new(),
        })
    }

    /// From memory.
    pub(super) fn find(&self, name: &str) -> Option<Arc<Topic>> {
        self.known.read().get(name).cloned()
    }

    /// From memory; an unknown name makes the background look it up.
    pub(super) fn find_or_ask(&self, name: &str) -> Option<Arc<Topic>> {
        let found = self.find(name);
        if found.is_none()
            && !self.asked.swap(true, Ordering::Relaxed)
            && let Some(follower) = self.follower.get()
        {
            follower.unpark();
        }
        found
    }

    /// Names that begin with `prefix`, in order, from memory.
    pub(super) fn names(&self, prefix: &str) -> Vec<Arc<str>> {
        let known = self.known.read();
        let names = known
            .keys()
            .filter(|name| name.starts_with(prefix) && !name.starts_with('_'));
        let mut names: Vec<_> = names.cloned().collect();
        names.sort_unstable();
        names
    }

    pub(super) fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// Tells whom to wake for questions. Called once.
    pub(super) fn followed_by(&self, thread: Thread) {
        self.follower.get_or_init(|| thread);
    }

    /// Reads the list anew. Blocks.
    fn refresh(
        &self,
        config: &KafkaConfig,
        names: &Names,
        connection: &Connection,
        max_age: Duration,
    ) -> MqResult<()> {
        let mut refreshed = self.refreshed.lock();
        if refreshed.is_some_and(|at| at.elapsed() < max_age) {
            return Ok(());
        }
        let began = Instant::now();
        self.asked.store(false, Ordering::Relaxed);
        let timeout = config.request_timeout().min(Duration::from_secs(2));
        let metadata = match self.admin.inner().fetch_metadata(None, timeout) {
            Ok(metadata) => metadata,
            Err(error) => {
                connection.note(false, &error.to_string());
                return Err(from_kafka("the list of topics", &error));
            }
        };
        connection.note(true, "");
        let mut map = Map::with_capacity_and_hasher(metadata.topics().len(), RandomState::new());
        let known = self.known.read().clone();
        for topic in metadata.topics() {
            let Some(name) = names.contract(topic.name()) else {
                continue;
            };
            if topic.error().is_none() && !topic.partitions().is_empty() {
                let entry = entry(&known, config, &name, topic);
                map.insert(entry.name.clone(), entry);
            }
        }
        *self.known.write() = map;
        *refreshed = Some(began);
        Ok(())
    }

    async fn create(
        &self,
        config: &KafkaConfig,
        names: &Names,
        specs: &[&TopicSpec],
    ) -> MqResult<()> {
        let settings: Vec<_> = specs
            .iter()
            .map(|spec| Settings::of(spec, config))
            .collect();
        let wires: Vec<_> = specs.iter().map(|spec| names.wire(&spec.name)).collect();
        let new: Vec<_> = specs
            .iter()
            .zip(&settings)
            .zip(&wires)
            .map(|((spec, settings), wire)| {
                let replication = TopicReplication::Fixed(i32::from(config.replication_factor));
                let count = i32::try_from(partitions_of(spec, config)).unwrap_or(i32::MAX);
                let topic = NewTopic::new(wire, count, replication);
                settings.apply(topic)
            })
            .collect();
        let created = self
            .admin
            .create_topics(&new, &options(config))
            .await
            .map_err(|error| from_kafka("topics can't be created", &error))?;
        for result in created {
            match result {
                Ok(_) | Err((_, Code::TopicAlreadyExists)) => {}
                Err((name, code)) => return Err(from_code(&format!("topic {name}"), code)),
            }
        }
        Ok(())
    }
}

/// Calls that the admin client and the list do together.
impl super::Shared {
    /// Reads the list anew on a blocking thread, unless it is younger than `max_age`.
    pub(super) async fn refresh_topics(self: &Arc<Self>, max_age: Duration) -> MqResult<()> {
        let shared = self.clone();
        blocking(move || shared.refresh(max_age)).await?
    }

    /// Reads the list anew, unless it is younger than `max_age`. Blocks.
    pub(super) fn refresh(&self, max_age: Duration) -> MqResult<()> {
        self.topics
            .refresh(&self.config, &self.names, &self.connection, max_age)
    }

    /// The topic, looked up on the cluster when memory does not know it.
    pub(super) async fn topic(self: &Arc<Self>, name: &str) -> MqResult<Arc<Topic>> {
        if let Some(topic) = self.topics.find(name) {
            return Ok(topic);
        }
        self.refresh_topics(FRESH).await?;
        self.topics
            .find(name)
            .ok_or_else(|| MqError::unknown_topic(name))
    }

    /// Creates what is missing and waits until all of it has leaders.
    pub(super) async fn ensure(self: &Arc<Self>, specs: &[TopicSpec]) -> MqResult<()> {
        self.refresh_topics(Duration::ZERO).await?;
        let mut missing = Vec::new();
        for spec in specs {
            if partitions_of(spec, &self.config) == 0 {
                return Err(wrong(spec, "has no partitions"));
            }
            match self.topics.find(&spec.name) {
                Some(topic) => same_shape(spec, &topic, &self.config)?,
                None => missing.push(spec),
            }
        }
        if missing.is_empty() && self.all_led(specs) {
            return Ok(());
        }
        if !missing.is_empty() {
            self.topics
                .create(&self.config, &self.names, &missing)
                .await?;
        }
        self.eventually("topics have no leaders yet", || self.all_led(specs))
            .await?;
        specs
            .iter()
            .filter_map(|spec| Some((spec, self.topics.find(&spec.name)?)))
            .try_for_each(|(spec, topic)| same_shape(spec, &topic, &self.config))
    }

    /// Deletes a topic and waits until it is gone.
    pub(super) async fn delete(self: &Arc<Self>, name: &str) -> MqResult<()> {
        let wire = self.names.wire(name).into_owned();
        let deleted = self
            .topics
            .admin
            .delete_topics(&[&wire], &options(&self.config))
            .await
            .map_err(|error| from_kafka("a topic can't be deleted", &error))?;
        for result in deleted {
            match result {
                Ok(_) | Err((_, Code::UnknownTopicOrPartition | Code::UnknownTopic)) => {}
                Err((_, code)) => return Err(from_code(&format!("topic {name}"), code)),
            }
        }
        self.eventually("the topic is still there", || {
            self.topics.find(name).is_none()
        })
        .await
    }

    fn all_led(&self, specs: &[TopicSpec]) -> bool {
        specs
            .iter()
            .all(|spec| self.topics.find(&spec.name).is_some_and(|topic| topic.led))
    }

    async fn eventually(
        self: &Arc<Self>,
        otherwise: &'static str,
        done: impl Fn() -> bool,
    ) -> MqResult<()> {
        let deadline = tokio::time::Instant::now() + SETTLE;
        loop {
            self.refresh_topics(Duration::ZERO).await?;
            if done() {
                return Ok(());
            }
            if tokio::time::Instant::now() >= deadline {
                return Err(unavailable(otherwise));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Runs something that blocks away from the async threads.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> MqResult<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| unavailable("a blocking thread was stopped"))
}

/// The entry of before when nothing changed, so that its meters live on.
fn entry(known: &Map, config: &KafkaConfig, name: &str, topic: &MetadataTopic) -> Arc<Topic> {
    let partitions = u32::try_from(topic.partitions().len()).unwrap_or(u32::MAX);
    let led = topic
        .partitions()
        .iter()
        .all(|partition| partition.leader() >= 0 && partition.error().is_none());
    if let Some(same) = known.get(name)
        && (same.partitions, same.led) == (partitions, led)
    {
        return same.clone();
    }
    let label = crate::topics::metric_label(name).to_owned();
    // What comes in is counted by the services, who know what became of it.
    let meter = |result: &'static str| {
        metrics::counter!("gochat_kafka_messages_total",
            "topic" => label.clone(), "direction" => "produce", "result" => result)
    };
    Arc::new(Topic {
        name: name.into(),
        wire: topic.name().to_owned(),
        partitions,
        led,
        stamped: match config.stamp {
            Stamp::All => true,
            Stamp::Events => !name.starts_with(MESSAGE_PATH),
            Stamp::None => false,
        },
        sent: meter("ok"),
        refused: meter("error"),
    })
}

fn options(config: &KafkaConfig) -> AdminOptions {
    let timeout = config.request_timeout();
    AdminOptions::new()
        .request_timeout(Some(timeout * 2))
        .operation_timeout(Some(timeout))
}

fn partitions_of(spec: &TopicSpec, config: &KafkaConfig) -> u32 {
    let other = config.partitions.get(&*spec.name).copied();
    other.unwrap_or(spec.partitions)
}

fn wrong(spec: &TopicSpec, what: &str) -> MqError {
    MqError::new(MqErrorKind::Invalid, format!("topic {} {what}", spec.name))
}

fn same_shape(spec: &TopicSpec, topic: &Topic, config: &KafkaConfig) -> MqResult<()> {
    let wanted = partitions_of(spec, config);
    if topic.partitions == wanted {
        return Ok(());
    }
    let has = topic.partitions;
    Err(wrong(spec, &format!("has {has} partitions, not {wanted}")))
}

/// Topic settings of a spec.
struct Settings {
    retention_ms: String,
    retention_bytes: String,
    segment_ms: String,
    segment_bytes: String,
}

impl Settings {
    fn of(spec: &TopicSpec, config: &KafkaConfig) -> Self {
        const DAY_MS: u64 = 86_400_000;
        const MIB: usize = 1 << 20;
        let (retention_ms, bytes) = match spec.durability {
            Durability::Disk => (spec.retention.as_millis() as u64, None),
            Durability::Memory {
                max_partition_bytes,
            } => (config.memory_retention_ms, Some(max_partition_bytes)),
        };
        // Only closed segments are deleted, so a bound of bytes or time needs segments well below it.
        let segment = bytes.map_or(1 << 30, |bytes| (bytes / 4).clamp(MIB, 1 << 30));
        Self {
            retention_ms: retention_ms.to_string(),
            retention_bytes: bytes.map_or("-1".into(), |bytes| bytes.max(MIB).to_string()),
            segment_ms: (retention_ms / 4).clamp(60_000, DAY_MS).to_string(),
            segment_bytes: segment.to_string(),
        }
    }

    fn apply<'a>(&'a self, topic: NewTopic<'a>) -> NewTopic<'a> {
        topic
            .set("cleanup.policy", "delete")
            .set("message.timestamp.type", "CreateTime")
            .set("max.message.bytes", "2097152")
            .set("retention.ms", &self.retention_ms)
            .set("retention.bytes", &self.retention_bytes)
            .set("segment.ms", &self.segment_ms)
            .set("segment.bytes", &self.segment_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_that_may_lose_records_are_kept_for_a_short_time() {
        let config = KafkaConfig::default();
        let disk = Settings::of(&TopicSpec::disk("t", 1), &config);
        assert_eq!(
            (&*disk.retention_ms, &*disk.segment_ms),
            ("604800000", "86400000")
        );
        let memory = Settings::of(&TopicSpec::memory("t", 1), &config);
        assert_eq!(
            (&*memory.retention_ms, &*memory.segment_ms),
            ("3600000", "900000")
        );
        assert_eq!(
            (&*memory.retention_bytes, &*memory.segment_bytes),
            ("16777216", "4194304")
        );
    }
}
