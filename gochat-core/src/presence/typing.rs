//! "Is writing": what one user in one conversation says about it, and what the others are told.

use crate::ids::UnixMillis;

/// How often a change is told, and when writing ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TypingRule {
    /// Milliseconds between two signals, in either direction.
    pub interval_ms: u64,
    /// Milliseconds without a further word after which writing ends.
    pub expiry_ms: u64,
}

/// A user in a conversation. The default doesn't write, and the others know.
///
/// At most one signal is told per interval, whatever the client says and how often; the state at
/// the end of the interval wins. The caller [polls](Self::poll) now and then, and forgets a typist
/// that is [idle](Self::is_idle).
///
/// ```
/// use gochat_core::presence::{Typist, TypingRule};
/// let rule = TypingRule { interval_ms: 3_000, expiry_ms: 6_000 };
/// let mut typist = Typist::default();
/// assert_eq!(typist.note(true, rule, 10_000), Some(true));
/// assert_eq!(typist.note(false, rule, 10_025), None);
/// assert_eq!(typist.note(true, rule, 10_050), None);
/// assert_eq!(typist.note(false, rule, 10_075), None);
/// assert_eq!(typist.poll(rule, 13_000), Some(false));
/// assert!(typist.is_idle(rule, 16_000));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Typist {
    /// What the others were told last.
    told: bool,
    /// What the client said last.
    wanted: bool,
    /// Until when no signal may be told.
    quiet_until: UnixMillis,
    /// When writing ends by itself.
    expires: UnixMillis,
}

impl Typist {
    /// The client says that its user writes, or stopped. The state to tell the others now, if any.
    pub fn note(&mut self, typing: bool, rule: TypingRule, now: UnixMillis) -> Option<bool> {
        self.wanted = typing;
        if typing {
            self.expires = now.saturating_add(rule.expiry_ms);
        }
        self.settle(typing, rule, now)
    }

    /// Time went by. The state to tell the others now, if any.
    pub fn poll(&mut self, rule: TypingRule, now: UnixMillis) -> Option<bool> {
        self.wanted &= now < self.expires;
        self.settle(false, rule, now)
    }

    /// Whether nothing is left to tell or to remember.
    pub fn is_idle(&self, rule: TypingRule, now: UnixMillis) -> bool {
        !(self.told || self.is_quiet(rule, now) || self.wanted && now < self.expires)
    }

    /// Tells a change, and that writing goes on when the client just said so.
    fn settle(&mut self, renew: bool, rule: TypingRule, now: UnixMillis) -> Option<bool> {
        let news = self.wanted != self.told || (renew && self.told);
        if !news || self.is_quiet(rule, now) {
            return None;
        }
        self.told = self.wanted;
        self.quiet_until = now.saturating_add(rule.interval_ms);
        Some(self.told)
    }

    /// Within the interval of the last signal. A clock that jumped back doesn't make the interval
    /// longer.
    fn is_quiet(&self, rule: TypingRule, now: UnixMillis) -> bool {
        now < self.quiet_until && self.quiet_until - now <= rule.interval_ms
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RULE: TypingRule = TypingRule {
        interval_ms: 3_000,
        expiry_ms: 6_000,
    };

    #[test]
    fn writing_is_renewed_once_per_interval_and_ends_by_itself() {
        let mut typist = Typist::default();
        assert_eq!(typist.note(true, RULE, 100), Some(true));
        assert_eq!(typist.note(true, RULE, 1_100), None);
        assert_eq!(typist.note(true, RULE, 3_100), Some(true));
        assert_eq!(typist.poll(RULE, 9_099), None);
        assert_eq!(typist.poll(RULE, 9_100), Some(false));
        assert_eq!(typist.poll(RULE, 20_000), None, "told once");
    }

    #[test]
    fn who_never_wrote_can_not_stop() {
        let mut typist = Typist::default();
        assert_eq!(typist.note(false, RULE, 100), None);
        assert!(typist.is_idle(RULE, 100));
    }

    proptest! {
        #[test]
        fn at_most_one_signal_per_interval_and_the_last_word_wins(
            steps in prop::collection::vec((0u64..4_000, prop::option::of(any::<bool>())), 1..200)
        ) {
            let mut typist = Typist::default();
            let (mut now, mut shown, mut last) = (1_000_000u64, false, None::<u64>);
            let mut tell = |told: Option<bool>, now: u64, shown: &mut bool| {
                if let Some(state) = told {
                    assert!(last.is_none_or(|at| now - at >= RULE.interval_ms));
                    last = Some(now);
                    *shown = state;
                }
            };
            for (gap, word) in steps {
                now += gap;
                let told = match word {
                    Some(typing) => typist.note(typing, RULE, now),
                    None => typist.poll(RULE, now),
                };
                tell(told, now, &mut shown);
            }
            // The client says no more: within an interval the others know its last word, and then
            // that it ended.
            let wanted = typist.wanted && now + RULE.interval_ms < typist.expires;
            now += RULE.interval_ms;
            tell(typist.poll(RULE, now), now, &mut shown);
            prop_assert_eq!(shown, wanted);
            for _ in 0..3 {
                now += RULE.expiry_ms;
                tell(typist.poll(RULE, now), now, &mut shown);
            }
            prop_assert!(!shown && typist.is_idle(RULE, now));
        }
    }
}
