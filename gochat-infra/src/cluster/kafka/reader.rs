//! Reading a partition from a given place to its end.
//!
//! "The end" is the high watermark at the time of the call, not the last stable offset: a transaction that was
//! answered `Ok` lies below the first from that moment on, and below the second only once the coordinator's markers
//! have reached the partition. Whoever takes a sequencer over has to see it, so an empty answer is given only when
//! the last stable offset has come as far.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tokio::sync::Semaphore;

use super::context::Quiet;
use super::error::{from_kafka, unavailable};
use super::off_thread::OffThread;
use super::record::from_wire;
use super::slot::Slot;
use super::topics::blocking;
use super::{KafkaConfig, Shared};
use crate::port::mq::{InRecord, MqError, MqResult, TopicPartition};

/// Readers at work at the same time; each is a client with connections of its own.
const READERS: usize = 4;
/// Bytes of one answer.
const MOST_BYTES: usize = 8 << 20;
/// Group of clients that never join one.
const NO_GROUP: &str = "gochat-reader";

/// A client that only reads.
pub(super) type Client = OffThread<BaseConsumer<Quiet>>;

/// Clients to read with and one to look at watermarks.
pub(super) struct Readers {
    idle: Mutex<Vec<Client>>,
    permits: Semaphore,
    /// Sees records that are not committed yet.
    probe: Slot,
}

/// A place on the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) wire: String,
    pub(super) partition: i32,
}

impl Readers {
    pub(super) fn new(config: &KafkaConfig) -> MqResult<Self> {
        Ok(Self {
            idle: Mutex::default(),
            permits: Semaphore::new(READERS),
            probe: Slot::new(config, NO_GROUP, false)?,
        })
    }
}

/// A client of one group that reads offsets or is told what to read.
pub(super) fn client(config: &KafkaConfig, group: &str, committed: bool) -> MqResult<Client> {
    let client = config
        .reader(group, committed)
        .create_with_context(Quiet)
        .map_err(|error| from_kafka("a reader", &error))?;
    Ok(OffThread::new(client))
}

/// First kept offset, and the end as this client's isolation level sees it.
pub(super) fn watermarks<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    place: &Place,
    timeout: Duration,
) -> MqResult<(u64, u64)> {
    let deadline = Instant::now() + timeout;
    let (low, high) = loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match client.fetch_watermarks(&place.wire, place.partition, left) {
            Ok(ends) => break ends,
            // A topic is so new, or a leader so new, that not every broker has heard of it.
            Err(error) if is_passing(&error) && !left.is_zero() => {
                look_up(client, place, &error, left);
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(error) => return Err(from_kafka("the ends of a partition", &error)),
        }
    };
    let natural = |offset| u64::try_from(offset).unwrap_or_default();
    Ok((natural(low), natural(high)))
}

/// Looks the leader up when the client knows of none: librdkafka goes on answering so from its memory, which it reads
/// anew after 15 minutes.
fn look_up<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    place: &Place,
    error: &KafkaError,
    left: Duration,
) {
    let leaderless = matches!(
        error.rdkafka_error_code(),
        Some(Code::LeaderNotAvailable | Code::UnknownPartition)
    );
    if leaderless && let Err(error) = client.fetch_metadata(Some(&place.wire), left) {
        tracing::debug!(%error, "the leader of a partition can't be looked up");
    }
}

impl Shared {
    /// The partition's place on the cluster.
    pub(super) async fn place(self: &Arc<Self>, tp: &TopicPartition) -> MqResult<Place> {
        let topic = self.topic(&tp.topic).await?;
        if tp.partition >= topic.partitions {
            return Err(MqError::unknown_topic(&tp.to_string()));
        }
        Ok(Place {
            wire: topic.wire.clone(),
            partition: i32::try_from(tp.partition).unwrap_or(i32::MAX),
        })
    }

    /// First kept offset and high watermark. Blocks.
    pub(super) fn bounds(&self, place: &Place, timeout: Duration) -> MqResult<(u64, u64)> {
        let probe = self.readers.probe.get();
        let bounds = watermarks(&probe, place, timeout);
        if bounds.as_ref().is_err_and(MqError::is_retryable) {
            self.readers.probe.renew(&probe, &self.config);
        }
        bounds
    }

    pub(super) async fn end_offset(self: &Arc<Self>, tp: &TopicPartition) -> MqResult<u64> {
        let place = self.place(tp).await?;
        let shared = self.clone();
        let timeout = self.config.request_timeout();
        let bounds = blocking(move || shared.bounds(&place, timeout)).await??;
        Ok(bounds.1)
    }

