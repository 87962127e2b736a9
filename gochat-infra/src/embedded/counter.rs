//! [`RateLimiter`], [`Once`] and [`Counters`] in this process.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use gochat_core::error::{Error, ErrorCode, Result};
use gochat_core::guess::{GuessRule, Guesses};
use gochat_core::ratelimit::{Lookup, Rule, RuleTable, TokenBucket};
use hashbrown::{HashMap, HashSet};
use parking_lot::{Mutex, RwLock};
use tokio::time::Instant;

use crate::port::counter::{Claim, Counters, Once, RateLimiter, Verdict};

const SHARDS: usize = 16;
/// Budgets of failed passwords that are compared when one has to go.
const EVICTION_SAMPLE: usize = 8;

/// Token buckets in memory. A bucket costs 16 bytes and is forgotten once it is full again.
pub struct MemoryLimiter {
    rules: RwLock<Arc<RuleTable>>,
    shards: Box<[Mutex<Shard>]>,
    max_per_shard: usize,
    hasher: ahash::RandomState,
    started: Instant,
    unknown: Mutex<HashSet<String>>,
}

struct Shard {
    /// Keyed by a hash with secret seeds: names of resources need not be kept.
    buckets: HashMap<u64, TokenBucket>,
    /// Failed passwords, keyed in the same way.
    guesses: HashMap<u64, Guesses>,
    /// Size at which full buckets are looked for.
    sweep_at: usize,
}

impl MemoryLimiter {
    /// Buckets for these rules, at most `max_buckets` of them. When all are in use, the
    /// newcomer takes the place of an arbitrary one, which thereby starts full again.
    pub fn new(rules: RuleTable, max_buckets: usize) -> Self {
        let max_per_shard = max_buckets.div_ceil(SHARDS).max(1);
        let shard = || Shard {
            buckets: HashMap::new(),
            guesses: HashMap::new(),
            sweep_at: max_per_shard.min(64),
        };
        Self {
            rules: RwLock::new(Arc::new(rules)),
            shards: (0..SHARDS).map(|_| Mutex::new(shard())).collect(),
            max_per_shard,
            hasher: ahash::RandomState::new(),
            started: Instant::now(),
            unknown: Mutex::new(HashSet::new()),
        }
    }

    /// Replaces the rules at once; buckets keep their state.
    pub fn set_rules(&self, rules: RuleTable) {
        *self.rules.write() = Arc::new(rules);
        self.unknown.lock().clear();
    }

    /// Takes one token without waiting for anything, see [`RateLimiter::allow`].
    pub fn check(&self, resource: &str, rule: &str) -> Verdict {
        let found = self.rules.read().find(rule);
        let Lookup::Rule(numbers) = found else {
            self.report_unknown(rule);
            return Verdict::Limited {
                retry_after: Duration::from_secs(1),
            };
        };
        self.check_by(resource, rule, numbers)
    }

    /// Takes one token without waiting for anything, see [`RateLimiter::allow_by`].
    pub fn check_by(&self, resource: &str, rule: &str, numbers: Rule) -> Verdict {
        self.charge_now(resource, rule, numbers, 1)
    }

    /// Takes tokens without waiting for anything, see [`RateLimiter::charge`].
    pub fn charge_now(&self, resource: &str, rule: &str, numbers: Rule, cost: u64) -> Verdict {
        let now = self.now();
        let key = self.hasher.hash_one((rule, resource));
        let mut shard = self.shard(key).lock();
        shard.make_room(key, now, self.max_per_shard);
        let bucket = shard.buckets.entry(key).or_default();
        verdict(bucket.try_take_many(numbers, cost, now))
    }

    /// Counts a guess without waiting for anything, see [`RateLimiter::guess`].
    pub fn guess_now(&self, budget: &str, rule: GuessRule) -> Verdict {
        let now = self.now();
        let key = self.hasher.hash_one(budget);
        let mut shard = self.shard(key).lock();
        shard.make_room_for_guesses(key, rule, now, self.max_per_shard);
        let guesses = shard.guesses.entry(key).or_default();
        verdict(guesses.attempt(rule, now))
    }

    /// Takes a guess back, see [`RateLimiter::forgive`].
    pub fn forgive_now(&self, budget: &str) {
        let key = self.hasher.hash_one(budget);
        let mut shard = self.shard(key).lock();
        if let Some(guesses) = shard.guesses.get_mut(&key) {
            guesses.forgive();
            if guesses.failures == 0 {
                shard.guesses.remove(&key);
            }
        }
    }

    /// Milliseconds since the start. Monotonic, and never zero: a new bucket is full.
    fn now(&self) -> u64 {
        self.started.elapsed().as_millis() as u64 + 1
    }

    fn shard(&self, key: u64) -> &Mutex<Shard> {
        &self.shards[(key >> 32) as usize % SHARDS]
    }

