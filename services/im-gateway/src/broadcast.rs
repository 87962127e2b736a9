//! Frames for everybody: one task, so that every connection sees them in order; merged while they
//! wait; written by two workers when the table is large; remembered for a few seconds for
//! connections that were registering meanwhile.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use gochat_core::ids::{ConnId, UserId};
use gochat_infra::telemetry::Span;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::config::Replay;
use crate::metrics as names;
use crate::state::Gw;
use crate::ws::conn::{Conn, QueueLimits, Sent};
use crate::ws::table::SHARDS;

/// Broadcasts that may wait; beyond it the reader of the log waits.
const QUEUE: usize = 1_024;
/// Broadcasts merged into one write.
const MERGE: usize = 64;
/// Bytes merged into one write.
const MERGE_BYTES: usize = 64 << 10;
/// Sockets written before other work gets its turn.
const CHUNK: usize = 128;
/// From this table size on two workers share the writing.
const SPLIT_FROM: usize = 512;

/// One frame for every local connection but some.
#[derive(Debug, Clone)]
pub(crate) struct Broadcast {
    /// The message; 0 = a signal, below 0 = a change.
    pub(crate) message: i64,
    /// Its place in its conversation.
    pub(crate) seq: i64,
    /// A message of the world chat.
    pub(crate) world: bool,
    /// Broadcast once more, late: it is not for those who had or get this number or a greater one up to it; 0 = for all.
    pub(crate) late_after: i64,
    pub(crate) frame: Bytes,
    /// The connection it came from; 0 = none.
    pub(crate) skip: ConnId,
    pub(crate) excluded: Vec<UserId>,
}

impl Broadcast {
    fn is_for(&self, conn: &Conn) -> bool {
        let is_overtaken =
            self.seq < self.late_after && self.late_after > conn.world_since() && conn.is_settled();
        self.skip != conn.id() && !is_overtaken && !self.excluded.contains(&conn.user())
    }

    /// Signals may be about messages: newcomers hear them last.
    fn order(&self) -> i64 {
        if self.world { self.seq } else { i64::MAX }
    }
}

/// The queue of broadcasts and the memory of recent ones.
pub(crate) struct Broadcasts {
    queue: mpsc::Sender<(Broadcast, Option<Span>)>,
    recent: Mutex<Recent>,
    /// Newest number of the world chat that was remembered for newcomers.
    newest: AtomicI64,
    /// Newest number of the world chat that was queued; ahead of `newest` while broadcasts wait.
    queued: AtomicI64,
}

/// Where broadcasts wait, those of traced messages with a span that ends when they are written.
pub(crate) type Queue = mpsc::Receiver<(Broadcast, Option<Span>)>;

struct Recent {
    limits: Replay,
    frames: VecDeque<(Instant, Broadcast)>,
    bytes: usize,
}

impl Broadcasts {
    pub(crate) fn new(limits: Replay) -> (Self, Queue) {
        let (queue, rx) = mpsc::channel(QUEUE);
        let recent = Recent {
            limits,
            frames: VecDeque::new(),
            bytes: 0,
        };
        (
            Self {
                queue,
                recent: Mutex::new(recent),
                newest: AtomicI64::new(0),
                queued: AtomicI64::new(0),
            },
            rx,
        )
    }

    /// Queues a broadcast; waits while the queue is full.
    pub(crate) async fn publish(&self, broadcast: Broadcast, span: Option<Span>) {
        // The receiver lives as long as the gateway: a failure means that it stops.
        let _ = self.queue.send((broadcast, span)).await;
    }

    /// Makes a newcomer visible and gives it what was broadcast just before, in one step: what is
    /// broadcast later finds it in the table. `of_world` are messages of the world chat, by number, that its user was
    /// pushed apart from that.
    pub(crate) fn admit(&self, gw: &Gw, conn: &Arc<Conn>, of_world: Vec<(i64, Bytes)>) {
        let mut recent = self.recent.lock();
        recent.forget(Instant::now());
        let given = recent.frames.iter().map(|(_, broadcast)| broadcast);
        let given = given.filter(|b| b.is_for(conn));
        let given = given.map(|b| (b.order(), b.frame.clone()));
        let given = given.chain(of_world).collect();
        let given = in_order(given);
        for (_, frame) in &given {
            conn.enqueue(frame, gw.queue);
        }
        let newest = self.newest.load(Ordering::Relaxed);
        let had_newest = given.iter().any(|(seq, _)| *seq == newest);
        conn.set_world_since(newest - i64::from(had_newest));
        gw.table.insert(conn.clone());
    }

    /// Notes a message of the world chat that is about to be queued; the newest number before it.
    pub(crate) fn note_queued(&self, seq: i64) -> i64 {
        self.queued.fetch_max(seq, Ordering::Relaxed)
    }

