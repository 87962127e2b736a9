//! Token buckets of this process; bounded.

use std::hash::Hash;

use gochat_core::ids::UnixMillis;
use gochat_core::ratelimit::{Rule, TokenBucket};
use hashbrown::HashMap;
use parking_lot::Mutex;

const SHARDS: usize = 16;
/// Milliseconds between two searches of a shard for buckets that are full again.
const SWEEP_EVERY_MS: u64 = 1_000;
/// Keys that are charged to the bucket all of them share get together what so many keys would get.
const OVERFLOW_SHARE: f64 = 10.0;

/// A sharded map of buckets. When a shard is full, buckets that are full again are forgotten, which
/// changes nothing for anybody. If none is, keys without a bucket share one: no key can make the
/// map forget what another, or the same, owes.
pub(super) struct Buckets<K> {
    shards: Vec<Mutex<Shard<K>>>,
    max_per_shard: usize,
    hasher: ahash::RandomState,
}

struct Shard<K> {
    buckets: HashMap<K, TokenBucket, ahash::RandomState>,
    /// The bucket of keys that found no room.
    overflow: TokenBucket,
    swept_at: UnixMillis,
}

impl<K: Hash + Eq> Buckets<K> {
    /// Keeps `max` buckets at most.
    pub(super) fn new(max: usize) -> Self {
        let shard = || Shard {
            buckets: HashMap::default(),
            overflow: TokenBucket::default(),
            swept_at: 0,
        };
        Self {
            shards: (0..SHARDS).map(|_| Mutex::new(shard())).collect(),
            max_per_shard: (max / SHARDS).max(1),
            hasher: ahash::RandomState::new(),
        }
    }

    /// Takes a token, or says after how many milliseconds one will be there.
    pub(super) fn take(&self, key: K, rule: Rule, now: UnixMillis) -> Result<(), u64> {
        self.with(key, rule, now, |bucket, rule| bucket.try_take(rule, now))
    }

    /// Takes a token unless less than the part `kept` of a full bucket would be left.
    pub(super) fn take_leaving(
        &self,
        key: K,
        rule: Rule,
        kept: f64,
        now: UnixMillis,
    ) -> Result<(), u64> {
        self.with(key, rule, now, |bucket, rule| {
            bucket.try_take_leaving(rule, kept, now)
        })
    }

    /// Takes tokens whether they are there or not.
    pub(super) fn charge(&self, key: K, rule: Rule, cost: f64, now: UnixMillis) {
        self.with(key, rule, now, |bucket, rule| {
            bucket.charge(rule, cost, now)
        });
    }

    fn with<R>(
        &self,
        key: K,
        rule: Rule,
        now: UnixMillis,
        judge: impl FnOnce(&mut TokenBucket, Rule) -> R,
    ) -> R {
        let mut shard = self.shards[self.hasher.hash_one(&key) as usize % SHARDS].lock();
        if let Some(bucket) = shard.buckets.get_mut(&key) {
            return judge(bucket, rule);
        }
        let is_full = shard.buckets.len() >= self.max_per_shard;
        // Not with every newcomer: a flood of addresses would pay for nothing but searches.
        if is_full && now.abs_diff(shard.swept_at) >= SWEEP_EVERY_MS {
            shard.buckets.retain(|_, bucket| !bucket.is_full(now));
            shard.swept_at = now;
        }
        if shard.buckets.len() < self.max_per_shard {
            return judge(shard.buckets.entry(key).or_default(), rule);
        }
        let shared = Rule::new(rule.rate * OVERFLOW_SHARE, rule.capacity * OVERFLOW_SHARE);
        judge(&mut shard.overflow, shared)
    }
}

#[cfg(test)]
impl<K> Buckets<K> {
    /// Buckets that are remembered.
    pub(super) fn held(&self) -> usize {
        let of = |shard: &Mutex<Shard<K>>| shard.lock().buckets.len();
        self.shards.iter().map(of).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: Rule = Rule::new(1.0, 2.0);

    #[test]
    fn a_flood_of_keys_forgets_nobodys_debt_and_is_limited_itself() {
        let buckets = Buckets::new(160);
        for _ in 0..2 {
            assert!(buckets.take(0u32, RULE, 1_000).is_ok());
        }
        let passed = (1..100_000).filter(|key| buckets.take(*key, RULE, 1_000).is_ok());
        // One for every bucket there is room for, and what the shared ones hold.
        assert!(passed.count() <= 160 + SHARDS * 20);
        assert!(buckets.held() <= 160);
        assert!(
            buckets.take(0, RULE, 1_000).is_err(),
            "its debt is remembered"
        );
    }

    #[test]
    fn there_is_room_again_when_buckets_are_full_again() {
        let buckets = Buckets::new(16);
        for key in 0u32..1_000 {
            let _ = buckets.take(key, RULE, 1_000);
        }
        for key in 2_000u32..2_400 {
            let _ = buckets.take(key, RULE, 60_000);
        }
        assert!(buckets.held() <= 16);
        let newcomers = (2_000u32..2_400).filter(|key| {
            let shard = &buckets.shards[buckets.hasher.hash_one(key) as usize % SHARDS];
            shard.lock().buckets.contains_key(key)
        });
        assert!(newcomers.count() > 0);
    }
}
