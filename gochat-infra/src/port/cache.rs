//! Cache: copies of what the database knows, never the only copy of anything.
//!
//! Losing all of it costs time, not data, so callers treat an `Err` as a miss and log it.
//!
//! # Filling without staleness
//!
//! Cache-aside has a race: a reader loads an old row, a writer commits and deletes the key,
//! and the reader then stores what is old by now. The port closes it. A miss comes with a
//! [`FillToken`], every `delete` of the key makes the token worthless, and
//! [`Cache::fill_many`] with a worthless token stores nothing. A writer that deletes *after*
//! its commit can therefore rely on no older copy appearing later.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use gochat_core::error::Result;

/// Permission to fill a key, valid until the key is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FillToken(pub u64);

/// What a cache says about a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// The stored value.
    Hit(Bytes),
    /// Nothing is stored; a loader may fill with this token.
    Miss(FillToken),
}

impl Lookup {
    /// The value of a hit.
    pub fn hit(self) -> Option<Bytes> {
        match self {
            Self::Hit(value) => Some(value),
            Self::Miss(_) => None,
        }
    }
}

/// A value to store under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// The value, serialized by the caller.
    pub value: Bytes,
    /// How long it may be served.
    pub ttl: Duration,
}

/// A bounded store of short-lived copies.
///
/// Every call is atomic per key; batches are not atomic as a whole. `Err` means that the
/// store is away (retryable) and says nothing about what was done.
#[async_trait]
pub trait Cache: Send + Sync + 'static {
    /// Looks keys up; the answer has one entry per key, in order.
    async fn get_many(&self, keys: &[String]) -> Result<Vec<Lookup>>;

    /// Stores an entry, whatever stood there. For values that are not copies of a row.
    async fn set(&self, entry: Entry) -> Result<()>;

    /// Stores entries whose token is still good; the others are dropped silently.
    async fn fill_many(&self, entries: Vec<(Entry, FillToken)>) -> Result<()>;

    /// Removes keys and makes the tokens given out for them worthless. Unknown keys are fine.
    async fn delete_many(&self, keys: &[String]) -> Result<()>;

    /// Looks one key up.
    async fn get(&self, key: &str) -> Result<Lookup> {
        let mut found = self.get_many(&[key.to_owned()]).await?;
        Ok(found.pop().unwrap_or(Lookup::Miss(FillToken(0))))
    }

    /// Removes one key, see [`Cache::delete_many`].
    async fn delete(&self, key: &str) -> Result<()> {
        self.delete_many(&[key.to_owned()]).await
    }
}
