//! Token buckets and the table of rules.
//!
//! A bucket is eight bytes: the generic cell rate algorithm keeps only the moment at which
//! the bucket would be full again, which is the same thing as counting tokens. The caller
//! passes the time in.

mod shares;

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorCode, Result};
use crate::ids::UnixMillis;

/// Largest rate and burst a rule may have.
pub const LIMIT_MAX: f64 = 1_000_000.0;

/// A rate with a burst: `rate` tokens per second flow into a bucket that holds `capacity`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// Tokens per second; above 0, at most [`LIMIT_MAX`].
    pub rate: f64,
    /// Size of the bucket; above 0, at most [`LIMIT_MAX`].
    #[serde(alias = "burst")]
    pub capacity: f64,
}

impl Rule {
    /// A rule from trusted numbers, see [`Rule::validated`] for untrusted ones.
    pub const fn new(rate: f64, capacity: f64) -> Self {
        Self { rate, capacity }
    }

    /// Refuses numbers out of range with `INVALID_PARAMS`.
    pub fn validated(self) -> Result<Self> {
        let ok = |n: f64| n > 0.0 && n <= LIMIT_MAX;
        if ok(self.rate) && ok(self.capacity) {
            Ok(self)
        } else {
            Err(Error::new(
                ErrorCode::InvalidParams,
                "A rate limit needs 0 < rate ≤ 1000000 and 0 < capacity ≤ 1000000.",
            ))
        }
    }

    /// Microseconds between two tokens.
    pub fn interval(self) -> u64 {
        ((1_000_000.0 / self.rate) as u64).max(1)
    }

    /// Microseconds that a cost is worth: at least one token, at most a full bucket.
    pub fn price(self, cost: u64) -> u64 {
        if cost <= 1 {
            return self.interval();
        }
        let price = (cost as f64 * 1_000_000.0 / self.rate) as u64;
        price.min(self.span()).max(self.interval())
    }

    /// Microseconds a full bucket is worth.
    pub fn span(self) -> u64 {
        (self.capacity * 1_000_000.0 / self.rate) as u64
    }
}

/// The state of one bucket: the microsecond at which it is full again. Zero is a full bucket.
///
/// ```
/// use gochat_core::ratelimit::{Rule, TokenBucket};
/// let rule = Rule::new(1.0, 2.0);
/// let mut bucket = TokenBucket::default();
/// assert!(bucket.try_take(rule, 5_000).is_ok());
/// assert!(bucket.try_take(rule, 5_000).is_ok());
/// assert_eq!(bucket.try_take(rule, 5_000), Err(1_000));
/// assert!(bucket.try_take(rule, 6_000).is_ok());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TokenBucket {
    full_at: u64,
}

impl TokenBucket {
    /// Takes one token, or says after how many milliseconds one will be there.
    /// A refusal costs nothing. A clock that jumps back costs at most one full bucket.
    pub fn try_take(&mut self, rule: Rule, now: UnixMillis) -> Result<(), u64> {
        self.try_take_many(rule, 1, now)
    }

    /// Takes `cost` tokens at once, or none and says after how many milliseconds they will be
    /// there. A cost above the capacity takes a full bucket: what is dearer than the bucket passes
    /// as rarely as the bucket fills.
    pub fn try_take_many(&mut self, rule: Rule, cost: u64, now: UnixMillis) -> Result<(), u64> {
        let now = now.saturating_mul(1_000);
        let (interval, span) = (rule.price(cost), rule.span());
        let base = self.full_at.clamp(now, now.saturating_add(span));
        let next = base.saturating_add(interval);
        if next - now <= span.max(interval) {
            self.full_at = next;
            Ok(())
        } else {
            Err((next - now - span).div_ceil(1_000))
        }
    }

    /// Whether the bucket is full: such a bucket may be forgotten without a difference.
    pub fn is_full(&self, now: UnixMillis) -> bool {
        self.full_at <= now.saturating_mul(1_000)
    }
}