    /// Whether a connection had this message of the world chat as a broadcast, or had or will have a later one: then its
    /// client sees the gap, and history has what is missing. Broadcasts that wait count: what is pushed to single users
    /// doesn't wait behind them.
    pub(crate) fn covers(&self, seq: i64, conn: &Conn) -> bool {
        let queued = self.queued.load(Ordering::Relaxed);
        seq <= queued && queued > conn.world_since() && conn.is_settled()
    }

    /// Whether this message of the world chat needs no second broadcast: it was broadcast lately, so who is here had it,
    /// and who came since found it here; or a later one was, so that everybody knows the gap.
    pub(crate) fn supersedes(&self, message: i64, seq: i64) -> bool {
        let mut recent = self.recent.lock();
        recent.forget(Instant::now());
        let mut frames = recent.frames.iter();
        frames.any(|(_, b)| b.message == message || b.world && b.seq > seq)
    }

    fn remember(&self, batch: &[Broadcast]) {
        let now = Instant::now();
        let mut recent = self.recent.lock();
        for broadcast in batch {
            if broadcast.world {
                self.newest.fetch_max(broadcast.seq, Ordering::Relaxed);
            }
            recent.bytes += broadcast.frame.len();
            recent.frames.push_back((now, broadcast.clone()));
        }
        recent.forget(now);
    }
}

/// By number, and of one number the first.
fn in_order(mut frames: Vec<(i64, Bytes)>) -> Vec<(i64, Bytes)> {
    frames.sort_by_key(|(order, _)| *order);
    frames.dedup_by(|b, a| a.0 == b.0 && a.0 != i64::MAX);
    frames
}

impl Recent {
    fn forget(&mut self, now: Instant) {
        let max_age = Duration::from_millis(self.limits.max_age_ms);
        while let Some((at, oldest)) = self.frames.front() {
            let keep = now.saturating_duration_since(*at) < max_age
                && self.frames.len() <= self.limits.max_frames
                && self.bytes <= self.limits.max_bytes;
            if keep {
                return;
            }
            self.bytes -= oldest.frame.len();
            self.frames.pop_front();
        }
    }
}

/// Writes broadcasts until the gateway stops.
pub(crate) async fn run(gw: Gw, mut queue: Queue, stop: CancellationToken) {
    let mut waiting = Vec::new();
    let (mut batch, mut spans) = (Vec::new(), Vec::new());
    loop {
        let n = tokio::select! {
            () = stop.cancelled() => return,
            n = queue.recv_many(&mut waiting, MERGE) => n,
        };
        if n == 0 {
            return;
        }
        for (broadcast, span) in waiting.drain(..) {
            batch.push(broadcast);
            spans.extend(span);
        }
        gw.broadcasts.remember(&batch);
        let mut rest = batch.as_slice();
        while !rest.is_empty() {
            let (run, later) = rest.split_at(mergeable(rest));
            rest = later;
            spread(&gw, Merged::new(run)).await;
        }
        spans.drain(..).for_each(Span::end);
        // The oldest waited longest; signals and changes carry no time.
        if let Some(oldest) = batch.iter().map(|b| b.message).find(|id| *id > 0) {
            names::fanned_out(names::FANOUT, oldest);
        }
        if let Some(oldest) = batch.iter().find(|b| b.world && b.message > 0) {
            names::fanned_out(names::WORLD_FANOUT, oldest.message);
        }
        batch.clear();
    }
}

/// How many broadcasts from the front fit into one write; at least one.
fn mergeable(batch: &[Broadcast]) -> usize {
    let mut bytes = 0;
    let fitting = batch.iter().take_while(|b| {
        bytes += b.frame.len();
        bytes <= MERGE_BYTES
    });
    fitting.count().max(1)
}

/// Several broadcasts as one run of bytes, and who must not get all of them.
struct Merged {
    all: Bytes,
    parts: Vec<Broadcast>,
    has_exclusions: bool,
}

impl Merged {
    fn new(run: &[Broadcast]) -> Arc<Self> {
        let all = match run {
            [single] => single.frame.clone(),
            several => {
                let mut all = BytesMut::with_capacity(several.iter().map(|b| b.frame.len()).sum());
                several.iter().for_each(|b| all.extend_from_slice(&b.frame));
                all.freeze()
            }
        };
        let has_exclusions = run
            .iter()
            .any(|b| b.late_after != 0 || b.skip != 0 || !b.excluded.is_empty());
        Arc::new(Self {
            all,
            parts: run.to_vec(),
            has_exclusions,
        })
    }

    /// Writes to one connection what it should get.
    fn write(&self, conn: &Conn, limits: QueueLimits) -> Sent {
        if !self.has_exclusions || self.parts.iter().all(|b| b.is_for(conn)) {
            return conn.send(&self.all, limits);
        }
        let mut sent = Sent::Accepted;
        for part in self.parts.iter().filter(|b| b.is_for(conn)) {
            sent = conn.send(&part.frame, limits);
        }
        sent
    }
}

