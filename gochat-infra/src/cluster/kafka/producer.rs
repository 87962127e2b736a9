//! Plain writes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use gochat_core::partition;
use parking_lot::Mutex;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{DeliveryResult, Message as _};
use rdkafka::producer::{BaseRecord, NoCustomPartitioner, ProducerContext};
use tokio::sync::oneshot;

use super::context::{log, note_error};
use super::error::{from_kafka, unavailable};
use super::polled::Polled;
use super::record::{Seal, rfc3339, to_wire};
use super::topics::Topic;
use super::{KafkaConfig, Shared};
use crate::port::mq::{
    MAX_RECORD_BYTES, MqError, MqErrorKind, MqResult, OutRecord, Placed, Producer, Record,
};

/// A record that knows where it goes.
pub(super) struct Routed {
    pub(super) topic: Arc<Topic>,
    pub(super) partition: u32,
    pub(super) record: Record,
}

impl Shared {
    /// Checks all records before any is written.
    pub(super) async fn route(self: &Arc<Self>, records: Vec<OutRecord>) -> MqResult<Vec<Routed>> {
        let mut routed: Vec<Routed> = Vec::with_capacity(records.len());
        for OutRecord {
            topic,
            partition,
            record,
        } in records
        {
            if record.size() > MAX_RECORD_BYTES {
                let size = record.size();
                let text = format!("a record of {size} bytes is too large");
                return Err(MqError::new(MqErrorKind::TooLarge, text));
            }
            let topic = match routed.last() {
                Some(before) if before.topic.name == topic => before.topic.clone(),
                _ => self.topic(&topic).await?,
            };
            let partition = match partition {
                Some(partition) if partition < topic.partitions => partition,
                Some(partition) => {
                    let name = format!("{}/{partition}", topic.name);
                    return Err(MqError::unknown_topic(&name));
                }
                None => self.partition_of(&record.key, topic.partitions),
            };
            routed.push(Routed {
                topic,
                partition,
                record,
            });
        }
        Ok(routed)
    }

    /// By key; records without one take turns.
    fn partition_of(&self, key: &[u8], partitions: u32) -> u32 {
        static TURN: AtomicU32 = AtomicU32::new(0);
        match key.is_empty() {
            true => TURN.fetch_add(1, Ordering::Relaxed) % partitions,
            false => partition::of_key(key, partitions),
        }
    }

    /// What stamped records of this moment carry.
    pub(super) fn seal(&self) -> Seal<'_> {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Seal {
            time: rfc3339(now.as_millis() as u64),
            source: &self.config.client_id,
        }
    }
}

impl Routed {
    /// As librdkafka takes it.
    pub(super) fn to_base<'a, D: rdkafka::util::IntoOpaque>(
        &'a self,
        seal: Option<&Seal<'_>>,
        opaque: D,
    ) -> BaseRecord<'a, [u8], [u8], D> {
        let record = &self.record;
        let partition = i32::try_from(self.partition).unwrap_or(i32::MAX);
        let mut base = BaseRecord::with_opaque_to(&self.topic.wire, opaque)
            .partition(partition)
            .payload(&record.value[..]);
        if !record.key.is_empty() {
            base = base.key(&record.key[..]);
        }
        if let Some(headers) = to_wire(&record.headers, seal.filter(|_| self.topic.stamped)) {
            base = base.headers(headers);
        }
        base
    }
}

/// One call of `send` that is under way.
struct Call {
    state: Mutex<Progress>,
}

struct Progress {
    left: usize,
    places: Vec<Placed>,
    error: Option<MqError>,
    answer: Option<oneshot::Sender<MqResult<Vec<Placed>>>>,
}

impl Call {
    fn new(records: usize) -> (Arc<Self>, oneshot::Receiver<MqResult<Vec<Placed>>>) {
        let (answer, answered) = oneshot::channel();
        let nowhere = Placed {
            partition: 0,
            offset: 0,
        };
        let state = Mutex::new(Progress {
            left: records,
            places: vec![nowhere; records],
            error: None,
            answer: Some(answer),
        });
        (Arc::new(Self { state }), answered)
    }

