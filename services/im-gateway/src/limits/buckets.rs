//! Token buckets of this process; bounded.

use std::hash::Hash;

use gochat_core::ids::UnixMillis;
use gochat_core::ratelimit::{Rule, TokenBucket};
use hashbrown::HashMap;
use parking_lot::Mutex;

const SHARDS: usize = 16;

/// A sharded map of buckets. When a shard is full, buckets that are full again are forgotten
/// (they say nothing), and if none is, all of them: forgetting is lenient, growing is not.
pub(super) struct Buckets<K> {
    shards: Vec<Mutex<HashMap<K, TokenBucket, ahash::RandomState>>>,
    max_per_shard: usize,
    hasher: ahash::RandomState,
}

impl<K: Hash + Eq> Buckets<K> {
    /// At most `max` buckets.
    pub(super) fn new(max: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            max_per_shard: (max / SHARDS).max(1),
            hasher: ahash::RandomState::new(),
        }
    }

    /// Takes a token, or says after how many milliseconds one will be there.
    pub(super) fn take(&self, key: K, rule: Rule, now: UnixMillis) -> Result<(), u64> {
        let shard = self.hasher.hash_one(&key) as usize % SHARDS;
        let mut buckets = self.shards[shard].lock();
        if buckets.len() >= self.max_per_shard && !buckets.contains_key(&key) {
            buckets.retain(|_, bucket| !bucket.is_full(now));
            if buckets.len() >= self.max_per_shard {
                buckets.clear();
            }
        }
        buckets.entry(key).or_default().try_take(rule, now)
    }
}

#[cfg(test)]
impl<K> Buckets<K> {
    /// Buckets that are remembered.
    pub(super) fn held(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }
}
