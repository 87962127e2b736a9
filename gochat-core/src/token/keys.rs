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

/// What a revocation writes, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revocation {
    /// The key that is made first; `None` when another key signs on.
    pub successor: Option<Rotation>,
}

/// Plans the end of the key at `revoked`, which retires at `now`; `signs` is the position of the
/// key that signs. The key that signs gets a successor that signs at once, and the newest one a
/// successor that signs after the lead time: a key without a newer one has no end, so none may be
/// left that has.
///
/// # Errors
/// `NOT_FOUND` for a position without a key.
pub fn revoke(
    keys: &[KeyTimes],
    revoked: usize,
    signs: Option<usize>,
    now: UnixMillis,
    policy: Policy,
) -> Result<Revocation> {
    let newest = keys.len().saturating_sub(1);
    if revoked > newest || keys.is_empty() {
        return Err(ErrorCode::NotFound.into());
    }
    let is_signing = signs.is_none_or(|signs| signs == revoked);
    if !is_signing && revoked != newest {
        return Ok(Revocation { successor: None });
    }
    let lead = if is_signing { 0 } else { policy.lead_ms };
    let signs_from = now.saturating_add(lead);
    let previous_retires_at = match revoked == newest {
        true => now,
        false => after_last_token(signs_from.max(keys[newest].signs_from), policy),
    };
    Ok(Revocation {
        successor: Some(Rotation {
            times: KeyTimes {
                signs_from,
                retires_at: None,
            },
            previous_retires_at: Some(previous_retires_at),
        }),
    })
}

/// When a key retires that signs no more from this instant on.
fn after_last_token(signs_until: UnixMillis, policy: Policy) -> UnixMillis {
    signs_until
        .saturating_add(policy.token_life_ms)
        .saturating_add(RETIREMENT_SLACK_MS)
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
    let retires_at = after_last_token(signs_from, policy);
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

    proptest! {
        #[test]
        fn after_a_revocation_another_key_signs_and_goes_on(
            pauses in prop::collection::vec(0_u64..200_000, 0..20),
            policy in policies(),
            which in any::<prop::sample::Index>(),
        ) {
            let (keys, now) = history(&pauses, policy);
            let mut keys: Vec<_> = keys.into_iter().filter(|k| verifies(k, now)).collect();
            let revoked = which.index(keys.len());
            let was_signing = signing(&keys, now);
            let plan = revoke(&keys, revoked, was_signing, now, policy).unwrap();
            if let Some(successor) = plan.successor {
                if let Some(newest) = keys.last_mut() {
                    newest.retires_at = successor.previous_retires_at;
                }
                keys.push(successor.times);
            }
            keys[revoked].retires_at = Some(now);
            prop_assert!(!verifies(&keys[revoked], now));
            let left: Vec<_> = keys.iter().copied().filter(|k| verifies(k, now)).collect();
            let signs = signing(&left, now).expect("a key signs");
            prop_assert!(left[signs].signs_from <= now, "no key signs before its time");
            prop_assert!(left.last().is_some_and(|newest| newest.retires_at.is_none()));
            if was_signing != Some(revoked) {
                prop_assert_eq!(left[signs], keys[was_signing.expect("one signed")]);
            }
            // What signs now verifies at least until a newer key has signed for a token's life.
            let until = left[signs].retires_at.unwrap_or(u64::MAX);
            prop_assert!(until >= now + policy.token_life_ms);
        }
    }

    #[test]
    fn a_key_that_is_not_there_is_not_revoked() {
        let policy = Policy {
            lead_ms: 1,
            token_life_ms: 1,
        };
        for keys in [&[][..], &[rotate(&[], 0, policy).unwrap().times]] {
            let refusal = revoke(keys, 1, None, 5, policy).unwrap_err();
            assert_eq!(refusal.code, ErrorCode::NotFound);
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
