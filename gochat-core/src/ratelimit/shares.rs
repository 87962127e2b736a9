//! One bucket for callers of different rank, and debts that are known only afterwards.

use super::{Rule, TokenBucket};
use crate::error::Result;
use crate::ids::UnixMillis;

impl TokenBucket {
    /// Takes one token unless less than the part `kept` of a full bucket would be left: the rest
    /// belongs to callers of a higher rank. `kept` is between 0 (everything may be taken) and 1
    /// (one token of a full bucket).
    ///
    /// ```
    /// use gochat_core::ratelimit::{Rule, TokenBucket};
    /// let rule = Rule::new(1.0, 10.0);
    /// let mut bucket = TokenBucket::default();
    /// let strangers = (0..10).filter(|_| bucket.try_take_leaving(rule, 0.8, 1_000).is_ok());
    /// assert_eq!(strangers.count(), 2);
    /// let members = (0..10).filter(|_| bucket.try_take_leaving(rule, 0.0, 1_000).is_ok());
    /// assert_eq!(members.count(), 8);
    /// ```
    ///
    /// # Errors
    /// The milliseconds after which a token will be there; a refusal costs nothing.
    pub fn try_take_leaving(&mut self, rule: Rule, kept: f64, now: UnixMillis) -> Result<(), u64> {
        let now = now.saturating_mul(1_000);
        let (interval, span) = (rule.interval(), rule.span());
        let kept = (span as f64 * kept.clamp(0.0, 1.0)) as u64;
        let room = span.saturating_sub(kept).max(interval);
        let base = self.full_at.clamp(now, now.saturating_add(span));
        let next = base.saturating_add(interval);
        if next - now <= room {
            self.full_at = next;
            Ok(())
        } else {
            Err((next - now - room).div_ceil(1_000))
        }
    }

    /// Takes `cost` tokens whether they are there or not. The bucket is empty at worst: a debt ends
    /// within the time in which an empty bucket fills.
    pub fn charge(&mut self, rule: Rule, cost: f64, now: UnixMillis) {
        let now = now.saturating_mul(1_000);
        let limit = now.saturating_add(rule.span());
        let price = (rule.interval() as f64 * cost.max(0.0)) as u64;
        let base = self.full_at.clamp(now, limit);
        self.full_at = base.saturating_add(price).min(limit);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever callers of a lower rank do, those above find what was kept for them.
        #[test]
        fn what_is_kept_is_there(
            floods in prop::collection::vec((0u64..50, 0usize..40), 1..60), kept in 0.1f64..0.9,
        ) {
            let rule = Rule::new(100.0, 200.0);
            let mut bucket = TokenBucket::default();
            let mut now = 1_000_000;
            for (gap, asked) in floods {
                now += gap;
                for _ in 0..asked {
                    let _ = bucket.try_take_leaving(rule, kept, now);
                }
                // As many as are kept, less one for rounding, and without a refusal.
                let mut looked = bucket;
                for _ in 0..(200.0 * kept) as u64 - 1 {
                    prop_assert!(looked.try_take_leaving(rule, 0.0, now).is_ok());
                }
            }
        }

        /// Nobody gets more than burst and rate allow, whatever the ranks are.
        #[test]
        fn all_ranks_together_keep_to_the_rule(
            steps in prop::collection::vec((0u64..100, 0.0f64..1.0), 1..300),
        ) {
            let rule = Rule::new(20.0, 30.0);
            let (start, mut now, mut taken) = (5_000_000u64, 5_000_000u64, 0u64);
            let mut bucket = TokenBucket::default();
            for (gap, kept) in steps {
                now += gap;
                match bucket.try_take_leaving(rule, kept, now) {
                    Ok(()) => taken += 1,
                    Err(wait) => {
                        let mut later = bucket;
                        prop_assert!(later.try_take_leaving(rule, kept, now + wait).is_ok());
                    }
                }
            }
            prop_assert!(taken as f64 <= 30.0 + 20.0 * (now - start) as f64 / 1_000.0 + 1.0);
        }

        /// A debt delays, and never for longer than an empty bucket does.
        #[test]
        fn a_debt_ends(costs in prop::collection::vec(0.0f64..1_000.0, 1..50)) {
            let rule = Rule::new(2.0, 20.0);
            let mut bucket = TokenBucket::default();
            for cost in costs {
                bucket.charge(rule, cost, 7_000);
            }
            prop_assert!(bucket.is_full(7_000 + 10_000));
            let wait = bucket.try_take(rule, 7_000).err().unwrap_or(0);
            prop_assert!(wait <= 500);
        }
    }

    #[test]
    fn a_charge_costs_as_many_tokens_as_it_says() {
        let rule = Rule::new(1.0, 20.0);
        let mut bucket = TokenBucket::default();
        bucket.charge(rule, 9.0, 1_000);
        let left = (0..20).filter(|_| bucket.try_take(rule, 1_000).is_ok());
        assert_eq!(left.count(), 11);
    }
}
