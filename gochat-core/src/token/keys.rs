//! The life of a signing key: published, signing, verifying only, retired.
//!
//! A key is published before it signs, so that every gateway knows it by then. The key before it
//! goes on verifying until its last token has expired, so that a rotation signs nobody out.
//!
//! ```
//! use gochat_core::token::keys::{KeyTimes, Policy, rotate, signing};
//!
//! let policy = Policy { lead_ms: 30_000, token_life_ms: 604_800_000 };
//! let first = rotate(&[], 0, policy)?.times;
//! let plan = rotate(&[first], 100_000, policy)?;
//! let old = KeyTimes { retires_at: plan.previous_retires_at, ..first };
//! assert_eq!(signing(&[old, plan.times], 129_999), Some(0));
//! assert_eq!(signing(&[old, plan.times], 130_000), Some(1));
//! # Ok::<(), gochat_core::error::Error>(())
//! ```

use crate::error::{Error, ErrorCode, Result};
use crate::ids::UnixMillis;

/// Maximum number of keys that exist at once; a rotation beyond it is refused with `RATE_LIMITED`.
pub const MAX_KEYS: usize = 16;

/// Time for which a key verifies longer than its last token lives, in milliseconds. The time
/// covers an instance that signs with the old key because the instance has not learned the new
/// key yet, and clocks that differ.
pub const RETIREMENT_SLACK_MS: u64 = 3_600_000;

/// When a key signs and when the key retires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyTimes {
    /// First instant at which the key signs; the key verifies earlier.
    pub signs_from: UnixMillis,
    /// First instant at which the key verifies no more; `None` while no newer key exists.
    pub retires_at: Option<UnixMillis>,
}

/// The times that a rotation obeys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Milliseconds between the publication of a key and its first signature.
    pub lead_ms: u64,
    /// Life of the longest-lived token in milliseconds.
    pub token_life_ms: u64,
}

/// What a rotation writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotation {
    /// Times of the new key.
    pub times: KeyTimes,
    /// When the key before the new one retires; `None` when there is none.
    pub previous_retires_at: Option<UnixMillis>,
}

/// Whether tokens of the key are accepted.
pub fn verifies(key: &KeyTimes, now: UnixMillis) -> bool {
    key.retires_at.is_none_or(|at| now < at)
}

/// Position of the key that signs now. `keys` are in the order in which the keys were made.
///
/// The newest key whose time has come signs. When no key's time has come, because clocks differ,
/// the oldest key signs.
pub fn signing(keys: &[KeyTimes], now: UnixMillis) -> Option<usize> {
    let due = keys.iter().rposition(|key| key.signs_from <= now);
    due.or(if keys.is_empty() { None } else { Some(0) })
}

/// Plans a new key behind `keys`, which are in the order in which the keys were made and do not
/// contain retired keys.
///
/// The first key signs at once: no token of another key exists that a gateway could expect.
///
/// # Errors
/// `VERSION_CONFLICT` while the newest key waits for its time, `RATE_LIMITED` when [`MAX_KEYS`]
/// keys exist.
pub fn rotate(keys: &[KeyTimes], now: UnixMillis, policy: Policy) -> Result<Rotation> {
    let Some(newest) = keys.last() else {
        return Ok(Rotation {
            times: KeyTimes {
                signs_from: now,
                retires_at: None,
            },
            previous_retires_at: None,
        });
    };
    if newest.signs_from > now {
        let wait = (newest.signs_from - now).div_ceil(1_000);
        return Err(Error::new(
            ErrorCode::VersionConflict,
            format!("A rotation is under way: the newest key signs in {wait} s."),
        ));
    }
    if keys.len() >= MAX_KEYS {
        return Err(Error::new(
            ErrorCode::RateLimited,
            format!("{MAX_KEYS} keys exist; wait until the oldest one retires."),
        ));
    }
    let signs_from = now.saturating_add(policy.lead_ms);
    let retires_at = signs_from
        .saturating_add(policy.token_life_ms)
        .saturating_add(RETIREMENT_SLACK_MS);
    Ok(Rotation {
        times: KeyTimes {
            signs_from,
            retires_at: None,
        },
        previous_retires_at: Some(retires_at),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Every key that ever existed, after rotations with these pauses between them; a rotation
    /// that is refused changes nothing.
    fn history(pauses: &[u64], policy: Policy) -> (Vec<KeyTimes>, UnixMillis) {
        let mut now = 1_000;
        let mut keys: Vec<KeyTimes> = Vec::new();
        for pause in std::iter::once(&0).chain(pauses) {
            now += pause;
            let living: Vec<_> = keys.iter().copied().filter(|k| verifies(k, now)).collect();
            if let Ok(plan) = rotate(&living, now, policy) {
                if let Some(previous) = keys.last_mut() {
                    previous.retires_at = plan.previous_retires_at;
                }
                keys.push(plan.times);
            }
        }
        (keys, now)
    }

    fn policies() -> impl Strategy<Value = Policy> {
        (0_u64..100_000, 1_u64..1_000_000).prop_map(|(lead_ms, token_life_ms)| Policy {
            lead_ms,
            token_life_ms,
        })
    }

    proptest! {
        #[test]
        fn a_token_verifies_for_its_whole_life_whatever_is_rotated(
            pauses in prop::collection::vec(0_u64..200_000, 0..40),
            policy in policies(),
            signed_after in 0_u64..8_000_000,
            age in 0_u64..1_000_000,
            late in 0_u64..RETIREMENT_SLACK_MS,
        ) {
            let (keys, _) = history(&pauses, policy);
            let at = 1_000 + signed_after;
            // The signer may look at a list of keys that is `late` behind.
            let signer = signing(&keys, at.saturating_sub(late)).expect("a key");
            let age = age.min(policy.token_life_ms);
            prop_assert!(verifies(&keys[signer], at + age));
        }

        #[test]
        fn a_key_is_published_its_lead_before_it_signs(
            pauses in prop::collection::vec(0_u64..200_000, 1..40),
            policy in policies(),
        ) {
            let mut made = Vec::new();
            let mut now = 1_000;
            for pause in std::iter::once(&0).chain(&pauses) {
                now += pause;
                if let Ok(plan) = rotate(&made, now, policy)
                    && !made.is_empty()
                {
                    prop_assert_eq!(plan.times.signs_from, now + policy.lead_ms);
                    prop_assert!(verifies(&plan.times, now));
                    made.push(plan.times);
                } else if made.is_empty() {
                    made.push(rotate(&[], now, policy).expect("the first key").times);
                }
                prop_assert!(made.len() <= MAX_KEYS);
            }
        }

        #[test]
        fn one_key_signs_at_any_time(
            pauses in prop::collection::vec(0_u64..200_000, 0..40),
            policy in policies(),
            at in 0_u64..10_000_000,
        ) {
            let (keys, _) = history(&pauses, policy);
            prop_assert!(signing(&keys, at).is_some_and(|n| n < keys.len()));
        }
    }

    #[test]
    fn a_second_rotation_waits_for_the_first() {
        let policy = Policy {
            lead_ms: 30_000,
            token_life_ms: 1_000,
        };
        let first = rotate(&[], 0, policy).unwrap().times;
        let second = rotate(&[first], 10, policy).unwrap().times;
        let refusal = rotate(&[first, second], 11, policy).unwrap_err();
        assert_eq!(refusal.code, ErrorCode::VersionConflict);
        assert!(rotate(&[first, second], 30_010, policy).is_ok());
    }

    #[test]
    fn without_a_key_nothing_signs() {
        assert_eq!(signing(&[], 5), None);
    }
}
