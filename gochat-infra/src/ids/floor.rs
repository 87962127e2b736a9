//! Where the floor of an id generator is stored.

use async_trait::async_trait;
use gochat_core::error::Result;
use gochat_core::ids::UnixMillis;

/// A floor before and after a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// What was stored: below this time ids may have been made. `None` when no id was ever made.
    pub before: Option<UnixMillis>,
    /// What is stored now.
    pub after: UnixMillis,
}

/// The stored end of all leases of time that were taken for ids of one instance number.
#[async_trait]
pub trait FloorStore: Send + Sync + 'static {
    /// The stored floor; `None` when no id was ever made.
    ///
    /// # Errors
    /// The store is away, or holds something else than a floor.
    async fn load(&self) -> Result<Option<UnixMillis>>;

    /// Moves the floor to `until`, or to `room_ms` beyond the stored one when that is later. It is
    /// durable when this resolves. The time between the two floors belongs to the caller alone,
    /// whoever else moves the floor.
    ///
    /// # Errors
    /// The store is away; the floor may have moved.
    async fn raise(&self, until: UnixMillis, room_ms: u64) -> Result<Stored>;

    /// Gives the end of a lease back at an orderly end: moves the floor down from `from` to `to`
    /// unless it was moved by another caller.
    ///
    /// # Errors
    /// The store is away; the floor may have moved.
    async fn lower(&self, from: UnixMillis, to: UnixMillis) -> Result<()>;

    /// Whether ids must wait while the store is away. A store across the network answers `false`:
    /// its outage must not stop messages, and ids stay unique unless the clock steps back over a
    /// restart within that outage.
    fn is_required(&self) -> bool;
}
