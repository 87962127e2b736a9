//! [`PresenceStore`] in this process.

use std::time::Duration;

use async_trait::async_trait;
use gochat_core::error::Result;
use gochat_core::ids::{ConnId, UnixMillis, UserId};
use gochat_core::presence::{Registered, Sessions, TTL_MS};
use hashbrown::HashMap;
use parking_lot::Mutex;

use super::arrivals::ArrivalLog;
use crate::port::presence::{Arrivals, Gone, Online, PresenceStore, Removed, SessionRef, Status};

const SHARDS: usize = 16;
const LAST_SEEN_TTL: Duration = Duration::from_secs(24 * 60 * 60);
const LAST_SEEN_MAX: u64 = 200_000;

/// Sessions in memory, spread over shards so that batches of different users don't wait
/// for each other.
pub struct MemoryPresence {
    shards: Box<[Mutex<Shard>]>,
    hasher: ahash::RandomState,
    arrivals: Mutex<ArrivalLog>,
    /// When users who are offline now were last seen.
    last_seen: moka::sync::Cache<UserId, UnixMillis>,
}

#[derive(Default)]
struct Shard {
    users: HashMap<UserId, Sessions>,
    /// Sessions of this shard by gateway.
    gateways: HashMap<Box<str>, usize>,
}

impl Default for MemoryPresence {
    fn default() -> Self {
        let last_seen = moka::sync::Cache::builder()
            .max_capacity(LAST_SEEN_MAX)
            .time_to_live(LAST_SEEN_TTL)
            .build();
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self {
            shards,
            hasher: ahash::RandomState::new(),
            arrivals: Mutex::default(),
            last_seen,
        }
    }
}

impl Shard {
    /// Changes the sessions of one user and keeps the counts per gateway right.
    fn change<T>(&mut self, sessions: &mut Sessions, act: impl FnOnce(&mut Sessions) -> T) -> T {
        let mut emptied = false;
        for session in sessions.live() {
            if let Some(count) = self.gateways.get_mut(&*session.gateway) {
                *count -= 1;
                emptied |= *count == 0;
            }
        }
        let outcome = act(sessions);
        for session in sessions.live() {
            *self.gateways.entry_ref(&*session.gateway).or_default() += 1;
        }
        if emptied {
            self.gateways.retain(|_, count| *count > 0);
        }
        outcome
    }

    /// Applies `act` to a user's sessions and forgets the user when nothing is left to know.
    fn with_user<T>(
        &mut self,
        now: UnixMillis,
        user: UserId,
        act: impl FnOnce(&mut Sessions) -> T,
    ) -> T {
        let mut sessions = self.users.remove(&user).unwrap_or_default();
        let outcome = self.change(&mut sessions, act);
        if !sessions.is_forgettable(now) {
            self.users.insert(user, sessions);
        }
        outcome
    }
}

fn conns_on(sessions: &Sessions, target: &SessionRef) -> Vec<ConnId> {
    let on_gateway = sessions
        .live()
        .iter()
        .filter(|s| s.gateway == target.gateway);
    let wanted = on_gateway.filter(|s| target.conn_id.is_none_or(|conn| conn == s.conn_id));
    wanted.map(|s| s.conn_id).collect()
}

impl MemoryPresence {
    /// Nobody is online.
    pub fn new() -> Self {
        Self::default()
    }

    fn shard(&self, user: UserId) -> &Mutex<Shard> {
        &self.shards[self.hasher.hash_one(user) as usize % SHARDS]
    }

    fn remove(&self, now: UnixMillis, target: &SessionRef) -> Removed {
        self.shard(target.user)
            .lock()
            .with_user(now, target.user, |sessions| {
                let seen = sessions.last_seen();
                let conns = conns_on(sessions, target);
                for conn in &conns {
                    sessions.unregister(&target.gateway, *conn);
                }
                let still_online = sessions.is_online();
                if let (false, Some(seen)) = (still_online, seen) {
                    self.last_seen.insert(target.user, seen);
                }
                Removed {
                    removed: !conns.is_empty(),
                    still_online,
                }
            })
    }