    fn report_unknown(&self, rule: &str) {
        let mut unknown = self.unknown.lock();
        // Bounded, should rule names ever come from outside.
        if unknown.len() < 1_000 && unknown.insert(rule.to_owned()) {
            tracing::error!(
                rule,
                "no such rate limit rule; requests under it are refused"
            );
        }
    }
}

impl Shard {
    fn make_room(&mut self, key: u64, now: u64, max: usize) {
        if self.buckets.len() < self.sweep_at || self.buckets.contains_key(&key) {
            return;
        }
        self.buckets.retain(|_, bucket| !bucket.is_full(now));
        // Sweeping again only after the table doubled keeps the cost per request constant.
        self.sweep_at = (self.buckets.len() * 2).clamp(64.min(max), max);
        if self.buckets.len() >= max
            && let Some(victim) = self.buckets.keys().next().copied()
        {
            self.buckets.remove(&victim);
        }
    }

    /// Makes room for a budget of failed passwords: of a few that are looked at, the one with the
    /// fewest failures goes. A stranger who fills the table with other names thereby doesn't clear
    /// the account that is guessed at.
    fn make_room_for_guesses(&mut self, key: u64, rule: GuessRule, now: u64, max: usize) {
        if self.guesses.len() < max || self.guesses.contains_key(&key) {
            return;
        }
        let sample = self.guesses.iter().take(EVICTION_SAMPLE);
        let fewest = sample.min_by_key(|(_, guesses)| match guesses.is_over(rule, now) {
            true => 0,
            false => guesses.failures,
        });
        if let Some(victim) = fewest.map(|(key, _)| *key) {
            self.guesses.remove(&victim);
        }
    }
}

/// The verdict of a core rule that knows milliseconds.
fn verdict(taken: Result<(), u64>) -> Verdict {
    match taken {
        Ok(()) => Verdict::Allowed,
        Err(millis) => Verdict::Limited {
            retry_after: Duration::from_millis(millis),
        },
    }
}

#[async_trait]
impl RateLimiter for MemoryLimiter {
    async fn allow(&self, resource: &str, rule: &str) -> Verdict {
        self.check(resource, rule)
    }

    async fn charge(&self, resource: &str, rule: &str, numbers: Rule, cost: u64) -> Verdict {
        self.charge_now(resource, rule, numbers, cost)
    }

    async fn guess(&self, budget: &str, rule: GuessRule) -> Verdict {
        self.guess_now(budget, rule)
    }

    async fn forgive(&self, budget: &str) {
        self.forgive_now(budget);
    }
}

/// Claims in memory.
pub struct MemoryOnce {
    claims: Mutex<Claims>,
    max_claims: usize,
}

#[derive(Default)]
struct Claims {
    by_key: HashMap<String, Held>,
    /// Size at which claims that ran out are looked for.
    sweep_at: usize,
}

struct Held {
    claim: Claim,
    until: Instant,
}

impl MemoryOnce {
    /// Holds up to `max_claims` claims and results.
    pub fn new(max_claims: usize) -> Self {
        let claims = Claims {
            by_key: HashMap::new(),
            sweep_at: max_claims.min(1_024),
        };
        Self {
            claims: Mutex::new(claims),
            max_claims,
        }
    }
}

impl Claims {
    fn live(&self, key: &str, now: Instant) -> Option<&Claim> {
        self.by_key
            .get(key)
            .filter(|held| held.until > now)
            .map(|held| &held.claim)
    }

    fn has_room(&mut self, now: Instant, max: usize) -> bool {
        if self.by_key.len() >= self.sweep_at {
            self.by_key.retain(|_, held| held.until > now);
            self.sweep_at = (self.by_key.len() * 2).clamp(1_024.min(max), max);
        }
        self.by_key.len() < max
    }
}

#[async_trait]
impl Once for MemoryOnce {
    async fn claim(&self, key: &str, note: Bytes, ttl: Duration) -> Result<Claim> {
        let now = Instant::now();
        let mut claims = self.claims.lock();
        if let Some(standing) = claims.live(key, now) {
            return Ok(standing.clone());
        }
        if !claims.by_key.contains_key(key) && !claims.has_room(now, self.max_claims) {
            return Err(Error::new(
                ErrorCode::ServiceUnavailable,
                "Too much work is claimed right now; try again.",
            ));
        }
        let held = Held {
            claim: Claim::Pending(note),
            until: now + ttl,
        };
        claims.by_key.insert(key.to_owned(), held);
        Ok(Claim::First)
    }

    async fn look(&self, key: &str) -> Result<Option<Claim>> {
        Ok(self.claims.lock().live(key, Instant::now()).cloned())
    }

