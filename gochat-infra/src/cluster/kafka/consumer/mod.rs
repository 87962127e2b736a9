//! One consumer of the port.

mod assignment;
mod driver;
mod intake;
mod poll;
mod silence;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::Shared;
use super::context::Membership;
use super::error::{fenced, from_kafka, invalid, unavailable};
use super::health::Health;
use super::reader::Place;
use crate::port::mq::{
    Consumer, ConsumerConfig, MqError, MqErrorKind, MqResult, OutRecord, Poll, Progress,
    TopicPartition,
};
use assignment::{Origin, Owned};
use driver::{Driver, Outcome, Task};
use silence::Silence;

/// Longest wait for the brokers to hear that a consumer leaves.
const LEAVE: Duration = Duration::from_secs(5);

type Client = BaseConsumer<Membership>;

/// A member of a group, or a reader of its own.
pub(super) struct KafkaConsumer {
    // Dropped in this order: the driver's thread then holds the last reference and ends the client.
    client: Arc<Client>,
    driver: Driver,
    shared: Arc<Shared>,
    config: ConsumerConfig,
    wake: Arc<Notify>,
    owned: Vec<Owned>,
    /// Given back in a rebalance that has not ended.
    limbo: Vec<Owned>,
    /// The group refused a commit of this member: others have its partitions.
    expelled: bool,
    /// Changes to tell the caller.
    news: Poll,
    /// Work of the driver that has to end before anything else is done.
    running: Option<oneshot::Receiver<Outcome>>,
    /// Work to begin next.
    next: Option<Task>,
    /// librdkafka fetches nothing while the caller wants nothing and there is enough in hand.
    paused: bool,
    /// Records in hand, and their bytes.
    in_hand: usize,
    in_hand_bytes: usize,
    /// Where the last record came from, to find the next one's partition at once.
    last: usize,
    turn: usize,
    /// How long the client has given nothing.
    silence: Silence,
    health: Health,
    /// When the driver has to have answered.
    answer_by: Instant,
}

impl KafkaConsumer {
    pub(super) async fn join(shared: Arc<Shared>, config: ConsumerConfig) -> MqResult<Self> {
        for topic in &config.topics {
            shared.topic(topic).await?;
        }
        let (client, wake) = client(&shared, &config)?;
        let driver = Driver::start(client.clone(), shared.clone())?;
        let patience = Duration::from_millis(shared.config.watchdog_ms);
        let mut consumer = Self {
            client,
            driver,
            shared,
            config,
            wake,
            owned: Vec::new(),
            limbo: Vec::new(),
            expelled: false,
            news: Poll::default(),
            running: None,
            next: None,
            paused: false,
            in_hand: 0,
            in_hand_bytes: 0,
            last: 0,
            turn: 0,
            silence: Silence::new(patience),
            health: Health::new(patience),
            answer_by: Instant::now(),
        };
        consumer.enter().await?;
        Ok(consumer)
    }

    /// Subscribes or takes all partitions, and makes the transactional producers.
    async fn enter(&mut self) -> MqResult<()> {
        if let Some(id) = self.config.transactional.clone() {
            let made = self.driver.run(move |work| work.make_steps(&id));
            made.await.unwrap_or_else(|_| Err(ended()))?;
        }
        if self.config.group.is_some() {
            let topics = self.config.topics.iter();
            let wires: Vec<String> = topics
                .map(|topic| self.shared.names.wire(topic).into_owned())
                .collect();
            let joined = self.driver.run(move |work| work.subscribe(&wires));
            return joined.await.unwrap_or_else(|_| Err(ended()));
        }
        let mut all = Vec::new();
        for topic in &self.config.topics {
            let topic = self.shared.topic(topic).await?;
            let partitions = 0..i32::try_from(topic.partitions).unwrap_or(i32::MAX);
            all.extend(partitions.map(|partition| (topic.wire.clone(), partition)));
        }
        let task = self.assign_task(&all);
        let outcome = self.driver.run(move |work| work.perform(&task));
        match outcome
            .await
            .unwrap_or_else(|_| Outcome::Failed(ended(), None))
        {
            Outcome::Failed(error, _) => Err(error),
            outcome => {
                self.apply(outcome);
                Ok(())
            }
        }
    }

