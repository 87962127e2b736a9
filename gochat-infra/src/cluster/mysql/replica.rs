//! Which reads go to which replica.
//!
//! * A replica is used while it is at most `replica_max_lag` behind. That is measured about once a
//!   second: the primary's clock is written into a row, and read back from the replica.
//! * A read names what it is about ([`Key`]). What this process wrote so lately that a replica in use
//!   may lack it is read from the primary.
//! * The times of the last writes are kept in a fixed table of slots. Two keys that share a slot
//!   only send a read to the primary that could have gone to a replica.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use gochat_core::ids::{ConversationId, UserId};

use super::query::{Conn, execute, one, statements};
use super::run::{Server, work};
use super::{Inner, MysqlDatabase};
use crate::port::db::DbResult;

/// What a read or a write is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// A conversation: its messages and members.
    Conversation(ConversationId),
    /// A user's friends and requests.
    Friends(UserId),
    /// Any account.
    Accounts,
}

/// How often replicas are measured.
const INTERVAL: Duration = Duration::from_secs(1);

/// How long after the beat it saw a replica may be used without being measured again.
const VALID: Duration = Duration::from_secs(3);

/// Slots for the times of writes.
const SLOTS: usize = 1 << 16;

/// The replicas and what this process wrote lately.
pub(super) struct Replicas {
    servers: Vec<Replica>,
    /// Milliseconds since `start` of the last write; 0 for none. Empty without replicas.
    writes: Vec<AtomicU64>,
    hasher: ahash::RandomState,
    start: Instant,
    max_lag: Duration,
    turn: AtomicUsize,
}

struct Replica {
    server: Server,
    /// Until when it may be used, in milliseconds since `start`.
    good_until: AtomicU64,
}

impl Replicas {
    pub(super) fn new(servers: Vec<Server>, max_lag: Duration) -> Self {
        let slots = if servers.is_empty() { 0 } else { SLOTS };
        let new = |server| Replica {
            server,
            good_until: AtomicU64::new(0),
        };
        Self {
            servers: servers.into_iter().map(new).collect(),
            writes: (0..slots).map(|_| AtomicU64::new(0)).collect(),
            hasher: ahash::RandomState::new(),
            start: Instant::now(),
            max_lag,
            turn: AtomicUsize::new(0),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.servers.is_empty()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Server> {
        self.servers.iter().map(|replica| &replica.server)
    }

    pub(super) fn server(&self, at: usize) -> Option<&Server> {
        self.servers.get(at).map(|replica| &replica.server)
    }

    fn slot(&self, key: Key) -> Option<&AtomicU64> {
        if self.writes.is_empty() {
            return None;
        }
        let at = usize::try_from(self.hasher.hash_one(key) % SLOTS as u64).unwrap_or(0);
        self.writes.get(at)
    }

    /// Milliseconds since `start`, never 0.
    fn now(&self) -> u64 {
        as_millis(self.start.elapsed()).saturating_add(1)
    }

    /// These were written, or are about to be.
    pub(super) fn written(&self, keys: &[Key]) {
        let now = self.now();
        for slot in keys.iter().filter_map(|key| self.slot(*key)) {
            slot.fetch_max(now, Ordering::AcqRel);
        }
    }

    /// The replica to ask about `key`; `None` for the primary.
    pub(super) fn choose(&self, key: Key) -> Option<usize> {
        let last = self.slot(key)?.load(Ordering::Acquire);
        let now = self.now();
        // A replica in use has everything that was answered `max_lag` before a beat that is at
        // most `VALID` old.
        let window = as_millis(self.max_lag + VALID);
        let lately = last > 0 && now.saturating_sub(last) <= window;
        let count = self.servers.len();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let good = |at: &usize| {
            let replica = self.servers.get(*at);
            replica.is_some_and(|replica| now < replica.good_until.load(Ordering::Acquire))
        };
        let chosen = (0..count).map(|n| (turn + n) % count).find(good);
        let chosen = chosen.filter(|_| !lately);
        let to = if chosen.is_some() {
            "replica"
        } else {
            "primary"
        };
        metrics::counter!("gochat_db_replica_reads_total", "to" => to).increment(1);
        chosen
    }

    /// Leaves a replica out until it is measured again.
    pub(super) fn put_aside(&self, at: usize) {
        self.use_until(at, 0);
    }

    fn use_until(&self, at: usize, until: u64) {
        if let Some(replica) = self.servers.get(at) {
            replica.good_until.store(until, Ordering::Release);
        }
    }
}

fn as_millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

statements! {
    Write = "INSERT INTO replica_heartbeat (id, beat) VALUES (1, UTC_TIMESTAMP(3)) \
            ON DUPLICATE KEY UPDATE beat = VALUES(beat)";
    Read = "SELECT COALESCE((SELECT beat FROM replica_heartbeat WHERE id = 1), \
            CAST('1970-01-01' AS DATETIME(3)))";
}

async fn make_beat(conn: &mut Conn, _: &()) -> DbResult<i64> {
    execute::<Write>(conn, &[]).await?;
    one::<Read, i64>(conn, &[]).await
}

async fn read(conn: &mut Conn, _: &()) -> DbResult<i64> {
    one::<Read, i64>(conn, &[]).await
}

/// Measures the replicas until the database is dropped or closed.
pub(super) fn watch(inner: &Arc<Inner>) {
    if inner.replicas.is_empty() {
        return;
    }
    let inner = Arc::downgrade(inner);
    tokio::spawn(async move {
        let mut beat = None;
        while let Some(next) = round(&inner, beat).await {
            beat = next;
            tokio::time::sleep(INTERVAL).await;
        }
    });
}

/// A beat: what the primary's clock said, and a moment of ours before it.
type Beat = (i64, u64);

/// One measurement: looks for the beat of the round before, and makes the next one. `None` when
/// there is nothing to measure for any more.
async fn round(inner: &Weak<Inner>, beat: Option<Beat>) -> Option<Option<Beat>> {
    let inner = inner.upgrade()?;
    if inner.closed.load(Ordering::Acquire) {
        return None;
    }
    let db = MysqlDatabase { inner };
    let replicas = &db.inner.replicas;
    let max_lag = i64::try_from(replicas.max_lag.as_millis()).unwrap_or(i64::MAX);
    for at in 0..replicas.servers.len() {
        let seen = db.read_on(at, (), work!(read)).await;
        let (Ok(seen), Some((made, ours))) = (seen, beat) else {
            replicas.put_aside(at);
            continue;
        };
        let lag = (made - seen).max(0);
        metrics::gauge!("gochat_db_replica_lag_seconds", "replica" => at.to_string())
            .set(lag as f64 / 1_000.0);
        let until = ours.saturating_add(as_millis(VALID));
        replicas.use_until(at, if lag <= max_lag { until } else { 0 });
    }
    let ours = replicas.now();
    let made = db.write(true, &[], (), work!(make_beat)).await;
    Some(made.ok().map(|made| (made, ours)))
}
