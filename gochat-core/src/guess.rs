//! Budget of failed passwords: a few are judged at once, further ones after a growing delay.
//!
//! The state belongs to the account that is guessed at, so that another address, another gateway or
//! another instance doesn't start anew. The delay is bounded, so that a stranger can't lock the
//! owner out; places that the owner signed in from before have budgets of their own.

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorCode, Result};
use crate::ids::UnixMillis;

/// Numbers of a budget of failed passwords.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GuessRule {
    /// Failed passwords that are judged without a delay.
    pub free: u32,
    /// Delay after the first failure beyond [`free`](Self::free), in milliseconds; it doubles with
    /// every further one.
    pub first_delay_ms: u64,
    /// Maximum of the delay in milliseconds.
    pub max_delay_ms: u64,
    /// Milliseconds without a failure after which one failure is forgotten.
    pub forget_ms: u64,
}

impl Default for GuessRule {
    /// 10 at once; then after 30 s, 1 min, 2 min and so on, at most 15 min; one is forgotten per
    /// hour.
    fn default() -> Self {
        Self {
            free: 10,
            first_delay_ms: 30_000,
            max_delay_ms: 15 * 60_000,
            forget_ms: 3_600_000,
        }
    }
}

/// Largest number of free guesses.
const FREE_MAX: u32 = 1_000;
/// Longest delay and longest memory of a failure, in milliseconds: a day.
const DELAY_MAX: u64 = 86_400_000;

impl GuessRule {
    /// Refuses numbers out of range with `INVALID_PARAMS`.
    pub fn validated(self) -> Result<Self> {
        let free = (1..=FREE_MAX).contains(&self.free);
        let delays = self.first_delay_ms >= 1 && self.first_delay_ms <= self.max_delay_ms;
        let range = self.max_delay_ms <= DELAY_MAX && (1..=DELAY_MAX).contains(&self.forget_ms);
        if free && delays && range {
            Ok(self)
        } else {
            Err(Error::new(
                ErrorCode::InvalidParams,
                "A budget of failed passwords needs 1 to 1000 free ones, 1 ≤ first delay ≤ longest delay ≤ a day \
                 and 1 ms ≤ memory ≤ a day.",
            ))
        }
    }

    /// The rule while the shared state can't be reached: each instance judges alone, so each judges
    /// less.
    pub const fn widened(self) -> Self {
        let free = self.free / 4;
        Self {
            free: if free == 0 { 1 } else { free },
            ..self
        }
    }

    /// The delay that follows this many failures, in milliseconds.
    pub fn delay(self, failures: u32) -> u64 {
        match failures.checked_sub(self.free) {
            None => 0,
            Some(beyond) => {
                let factor = 1u64.checked_shl(beyond).unwrap_or(u64::MAX);
                let delay = self.first_delay_ms.saturating_mul(factor.max(1));
                delay.min(self.max_delay_ms)
            }
        }
    }

    /// Failures that are counted at most: more wouldn't make the delay longer, only the memory.
    pub fn ceiling(self) -> u32 {
        let ratio = self.max_delay_ms.div_ceil(self.first_delay_ms.max(1));
        let doublings = u64::BITS - ratio.max(1).leading_zeros();
        self.free.saturating_add(doublings)
    }
}

/// Failed passwords of one account, or of one place that knows it. The default has none.
///
/// An attempt counts as failed when it begins, so that attempts at the same time can't pass
/// together; [`forgive`](Self::forgive) takes it back when the password was right.
///
/// ```
/// use gochat_core::guess::{GuessRule, Guesses};
/// let rule = GuessRule { free: 2, ..GuessRule::default() };
/// let mut guesses = Guesses::default();
/// assert!(guesses.attempt(rule, 5_000).is_ok());
/// assert!(guesses.attempt(rule, 5_000).is_ok());
/// assert_eq!(guesses.attempt(rule, 5_000), Err(30_000));
/// assert!(guesses.attempt(rule, 35_000).is_ok());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Guesses {
    /// Failures that aren't forgotten.
    pub failures: u32,
    /// When the last one was judged, or the instant up to which failures were forgotten.
    pub last: UnixMillis,
}

impl Guesses {
    /// Counts an attempt, or says after how many milliseconds one is judged again. A refusal adds
    /// nothing, so that hammering doesn't make the delay longer for the owner. A clock that jumps
    /// back costs one longest delay.
    pub fn attempt(&mut self, rule: GuessRule, now: UnixMillis) -> Result<(), u64> {
        self.last = self.last.min(now);
        let current = self.aged(rule, now);
        let wait = rule.delay(current.failures);
        let passed = now - current.last;
        if passed < wait {
            return Err(wait - passed);
        }
        *self = Self {
            failures: current.failures.saturating_add(1).min(rule.ceiling()),
            last: now,
        };
        Ok(())
    }

    /// Takes one attempt back: its password was right.
    pub fn forgive(&mut self) {
        self.failures = self.failures.saturating_sub(1);
    }

    /// Milliseconds after which nothing is left to remember.
    pub const fn life(&self, rule: GuessRule) -> u64 {
        rule.forget_ms.saturating_mul(self.failures as u64)
    }

