//! Which partitions a consumer owns, and how that changes.

use std::collections::VecDeque;

use rdkafka::consumer::Consumer as _;

use super::KafkaConsumer;
use super::driver::{Move, Outcome, Task};
use crate::cluster::kafka::context::Rebalance;
use crate::cluster::kafka::reader::Place;
use crate::port::mq::{InRecord, Progress, Start, TopicPartition};

/// A partition of this consumer.
#[derive(Debug)]
pub(super) struct Owned {
    pub(super) tp: TopicPartition,
    pub(super) place: Place,
    /// Next offset to hand out.
    pub(super) position: u64,
    /// Where reading started.
    pub(super) origin: u64,
    /// What is known to be committed; outer `None`: not known.
    pub(super) base: Option<Option<u64>>,
    /// A step of unknown outcome: reading goes on at the committed offset.
    pub(super) in_doubt: bool,
    /// The client does not read at the position yet.
    pub(super) moved: bool,
    /// Records in hand.
    pub(super) buffer: VecDeque<InRecord>,
    /// Records that were deleted before they were read.
    pub(super) skipped: u64,
}

/// Where reading starts without a committed offset.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin {
    pub(super) start: Start,
    pub(super) grouped: bool,
}

/// A partition that was given to this consumer.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) place: Place,
    pub(super) committed: Option<u64>,
    pub(super) from: u64,
    /// It was ours before, and nobody committed in between.
    pub(super) kept: bool,
}

impl Owned {
    /// Reads on at `offset`, before the next record is handed out.
    pub(super) fn move_to(&mut self, offset: u64) {
        self.position = offset;
        self.moved = true;
        self.buffer.clear();
    }

    /// Next offset to take from the client.
    pub(super) fn next(&self) -> u64 {
        self.buffer
            .back()
            .map_or(self.position, |last| last.offset + 1)
    }
}

impl KafkaConsumer {
    /// What a rebalance asks of the driver.
    pub(super) fn react(&mut self, rebalance: Rebalance) -> Task {
        match rebalance {
            Rebalance::Assign(parts) => self.assign_task(&parts),
            Rebalance::Revoke { lost } => {
                let paused = match self.paused {
                    true => self.owned.iter().map(|o| o.place.clone()).collect(),
                    false => Vec::new(),
                };
                self.paused = false;
                // A member that lost its partitions must not take them up where it was.
                if lost || self.expelled || self.client.assignment_lost() {
                    self.lose_everything();
                } else {
                    self.set_aside();
                }
                Task::GiveBack(paused)
            }
        }
    }

    pub(super) fn assign_task(&self, parts: &[(String, i32)]) -> Task {
        let moves = parts.iter().map(|(wire, partition)| {
            let place = Place {
                wire: wire.clone(),
                partition: *partition,
            };
            let before = self.limbo.iter().find(|owned| owned.place == place);
            Move {
                position: before.map(|owned| owned.position),
                base: before.and_then(|owned| owned.base),
                in_doubt: before.is_some_and(|owned| owned.in_doubt),
                place,
            }
        });
        Task::Assign(moves.collect(), self.origin())
    }

    /// Takes what the driver has done.
    pub(super) fn apply(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Done => {}
            Outcome::Assigned(given) => self.take_over(given),
            Outcome::Settled(settled) => {
                for (place, committed) in settled {
                    if let Some(owned) = self.at(&place) {
                        owned.in_doubt = false;
                        owned.base = Some(committed);
                        owned.move_to(committed.unwrap_or(owned.origin));
                    }
                }
                self.count_in_hand();
            }
            Outcome::Moved(moved) => {
                for (place, position) in moved {
                    if let Some(owned) = self.at(&place)
                        && owned.position == position
                    {
                        owned.moved = false;
                    }
                }
            }
            Outcome::Bounds(bounds) => self.fit(&bounds),
            Outcome::Paused(paused) => self.paused = paused,
            Outcome::Looked(missing) => {
                if self
                    .silence
                    .looked(tokio::time::Instant::now(), missing.is_some())
                {
                    let (place, offset) = missing.unzip();
                    tracing::warn!(?place, offset, "a record does not arrive");
                    self.next = Some(Task::Rebuild);
                }
            }
            Outcome::Alone => {
                tracing::warn!("Kafka answers others, and not this client");
                self.next = Some(Task::Rebuild);
            }
            Outcome::Failed(_, again) => self.next = again,
        }
    }

    fn at(&mut self, place: &Place) -> Option<&mut Owned> {
        self.owned.iter_mut().find(|owned| owned.place == *place)
    }

    fn take_over(&mut self, given: Vec<Given>) {
        let mut limbo = std::mem::take(&mut self.limbo);
        for given in given {
            let Given {
                place,
                committed,
                from,
                kept,
            } = given;
            let Some(topic) = self.shared.names.contract(&place.wire) else {
                continue;
            };
            let partition = u32::try_from(place.partition).unwrap_or_default();
            let tp = TopicPartition::new(topic.as_ref(), partition);
            let before = limbo.iter().position(|owned| owned.place == place);
            let before = before.map(|at| limbo.swap_remove(at));
            let origin = match (&before, kept) {
                (Some(owned), true) => owned.origin,
                _ => from,
            };
            if !kept {
                if before.is_some() {
                    self.tell_revoked(tp.clone());
                }
                let offset = from;
                self.news.assigned.push(Progress {
                    tp: tp.clone(),
                    offset,
                });
            }
            let skipped = before.filter(|_| kept).map_or(0, |owned| owned.skipped);
            self.owned.push(Owned {
                tp,
                place,
                position: from,
                origin,
                base: Some(committed),
                in_doubt: false,
                moved: false,
                buffer: VecDeque::new(),
                skipped,
            });
        }
        for gone in limbo {
            self.tell_revoked(gone.tp);
        }
        self.expelled = false;
        self.count_in_hand();
    }

    /// What may come back is remembered with its position; records in hand are read once more.
    pub(super) fn set_aside(&mut self) {
        self.limbo.append(&mut self.owned);
        self.count_in_hand();
    }

    /// Other members have the partitions already.
    pub(super) fn lose_everything(&mut self) {
        let mut gone = std::mem::take(&mut self.owned);
        gone.append(&mut self.limbo);
        for owned in gone {
            self.tell_revoked(owned.tp);
        }
        self.count_in_hand();
    }

    /// A partition the caller has not heard of yet is not mentioned at all.
    fn tell_revoked(&mut self, tp: TopicPartition) {
        let mut assigned = self.news.assigned.iter();
        match assigned.position(|progress| progress.tp == tp) {
            Some(unreported) => drop(self.news.assigned.remove(unreported)),
            None => self.news.revoked.push(tp),
        }
    }

    /// After the client found a position out of range: goes on at the first record there is.
    fn fit(&mut self, bounds: &[(Place, u64, u64)]) {
        for (place, first, end) in bounds {
            let Some(owned) = self.at(place) else {
                continue;
            };
            let mut position = owned.position;
            if position < *first {
                tracing::warn!(tp = %owned.tp, position, first, "records were deleted before they were read");
                owned.skipped += first - position;
                position = *first;
            } else if position > *end {
                tracing::warn!(tp = %owned.tp, position, end, "the partition was made anew");
                position = *first;
            }
            owned.move_to(position);
        }
        self.count_in_hand();
    }
}
