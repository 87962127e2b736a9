//! What waits for the writer thread.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::group::Group;
use super::journal::now_ms;
use super::topic::{Partition, PartitionId, Topic};
use crate::port::mq::{MqResult, Placed, Record};

/// Bytes that ride before the writer is woken for them.
const RIDE_BYTES: u64 = 256 << 10;

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
    /// Set once its records have their numbers and are visible, before they are written.
    pub(super) early: Option<Early>,
    pub(super) _room: Option<OwnedSemaphorePermit>,
}

/// What a request got when it was queued.
pub(super) struct Early {
    /// Offset of every record.
    pub(super) offsets: Vec<u64>,
    pub(super) timestamp_ms: i64,
    /// Bytes of the open segment that are kept for it.
    pub(super) bytes: u64,
}

impl Request {
    /// Whether some of its records are visible on append.
    fn has_visible_on_append(&self) -> bool {
        let mut records = self.records.iter();
        records.any(|r| !r.partition.is_memory() && r.partition.visible_on_append)
    }

    /// Whether it can be numbered and shown at once, and written with what comes next.
    fn can_ride(&self) -> bool {
        let plain = self.sync && self.commits.is_empty() && self.topics.is_empty();
        let mut records = self.records.iter();
        let fitting = records.all(|r| !r.partition.is_memory() && r.partition.visible_on_append);
        plain && fitting && !self.records.is_empty()
    }

    /// Whether the writer has to number records that are visible on append.
    pub(super) fn is_late(&self) -> bool {
        self.early.is_none() && self.has_visible_on_append()
    }

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
///
/// Records of topics that are visible on append *ride*: they get their numbers and are shown when
/// they are queued, and are written and synced together with the next group, usually the step that
/// was derived from them. Only as many may ride as the open segment has room for: what is numbered
/// can't be refused any more.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    ready: Condvar,
}

#[derive(Default)]
struct State {
    items: VecDeque<Request>,
    closed: bool,
    /// The writer must not wait any longer.
    wanted: bool,
    /// Riders must not wait any longer for their sync.
    nudged: bool,
    /// Bytes of the open segment that nothing is kept for.
    room: u64,
    /// Bytes kept for requests that ride and are not written yet.
    kept: u64,
    /// Requests with records visible on append that wait for the writer to number them. While there
    /// are some, none may ride: it would overtake them.
    unnumbered: usize,
}

/// What [`Queue::take`] gives the writer.
pub(super) struct Taken {
    pub(super) requests: Vec<Request>,
    /// Somebody has waited long enough for a sync.
    pub(super) nudged: bool,
}

impl Queue {
    /// Adds a request; after [`close`](Self::close) it is dropped, which its caller sees as a
    /// closed reply. Answers whether it rides: its caller must [`nudge`](Self::nudge) the writer
    /// when no answer comes.
    pub(super) fn push(&self, mut request: Request) -> bool {
        let mut state = self.state.lock();
        if state.closed {
            return false;
        }
        let rides = state.unnumbered == 0 && request.can_ride() && state.admit(&mut request);
        state.unnumbered += usize::from(!rides && request.has_visible_on_append());
        state.wanted |= !rides || state.kept >= RIDE_BYTES;
        state.items.push_back(request);
        if state.wanted {
            self.ready.notify_one();
        }
        rides
    }

    /// Makes the writer sync what rides.
    pub(super) fn nudge(&self) {
        let mut state = self.state.lock();
        (state.wanted, state.nudged) = (true, true);
        self.ready.notify_one();
    }

    /// Waits for something to do, at most `timeout`, and takes up to `max` requests. `None`: closed
    /// and empty.
    pub(super) fn take(&self, max: usize, timeout: Option<Duration>) -> Option<Taken> {
        let mut state = self.state.lock();
        if !state.wanted && !state.closed {
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
        let requests = state.items.drain(..n).collect();
        state.wanted = !state.items.is_empty();
        let nudged = state.nudged;
        state.nudged &= state.wanted;
        Some(Taken { requests, nudged })
    }

    /// The writer has numbered or refused so many requests with records that are visible on append.
    pub(super) fn numbered(&self, late: usize) {
        if late > 0 {
            self.state.lock().unnumbered -= late;
        }
    }

    /// The writer is about to use `bytes` of the open segment, which has room for `room`. Promises
    /// no more than what is left, and answers how much is kept for requests that ride.
    pub(super) fn claim(&self, bytes: u64, room: u64) -> u64 {
        let mut state = self.state.lock();
        let left = room.saturating_sub(bytes + state.kept);
        state.room = state.room.min(left);
        state.kept
    }

    /// The writer has written requests that bytes were kept for; the open segment has so much room
    /// now.
    pub(super) fn settle(&self, written: u64, room: u64) {
        let mut state = self.state.lock();
        state.kept -= written;
        state.room = room.saturating_sub(state.kept);
    }

    /// Lets nothing ride until the next [`settle`](Self::settle). Answers whether nothing does.
    pub(super) fn hold(&self) -> bool {
        let mut state = self.state.lock();
        state.room = 0;
        state.wanted |= state.kept > 0;
        state.kept == 0
    }

    /// Takes no more requests; those that wait are still served.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.ready.notify_all();
    }
}