/// Names of the rules the services ask for.
pub mod rules {
    /// Any HTTP call, per address.
    pub const API_DEFAULT: &str = "api_default";
    /// Ordinary actions of a user.
    pub const USER_ACTION: &str = "user_action";
    /// Sign-in attempts, per address.
    pub const LOGIN: &str = "login";
    /// Registrations, per address.
    pub const REGISTER: &str = "register";
    /// Password resets.
    pub const PASSWORD_RESET: &str = "password_reset";
    /// Uploads.
    pub const FILE_UPLOAD: &str = "file_upload";
    /// Frames of one WebSocket.
    pub const WS_MESSAGE: &str = "ws_message";
    /// Costly operations.
    pub const HEAVY_OPERATION: &str = "heavy_operation";
    /// Messages sent by one user.
    pub const USER_SEND_MESSAGE: &str = "user_send_message";
    /// Messages sent to the world chat by one user.
    pub const WORLD_SEND_MESSAGE: &str = "world_send_message";
    /// Sign-in attempts on one account.
    pub const USER_LOGIN_ATTEMPT: &str = "user_login_attempt";
    /// All requests of one instance.
    pub const LOCAL_MACHINE_QPS: &str = "local_machine_qps";
}

/// The rules shipped with the product; configuration may replace and add.
pub const DEFAULT_RULES: [(&str, Rule); 12] = [
    (rules::API_DEFAULT, Rule::new(100.0, 200.0)),
    (rules::USER_ACTION, Rule::new(10.0, 20.0)),
    (rules::LOGIN, Rule::new(5.0, 10.0)),
    (rules::REGISTER, Rule::new(1.0, 3.0)),
    (rules::PASSWORD_RESET, Rule::new(0.1, 1.0)),
    (rules::FILE_UPLOAD, Rule::new(2.0, 10.0)),
    (rules::WS_MESSAGE, Rule::new(50.0, 100.0)),
    (rules::HEAVY_OPERATION, Rule::new(1.0, 2.0)),
    (rules::USER_SEND_MESSAGE, Rule::new(10.0, 30.0)),
    (rules::WORLD_SEND_MESSAGE, Rule::new(10.0 / 60.0, 10.0)),
    (rules::USER_LOGIN_ATTEMPT, Rule::new(5.0, 10.0)),
    (rules::LOCAL_MACHINE_QPS, Rule::new(500.0, 600.0)),
];

/// The answer of [`RuleTable::find`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Lookup {
    /// Judge by this rule.
    Rule(Rule),
    /// Nobody defined such a rule: deny, and tell the operator once.
    Unknown,
}

/// Rules by name.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleTable {
    rules: BTreeMap<Cow<'static, str>, Rule>,
}

impl Default for RuleTable {
    fn default() -> Self {
        let rules = DEFAULT_RULES
            .iter()
            .map(|(name, rule)| (Cow::Borrowed(*name), *rule));
        Self {
            rules: rules.collect(),
        }
    }
}

impl RuleTable {
    /// The rule of this name.
    pub fn find(&self, name: &str) -> Lookup {
        self.rules
            .get(name)
            .map_or(Lookup::Unknown, |rule| Lookup::Rule(*rule))
    }

    /// Adds or replaces a rule; refuses numbers out of range.
    pub fn set(&mut self, name: impl Into<Cow<'static, str>>, rule: Rule) -> Result<()> {
        self.rules.insert(name.into(), rule.validated()?);
        Ok(())
    }

