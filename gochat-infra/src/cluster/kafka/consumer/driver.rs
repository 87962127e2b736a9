//! The thread of a consumer: everything that blocks, in the order it was asked for.

use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tokio::sync::oneshot;

use super::Client;
use super::assignment::{Given, Origin};
use crate::cluster::kafka::Shared;
use crate::cluster::kafka::error::{fenced, from_kafka, invalid};
use crate::cluster::kafka::offsets::stable;
use crate::cluster::kafka::producer::Routed;
use crate::cluster::kafka::reader::{Place, watermarks};
use crate::cluster::kafka::txn::Steps;
use crate::port::mq::{MqError, MqErrorKind, MqResult, Start};

/// One attempt to learn positions; between attempts the consumer shows that it lives.
const ATTEMPT: Duration = Duration::from_secs(2);

/// Work that a poll begins.
#[derive(Debug, Clone)]
pub(super) enum Task {
    /// Start reading these partitions.
    Assign(Vec<Move>, Origin),
    /// Let go of all partitions, so that the group can go on. Those that are paused are named: the client remembers
    /// the pause otherwise, should they come back.
    GiveBack(Vec<Place>),
    /// Learn how a step ended.
    Settle(Vec<Place>),
    /// Read on elsewhere.
    Move {
        moved: Vec<(Place, u64)>,
        /// All partitions, and where to read on.
        all: Vec<(Place, u64)>,
    },
    /// Learn the ends of the partitions.
    Bound(Vec<Place>),
    /// Stop or go on fetching.
    Pause(bool, Vec<Place>),
    /// Does another client get answers here?
    Compare(Place),
    /// Does the coordinator answer? A member without a partition does nothing else that would show it.
    Ask(Place),
    /// Is there something to read here that does not arrive?
    Look(Vec<(Place, u64)>),
    /// Throw the client away. Not for the driver.
    Rebuild,
}

/// A partition to be read, and what is known from before.
#[derive(Debug, Clone)]
pub(super) struct Move {
    pub(super) place: Place,
    pub(super) position: Option<u64>,
    pub(super) base: Option<Option<u64>>,
    pub(super) in_doubt: bool,
}

/// What came of a task.
#[derive(Debug)]
pub(super) enum Outcome {
    Done,
    Assigned(Vec<Given>),
    Settled(Vec<(Place, Option<u64>)>),
    Moved(Vec<(Place, u64)>),
    Bounds(Vec<(Place, u64, u64)>),
    Paused(bool),
    /// Others get answers.
    Alone,
    /// A record that is to be read, and where.
    Looked(Option<(Place, u64)>),
    /// The task to try again, if that makes sense.
    Failed(MqError, Option<Task>),
}

type Job = Box<dyn FnOnce(&mut Work) + Send>;

/// Handle of the thread. It ends, and the client with it, when the handle is dropped.
pub(super) struct Driver {
    jobs: mpsc::Sender<Job>,
    ended: Option<oneshot::Receiver<()>>,
}

impl Driver {
    pub(super) fn start(client: Arc<Client>, shared: Arc<Shared>) -> MqResult<Self> {
        let (jobs, queue) = mpsc::channel::<Job>();
        let (end, ended) = oneshot::channel::<()>();
        let mut work = Work {
            client,
            shared,
            steps: None,
        };
        let run = move || {
            while let Ok(job) = queue.recv() {
                job(&mut work);
            }
            drop(work);
            drop(end);
        };
        std::thread::Builder::new()
            .name("kafka-consumer".into())
            .spawn(run)
            .map_err(|error| {
                MqError::new(MqErrorKind::Unavailable, format!("no thread: {error}"))
            })?;
        Ok(Self {
            jobs,
            ended: Some(ended),
        })
    }

    /// Queues work; the receiver gets its result, unless the thread has ended.
    pub(super) fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Work) -> T + Send + 'static,
    ) -> oneshot::Receiver<T> {
        let (answer, answered) = oneshot::channel();
        // The work is done also when nobody waits for its result any more.
        let job = Box::new(move |state: &mut Work| drop(answer.send(work(state))));
        // A thread that has ended drops the answer, which tells the caller.
        drop(self.jobs.send(job));
        answered
    }

    /// Resolves when the thread has ended. Once.
    pub(super) fn ended(&mut self) -> oneshot::Receiver<()> {
        self.ended.take().unwrap_or_else(|| oneshot::channel().1)
    }
}