async fn spread(gw: &Gw, merged: Arc<Merged>) {
    if gw.table.len() < SPLIT_FROM {
        write_shards(gw.clone(), merged, 0..SHARDS).await;
        return;
    }
    let half = write_shards(gw.clone(), Arc::clone(&merged), 0..SHARDS / 2);
    let other = tokio::spawn(write_shards(gw.clone(), merged, SHARDS / 2..SHARDS));
    half.await;
    if other.await.is_err() {
        tracing::error!("a broadcast worker panicked");
    }
}

async fn write_shards(gw: Gw, merged: Arc<Merged>, shards: std::ops::Range<usize>) {
    let mut conns = Vec::new();
    let (mut delivered, mut in_chunk) = (0, 0);
    for shard in shards {
        gw.table.snapshot(shard, &mut conns);
        for conn in conns.drain(..) {
            match merged.write(&conn, gw.queue) {
                Sent::Accepted => delivered += merged.parts.len(),
                Sent::Overflow => gw.note_overflow(&conn),
                Sent::Closed => {}
            }
            in_chunk += 1;
            if in_chunk == CHUNK {
                in_chunk = 0;
                tokio::task::yield_now().await;
            }
        }
    }
    names::add(names::DELIVERED, delivered);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(text: &str) -> Broadcast {
        Broadcast {
            message: 7,
            seq: 10,
            world: true,
            late_after: 0,
            frame: Bytes::copy_from_slice(text.as_bytes()),
            skip: 0,
            excluded: vec![],
        }
    }

    #[test]
    fn the_memory_of_broadcasts_is_bounded_by_count_bytes_and_age() {
        let (broadcasts, _rx) = Broadcasts::new(Replay {
            max_age_ms: 60_000,
            max_frames: 3,
            max_bytes: 8,
            ..Replay::default()
        });
        for text in ["a", "b", "c", "d"] {
            broadcasts.remember(&[frame(text)]);
        }
        assert_eq!(broadcasts.recent.lock().frames.len(), 3);
        broadcasts.remember(&[frame("1234567")]);
        let mut recent = broadcasts.recent.lock();
        assert!(recent.bytes <= 8 && recent.frames.len() <= 2);
        recent.forget(Instant::now() + Duration::from_secs(61));
        assert_eq!((recent.bytes, recent.frames.len()), (0, 0));
        drop(recent);
        assert!(!broadcasts.supersedes(7, 10));
        broadcasts.remember(&[frame("a")]);
        assert!(broadcasts.supersedes(7, 10) && !broadcasts.supersedes(8, 11));
    }

    #[test]
    fn waiting_broadcasts_are_merged_up_to_a_bound() {
        let big = frame(&"x".repeat(MERGE_BYTES / 2));
        assert_eq!(mergeable(&[big.clone(), big.clone(), big.clone()]), 2);
        let huge = frame(&"x".repeat(MERGE_BYTES * 2));
        assert_eq!(mergeable(&[huge.clone(), big]), 1);
        let merged = Merged::new(&[frame("ab"), frame("c")]);
        assert_eq!(&merged.all[..], b"abc");
    }

    #[test]
    fn a_late_message_is_overtaken_where_a_newer_one_was_broadcast() {
        let (broadcasts, _rx) = Broadcasts::new(Replay::default());
        let conn = |since| {
            let conn = Conn::for_test(7, 1);
            conn.set_world_since(since);
            conn
        };
        let (here, given, later) = (conn(0), conn(9), conn(10));
        assert!(!broadcasts.covers(9, &here), "nothing was yet");
        assert_eq!(broadcasts.note_queued(10), 0);
        assert!(broadcasts.covers(9, &here) && broadcasts.covers(10, &given));
        assert!(!broadcasts.covers(11, &here), "it is newer");
        assert!(!broadcasts.covers(9, &later), "it came after 10");
        assert_eq!(broadcasts.note_queued(9), 10);
        let late = Broadcast {
            seq: 9,
            late_after: 10,
            ..frame("late")
        };
        assert!(late.is_for(&later) && !late.is_for(&here) && !late.is_for(&given));
        assert!(frame("in time").is_for(&here));
    }

    #[test]
    fn a_newcomer_gets_the_world_in_order_and_signals_last() {
        let frame = |text: &'static str| Bytes::from_static(text.as_bytes());
        let broadcasts = [(3, "3"), (i64::MAX, "x"), (4, "4"), (i64::MAX, "y")];
        let of_user = [(4, "again 4"), (1, "again 1")];
        let frames = broadcasts.into_iter().chain(of_user);
        let frames = frames.map(|(order, text)| (order, frame(text)));
        let sorted = in_order(frames.collect());
        let texts: Vec<_> = sorted.iter().map(|(_, f)| &f[..]).collect();
        assert_eq!(texts, [&b"again 1"[..], b"3", b"4", b"x", b"y"]);
    }
}