    /// Throws the client away and begins anew, after an error it can't get over.
    async fn rebuild(&mut self) -> MqResult<()> {
        metrics::counter!("gochat_kafka_consumer_rebuilds_total").increment(1);
        tracing::warn!(
            group = self.config.group.as_deref(),
            "a consumer is built anew"
        );
        match self.config.group {
            Some(_) => self.lose_everything(),
            // Nobody else reads for it: the new client goes on where this one was, or records would be missed.
            None => self.set_aside(),
        }
        self.next = Some(Task::Rebuild);
        self.client.context().close();
        let (client, wake) = client(&self.shared, &self.config)?;
        let driver = Driver::start(client.clone(), self.shared.clone())?;
        (self.client, self.driver, self.wake) = (client, driver, wake);
        (self.running, self.paused) = (None, false);
        self.silence.end();
        self.health.well();
        self.enter().await?;
        self.next = None;
        Ok(())
    }

    fn owned(&mut self, tp: &TopicPartition) -> MqResult<&mut Owned> {
        let mut owned = self.owned.iter_mut();
        owned.find(|owned| owned.tp == *tp).ok_or_else(fenced)
    }

    /// Where a commit goes; refused when one of the partitions is not ours.
    fn places(&mut self, offsets: &[Progress]) -> MqResult<Vec<(Place, u64)>> {
        let place = |progress: &Progress| {
            let owned = self.owned(&progress.tp)?;
            Ok((owned.place.clone(), progress.offset))
        };
        offsets.iter().map(place).collect()
    }

    fn committed(&mut self, offsets: &[Progress]) {
        for Progress { tp, offset } in offsets {
            if let Ok(owned) = self.owned(tp) {
                (owned.base, owned.in_doubt) = (Some(Some(*offset)), false);
            }
        }
    }

    async fn write(&mut self, outputs: Vec<OutRecord>, offsets: &[Progress]) -> MqResult<()> {
        self.shared.check()?;
        let outputs = self.shared.route(outputs).await?;
        let places = self.places(offsets)?;
        let done = self.driver.run(move |work| work.step(&outputs, &places));
        let outcome = match tokio::time::timeout(self.shared.config.longest_work(), done).await {
            Ok(outcome) => outcome.unwrap_or_else(|_| Err(ended())),
            Err(_) => {
                self.give_up("a step");
                Err(unavailable("the step was not answered in time"))
            }
        };
        self.judge(outcome)?;
        self.committed(offsets);
        Ok(())
    }

    /// Remembers that the group knows this member no more, and how the client does.
    fn judge(&mut self, outcome: MqResult<()>) -> MqResult<()> {
        self.expelled |= matches!(&outcome, Err(error) if error.kind == MqErrorKind::Fenced);
        self.note_work(outcome.as_ref().err());
        outcome
    }

    fn begin(&mut self, task: Task) {
        self.answer_by = Instant::now() + self.shared.config.longest_work();
        self.running = Some(self.driver.run(move |work| work.perform(&task)));
    }

    /// A partition to ask about.
    fn some_place(&self) -> Option<Place> {
        let owned = self.owned.first().map(|owned| owned.place.clone());
        owned.or_else(|| {
            let topic = self.config.topics.first()?;
            Some(Place {
                wire: self.shared.names.wire(topic).into_owned(),
                partition: 0,
            })
        })
    }

    /// Remembers how the client does. After failures for long, whether it is Kafka or the client shows a question that
    /// another client asks.
    fn note_work(&mut self, failure: Option<&MqError>) {
        match failure.map(|error| error.kind) {
            Some(MqErrorKind::Unavailable) => {
                // A step may fail while an assignment is under way, whose outcome must not be dropped.
                let free = self.running.is_none() && !matches!(self.next, Some(Task::Rebuild));
                if free
                    && self.health.failed(Instant::now())
                    && let Some(place) = self.some_place()
                {
                    // What is to be done next is done afterwards.
                    self.begin(Task::Compare(place));
                }
            }
            _ => self.health.well(),
        }
    }

