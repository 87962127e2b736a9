//! Budgets of conversations: what all authors together may send, whoever and however many they are.

use hashbrown::HashMap;

use crate::error::{Error, ErrorCode, Result};
use crate::ids::{UnixMillis, UserId};
use crate::ratelimit::{Rule, TokenBucket};

/// Authors of the world chat whose own rate is remembered; full buckets are forgotten first.
const AUTHORS_MAX: usize = 10_000;
/// Bytes a message costs besides its text: envelope, ids and names.
const ENVELOPE_BYTES: u64 = 256;

/// Rules of pace. Large groups and the world chat are limited as a whole; single chats by their
/// authors alone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// Messages per second in the world chat, of all authors together.
    pub world_messages: Rule,
    /// Bytes per second in the world chat, of all authors together.
    pub world_bytes: Rule,
    /// Part of both that guests may use up, in percent; the rest is left to accounts.
    pub guests_percent: u32,
    /// KiB per second that a group costs: bytes of a message × members.
    pub group_kib: Rule,
}

impl Default for Pace {
    /// 20 messages (burst 100) and 32 KiB (burst 256 KiB) per second in the world chat, half of it
    /// for guests at most; 10,000 KiB told per second (burst 100,000) in a group.
    fn default() -> Self {
        Self {
            world_messages: Rule::new(20.0, 100.0),
            world_bytes: Rule::new(32_768.0, 262_144.0),
            guests_percent: 50,
            group_kib: Rule::new(10_000.0, 100_000.0),
        }
    }
}

impl Pace {
    /// The part of a rule that guests may use up.
    fn of_guests(&self, rule: Rule) -> Rule {
        let part = f64::from(self.guests_percent.clamp(1, 100)) / 100.0;
        Rule::new(rule.rate * part, (rule.capacity * part).max(1.0))
    }

    /// Charges a message to its group.
    ///
    /// # Errors
    /// `SLOW_MODE`, with the time at which the next one may be sent.
    pub(super) fn charge_group(
        &self,
        bucket: &mut TokenBucket,
        bytes: u32,
        members: usize,
        now: UnixMillis,
    ) -> Result<()> {
        let told = (u64::from(bytes) + ENVELOPE_BYTES).saturating_mul(members as u64);
        let kib = told.div_ceil(1_024);
        bucket
            .try_take_many(self.group_kib, kib, now)
            .map_err(slow_mode)
    }
}

/// A message for the world chat.
#[derive(Debug, Clone, Copy)]
pub(super) struct ToWorld {
    pub(super) author: UserId,
    /// A guest, or an author of whom that isn't known.
    pub(super) guest: bool,
    pub(super) bytes: u32,
    /// Messages per minute that one author may send; 0 is no limit.
    pub(super) per_minute: u32,
}

/// The buckets that all authors of the world chat share.
#[derive(Debug, Clone, Copy, Default)]
struct Shared {
    messages: TokenBucket,
    bytes: TokenBucket,
    guest_messages: TokenBucket,
    guest_bytes: TokenBucket,
}

/// What the world chat has used up. What a batch took is given back when the batch is aborted.
#[derive(Debug, Default)]
pub(super) struct WorldPace {
    shared: Shared,
    authors: HashMap<UserId, TokenBucket>,
    /// As it was before the batch.
    before: Shared,
    /// Buckets of authors as they were before the batch, oldest first.
    taken: Vec<(UserId, TokenBucket)>,
}

impl WorldPace {
    /// Charges a message to its author, to guests if a guest wrote it, and to the world chat: to
    /// all or to none.
    ///
    /// # Errors
    /// `RATE_LIMITED` when the author sends too much, `SLOW_MODE` when all do; both say when the
    /// next may be sent.
    pub(super) fn charge(&mut self, rules: &Pace, message: ToWorld, now: UnixMillis) -> Result<()> {
        let bytes = u64::from(message.bytes) + ENVELOPE_BYTES;
        let own = self.authors.get(&message.author).copied();
        let mut bucket = own.unwrap_or_default();
        if message.per_minute > 0 {
            let limit = f64::from(message.per_minute);
            let rule = Rule::new(limit / 60.0, limit);
            let taken = bucket.try_take(rule, now);
            taken.map_err(|wait| Error::from(ErrorCode::RateLimited).after(wait))?;
        }
        let mut shared = self.shared;
        if message.guest {
            let (of_messages, of_bytes) = (
                rules.of_guests(rules.world_messages),
                rules.of_guests(rules.world_bytes),
            );
            let messages = shared.guest_messages.try_take(of_messages, now);
            messages.map_err(slow_mode)?;
            let taken = shared.guest_bytes.try_take_many(of_bytes, bytes, now);
            taken.map_err(slow_mode)?;
        }
        let messages = shared.messages.try_take(rules.world_messages, now);
        messages.map_err(slow_mode)?;
        let taken = shared.bytes.try_take_many(rules.world_bytes, bytes, now);
        taken.map_err(slow_mode)?;
        self.shared = shared;
        if message.per_minute > 0 {
            self.taken.push((message.author, own.unwrap_or_default()));
            self.keep(message.author, bucket, now);
        }
        Ok(())
    }

