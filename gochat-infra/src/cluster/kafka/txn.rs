//! The atomic step: one Kafka transaction.
//!
//! Two transactional producers take turns. A coordinator that is still writing the markers of a transaction refuses
//! the next one of the same id, and librdkafka then waits 20 ms; with two ids the markers of one step are written
//! while the next step runs. The order holds all the same: a step begins only after the one before was committed.

use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{NoCustomPartitioner, Producer as _, ProducerContext, PurgeConfig};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::context::{Membership, log, note_error};
use super::error::{fenced, from_kafka, unavailable};
use super::polled::Polled;
use super::producer::Routed;
use super::reader::Place;
use super::{KafkaConfig, Shared};
use crate::port::mq::{MqError, MqResult};

/// Longest wait for an abort.
const ABORT: Duration = Duration::from_secs(5);

/// Why a step did not commit, and what its producer needs.
enum Trouble {
    /// The transaction is aborted; the producer goes on.
    Abort(MqError),
    /// The producer can't go on, or nobody knows how the commit ended: a new one finds out.
    Rebuild(MqError),
}

/// What became of the records of a transaction.
#[derive(Default)]
struct Deliveries {
    state: Mutex<Delivered>,
    changed: Condvar,
}

#[derive(Default)]
struct Delivered {
    /// Written or not, but reported.
    reported: usize,
    /// Why the first of those that failed did.
    failed: Option<KafkaError>,
}

impl Deliveries {
    fn reset(&self) {
        *self.state.lock() = Delivered::default();
    }

    /// Waits for the reports of `records` records, or for a failure.
    fn wait(&self, records: usize, deadline: Instant) -> Result<(), Trouble> {
        let mut state = self.state.lock();
        loop {
            if let Some(error) = state.failed.take() {
                return Err(trouble(&error));
            }
            if state.reported >= records {
                return Ok(());
            }
            if self.changed.wait_until(&mut state, deadline).timed_out() {
                let error = unavailable("outputs were not written in time");
                return Err(Trouble::Abort(error));
            }
        }
    }
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, text: &str) {
        log(level, fac, text);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        note_error(&error, reason);
    }
}

impl ProducerContext<NoCustomPartitioner> for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let mut state = self.state.lock();
        state.reported += 1;
        if let Err((error, _)) = result {
            state.failed.get_or_insert_with(|| error.clone());
        }
        self.changed.notify_one();
    }
}

/// Its thread takes reports the moment they come; the binding's own `flush` looks every 100 ms only.
type Producer = Polled<Deliveries>;

/// The transactional producers of one consumer.
pub(super) struct Steps {
    lanes: [Lane; 2],
    turn: usize,
}

struct Lane {
    id: String,
    producer: Option<Producer>,
}

impl Steps {
    /// Makes both producers; each ends what a predecessor of the same id left open. Blocks.
    pub(super) fn new(config: &KafkaConfig, id: &str) -> MqResult<Self> {
        let mut lanes = ["a", "b"].map(|lane| Lane {
            id: format!("{id}-{lane}"),
            producer: None,
        });
        for lane in &mut lanes {
            lane.ready(config)?;
        }
        Ok(Self { lanes, turn: 0 })
    }

    /// Writes outputs and offsets in one transaction. Blocks.
    pub(super) fn run(
        &mut self,
        shared: &Shared,
        consumer: &BaseConsumer<Membership>,
        outputs: &[Routed],
        offsets: &[(Place, u64)],
    ) -> MqResult<()> {
        let lane = &mut self.lanes[self.turn];
        self.turn = (self.turn + 1) % 2;
        let began = Instant::now();
        let patience = Duration::from_millis(shared.config.transaction_timeout_ms);
        let step = Step {
            shared,
            consumer,
            outputs,
            offsets,
            deadline: began + patience,
        };
        let producer = lane.ready(&shared.config)?;
        let outcome = match step.run(producer) {
            Ok(()) => Ok(()),
            Err(Trouble::Abort(error)) => {
                if let Err(why) = abort(producer) {
                    tracing::info!(%why, "a transaction could not be aborted");
                    lane.rebuild(&shared.config);
                }
                Err(error)
            }
            Err(Trouble::Rebuild(error)) => {
                lane.rebuild(&shared.config);
                Err(error)
            }
        };
        let result = if outcome.is_ok() { "ok" } else { "error" };
        metrics::histogram!("gochat_kafka_transaction_seconds", "result" => result)
            .record(began.elapsed().as_secs_f64());
        outcome
    }
}