/// What the thread works with.
pub(super) struct Work {
    client: Arc<Client>,
    shared: Arc<Shared>,
    steps: Option<Steps>,
}

impl Work {
    pub(super) fn make_steps(&mut self, id: &str) -> MqResult<()> {
        self.steps = Some(Steps::new(&self.shared.config, id)?);
        Ok(())
    }

    pub(super) fn subscribe(&mut self, wires: &[String]) -> MqResult<()> {
        let wires: Vec<&str> = wires.iter().map(String::as_str).collect();
        self.client
            .subscribe(&wires)
            .map_err(|error| from_kafka("a subscription", &error))
    }

    pub(super) fn commit(&mut self, offsets: &[(Place, u64)]) -> MqResult<()> {
        if offsets.is_empty() {
            return Ok(());
        }
        if self.client.assignment_lost() {
            return Err(fenced());
        }
        let list = list(offsets)?;
        self.client
            .commit(&list, CommitMode::Sync)
            .map_err(|error| from_kafka("a commit", &error))
    }

    pub(super) fn step(&mut self, outputs: &[Routed], offsets: &[(Place, u64)]) -> MqResult<()> {
        if outputs.is_empty() {
            // One commit is as atomic as a transaction with nothing else in it.
            return self.commit(offsets);
        }
        let Some(steps) = &mut self.steps else {
            return Err(invalid("the consumer has no transactional producer"));
        };
        steps.run(&self.shared, &self.client, outputs, offsets)
    }

    pub(super) fn perform(&mut self, task: &Task) -> Outcome {
        let done = match task {
            Task::Assign(moves, origin) => self.assign(moves, *origin).map(Outcome::Assigned),
            Task::GiveBack(paused) => self.give_back(paused).map(|()| Outcome::Done),
            Task::Settle(places) => self.settle(places).map(Outcome::Settled),
            Task::Move { moved, all } => self.seek(moved, all).map(Outcome::Moved),
            Task::Bound(places) => self.bounds(places).map(Outcome::Bounds),
            Task::Pause(pause, places) => self.pause(*pause, places),
            Task::Look(positions) => self.look(positions),
            Task::Ask(place) => self
                .settle(std::slice::from_ref(place))
                .map(|_| Outcome::Looked(None)),
            Task::Compare(place) => Ok(self.compare(place)),
            Task::Rebuild => Ok(Outcome::Done),
        };
        done.unwrap_or_else(|error| {
            let again = match task {
                Task::Assign(..) | Task::GiveBack(_) => Some(task.clone()),
                // These are begun anew from the state they are about.
                _ => None,
            };
            Outcome::Failed(error, again)
        })
    }

    fn assign(&self, moves: &[Move], origin: Origin) -> MqResult<Vec<Given>> {
        let given: Vec<Given> = match origin.grouped {
            true => self.starts_of_group(moves, origin.start)?,
            false => self.starts_of_reader(moves, origin.start)?,
        };
        let positions: Vec<_> = given
            .iter()
            .map(|given| (given.place.clone(), given.from))
            .collect();
        self.client
            .assign(&list(&positions)?)
            .map_err(|error| from_kafka("an assignment", &error))?;
        Ok(given)
    }

    /// Where it was, for a reader whose client was replaced.
    fn starts_of_reader(&self, moves: &[Move], start: Start) -> MqResult<Vec<Given>> {
        let given = |part: &Move| {
            let from = match part.position {
                Some(position) => position,
                None => self.start(&part.place, start)?,
            };
            Ok(Given {
                place: part.place.clone(),
                committed: None,
                from,
                kept: part.position.is_some(),
            })
        };
        moves.iter().map(given).collect()
    }

    fn starts_of_group(&self, moves: &[Move], start: Start) -> MqResult<Vec<Given>> {
        if moves.is_empty() {
            return Ok(Vec::new());
        }
        let places: Vec<Place> = moves.iter().map(|part| part.place.clone()).collect();
        let committed = stable(&self.client, &places, Instant::now() + ATTEMPT)?;
        let mut fresh = Vec::new();
        let mut given = Vec::with_capacity(moves.len());
        for (part, mut committed) in moves.iter().zip(committed) {
            // Only this member committed here since it had the partition last.
            let same = part.base == Some(committed) || part.in_doubt;
            let kept = part.position.filter(|_| same);
            let from = match (committed, kept) {
                (Some(committed), Some(_)) if part.in_doubt => committed,
                (_, Some(position)) if !part.in_doubt => position,
                (Some(committed), _) => committed,
                (None, _) => self.start(&part.place, start)?,
            };
            if committed.is_none() && start == Start::Latest && kept.is_none() {
                // Its place is kept, so that what arrives from now on is not skipped by the next assignment.
                fresh.push((part.place.clone(), from));
                committed = Some(from);
            }
            given.push(Given {
                place: part.place.clone(),
                committed,
                from,
                kept: kept.is_some(),
            });
        }
        self.commit_unchecked(&fresh)?;
        Ok(given)
    }

