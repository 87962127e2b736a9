//! The connections of one user.

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorCode, Result};
use crate::ids::{ConnId, UnixMillis};

/// Milliseconds a session lives without a heartbeat.
pub const TTL_MS: u64 = 5 * 60_000;
/// Replacements a user may cause within [`REPLACEMENTS_WINDOW_MS`].
pub const REPLACEMENTS_MAX: usize = 5;
/// The window in which replacements are counted, in milliseconds.
pub const REPLACEMENTS_WINDOW_MS: u64 = 60_000;
/// How long a user with too many replacements is refused, in milliseconds.
pub const REFUSAL_MS: u64 = 60_000;

/// One connection, identified by gateway and connection id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Name of the gateway instance that holds the socket.
    pub gateway: Box<str>,
    /// Which socket there.
    pub conn_id: ConnId,
    /// The device, if the client names one; a device has one connection.
    pub device: Option<Box<str>>,
    /// What the client says about itself.
    pub client_info: Box<str>,
    /// When it was registered.
    pub since: UnixMillis,
    /// Last sign of life.
    pub last_seen: UnixMillis,
}

impl Session {
    fn is(&self, gateway: &str, conn_id: ConnId) -> bool {
        self.conn_id == conn_id && &*self.gateway == gateway
    }

    fn replaces(&self, other: &Self) -> bool {
        let same_device = self.device.is_some() && self.device == other.device;
        same_device || self.is(&other.gateway, other.conn_id)
    }
}

/// A user went from no session to some, or back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edge {
    /// The first session is there.
    Online,
    /// The last session is gone.
    Offline,
}

/// Outcome of a registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// Sessions that lost their place; their sockets are to be closed.
    pub evicted: Vec<Session>,
    /// [`Edge::Online`] when this is the first session.
    pub edge: Option<Edge>,
}

/// All sessions of one user, oldest first, and the memory of recent replacements.
///
/// Commands: [`register`](Self::register), [`restore`](Self::restore), [`unregister`](Self::unregister),
/// [`heartbeat`](Self::heartbeat), [`expire`](Self::expire). Each is safe to repeat.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Sessions {
    live: Vec<Session>,
    replacements: Vec<UnixMillis>,
    refused_until: UnixMillis,
}

impl Sessions {
    /// The sessions, oldest first.
    pub fn live(&self) -> &[Session] {
        &self.live
    }

    /// Whether the user has a session.
    pub fn is_online(&self) -> bool {
        !self.live.is_empty()
    }

    /// Whether nothing needs to be remembered any more, neither sessions nor replacements.
    pub fn is_forgettable(&self, now: UnixMillis) -> bool {
        let recent = |at: &UnixMillis| now < at.saturating_add(REPLACEMENTS_WINDOW_MS);
        self.live.is_empty() && now >= self.refused_until && !self.replacements.iter().any(recent)
    }

    /// The latest sign of life of any session.
    pub fn last_seen(&self) -> Option<UnixMillis> {
        self.live.iter().map(|s| s.last_seen).max()
    }

    /// Registers a connection. An older connection of the same device is evicted, then the
    /// oldest ones until at most `limit` remain.
    ///
    /// Refuses with `RATE_LIMITED` for [`REFUSAL_MS`] after more than [`REPLACEMENTS_MAX`]
    /// evictions within [`REPLACEMENTS_WINDOW_MS`]: clients that reconnect at once after each
    /// close would otherwise evict each other for ever. Nothing changes on a refusal.
    pub fn register(
        &mut self,
        now: UnixMillis,
        session: Session,
        limit: usize,
    ) -> Result<Registered> {
        self.expire(now);
        // Repeating a registration of the very same socket is no replacement.
        let known = self
            .live
            .iter()
            .any(|s| s.is(&session.gateway, session.conn_id));
        let same_device = self.live.iter().filter(|s| session.replaces(s)).count();
        let beyond = (self.live.len() + 1 - same_device).saturating_sub(limit.max(1));
        let replaces = same_device - usize::from(known) + beyond > 0;
        if replaces {
            self.count_replacement(now)?;
        } else if now < self.refused_until && !known {
            return Err(storm());
        }

        let was_online = self.is_online();
        let mut evicted: Vec<Session> = self.live.extract_if(.., |s| session.replaces(s)).collect();
        evicted.retain(|s| !s.is(&session.gateway, session.conn_id));
        evicted.extend(self.live.drain(..beyond));
        self.live.push(session);
        Ok(Registered {
            evicted,
            edge: (!was_online).then_some(Edge::Online),
        })
    }

