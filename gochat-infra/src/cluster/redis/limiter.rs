//! [`RateLimiter`] on Redis: buckets that all instances share.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use gochat_core::error::{Error, ErrorCode, Result};
use gochat_core::guess::GuessRule;
use gochat_core::ids::UnixMillis;
use gochat_core::ratelimit::{Lookup, Rule, RuleTable};
use parking_lot::RwLock;

use super::client::{Redis, read};
use super::script::{FORGIVE, GUESS, TAKE_TOKEN};
use crate::embedded::counter::MemoryLimiter;
use crate::port::counter::{RateLimiter, Verdict};

/// A judgement must not take longer than the request it guards; and a gateway that asks through im-repo gives up
/// after 300 ms, by when the answer of the local bucket should have reached it.
const PATIENCE: Duration = Duration::from_millis(200);
/// A bucket lives until it is full, at most this long.
const BUCKET_LIFE: Duration = Duration::from_secs(24 * 60 * 60);
/// Scripts compute in doubles; what takes 142 years to fill is as good as what takes longer.
const MICROS_MAX: u64 = 1 << 52;
/// Names of resources are cut here: they end up in keys, and may come from a stranger.
const RESOURCE_MAX: usize = 256;
/// Rules that protect accounts deny while the shared buckets are away.
const DENY_WHILE_AWAY: &str = "auth_";
const DENIED_FOR: Duration = Duration::from_secs(1);

/// Token buckets in Redis, by the rule of [`gochat_core::ratelimit`].
///
/// The time is the server's: instances whose clocks differ would otherwise each refill the shared bucket by
/// their own. While Redis is away each instance judges by buckets of its own, so a limit then holds per instance;
/// rules that begin with `auth_` deny.
pub struct RedisLimiter {
    redis: Redis,
    service: Box<str>,
    rules: RwLock<Arc<RuleTable>>,
    fallback: MemoryLimiter,
    bridging: AtomicBool,
}

impl RedisLimiter {
    /// Buckets of `service` for these rules; at most `max_local_buckets` in this process while Redis is away.
    pub fn new(
        redis: Redis,
        service: impl Into<Box<str>>,
        rules: RuleTable,
        max_local_buckets: usize,
    ) -> Self {
        Self {
            redis,
            service: service.into(),
            fallback: MemoryLimiter::new(rules.clone(), max_local_buckets),
            rules: RwLock::new(Arc::new(rules)),
            bridging: AtomicBool::new(false),
        }
    }

    /// Replaces the rules at once; buckets keep their state.
    pub fn set_rules(&self, rules: RuleTable) {
        self.fallback.set_rules(rules.clone());
        *self.rules.write() = Arc::new(rules);
    }

    /// Takes `cost` tokens; `now` stands for the server's clock in tests.
    async fn take(
        &self,
        resource: &str,
        name: &str,
        rule: Rule,
        cost: u64,
        now: Option<UnixMillis>,
    ) -> Result<Verdict> {
        let key = self
            .redis
            .key(&["ratelimit:", &self.service, ":", name, ":", cut(resource)]);
        let now: Cow<'_, str> = match now {
            Some(millis) => (millis * 1_000).to_string().into(),
            None => "".into(),
        };
        let mut command = TAKE_TOKEN.call(&[key]);
        command
            .arg(rule.price(cost).min(MICROS_MAX))
            .arg(rule.span().min(MICROS_MAX))
            .arg(BUCKET_LIFE.as_millis() as u64)
            .arg(&*now);
        self.judge("take_token", command).await
    }

    /// Counts a failed password; `now` stands for the server's clock in tests.
    async fn count(
        &self,
        budget: &str,
        rule: GuessRule,
        now: Option<UnixMillis>,
    ) -> Result<Verdict> {
        let mut command = GUESS.call(&[self.guess_key(budget)]);
        command
            .arg(rule.free)
            .arg(rule.first_delay_ms)
            .arg(rule.max_delay_ms)
            .arg(rule.forget_ms)
            .arg(rule.ceiling())
            .arg(now.map(|now| now.to_string()).unwrap_or_default());
        self.judge("guess", command).await
    }

    fn guess_key(&self, budget: &str) -> String {
        self.redis.key(&["guess:", &self.service, ":", cut(budget)])
    }

    /// Runs a script that answers 0 or milliseconds to wait.
    async fn judge(&self, name: &'static str, command: redis::Cmd) -> Result<Verdict> {
        let call = self.redis.run_within(PATIENCE, name, vec![command]);
        let answer = call.await?.pop().ok_or(ErrorCode::Internal)?;
        Ok(match read::<u64>(answer)? {
            0 => Verdict::Allowed,
            millis => Verdict::Limited {
                retry_after: Duration::from_millis(millis),
            },
        })
    }

    /// Notes that Redis judged.
    fn shared(&self, verdict: Verdict) -> Verdict {
        if self.bridging.swap(false, Ordering::Relaxed) {
            tracing::info!("rate limits are shared again");
        }
        verdict
    }

    /// Notes that Redis didn't judge.
    fn note_away(&self, error: &Error) {
        if !self.bridging.swap(true, Ordering::Relaxed) {
            tracing::warn!(%error, "rate limits are judged per instance until Redis is back");
        }
        metrics::counter!("gochat_ratelimit_bridged_total").increment(1);
    }

    /// Judges without Redis.
    fn bridge(&self, resource: &str, name: &str, rule: Rule, cost: u64, error: &Error) -> Verdict {
        self.note_away(error);
        if name.starts_with(DENY_WHILE_AWAY) {
            return Verdict::Limited {
                retry_after: DENIED_FOR,
            };
        }
        self.fallback.charge_now(resource, name, rule, cost)
    }
}

/// The beginning of a name that is too long.
fn cut(resource: &str) -> &str {
    let ends = (0..=RESOURCE_MAX.min(resource.len())).rev();
    let mut boundaries = ends.filter(|end| resource.is_char_boundary(*end));
    &resource[..boundaries.next().unwrap_or(0)]
}

#[async_trait]
impl RateLimiter for RedisLimiter {
    async fn allow(&self, resource: &str, name: &str) -> Verdict {
        let found = self.rules.read().find(name);
        let Lookup::Rule(rule) = found else {
            // Denies, and logs the name once.
            return self.fallback.check(resource, name);
        };
        self.allow_by(resource, name, rule).await
    }

    async fn charge(&self, resource: &str, name: &str, rule: Rule, cost: u64) -> Verdict {
        match self.take(resource, name, rule, cost, None).await {
            Ok(verdict) => self.shared(verdict),
            Err(error) => self.bridge(resource, name, rule, cost, &error),
        }
    }

    async fn guess(&self, budget: &str, rule: GuessRule) -> Verdict {
        match self.count(budget, rule, None).await {
            Ok(verdict) => self.shared(verdict),
            Err(error) => {
                self.note_away(&error);
                self.fallback.guess_now(budget, rule.widened())
            }
        }
    }

    async fn forgive(&self, budget: &str) {
        // What was counted here while Redis was away is taken back here.
        self.fallback.forgive_now(budget);
        let command = FORGIVE.call(&[self.guess_key(budget)]);
        let call = self.redis.run_within(PATIENCE, "forgive", vec![command]);
        if let Err(error) = call.await {
            self.note_away(&error);
        }
    }
}

#[cfg(test)]
mod tests;
