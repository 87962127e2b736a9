//! How far groups are.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ahash::RandomState;
use hashbrown::HashMap;
use parking_lot::Mutex;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tokio::sync::oneshot;

use super::Shared;
use super::config::KafkaConfig;
use super::error::{from_code, from_kafka, unavailable};
use super::health::Health;
use super::reader::Place;
use super::slot::Slot;
use super::topics::blocking;
use crate::port::mq::{MqError, MqErrorKind, MqResult, TopicPartition};

/// Pause between two looks while somebody waits.
const LOOK_EVERY: Duration = Duration::from_millis(4);
/// Waits of one group; more are refused.
const MOST_WAITS: usize = 65_536;

/// Clients and waits by group.
#[derive(Default)]
pub(super) struct Offsets {
    groups: Mutex<HashMap<Arc<str>, Arc<Group>, RandomState>>,
}

/// One group as an onlooker sees it.
struct Group {
    /// Answers once every transaction that holds offsets has ended.
    stable: Slot,
    /// Answers at once with what is committed.
    latest: Slot,
    waits: Mutex<Waits>,
}

#[derive(Default)]
struct Waits {
    list: Vec<Wait>,
    /// Whether a task looks.
    watched: bool,
}

impl Group {
    fn new(config: &KafkaConfig, name: &str) -> MqResult<Self> {
        Ok(Self {
            stable: Slot::new(config, name, true)?,
            latest: Slot::new(config, name, false)?,
            waits: Mutex::default(),
        })
    }
}

struct Wait {
    tp: TopicPartition,
    place: Place,
    offset: u64,
    reached: oneshot::Sender<MqResult<()>>,
}

impl Shared {
    fn group(&self, name: &str) -> MqResult<Arc<Group>> {
        let mut groups = self.offsets.groups.lock();
        if let Some(group) = groups.get(name) {
            return Ok(group.clone());
        }
        let group = Arc::new(Group::new(&self.config, name)?);
        groups.insert(name.into(), group.clone());
        Ok(group)
    }

    /// The group's committed offset once no transaction can change it any more.
    pub(super) async fn committed(
        self: &Arc<Self>,
        group: &str,
        tp: &TopicPartition,
    ) -> MqResult<Option<u64>> {
        let place = self.place(tp).await?;
        let group = self.group(group)?;
        let deadline = Instant::now() + self.config.request_timeout() * 2;
        let looker = group.stable.get();
        let asked = looker.clone();
        let found = blocking(move || stable(&asked, &[place], deadline)).await?;
        if found.as_ref().is_err_and(MqError::is_retryable) {
            group.stable.renew(&looker, &self.config);
        }
        Ok(found?.first().copied().flatten())
    }

    pub(super) async fn wait_committed(
        self: &Arc<Self>,
        group: &str,
        tp: &TopicPartition,
        offset: u64,
    ) -> MqResult<()> {
        let place = self.place(tp).await?;
        let group = self.group(group)?;
        let (reached, wait) = oneshot::channel();
        {
            let mut waits = group.waits.lock();
            if waits.list.len() >= MOST_WAITS {
                return Err(unavailable("too many calls wait for this group"));
            }
            waits.list.push(Wait {
                tp: tp.clone(),
                place,
                offset,
                reached,
            });
            if !std::mem::replace(&mut waits.watched, true) {
                tokio::spawn(watch(self.clone(), group.clone()));
            }
        }
        wait.await
            .unwrap_or_else(|_| Err(MqError::new(MqErrorKind::Closed, "the log was closed")))
    }
}

/// Looks at the group for all who wait, until nobody does.
async fn watch(shared: Arc<Shared>, group: Arc<Group>) {
    let mut health = Health::new(Duration::from_millis(shared.config.watchdog_ms));
    loop {
        let open = {
            let mut waits = group.waits.lock();
            waits.list.retain(|wait| !wait.reached.is_closed());
            if shared.is_closed() {
                waits.list.clear();
            }
            waits.watched = !waits.list.is_empty();
            distinct(&waits.list)
        };
        if open.is_empty() {
            return;
        }
        let looker = group.latest.get();
        let asked = looker.clone();
        let timeout = shared.config.request_timeout();
        let places: Vec<Place> = open.iter().map(|(_, place)| place.clone()).collect();
        let found = blocking(move || offsets(&asked, &places, timeout)).await;
        if let Ok(Ok(found)) = found {
            health.well();
            settle(&shared, &group, &open, &found);
        } else if health.failed(tokio::time::Instant::now()) {
            group.latest.renew(&looker, &shared.config);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn distinct(waits: &[Wait]) -> Vec<(TopicPartition, Place)> {
    let mut open: Vec<(TopicPartition, Place)> = Vec::new();
    for wait in waits {
        if !open.iter().any(|(tp, _)| *tp == wait.tp) {
            open.push((wait.tp.clone(), wait.place.clone()));
        }
    }
    open
}

/// Wakes those whose offset is reached or whose topic is gone.
fn settle(shared: &Shared, group: &Group, open: &[(TopicPartition, Place)], found: &[Option<u64>]) {
    let committed = |tp: &TopicPartition| {
        let mut pairs = open.iter().zip(found);
        pairs.find(|((other, _), _)| other == tp)?.1.as_ref()
    };
    let mut waits = group.waits.lock();
    let (mut i, mut done) = (0, Vec::new());
    while let Some(wait) = waits.list.get(i) {
        let gone = shared.topics.find(&wait.tp.topic).is_none();
        if gone || committed(&wait.tp).is_some_and(|at| *at >= wait.offset) {
            let wait = waits.list.swap_remove(i);
            done.push((wait, gone));
        } else {
            i += 1;
        }
    }
    drop(waits);
    for (wait, gone) in done {
        let outcome = match gone {
            true => Err(MqError::unknown_topic(&wait.tp.topic)),
            false => Ok(()),
        };
        // Whoever gave up waiting does not mind.
        drop(wait.reached.send(outcome));
    }
}

/// Committed offsets that no transaction can change any more. Blocks until `deadline` at the latest.
pub(super) fn stable<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    places: &[Place],
    deadline: Instant,
) -> MqResult<Vec<Option<u64>>> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match offsets(client, places, left.max(Duration::from_millis(1))) {
            Err(error) if error.is_retryable() && !left.is_zero() => {
                std::thread::sleep(Duration::from_millis(2));
            }
            outcome => return outcome,
        }
    }
}

/// Committed offsets as this client's isolation level sees them.
fn offsets<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    places: &[Place],
    timeout: Duration,
) -> MqResult<Vec<Option<u64>>> {
    let mut list = TopicPartitionList::with_capacity(places.len());
    for place in places {
        list.add_partition(&place.wire, place.partition);
    }
    let list = client
        .committed_offsets(list, timeout)
        .map_err(|error| from_kafka("committed offsets", &error))?;
    places
        .iter()
        .map(|place| {
            let Some(part) = list.find_partition(&place.wire, place.partition) else {
                return Ok(None);
            };
            if let Err(error) = part.error() {
                let code = error.rdkafka_error_code().unwrap_or(Code::Unknown);
                return Err(from_code("a committed offset", code));
            }
            Ok(match part.offset() {
                Offset::Offset(offset) => u64::try_from(offset).ok(),
                _ => None,
            })
        })
        .collect()
}