    pub(super) async fn read(
        self: &Arc<Self>,
        tp: &TopicPartition,
        from: u64,
        max: usize,
    ) -> MqResult<Vec<InRecord>> {
        let place = self.place(tp).await?;
        let _permit = self.readers.permits.acquire().await;
        let shared = self.clone();
        blocking(move || shared.read_now(&place, from, max)).await?
    }

    /// As [`read`](Self::read). Blocks.
    pub(super) fn read_now(&self, place: &Place, from: u64, max: usize) -> MqResult<Vec<InRecord>> {
        let idle = self.readers.idle.lock().pop();
        let client = match idle {
            Some(client) => client,
            None => client(&self.config, NO_GROUP, true)?,
        };
        let read = Read {
            shared: self,
            client: &client,
            place,
            deadline: Instant::now() + self.read_patience(),
        };
        let records = read.run(from, max);
        // A client that met an error is ended; the next call builds a new one.
        if records.is_ok() {
            let mut idle = self.readers.idle.lock();
            if idle.len() < READERS {
                idle.push(client);
            }
        }
        records
    }

    /// A killed writer's transaction is aborted by then, give or take the broker's own interval.
    fn read_patience(&self) -> Duration {
        self.config.request_timeout() + Duration::from_millis(self.config.transaction_timeout_ms)
    }
}

/// One call of `read`.
struct Read<'a> {
    shared: &'a Shared,
    client: &'a BaseConsumer<Quiet>,
    place: &'a Place,
    deadline: Instant,
}

impl Read<'_> {
    fn run(&self, from: u64, max: usize) -> MqResult<Vec<InRecord>> {
        let (first, end) = self.shared.bounds(self.place, self.left()?)?;
        let from = from.max(first);
        if from >= end || max == 0 {
            return Ok(Vec::new());
        }
        loop {
            let (_, stable) = watermarks(self.client, self.place, self.left()?)?;
            if stable > from {
                let records = self.fetch(from, max)?;
                if !records.is_empty() || stable >= end {
                    return Ok(records);
                }
            }
            // An open transaction hides what is next: it ends or is aborted.
            std::thread::sleep(Duration::from_millis(3));
        }
    }

    fn left(&self) -> MqResult<Duration> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(unavailable("records before the end are not committed yet"));
        }
        Ok(left.min(self.shared.config.request_timeout()))
    }

    /// What is committed from `from` on, up to the last stable offset.
    fn fetch(&self, from: u64, max: usize) -> MqResult<Vec<InRecord>> {
        let mut list = TopicPartitionList::new();
        let offset = Offset::Offset(i64::try_from(from).unwrap_or(i64::MAX));
        let failed = |error: &KafkaError| from_kafka("a partition can't be read", error);
        list.add_partition_offset(&self.place.wire, self.place.partition, offset)
            .map_err(|error| failed(&error))?;
        self.client.assign(&list).map_err(|error| failed(&error))?;
        let records = self.drain(max);
        self.client.unassign().map_err(|error| failed(&error))?;
        records
    }

    fn drain(&self, max: usize) -> MqResult<Vec<InRecord>> {
        let (mut records, mut bytes) = (Vec::new(), 0);
        while records.len() < max && bytes < MOST_BYTES {
            match self.client.poll(self.left()?) {
                Some(Ok(message)) => {
                    let record = from_wire(&message);
                    bytes += record.record.size();
                    records.push(record);
                }
                Some(Err(KafkaError::PartitionEOF(_))) => break,
                Some(Err(error)) if is_passing(&error) => {}
                Some(Err(error)) => return Err(from_kafka("a partition can't be read", &error)),
                None => {}
            }
        }
        Ok(records)
    }
}

/// Errors librdkafka gets over by itself.
pub(super) fn is_passing(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            Code::BrokerTransportFailure
                | Code::AllBrokersDown
                | Code::Resolve
                | Code::OperationTimedOut
                | Code::RequestTimedOut
                | Code::NotLeaderForPartition
                | Code::LeaderNotAvailable
                | Code::UnknownPartition
                | Code::NetworkException
                | Code::NotCoordinator
                | Code::CoordinatorNotAvailable
                | Code::CoordinatorLoadInProgress
                | Code::WaitingForCoordinator
                | Code::FencedLeaderEpoch
                | Code::UnknownLeaderEpoch
                | Code::OffsetNotAvailable
                | Code::ReplicaNotAvailable
                | Code::KafkaStorageError
                | Code::PollExceeded
        )
    )
}