    fn status(&self, now: UnixMillis, user: UserId) -> Status {
        let shard = self.shard(user).lock();
        let mut status = Status::default();
        let sessions = shard.users.get(&user);
        for session in sessions.into_iter().flat_map(|s| s.live()).rev() {
            status.last_seen = status.last_seen.max(Some(session.last_seen));
            let alive = session.last_seen.saturating_add(TTL_MS) >= now;
            if alive && !status.gateways.contains(&session.gateway) {
                if status.gateways.is_empty() {
                    status.client_info = session.client_info.clone();
                }
                status.gateways.push(session.gateway.clone());
            }
        }
        drop(shard);
        if status.last_seen.is_none() {
            status.last_seen = self.last_seen.get(&user);
        }
        status
    }

    /// Lets `act` drop sessions of every user until about `limit` went.
    fn sweep(&self, limit: usize, act: impl Fn(&mut Sessions)) -> Gone {
        let mut gone = Gone::default();
        for shard in &self.shards {
            let shard = &mut *shard.lock();
            let mut users = std::mem::take(&mut shard.users);
            users.retain(|user, sessions| {
                if gone.sessions >= limit || !sessions.is_online() {
                    return true;
                }
                let (before, seen) = (sessions.live().len(), sessions.last_seen());
                shard.change(sessions, &act);
                gone.sessions += before - sessions.live().len();
                if sessions.is_online() {
                    return true;
                }
                gone.users.push(*user);
                if let Some(seen) = seen {
                    self.last_seen.insert(*user, seen);
                }
                false
            });
            shard.users = users;
            if gone.sessions >= limit {
                break;
            }
        }
        gone
    }
}

#[async_trait]
impl PresenceStore for MemoryPresence {
    async fn set_online(
        &self,
        now: UnixMillis,
        batch: Vec<Online>,
    ) -> Result<Vec<Result<Registered>>> {
        let register = |online: Online| {
            let Online {
                user,
                session,
                limit,
                again,
            } = online;
            let gateway = session.gateway.clone();
            let mut shard = self.shard(user).lock();
            let registered = shard.with_user(now, user, |sessions| match again {
                true => Ok(sessions.restore(now, session, limit)),
                false => sessions.register(now, session, limit),
            });
            // Before the shard is unlocked: who sees the session finds its arrival.
            if registered.is_ok() {
                self.arrivals.lock().push(user, gateway, now);
            }
            registered
        };
        Ok(batch.into_iter().map(register).collect())
    }

    async fn set_offline(&self, now: UnixMillis, batch: Vec<SessionRef>) -> Result<Vec<Removed>> {
        Ok(batch
            .iter()
            .map(|target| self.remove(now, target))
            .collect())
    }

    async fn heartbeat(&self, now: UnixMillis, batch: Vec<SessionRef>) -> Result<Vec<bool>> {
        let beat = |target: &SessionRef| {
            let mut shard = self.shard(target.user).lock();
            let Some(sessions) = shard.users.get_mut(&target.user) else {
                return false;
            };
            let conns = conns_on(sessions, target);
            let known = conns
                .iter()
                .filter(|c| sessions.heartbeat(now, &target.gateway, **c));
            known.count() > 0
        };
        Ok(batch.iter().map(beat).collect())
    }

    async fn statuses(&self, now: UnixMillis, users: &[UserId]) -> Result<Vec<Status>> {
        Ok(users.iter().map(|user| self.status(now, *user)).collect())
    }

    async fn expire(&self, before: UnixMillis, limit: usize) -> Result<Gone> {
        Ok(self.sweep(limit, |sessions| {
            sessions.expire_before(before);
        }))
    }

    async fn gateways(&self) -> Result<Vec<Box<str>>> {
        let mut gateways = Vec::new();
        for shard in &self.shards {
            gateways.extend(shard.lock().gateways.keys().cloned());
        }
        gateways.sort_unstable();
        gateways.dedup();
        Ok(gateways)
    }

    async fn drop_gateway(&self, gateway: &str, before: Option<ConnId>) -> Result<Gone> {
        Ok(self.sweep(usize::MAX, |sessions| {
            let on_gateway = sessions.live().iter().filter(|s| {
                &*s.gateway == gateway && before.is_none_or(|before| s.conn_id < before)
            });
            for conn in on_gateway.map(|s| s.conn_id).collect::<Vec<_>>() {
                sessions.unregister(gateway, conn);
            }
        }))
    }

    async fn arrivals(&self, after: &str, limit: usize) -> Result<Arrivals> {
        Ok(self.arrivals.lock().after(after, limit))
    }
}