    /// The driver does not come back from some work: it is left to itself, and so is its client. What it may still
    /// write is fenced, for the producers of the next one have the same ids.
    fn give_up(&mut self, what: &'static str) {
        tracing::warn!(what, "the client does not come back from its work");
        self.running = None;
        self.next = Some(Task::Rebuild);
    }
}

#[async_trait]
impl Consumer for KafkaConsumer {
    async fn poll(&mut self, max: usize, wait: Duration) -> MqResult<Poll> {
        self.take(max, wait).await
    }

    async fn commit(&mut self, offsets: Vec<Progress>) -> MqResult<()> {
        self.shared.check()?;
        if self.config.group.is_none() {
            return Err(invalid("a consumer without a group can't commit"));
        }
        let places = self.places(&offsets)?;
        for progress in &offsets {
            self.owned(&progress.tp)?.base = None;
        }
        let done = self.driver.run(move |work| work.commit(&places));
        let patience = self.shared.config.request_timeout() * 2;
        match tokio::time::timeout(patience, done).await {
            Ok(outcome) => self.judge(outcome.unwrap_or_else(|_| Err(ended())))?,
            Err(_) => self.judge(Err(unavailable("the commit was not answered in time")))?,
        }
        self.committed(&offsets);
        Ok(())
    }

    async fn transact(&mut self, outputs: Vec<OutRecord>, offsets: Vec<Progress>) -> MqResult<()> {
        if self.config.transactional.is_none() || self.config.group.is_none() {
            return Err(invalid(
                "the consumer was made without a group or a transactional id",
            ));
        }
        for Progress { tp, .. } in &offsets {
            if let Ok(owned) = self.owned(tp) {
                (owned.in_doubt, owned.base) = (true, None);
            }
        }
        self.write(outputs, &offsets).await
    }

    fn seek(&mut self, positions: &[Progress]) -> MqResult<()> {
        for Progress { tp, offset } in positions {
            let owned = self.owned(tp)?;
            owned.move_to(*offset);
        }
        self.count_in_hand();
        Ok(())
    }

    async fn close(self: Box<Self>) -> MqResult<()> {
        let mut consumer = self;
        let ended = consumer.driver.ended();
        consumer.client.context().close();
        drop(consumer);
        match tokio::time::timeout(LEAVE, ended).await {
            Ok(_) => Ok(()),
            Err(_) => Err(unavailable("the group could not be told")),
        }
    }
}

impl Drop for KafkaConsumer {
    fn drop(&mut self) {
        self.client.context().close();
    }
}

fn ended() -> MqError {
    MqError::new(MqErrorKind::Unavailable, "the consumer's thread has ended")
}

/// A client, and what its queue wakes.
fn client(shared: &Shared, config: &ConsumerConfig) -> MqResult<(Arc<Client>, Arc<Notify>)> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    // Members are sorted by name, and the name is made of this: the older a member, the more it keeps.
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let millis = now.unwrap_or_default().as_millis();
    let age = format!("{millis:013}-{:06}", NEXT.fetch_add(1, Ordering::Relaxed));
    // Ranges move the fewest partitions of one topic; of many small topics they would give all to the first members.
    let strategy = match config.topics.len() {
        0 | 1 => "range",
        _ => "roundrobin",
    };
    let group = config.group.as_deref().unwrap_or("gochat-tail");
    let mut client: Client = shared
        .config
        .consumer(group, &age, config.max_poll_interval, strategy)
        .create_with_context(Membership::default())
        .map_err(|error| from_kafka("a consumer", &error))?;
    let wake = Arc::new(Notify::new());
    let woken = wake.clone();
    client.set_nonempty_callback(move || woken.notify_one());
    Ok((Arc::new(client), wake))
}

impl KafkaConsumer {
    fn origin(&self) -> Origin {
        Origin {
            start: self.config.start,
            grouped: self.config.group.is_some(),
        }
    }
}