    /// Whether nothing is left to remember.
    pub fn is_over(&self, rule: GuessRule, now: UnixMillis) -> bool {
        now.saturating_sub(self.last) >= self.life(rule)
    }

    /// What is left of the failures now.
    fn aged(self, rule: GuessRule, now: UnixMillis) -> Self {
        let since = now.saturating_sub(self.last);
        let forgotten = since / rule.forget_ms.max(1);
        match u64::from(self.failures).checked_sub(forgotten) {
            None | Some(0) => Self::default(),
            Some(left) => Self {
                failures: u32::try_from(left).unwrap_or(u32::MAX),
                last: self.last,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: UnixMillis = 1_800_000_000_000;

    /// Attempts that are judged while a stranger tries every 10 ms.
    fn judged(rule: GuessRule, guesses: &mut Guesses, from: UnixMillis, ms: u64) -> usize {
        let tries = (0..ms / 10).map(|n| from + n * 10);
        tries
            .filter(|now| guesses.attempt(rule, *now).is_ok())
            .count()
    }

    #[test]
    fn about_ten_are_judged_in_a_minute_and_about_a_hundred_in_a_day() {
        let rule = GuessRule::default();
        let mut guesses = Guesses::default();
        assert_eq!(judged(rule, &mut guesses, START, 60_000), 11);
        let mut day = Guesses::default();
        let mut now = START;
        let mut count = 0;
        while now < START + 86_400_000 {
            match day.attempt(rule, now) {
                Ok(()) => count += 1,
                Err(wait) => now += wait,
            }
        }
        assert!((100..=112).contains(&count), "{count}");
    }

    #[test]
    fn the_owner_waits_at_most_the_longest_delay() {
        let rule = GuessRule::default();
        let mut guesses = Guesses::default();
        let mut now = START;
        for _ in 0..10_000 {
            match guesses.attempt(rule, now) {
                Ok(()) => {}
                Err(wait) => {
                    assert!(wait <= rule.max_delay_ms);
                    now += wait;
                }
            }
        }
    }

    #[test]
    fn right_passwords_cost_nothing() {
        let rule = GuessRule::default();
        let mut guesses = Guesses::default();
        for n in 0..1_000 {
            assert!(guesses.attempt(rule, START + n).is_ok());
            guesses.forgive();
        }
    }

    #[test]
    fn failures_are_forgotten_one_by_one() {
        let rule = GuessRule::default();
        let mut guesses = Guesses::default();
        assert_eq!(judged(rule, &mut guesses, START, 1_000), 10);
        assert_eq!(
            judged(rule, &mut guesses, START + rule.forget_ms + 1_000, 1_000),
            1
        );
        assert!(guesses.is_over(rule, START + 100 * rule.forget_ms));
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        let good = GuessRule::default();
        assert!(good.validated().is_ok() && good.widened().validated().is_ok());
        for bad in [
            GuessRule { free: 0, ..good },
            GuessRule {
                first_delay_ms: 0,
                ..good
            },
            GuessRule {
                max_delay_ms: 1,
                ..good
            },
            GuessRule {
                forget_ms: 0,
                ..good
            },
            GuessRule {
                max_delay_ms: DELAY_MAX + 1,
                ..good
            },
        ] {
            assert!(bad.validated().is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn waiting_as_told_is_enough_and_bounded(
            free in 1u32..20, first in 1u64..10_000, factor in 1u64..1_000, forget in 1u64..100_000,
            gaps in prop::collection::vec(0u64..50_000, 1..100),
        ) {
            let rule = GuessRule {
                free, first_delay_ms: first, max_delay_ms: first * factor, forget_ms: forget,
            };
            let (mut guesses, mut now) = (Guesses::default(), START);
            for gap in gaps {
                now += gap;
                if let Err(wait) = guesses.attempt(rule, now) {
                    prop_assert!(wait <= rule.max_delay_ms);
                    let mut later = guesses;
                    prop_assert!(later.attempt(rule, now + wait).is_ok());
                }
                prop_assert!(guesses.failures <= rule.ceiling());
            }
        }

        #[test]
        fn a_second_never_judges_more_than_the_free_ones_and_one_per_delay(
            gaps in prop::collection::vec(0u64..2_000, 1..300),
        ) {
            let rule = GuessRule::default();
            let (mut guesses, mut now, mut count) = (Guesses::default(), START, 0u64);
            for gap in gaps {
                now += gap;
                count += u64::from(guesses.attempt(rule, now).is_ok());
            }
            let most = u64::from(rule.free) + 1 + (now - START) / rule.first_delay_ms;
            prop_assert!(count <= most);
        }

        #[test]
        fn a_clock_that_jumps_back_costs_one_longest_delay(back in 0u64..1_000_000_000) {
            let rule = GuessRule::default();
            let mut guesses = Guesses { failures: 20, last: START };
            let wait = guesses.attempt(rule, START - back).unwrap_err();
            prop_assert!(wait <= rule.max_delay_ms);
            prop_assert!(guesses.attempt(rule, START - back + wait).is_ok());
        }
    }
}
