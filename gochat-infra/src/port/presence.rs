//! Presence: which sockets a user has, and on which gateways.
//!
//! The rules (replacement by device, eviction beyond the limit, the guard against clients
//! that evict each other for ever, expiry) are [`gochat_core::presence::Sessions`]; an
//! adapter keeps one per user and applies each entry of a batch atomically.
//!
//! Presence may be lost as a whole: gateways register their sockets again when a heartbeat
//! says that a session is unknown.

use async_trait::async_trait;
use gochat_core::error::Result;
use gochat_core::ids::{ConnId, UnixMillis, UserId};
use gochat_core::presence::{Registered, Session};

/// Entries the log of arrivals keeps, roughly.
pub const ARRIVALS_KEPT: usize = 100_000;

/// A socket to register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Online {
    /// Whose socket.
    pub user: UserId,
    /// The socket.
    pub session: Session,
    /// How many sessions this user may have; at least 1.
    pub limit: usize,
    /// Registered before and forgotten since: it evicts nobody (`Sessions::restore`).
    pub again: bool,
}

/// A session as a gateway names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRef {
    /// Whose session.
    pub user: UserId,
    /// The gateway that holds the socket.
    pub gateway: Box<str>,
    /// The socket; `None` means all sessions of the user on that gateway.
    pub conn_id: Option<ConnId>,
}

/// What became of a removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Removed {
    /// Whether such a session was registered.
    pub removed: bool,
    /// Whether another session lives.
    pub still_online: bool,
}

/// Whether and where a user is connected.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Status {
    /// Every gateway that holds a live session, each once; the newest session's comes first.
    pub gateways: Vec<Box<str>>,
    /// What the newest session said about itself.
    pub client_info: Box<str>,
    /// Last sign of life, also of sessions that are gone, for about a day.
    pub last_seen: Option<UnixMillis>,
}

impl Status {
    /// Whether a session lives.
    pub fn is_online(&self) -> bool {
        !self.gateways.is_empty()
    }
}

/// What an expiry or the loss of a gateway removed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Gone {
    /// Sessions removed.
    pub sessions: usize,
    /// Users without a session now; each is reported once.
    pub users: Vec<UserId>,
}

/// A session that was registered, as the log of arrivals keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// Who came.
    pub user: UserId,
    /// Where the socket is.
    pub gateway: Box<str>,
    /// The `now` of the registration.
    pub at: UnixMillis,
}

/// A stretch of the log of arrivals.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Arrivals {
    /// Oldest first.
    pub list: Vec<Arrival>,
    /// Where to go on reading.
    pub next: Box<str>,
    /// Arrivals after the asked position were forgotten, or the position is not one of this log
    /// (any more): the reader doesn't know who came before these.
    pub gap: bool,
}

/// Sessions of all users.
///
/// Every registration that succeeds, repeated ones included, is also an entry of the log of arrivals,
/// in it at the latest when [`statuses`](Self::statuses) shows the session. The log keeps the newest
/// [`ARRIVALS_KEPT`] entries or so.
///
/// Batches are answered entry by entry, in order; each entry is atomic, the batch is not.
/// An outer `Err` means the store is away (retryable). All commands are safe to repeat.
#[async_trait]
pub trait PresenceStore: Send + Sync + 'static {
    /// Registers sockets. An entry is refused with `RATE_LIMITED` when the user's
    /// connections replace each other too fast.
    async fn set_online(
        &self,
        now: UnixMillis,
        batch: Vec<Online>,
    ) -> Result<Vec<Result<Registered>>>;

    /// Removes sockets if they still are the registered ones (compare-and-delete).
    async fn set_offline(&self, now: UnixMillis, batch: Vec<SessionRef>) -> Result<Vec<Removed>>;

    /// Notes signs of life; an entry is `false` when the session is unknown.
    async fn heartbeat(&self, now: UnixMillis, batch: Vec<SessionRef>) -> Result<Vec<bool>>;

    /// Looks users up. Sessions past their time don't count, removed or not.
    async fn statuses(&self, now: UnixMillis, users: &[UserId]) -> Result<Vec<Status>>;

    /// Removes about `limit` sessions at most whose last sign of life is older than `before`.
    async fn expire(&self, before: UnixMillis, limit: usize) -> Result<Gone>;

    /// Gateways that hold at least one session, in no order.
    async fn gateways(&self) -> Result<Vec<Box<str>>>;

    /// Removes the sessions of a gateway that is known to be dead; with `before` only those with a lower
    /// connection id, which are the ones of earlier runs under the same name.
    async fn drop_gateway(&self, gateway: &str, before: Option<ConnId>) -> Result<Gone>;

    /// Registrations after a position, at most `limit`. An empty position is the end of the log: nothing is
    /// listed, and `gap` is set.
    async fn arrivals(&self, after: &str, limit: usize) -> Result<Arrivals>;
}