    /// Judges one request: `bucket` is the state of this rule for the requesting resource.
    /// An unknown rule denies with `RATE_LIMITED`, as an empty bucket does.
    pub fn check(&self, name: &str, bucket: &mut TokenBucket, now: UnixMillis) -> Result<()> {
        match self.find(name) {
            Lookup::Rule(rule) => bucket
                .try_take(rule, now)
                .map_err(|_| ErrorCode::RateLimited.into()),
            Lookup::Unknown => Err(ErrorCode::RateLimited.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_bucket_is_eight_bytes() {
        assert_eq!(size_of::<TokenBucket>(), 8);
    }

    #[test]
    fn an_unknown_rule_denies() {
        let mut bucket = TokenBucket::default();
        let refusal = RuleTable::default()
            .check("no_such_rule", &mut bucket, 1_000)
            .unwrap_err();
        assert_eq!(refusal.code, ErrorCode::RateLimited);
    }

    #[test]
    fn every_shipped_rule_is_in_range_and_lets_its_burst_through() {
        let table = RuleTable::default();
        for (name, rule) in DEFAULT_RULES {
            assert!(rule.validated().is_ok(), "{name}");
            let mut bucket = TokenBucket::default();
            let passed = (0..2_000)
                .take_while(|_| table.check(name, &mut bucket, 1_000_000).is_ok())
                .count();
            assert_eq!(passed as f64, rule.capacity, "{name}");
        }
    }

    #[test]
    fn the_world_chat_takes_ten_messages_a_minute() {
        let rule = Rule::new(10.0 / 60.0, 10.0);
        let mut bucket = TokenBucket::default();
        let accepted = (0..600)
            .filter(|s| bucket.try_take(rule, 1_000 * s).is_ok())
            .count();
        assert!(
            (109..=110).contains(&accepted),
            "10 at once and 10 a minute, got {accepted}"
        );
    }

    #[test]
    fn a_clock_that_jumps_back_does_not_lock_out_for_long() {
        let rule = Rule::new(1.0, 1.0);
        let mut bucket = TokenBucket::default();
        assert!(bucket.try_take(rule, 1_000_000).is_ok());
        assert_eq!(bucket.try_take(rule, 10_000), Err(1_000));
    }

    #[test]
    fn rules_out_of_range_are_refused() {
        let mut table = RuleTable::default();
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY, LIMIT_MAX + 1.0] {
            assert!(table.set("x", Rule::new(bad, 1.0)).is_err());
            assert!(table.set("x", Rule::new(1.0, bad)).is_err());
        }
    }

    #[test]
    fn a_cost_is_that_many_tokens_and_never_more_than_the_bucket() {
        let rule = Rule::new(10.0, 100.0);
        let mut bucket = TokenBucket::default();
        assert!(bucket.try_take_many(rule, 60, 1_000).is_ok());
        assert_eq!(bucket.try_take_many(rule, 60, 1_000), Err(2_000));
        assert!(bucket.try_take_many(rule, 40, 1_000).is_ok());
        assert!(bucket.try_take_many(rule, 1, 1_000).is_err());
        let mut bucket = TokenBucket::default();
        assert!(bucket.try_take_many(rule, 1_000_000, 1_000).is_ok());
        assert_eq!(bucket.try_take_many(rule, 1_000_000, 1_000), Err(10_000));
    }

    proptest! {
        #[test]
        fn costs_never_pass_burst_plus_rate_times_time(
            rate in 1u32..200, burst in 1u32..100,
            steps in prop::collection::vec((0u64..300, 0u64..150), 1..200),
        ) {
            let rule = Rule::new(rate.into(), burst.into());
            let (start, mut now, mut taken) = (1_000_000u64, 1_000_000u64, 0u64);
            let mut bucket = TokenBucket::default();
            for (gap, cost) in steps {
                now += gap;
                match bucket.try_take_many(rule, cost, now) {
                    Ok(()) => taken += cost.clamp(1, u64::from(burst)),
                    Err(wait) => {
                        let mut later = bucket;
                        prop_assert!(later.try_take_many(rule, cost, now + wait).is_ok());
                    }
                }
            }
            let most = f64::from(burst) + f64::from(rate) * (now - start) as f64 / 1_000.0;
            // Prices are whole microseconds: a taken token may be short of one.
            prop_assert!(taken as f64 <= most * 1.001 + 1.0);
        }

        #[test]
        fn never_more_than_burst_plus_rate_times_time(
            rate in 1u32..200, burst in 1u32..100, gaps in prop::collection::vec(0u64..300, 1..200)
        ) {
            let rule = Rule::new(rate.into(), burst.into());
            let (start, mut now, mut taken) = (1_000_000u64, 1_000_000u64, 0u64);
            let mut bucket = TokenBucket::default();
            for gap in gaps {
                now += gap;
                taken += u64::from(bucket.try_take(rule, now).is_ok());
            }
            let most = f64::from(burst) + f64::from(rate) * (now - start) as f64 / 1_000.0;
            prop_assert!(taken as f64 <= most.floor() + 1.0);
        }

        #[test]
        fn waiting_as_told_is_enough(rate in 1u32..500, burst in 1u32..50, tries in 1usize..80) {
            let rule = Rule::new(rate.into(), burst.into());
            let mut bucket = TokenBucket::default();
            for _ in 0..tries {
                if let Err(wait) = bucket.try_take(rule, 77_000) {
                    prop_assert!(bucket.try_take(rule, 77_000 + wait).is_ok());
                    return Ok(());
                }
            }
        }
    }
}