    fn settle(&self, records: usize, error: Option<MqError>, place: Option<(usize, Placed)>) {
        let mut state = self.state.lock();
        if let Some((index, placed)) = place {
            state.places[index] = placed;
        }
        state.error = state.error.take().or(error);
        state.left -= records;
        if state.left > 0 {
            return;
        }
        let outcome = match state.error.take() {
            Some(error) => Err(error),
            None => Ok(std::mem::take(&mut state.places)),
        };
        // Nobody listens to a call that was dropped.
        if let Some(answer) = state.answer.take() {
            drop(answer.send(outcome));
        }
    }
}

/// One record of a call; travels through librdkafka.
pub(super) struct Ticket {
    call: Arc<Call>,
    topic: Arc<Topic>,
    index: usize,
}

/// Takes delivery reports.
pub(super) struct Reports;

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, text: &str) {
        log(level, fac, text);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        note_error(&error, reason);
    }
}

impl ProducerContext<NoCustomPartitioner> for Reports {
    type DeliveryOpaque = Box<Ticket>;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: Box<Ticket>) {
        let Ticket { call, topic, index } = *ticket;
        match result {
            Ok(message) => {
                topic.sent.increment(1);
                let placed = Placed {
                    partition: u32::try_from(message.partition()).unwrap_or_default(),
                    offset: u64::try_from(message.offset()).unwrap_or_default(),
                };
                call.settle(1, None, Some((index, placed)));
            }
            Err((error, _)) => {
                topic.refused.increment(1);
                call.settle(1, Some(from_kafka("a record was not written", error)), None);
            }
        }
    }
}

/// The producer of this process. Its thread blocks until a report arrives, so a report is never late.
pub(super) struct Sender {
    producer: Polled<Reports>,
}

impl Sender {
    pub(super) fn new(config: &KafkaConfig) -> MqResult<Self> {
        Ok(Self {
            producer: Polled::new(&config.producer(), Reports)?,
        })
    }

    /// Queues all records; the receiver gets the outcome.
    fn queue(
        &self,
        routed: &[Routed],
        seal: Option<&Seal<'_>>,
    ) -> oneshot::Receiver<MqResult<Vec<Placed>>> {
        let (call, answered) = Call::new(routed.len());
        for (index, record) in routed.iter().enumerate() {
            let ticket = Box::new(Ticket {
                call: call.clone(),
                topic: record.topic.clone(),
                index,
            });
            if let Err((error, _)) = self.producer.send(record.to_base(seal, ticket)) {
                // A full queue takes none of the others either; what is queued will be written.
                let left = routed.len() - index;
                record.topic.refused.increment(left as u64);
                let error = match error.rdkafka_error_code() {
                    Some(Code::QueueFull) => unavailable("too many records wait to be written"),
                    _ => from_kafka("a record was not taken", &error),
                };
                call.settle(left, Some(error), None);
                break;
            }
        }
        answered
    }
}

/// Handle given to callers.
pub(super) struct KafkaProducer(pub(super) Arc<Shared>);

#[async_trait]
impl Producer for KafkaProducer {
    async fn send(&self, records: Vec<OutRecord>) -> MqResult<Vec<Placed>> {
        self.0.check()?;
        if records.is_empty() {
            return Ok(Vec::new());
        }
        let routed = self.0.route(records).await?;
        if self.0.connection.is_down() {
            routed[0].topic.refused.increment(routed.len() as u64);
            return Err(unavailable("Kafka can't be reached"));
        }
        let stamped = routed.iter().any(|record| record.topic.stamped);
        let seal = stamped.then(|| self.0.seal());
        let answered = self.0.sender.queue(&routed, seal.as_ref());
        drop(routed);
        answered
            .await
            .unwrap_or_else(|_| Err(unavailable("the producer was closed")))
    }
}
