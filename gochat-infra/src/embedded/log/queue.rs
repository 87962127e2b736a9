//! What waits for the writer thread.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::group::Group;
use super::topic::{Partition, PartitionId, Topic};
use crate::port::mq::{MqResult, Placed, Record};

/// A record that knows its partition.
pub(super) struct Routed {
    pub(super) partition: Arc<Partition>,
    pub(super) record: Record,
}

/// An offset to commit.
pub(super) struct Commit {
    pub(super) group: Arc<Group>,
    pub(super) partition: Arc<Partition>,
    pub(super) offset: u64,
}

/// A change of the catalogue of disk topics.
pub(super) enum TopicChange {
    Put(Arc<Topic>),
    Delete(Arc<Topic>),
}

/// Ends a fenced commit when dropped, whatever became of it.
pub(super) struct CommitGuard {
    pub(super) group: Arc<Group>,
    pub(super) partitions: Vec<PartitionId>,
}

impl Drop for CommitGuard {
    fn drop(&mut self) {
        self.group.members.lock().end_commit(&self.partitions);
    }
}

/// One atomic unit of work for the writer.
pub(super) struct Request {
    pub(super) records: Vec<Routed>,
    pub(super) commits: Vec<Commit>,
    pub(super) topics: Vec<TopicChange>,
    /// Must be durable before it is answered.
    pub(super) sync: bool,
    pub(super) want_places: bool,
    pub(super) reply: Option<oneshot::Sender<MqResult<Vec<Placed>>>>,
    pub(super) guard: Option<CommitGuard>,
    pub(super) _room: Option<OwnedSemaphorePermit>,
}

impl Request {
    /// An upper bound of the bytes it takes in the journal.
    pub(super) fn disk_bytes(&self) -> u64 {
        const EACH: usize = 128;
        const TOPIC: usize = 4_096;
        let records = self.records.iter().filter(|r| !r.partition.is_memory());
        let records: usize = records.map(|r| r.record.size() + EACH).sum();
        let commits: usize = self.commits.iter().map(|c| c.group.name.len() + EACH).sum();
        (records + commits + self.topics.len() * TOPIC) as u64
    }

    /// Answers. The commit guard goes first: who gets the answer may look at the group.
    pub(super) fn finish(mut self, outcome: MqResult<Vec<Placed>>) {
        self.guard = None;
        if let Some(reply) = self.reply.take() {
            let _caller_may_be_gone = reply.send(outcome);
        }
    }
}

/// First in, first out; its memory is bounded by the permits requests carry.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    ready: Condvar,
}

#[derive(Default)]
struct State {
    items: VecDeque<Request>,
    closed: bool,
}

impl Queue {
    /// Adds a request; after [`close`](Self::close) it is dropped, which its caller sees as a closed reply.
    pub(super) fn push(&self, request: Request) {
        let mut state = self.state.lock();
        if !state.closed {
            state.items.push_back(request);
            self.ready.notify_one();
        }
    }

    /// Waits for requests, at most `timeout`, and takes up to `max`. `None`: closed and empty.
    pub(super) fn take(&self, max: usize, timeout: Option<Duration>) -> Option<Vec<Request>> {
        let mut state = self.state.lock();
        if state.items.is_empty() && !state.closed {
            match timeout {
                Some(timeout) => {
                    self.ready.wait_for(&mut state, timeout);
                }
                None => self.ready.wait(&mut state),
            }
        }
        if state.items.is_empty() && state.closed {
            return None;
        }
        let n = state.items.len().min(max);
        Some(state.items.drain(..n).collect())
    }

    /// Takes no more requests; those that wait are still served.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.ready.notify_all();
    }
}
