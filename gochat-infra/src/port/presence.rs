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

/// A socket to register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Online {
    /// Whose socket.
    pub user: UserId,
    /// The socket.
    pub session: Session,
    /// How many sessions this user may have; at least 1.
    pub limit: usize,
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

/// Sessions of all users.
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

    /// Removes every session of a gateway that is known to be dead.
    async fn drop_gateway(&self, gateway: &str) -> Result<Gone>;
}