    async fn complete(&self, key: &str, result: Bytes, ttl: Duration) -> Result<bool> {
        let now = Instant::now();
        let mut claims = self.claims.lock();
        if claims.live(key, now).is_none() {
            return Ok(false);
        }
        let held = Held {
            claim: Claim::Done(result),
            until: now + ttl,
        };
        claims.by_key.insert(key.to_owned(), held);
        Ok(true)
    }

    async fn release(&self, key: &str, note: &[u8]) -> Result<()> {
        let mut claims = self.claims.lock();
        let ours = claims
            .by_key
            .get(key)
            .is_some_and(|held| matches!(&held.claim, Claim::Pending(left) if left == note));
        if ours {
            claims.by_key.remove(key);
        }
        Ok(())
    }

    async fn clear(&self, key: &str) -> Result<()> {
        self.claims.lock().by_key.remove(key);
        Ok(())
    }
}

/// A counter that nobody used for this long is forgotten.
const COUNTER_IDLE: Duration = Duration::from_secs(24 * 60 * 60);

/// Counters in memory.
pub struct MemoryCounters {
    counters: Mutex<HashMap<String, Counter>>,
    max_counters: usize,
}

struct Counter {
    value: u64,
    used: Instant,
}

impl MemoryCounters {
    /// Holds up to `max_counters`; when all were used within a day, new ones are refused.
    pub fn new(max_counters: usize) -> Self {
        Self {
            counters: Mutex::new(HashMap::new()),
            max_counters,
        }
    }
}

#[async_trait]
impl Counters for MemoryCounters {
    async fn take(&self, name: &str, floor: u64, count: u32) -> Result<u64> {
        let now = Instant::now();
        let mut counters = self.counters.lock();
        if counters.len() >= self.max_counters && !counters.contains_key(name) {
            counters.retain(|_, counter| now.duration_since(counter.used) < COUNTER_IDLE);
            if counters.len() >= self.max_counters {
                return Err(Error::new(
                    ErrorCode::ServiceUnavailable,
                    "Too many counters are in use; try again later.",
                ));
            }
        }
        let counter = counters.entry_ref(name).or_insert_with(|| Counter {
            value: 0,
            used: now,
        });
        let first = counter.value.max(floor).saturating_add(1);
        *counter = Counter {
            value: first.saturating_add(u64::from(count.max(1)) - 1),
            used: now,
        };
        Ok(first)
    }

    async fn current(&self, name: &str, floor: u64) -> Result<u64> {
        Ok(self
            .counters
            .lock()
            .get(name)
            .map_or(floor, |counter| counter.value.max(floor)))
    }
}

#[cfg(test)]
mod tests {
    use gochat_core::ratelimit::rules;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn buckets_that_are_full_again_are_forgotten() {
        let limiter = MemoryLimiter::new(RuleTable::default(), 16 * 64);
        for n in 0..100_000 {
            limiter.check(&format!("ip:{n}"), rules::LOGIN);
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        let kept: usize = limiter
            .shards
            .iter()
            .map(|shard| shard.lock().buckets.len())
            .sum();
        assert!(kept <= 16 * 64);
    }

    #[tokio::test]
    async fn a_flood_of_resources_does_not_grow_the_table() {
        let limiter = MemoryLimiter::new(RuleTable::default(), 160);
        for n in 0..10_000 {
            assert!(limiter.check(&format!("ip:{n}"), rules::LOGIN).is_allowed());
        }
        let kept: usize = limiter
            .shards
            .iter()
            .map(|shard| shard.lock().buckets.len())
            .sum();
        assert!(kept <= 160);
    }

    #[tokio::test]
    async fn a_flood_of_names_clears_no_account_that_is_guessed_at() {
        let limiter = MemoryLimiter::new(RuleTable::default(), 16 * 64);
        let rule = GuessRule::default();
        while limiter.guess_now("victim", rule).is_allowed() {}
        for n in 0..50_000 {
            assert!(limiter.guess_now(&format!("name{n}"), rule).is_allowed());
        }
        assert!(!limiter.guess_now("victim", rule).is_allowed());
        let kept = limiter
            .shards
            .iter()
            .map(|shard| shard.lock().guesses.len());
        assert!(kept.sum::<usize>() <= 16 * 64);
    }

    #[tokio::test]
    async fn a_full_table_of_claims_refuses_rather_than_forgets() {
        let once = MemoryOnce::new(2);
        let ttl = Duration::from_secs(60);
        for key in ["a", "b"] {
            assert_eq!(once.claim(key, Bytes::new(), ttl).await, Ok(Claim::First));
        }
        let refusal = once.claim("c", Bytes::new(), ttl).await.unwrap_err();
        assert!(refusal.is_retryable());
        assert_eq!(
            once.claim("a", Bytes::new(), ttl).await,
            Ok(Claim::Pending(Bytes::new()))
        );
    }
}
