//! [`Cache`] in this process, bounded by weight.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use gochat_core::error::Result;
use moka::Expiry;
use moka::notification::RemovalCause;
use parking_lot::Mutex;

use crate::port::cache::{Cache, Entry, FillToken, Lookup};

/// Bytes of bookkeeping per entry, added to key and value when the weight is counted.
const ENTRY_OVERHEAD: usize = 128;

/// Deletions of different keys share a counter per stripe. A false share only makes a fill
/// that raced with it do nothing, so a modest number is enough.
const STRIPES: usize = 1024;

#[derive(Clone)]
struct Stored {
    value: Bytes,
    ttl: Duration,
}

struct PerEntryTtl;

impl Expiry<String, Stored> for PerEntryTtl {
    fn expire_after_create(&self, _: &String, stored: &Stored, _: Instant) -> Option<Duration> {
        Some(stored.ttl)
    }

    fn expire_after_update(
        &self,
        _: &String,
        stored: &Stored,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(stored.ttl)
    }
}

/// In-process cache with an upper bound in bytes; the least useful entries go first.
pub struct MemoryCache {
    entries: moka::sync::Cache<String, Stored>,
    /// How often something of this stripe was deleted. The lock makes "compare and store"
    /// of a fill one step against a deletion.
    deletions: Box<[Mutex<u64>]>,
    hasher: ahash::RandomState,
}

impl MemoryCache {
    /// A cache that holds up to `max_bytes` of keys, values and bookkeeping.
    pub fn new(max_bytes: u64) -> Self {
        let entries = moka::sync::Cache::builder()
            .max_capacity(max_bytes)
            .weigher(|key: &String, stored: &Stored| {
                let weight = key.len() + stored.value.len() + ENTRY_OVERHEAD;
                u32::try_from(weight).unwrap_or(u32::MAX)
            })
            .expire_after(PerEntryTtl)
            .eviction_listener(|_, _, cause| {
                // What is deleted on a change is counted where the change is.
                if cause == RemovalCause::Size {
                    crate::cached::count("evict", 1);
                }
            })
            .build();
        let deletions = (0..STRIPES).map(|_| Mutex::new(0)).collect();
        Self {
            entries,
            deletions,
            hasher: ahash::RandomState::new(),
        }
    }

    /// Bytes of keys, values and bookkeeping. Changes of the last moments may be missing.
    pub fn bytes(&self) -> u64 {
        self.entries.weighted_size()
    }

    fn stripe(&self, key: &str) -> &Mutex<u64> {
        &self.deletions[self.hasher.hash_one(key) as usize % STRIPES]
    }

    fn look_up(&self, key: &str) -> Lookup {
        // The token must be older than the look: a deletion between the two makes it worthless.
        let token = FillToken(*self.stripe(key).lock());
        match self.entries.get(key) {
            Some(stored) => Lookup::Hit(stored.value),
            None => Lookup::Miss(token),
        }
    }
}

#[async_trait]
impl Cache for MemoryCache {
    async fn get_many(&self, keys: &[String]) -> Result<Vec<Lookup>> {
        Ok(keys.iter().map(|key| self.look_up(key)).collect())
    }

    async fn set(&self, Entry { key, value, ttl }: Entry) -> Result<()> {
        self.entries.insert(key, Stored { value, ttl });
        Ok(())
    }

    async fn fill_many(&self, entries: Vec<(Entry, FillToken)>) -> Result<()> {
        for (Entry { key, value, ttl }, token) in entries {
            let deletions = self.stripe(&key).lock();
            if *deletions == token.0 {
                self.entries.insert(key, Stored { value, ttl });
            }
        }
        Ok(())
    }

    async fn delete_many(&self, keys: &[String]) -> Result<()> {
        for key in keys {
            let mut deletions = self.stripe(key).lock();
            *deletions += 1;
            self.entries.invalidate(key);
        }
        Ok(())
    }

    async fn get(&self, key: &str) -> Result<Lookup> {
        Ok(self.look_up(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_weight_stays_within_the_bound() {
        let cache = MemoryCache::new(64 * 1024);
        for n in 0..1_000 {
            let value = Bytes::from(vec![0; 1024]);
            cache
                .set(Entry {
                    key: format!("k{n}"),
                    value,
                    ttl: Duration::from_secs(60),
                })
                .await
                .unwrap();
        }
        cache.entries.run_pending_tasks();
        assert!(cache.entries.weighted_size() <= 64 * 1024);
    }
}