impl Lane {
    fn ready(&mut self, config: &KafkaConfig) -> MqResult<&Producer> {
        let producer = match self.producer.take() {
            Some(producer) => producer,
            None => {
                let settings = config.transactional(&self.id);
                let producer = Producer::new(&settings, Deliveries::default())?;
                let timeout = config.request_timeout() * 2;
                producer
                    .init_transactions(timeout)
                    .map_err(|error| from_kafka("a transactional producer", &error))?;
                producer
            }
        };
        Ok(self.producer.insert(producer))
    }

    /// A new producer of the same id ends the transaction of the old one, whichever way it was going.
    fn rebuild(&mut self, config: &KafkaConfig) {
        metrics::counter!("gochat_kafka_producer_rebuilds_total").increment(1);
        self.producer = None;
        if let Err(error) = self.ready(config) {
            tracing::info!(%error, "a transactional producer can't be made yet");
        }
    }
}

/// One step under way.
struct Step<'a> {
    shared: &'a Shared,
    consumer: &'a BaseConsumer<Membership>,
    outputs: &'a [Routed],
    offsets: &'a [(Place, u64)],
    deadline: Instant,
}

impl Step<'_> {
    fn run(&self, producer: &Producer) -> Result<(), Trouble> {
        producer.context().reset();
        self.again(|_| producer.begin_transaction())?;
        self.produce(producer)?;
        self.send_offsets(producer)?;
        self.await_deliveries(producer)?;
        match self.again(|left| producer.commit_transaction(left)) {
            // It may have been committed: a new producer of the same id makes sure it has ended.
            Err(Trouble::Abort(error)) if self.left().is_zero() => Err(Trouble::Rebuild(error)),
            outcome => outcome,
        }
    }

    fn produce(&self, producer: &Producer) -> Result<(), Trouble> {
        let stamped = self.outputs.iter().any(|output| output.topic.stamped);
        let seal = stamped.then(|| self.shared.seal());
        for output in self.outputs {
            let mut record = output.to_base(seal.as_ref(), ());
            while let Err((error, refused)) = producer.send(record) {
                let full = error.rdkafka_error_code() == Some(Code::QueueFull);
                if !full || self.left().is_zero() {
                    let error = from_kafka("an output was not taken", &error);
                    return Err(Trouble::Abort(error));
                }
                std::thread::sleep(Duration::from_millis(1));
                record = refused;
            }
        }
        Ok(())
    }

    fn send_offsets(&self, producer: &Producer) -> Result<(), Trouble> {
        let mut list = TopicPartitionList::with_capacity(self.offsets.len());
        for (place, offset) in self.offsets {
            let offset = Offset::Offset(i64::try_from(*offset).unwrap_or(i64::MAX));
            list.add_partition_offset(&place.wire, place.partition, offset)
                .map_err(|error| Trouble::Abort(from_kafka("an offset", &error)))?;
        }
        let group = self.consumer.group_metadata();
        // In this order: metadata taken before the loss carry the generation that the broker fences.
        let Some(group) = group.filter(|_| !self.consumer.assignment_lost()) else {
            return Err(Trouble::Abort(fenced()));
        };
        self.again(|left| producer.send_offsets_to_transaction(&list, &group, left))
    }

    /// Waits until every output is written, and the client has let go of them all: then the commit has nothing to flush.
    fn await_deliveries(&self, producer: &Producer) -> Result<(), Trouble> {
        let reports = producer.context();
        reports.wait(self.outputs.len(), self.deadline)?;
        while producer.in_flight_count() > 0 && !self.left().is_zero() {
            std::thread::yield_now();
        }
        Ok(())
    }

    /// Repeats a call as long as Kafka says so.
    fn again(&self, call: impl Fn(Duration) -> Result<(), KafkaError>) -> Result<(), Trouble> {
        loop {
            let left = self.left().max(Duration::from_millis(1));
            match call(left) {
                Ok(()) => return Ok(()),
                Err(KafkaError::Transaction(error))
                    if error.is_retriable() && !self.left().is_zero() =>
                {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(error) => return Err(trouble(&error)),
            }
        }
    }

    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}

/// Which arm an error falls in.
fn trouble(error: &KafkaError) -> Trouble {
    let told = from_kafka("a step", error);
    match error {
        KafkaError::Transaction(why) if why.is_fatal() => Trouble::Rebuild(told),
        _ if error.rdkafka_error_code() == Some(Code::Fatal) => Trouble::Rebuild(told),
        _ => Trouble::Abort(told),
    }
}

fn abort(producer: &Producer) -> Result<(), KafkaError> {
    let deadline = Instant::now() + ABORT;
    producer.purge(PurgeConfig::default().queue().inflight());
    while producer.in_flight_count() > 0 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(1));
    }
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match producer.abort_transaction(left.max(Duration::from_millis(1))) {
            Err(KafkaError::Transaction(error)) if error.is_retriable() && !left.is_zero() => {}
            outcome => return outcome,
        }
    }
}
