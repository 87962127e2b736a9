//! Places that users signed in from. Only hashes are stored.

use async_trait::async_trait;
use gochat_core::ids::{UnixMillis, UserId};

use super::DbResult;

/// Most places remembered per user; the one that wasn't used for longest goes.
pub const PLACES_PER_USER: u32 = 20;

/// Known places.
#[async_trait]
pub trait PlaceStore: Send + Sync {
    /// Those of `places` (at most [`PLACES_PER_USER`]) that the user signed in from after `since`,
    /// each with the time of the last sign-in that was noted.
    async fn known_places(
        &self,
        user: UserId,
        places: Vec<String>,
        since: UnixMillis,
    ) -> DbResult<Vec<(String, UnixMillis)>>;

    /// Notes a sign-in from a place; of more than [`PLACES_PER_USER`] the oldest are forgotten.
    async fn note_place(&self, user: UserId, place: &str, now: UnixMillis) -> DbResult<()>;

    /// Forgets places that weren't used after `before`; returns how many went, at most `limit`.
    async fn purge_places(&self, before: UnixMillis, limit: u32) -> DbResult<u64>;
}