    /// Remembers an author's bucket. The world's own rate bounds how many aren't full again.
    fn keep(&mut self, author: UserId, bucket: TokenBucket, now: UnixMillis) {
        if self.authors.len() >= AUTHORS_MAX && !self.authors.contains_key(&author) {
            self.authors.retain(|_, bucket| !bucket.is_full(now));
            if self.authors.len() >= AUTHORS_MAX {
                return;
            }
        }
        self.authors.insert(author, bucket);
    }

    /// The batch stands.
    pub(super) fn commit(&mut self) {
        self.before = self.shared;
        self.taken.clear();
    }

    /// The batch doesn't stand: what it took is given back.
    pub(super) fn rollback(&mut self) {
        self.shared = self.before;
        for (author, bucket) in self.taken.drain(..).rev() {
            self.authors.insert(author, bucket);
        }
    }
}

fn slow_mode(wait: u64) -> Error {
    Error::from(ErrorCode::SlowMode).after(wait)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: UnixMillis = 1_800_000_000_000;

    fn message(author: u64, guest: bool) -> ToWorld {
        ToWorld {
            author: UserId::new(author).unwrap(),
            guest,
            bytes: 20,
            per_minute: 10,
        }
    }

    #[test]
    fn the_rate_of_the_world_does_not_grow_with_its_guests() {
        let (mut world, rules) = (WorldPace::default(), Pace::default());
        let mut accepted = 0;
        for second in 0..60 {
            for guest in 0..1_000 {
                let now = START + second * 1_000 + guest;
                let sent = world.charge(&rules, message(guest + 1, true), now);
                accepted += u64::from(sent.is_ok());
            }
        }
        // Half of 100 at once and of 20 per second.
        assert!((600..=660).contains(&accepted), "{accepted}");
    }

    #[test]
    fn guests_leave_accounts_their_share() {
        let (mut world, rules) = (WorldPace::default(), Pace::default());
        for now in START..START + 20_000 {
            let _ = world.charge(&rules, message(now % 900 + 100, true), now);
            if now % 1_000 == 0 {
                let account = now / 1_000 % 90 + 1;
                assert_eq!(world.charge(&rules, message(account, false), now), Ok(()));
            }
        }
    }

    #[test]
    fn a_refusal_says_when_the_next_may_be_sent_and_takes_nothing() {
        let (mut world, rules) = (WorldPace::default(), Pace::default());
        let refusal = loop {
            let author = world.authors.len() as u64 + 1;
            if let Err(refusal) = world.charge(&rules, message(author, false), START) {
                break refusal;
            }
        };
        assert_eq!(
            (refusal.code, refusal.retry_after_ms),
            (ErrorCode::SlowMode, 50)
        );
        let later = START + u64::from(refusal.retry_after_ms);
        assert!(world.charge(&rules, message(5_000, false), later).is_ok());
    }

    #[test]
    fn long_messages_use_the_bytes_up() {
        let (mut world, rules) = (WorldPace::default(), Pace::default());
        let long = |author| ToWorld {
            bytes: 20_000,
            ..message(author, false)
        };
        let accepted = (1..100).filter(|n| world.charge(&rules, long(*n), START).is_ok());
        assert_eq!(accepted.count(), 12);
    }

    #[test]
    fn the_limit_of_the_settings_is_one_author_s() {
        let (mut world, rules) = (WorldPace::default(), Pace::default());
        let own = |per_minute| ToWorld {
            per_minute,
            ..message(1, false)
        };
        let accepted = (0..20).filter(|_| world.charge(&rules, own(3), START).is_ok());
        assert_eq!(accepted.count(), 3);
        let refusal = world.charge(&rules, own(3), START).unwrap_err();
        assert_eq!(
            (refusal.code, refusal.retry_after_ms),
            (ErrorCode::RateLimited, 20_000)
        );
        assert!(world.charge(&rules, own(0), START).is_ok(), "0 is no limit");
    }

    #[test]
    fn a_large_group_is_charged_by_what_it_costs() {
        let (rules, mut bucket) = (Pace::default(), TokenBucket::default());
        let accepted =
            (0..1_000).filter(|_| rules.charge_group(&mut bucket, 5_000, 500, START).is_ok());
        assert_eq!(accepted.count(), 38);
        let mut small = TokenBucket::default();
        let sent = (0..1_000).all(|_| rules.charge_group(&mut small, 100, 10, START).is_ok());
        assert!(sent, "small groups never notice");
    }

    proptest! {
        #[test]
        fn an_aborted_batch_takes_nothing(
            kept in prop::collection::vec((1u64..20, any::<bool>()), 0..60),
            aborted in prop::collection::vec((1u64..20, any::<bool>()), 0..60),
            after in prop::collection::vec((1u64..20, any::<bool>()), 1..60),
        ) {
            let rules = Pace::default();
            let (mut one, mut other) = (WorldPace::default(), WorldPace::default());
            for world in [&mut one, &mut other] {
                for (author, guest) in &kept {
                    let _ = world.charge(&rules, message(*author, *guest), START);
                }
                world.commit();
            }
            for (author, guest) in &aborted {
                let _ = one.charge(&rules, message(*author, *guest), START);
            }
            one.rollback();
            for (author, guest) in &after {
                let message = message(*author, *guest);
                let outcome = one.charge(&rules, message, START + 1);
                prop_assert_eq!(outcome, other.charge(&rules, message, START + 1));
            }
        }
    }
}