impl State {
    /// Numbers and shows the records of a request, if there is room for it.
    fn admit(&mut self, request: &mut Request) -> bool {
        let bytes = request.disk_bytes();
        if bytes > self.room {
            return false;
        }
        (self.room, self.kept) = (self.room - bytes, self.kept + bytes);
        let timestamp_ms = now_ms();
        let mut offsets = Vec::with_capacity(request.records.len());
        for Routed { partition, record } in &request.records {
            let one = std::iter::once(record.clone());
            offsets.push(partition.append(one, timestamp_ms));
        }
        for (i, Routed { partition, .. }) in request.records.iter().enumerate() {
            let next = request.records.get(i + 1);
            if next.is_none_or(|next| !Arc::ptr_eq(&next.partition, partition)) {
                partition.publish(offsets[i] + 1);
            }
        }
        request.early = Some(Early {
            offsets,
            timestamp_ms,
            bytes,
        });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::log::topic::TailRead;
    use crate::port::mq::{TopicSpec, VisibleOn};

    fn partition() -> Arc<Partition> {
        let spec = TopicSpec::disk("up", 1).visible_on(VisibleOn::Append);
        Topic::new(1, spec).partitions[0].clone()
    }

    fn request(partition: &Arc<Partition>, bytes: usize) -> Request {
        Request {
            records: vec![Routed {
                partition: partition.clone(),
                record: Record::new("", vec![0u8; bytes]),
            }],
            commits: Vec::new(),
            topics: Vec::new(),
            sync: true,
            want_places: true,
            reply: None,
            guard: None,
            early: None,
            _room: None,
        }
    }

    fn visible(partition: &Partition) -> usize {
        match partition.read(0, 100, 1 << 20) {
            TailRead::Found { records, .. } => records.len(),
            other => panic!("in memory: {other:?}"),
        }
    }

    #[test]
    fn a_rider_is_shown_at_once_and_wakes_nobody() {
        let (queue, partition) = (Queue::default(), partition());
        queue.settle(0, 10_000);
        assert!(queue.push(request(&partition, 10)));
        assert_eq!(visible(&partition), 1);
        assert!(!queue.state.lock().wanted);
        let mut step = request(&partition, 10);
        step.sync = false;
        assert!(!queue.push(step), "only plain sends ride");
        assert!(queue.state.lock().wanted);
        let taken = queue.take(10, None).unwrap();
        let early = taken.requests.iter().map(|r| r.early.is_some());
        assert_eq!(early.collect::<Vec<_>>(), [true, false]);
        assert!(!taken.nudged);
        queue.nudge();
        assert!(queue.take(10, None).unwrap().nudged);
    }

    #[test]
    fn what_has_no_room_waits_and_is_not_overtaken() {
        let (queue, partition) = (Queue::default(), partition());
        queue.settle(0, 1_000);
        assert!(!queue.push(request(&partition, 2_000)), "no room");
        queue.settle(0, 10_000);
        assert!(!queue.push(request(&partition, 10)), "it would overtake");
        assert_eq!((visible(&partition), queue.state.lock().unnumbered), (0, 2));
        queue.numbered(2);
        assert!(queue.push(request(&partition, 10)));
    }

    #[test]
    fn promised_room_is_kept() {
        let (queue, partition) = (Queue::default(), partition());
        queue.settle(0, 1_000);
        assert!(queue.push(request(&partition, 300)));
        let promised = queue.state.lock().kept;
        // The writer uses some of what is left: nothing more is promised than stays.
        assert_eq!(queue.claim(400, 1_000), promised);
        assert!(!queue.push(request(&partition, 200)), "that room is used");
        queue.numbered(1);
        assert!(!queue.hold(), "one rides");
        queue.settle(promised, 5_000);
        assert!(queue.hold(), "none does");
        assert!(!queue.push(request(&partition, 1)), "none may");
    }
}