    /// Registers a connection again that the store has forgotten. It takes a free place and evicts nobody:
    /// when its device has a newer connection or all places are taken, it was replaced while nobody
    /// could tell it, and is itself the evicted one.
    pub fn restore(&mut self, now: UnixMillis, session: Session, limit: usize) -> Registered {
        self.expire(now);
        let known = self
            .live
            .iter_mut()
            .find(|s| s.is(&session.gateway, session.conn_id));
        if let Some(known) = known {
            known.last_seen = known.last_seen.max(session.last_seen);
            return Registered {
                evicted: Vec::new(),
                edge: None,
            };
        }
        let replaced = self.live.iter().any(|s| session.replaces(s));
        if replaced || self.live.len() >= limit.max(1) {
            return Registered {
                evicted: vec![session],
                edge: None,
            };
        }
        let was_online = self.is_online();
        let place = self.live.partition_point(|s| s.since <= session.since);
        self.live.insert(place, session);
        Registered {
            evicted: Vec::new(),
            edge: (!was_online).then_some(Edge::Online),
        }
    }

    /// Removes the session if it still is the registered one (compare-and-delete): a late
    /// goodbye of a replaced socket does nothing. Returns whether it was there, and the edge.
    pub fn unregister(&mut self, gateway: &str, conn_id: ConnId) -> (bool, Option<Edge>) {
        let before = self.live.len();
        self.live.retain(|s| !s.is(gateway, conn_id));
        let removed = self.live.len() < before;
        (
            removed,
            (removed && self.live.is_empty()).then_some(Edge::Offline),
        )
    }

    /// Notes a sign of life. False when the session isn't registered (any more).
    pub fn heartbeat(&mut self, now: UnixMillis, gateway: &str, conn_id: ConnId) -> bool {
        let session = self.live.iter_mut().find(|s| s.is(gateway, conn_id));
        session
            .map(|s| s.last_seen = s.last_seen.max(now))
            .is_some()
    }

    /// Drops sessions without a sign of life for [`TTL_MS`].
    pub fn expire(&mut self, now: UnixMillis) -> Option<Edge> {
        self.expire_before(now.saturating_sub(TTL_MS))
    }

    /// Drops sessions whose last sign of life is older than `moment`.
    pub fn expire_before(&mut self, moment: UnixMillis) -> Option<Edge> {
        let was_online = self.is_online();
        self.live.retain(|s| s.last_seen >= moment);
        (was_online && self.live.is_empty()).then_some(Edge::Offline)
    }

    fn count_replacement(&mut self, now: UnixMillis) -> Result<()> {
        if now < self.refused_until {
            return Err(storm());
        }
        self.replacements
            .retain(|at| now < at.saturating_add(REPLACEMENTS_WINDOW_MS));
        if self.replacements.len() >= REPLACEMENTS_MAX {
            self.replacements.clear();
            self.refused_until = now.saturating_add(REFUSAL_MS);
            return Err(storm());
        }
        self.replacements.push(now);
        Ok(())
    }
}

fn storm() -> Error {
    Error::new(
        ErrorCode::RateLimited,
        "Your connections replace each other too fast; wait a minute.",
    )
}

#[cfg(test)]
mod tests;