    fn commit_unchecked(&self, offsets: &[(Place, u64)]) -> MqResult<()> {
        if offsets.is_empty() {
            return Ok(());
        }
        self.client
            .commit(&list(offsets)?, CommitMode::Sync)
            .map_err(|error| from_kafka("a first commit", &error))
    }

    /// Where to read without a committed offset. The end is the last stable offset: a record that is being written
    /// now comes after it.
    fn start(&self, place: &Place, start: Start) -> MqResult<u64> {
        let timeout = self.shared.config.request_timeout();
        let (first, stable) = watermarks(&self.client, place, timeout)?;
        Ok(match start {
            Start::Earliest => first,
            Start::Latest => stable,
        })
    }

    fn give_back(&self, paused: &[Place]) -> MqResult<()> {
        if !paused.is_empty() {
            self.pause(false, paused)?;
        }
        self.client
            .unassign()
            .map_err(|error| from_kafka("giving partitions back", &error))
    }

    fn settle(&self, places: &[Place]) -> MqResult<Vec<(Place, Option<u64>)>> {
        let committed = stable(&self.client, places, Instant::now() + ATTEMPT)?;
        Ok(places.iter().cloned().zip(committed).collect())
    }

    /// Moves are confirmed one by one: one that was not taken would skip records. A partition that is not being
    /// fetched (it was out of range) takes none; then all are assigned anew.
    fn seek(&self, moved: &[(Place, u64)], all: &[(Place, u64)]) -> MqResult<Vec<(Place, u64)>> {
        let sought = self
            .client
            .seek_partitions(list(moved)?, ATTEMPT)
            .map_err(|error| from_kafka("a change of position", &error))?;
        if sought.elements().iter().all(|part| part.error().is_ok()) {
            return Ok(moved.to_vec());
        }
        // The next poll hears of the loss; an assignment now would hide it.
        if self.client.assignment_lost() {
            return Err(fenced());
        }
        self.client
            .assign(&list(all)?)
            .map_err(|error| from_kafka("a change of position", &error))?;
        Ok(moved.to_vec())
    }

    fn bounds(&self, places: &[Place]) -> MqResult<Vec<(Place, u64, u64)>> {
        let timeout = self.shared.config.request_timeout();
        let ends = |place: &Place| {
            let (first, end) = self.shared.bounds(place, timeout)?;
            Ok((place.clone(), first, end))
        };
        places.iter().map(ends).collect()
    }

    fn pause(&self, pause: bool, places: &[Place]) -> MqResult<Outcome> {
        let mut list = TopicPartitionList::with_capacity(places.len());
        for place in places {
            list.add_partition(&place.wire, place.partition);
        }
        let done = match pause {
            true => self.client.pause(&list),
            false => self.client.resume(&list),
        };
        done.map_err(|error| from_kafka("pausing or going on", &error))?;
        Ok(Outcome::Paused(pause))
    }

    fn compare(&self, place: &Place) -> Outcome {
        let timeout = self.shared.config.request_timeout();
        match self.shared.bounds(place, timeout) {
            Ok(_) => Outcome::Alone,
            Err(_) => Outcome::Done,
        }
    }

    fn look(&self, positions: &[(Place, u64)]) -> MqResult<Outcome> {
        for (place, position) in positions {
            let found = self.shared.read_now(place, *position, 1)?;
            if let Some(record) = found.first() {
                return Ok(Outcome::Looked(Some((place.clone(), record.offset))));
            }
        }
        Ok(Outcome::Looked(None))
    }
}

fn list(offsets: &[(Place, u64)]) -> MqResult<TopicPartitionList> {
    let mut list = TopicPartitionList::with_capacity(offsets.len());
    for (place, offset) in offsets {
        let offset = Offset::Offset(i64::try_from(*offset).unwrap_or(i64::MAX));
        list.add_partition_offset(&place.wire, place.partition, offset)
            .map_err(|error: KafkaError| from_kafka("an offset", &error))?;
    }
    Ok(list)
}
