//! Every local connection, by user. Sharded so that registering and delivering rarely meet.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use gochat_core::ids::{ConnId, UserId};
use hashbrown::HashMap;
use parking_lot::Mutex;

use super::conn::Conn;
use crate::metrics as names;

/// Number of shards; a fan-out takes a snapshot of one after the other.
pub(crate) const SHARDS: usize = 64;

/// Connections of one user. Nearly always one: no list for that.
enum Conns {
    One(Arc<Conn>),
    Many(Vec<Arc<Conn>>),
}

impl Conns {
    fn as_slice(&self) -> &[Arc<Conn>] {
        match self {
            Self::One(conn) => std::slice::from_ref(conn),
            Self::Many(conns) => conns,
        }
    }
}

type Shard = Mutex<HashMap<UserId, Conns, ahash::RandomState>>;

/// The connection table.
pub(crate) struct Table {
    shards: Vec<Shard>,
    len: AtomicUsize,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Shard::default()).collect(),
            len: AtomicUsize::new(0),
        }
    }
}

impl Table {
    /// Connections in the table.
    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    pub(crate) fn insert(&self, conn: Arc<Conn>) {
        let mut shard = self.shard(conn.user()).lock();
        match shard.remove(&conn.user()) {
            None => {
                shard.insert(conn.user(), Conns::One(conn));
                names::online_users(1.0);
            }
            Some(Conns::One(first)) => {
                shard.insert(conn.user(), Conns::Many(vec![first, conn]));
            }
            Some(Conns::Many(mut conns)) => {
                let user = conn.user();
                conns.push(conn);
                shard.insert(user, Conns::Many(conns));
            }
        }
        self.len.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes a connection out; false when it was not (or no longer) there.
    pub(crate) fn remove(&self, conn: &Conn) -> bool {
        let mut shard = self.shard(conn.user()).lock();
        let Some(conns) = shard.get_mut(&conn.user()) else {
            return false;
        };
        let before = conns.as_slice().len();
        if let Conns::Many(list) = conns {
            list.retain(|c| c.id() != conn.id());
            let after = list.len();
            if let [last] = list.as_slice() {
                *conns = Conns::One(last.clone());
            }
            if after == before {
                return false;
            }
        } else if conns.as_slice()[0].id() == conn.id() {
            shard.remove(&conn.user());
            names::online_users(-1.0);
        } else {
            return false;
        }
        self.len.fetch_sub(1, Ordering::Relaxed);
        true
    }

    /// Shows the connections of a user to `f`, under the shard's lock: `f` must not block.
    pub(crate) fn with_user<R>(&self, user: UserId, f: impl FnOnce(&[Arc<Conn>]) -> R) -> R {
        let shard = self.shard(user).lock();
        f(shard.get(&user).map_or(&[], Conns::as_slice))
    }

    /// The connections of a user.
    pub(crate) fn of_user(&self, user: UserId) -> Vec<Arc<Conn>> {
        self.with_user(user, <[_]>::to_vec)
    }

    /// One connection.
    pub(crate) fn find(&self, user: UserId, id: ConnId) -> Option<Arc<Conn>> {
        self.with_user(user, |conns| conns.iter().find(|c| c.id() == id).cloned())
    }

    /// Appends the connections of one shard to `into`.
    pub(crate) fn snapshot(&self, shard: usize, into: &mut Vec<Arc<Conn>>) {
        let shard = self.shards[shard].lock();
        into.extend(
            shard
                .values()
                .flat_map(|conns| conns.as_slice().iter().cloned()),
        );
    }

    /// Every connection there is.
    pub(crate) fn all(&self) -> Vec<Arc<Conn>> {
        let mut all = Vec::with_capacity(self.len());
        for shard in 0..SHARDS {
            self.snapshot(shard, &mut all);
        }
        all
    }

    fn shard(&self, user: UserId) -> &Shard {
        // Snowflakes differ in their low bits only within a millisecond: mix before cutting.
        let mixed = user.get().wrapping_mul(0x9E37_79B9_7F4A_7C15);
        &self.shards[(mixed >> 58) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_connection_of_a_user_is_found_and_removed_alone() {
        let table = Table::default();
        let conns: Vec<_> = (1..=3).map(|id| Conn::for_test(7, id)).collect();
        for c in &conns {
            table.insert(c.clone());
        }
        let user = UserId::new(7).unwrap();
        assert_eq!(table.of_user(user).len(), 3);
        assert!(table.find(user, 2).is_some());
        assert!(table.remove(&conns[1]));
        assert!(!table.remove(&conns[1]), "removing twice changes nothing");
        assert!(table.find(user, 2).is_none());
        assert!(table.remove(&conns[0]) && table.remove(&conns[2]));
        assert_eq!((table.len(), table.of_user(user).len()), (0, 0));
    }

    #[test]
    fn a_late_goodbye_leaves_the_newer_connection_alone() {
        let table = Table::default();
        table.insert(Conn::for_test(7, 2));
        assert!(!table.remove(&Conn::for_test(7, 1)));
        assert_eq!(table.len(), 1);
    }

    #[test]
    fn snapshots_cover_everybody_once() {
        let table = Table::default();
        for i in 1..=1_000 {
            table.insert(Conn::for_test(i, i));
        }
        let mut ids: Vec<_> = table.all().iter().map(|c| c.id()).collect();
        ids.sort_unstable();
        assert_eq!(ids, (1..=1_000).collect::<Vec<_>>());
    }
}
