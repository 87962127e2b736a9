//! What a user sees of the messages of a conversation: not those that the user cleared away, and of
//! those that the user deleted for themselves no more than their place.

use super::OwnState;
use crate::error::{ErrorCode, Result};
use crate::ids::SeqId;

/// Maximum number of messages of a conversation that a user has deleted for themselves; another one
/// is refused with `TOO_MANY_HIDDEN`. Clearing the conversation makes room.
pub const HIDDEN_MAX: u32 = 10_000;

/// What a user sees of a message.
///
/// ```
/// use gochat_core::own_state::{OwnState, Sight};
/// let state = OwnState { cleared_up_to: 5, hidden_count: 1, ..OwnState::default() };
/// assert_eq!(state.sight(5, &[7]), Sight::Cleared);
/// assert_eq!(state.sight(6, &[7]), Sight::Whole);
/// assert_eq!(state.sight(7, &[7]), Sight::Hidden);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sight {
    /// The whole message.
    Whole,
    /// Only that there is a message: the user deleted it, and numbers stay without gaps.
    Hidden,
    /// Nothing: for this user the conversation begins behind the message.
    Cleared,
}

impl OwnState {
    /// First number that the user sees.
    pub const fn first_seq(&self) -> SeqId {
        self.cleared_up_to.saturating_add(1)
    }

    /// What the user sees of a message. `hidden` are the messages that the user deleted for
    /// themselves, ascending; only those beyond [`cleared_up_to`](Self::cleared_up_to) count.
    pub fn sight(&self, seq: SeqId, hidden: &[SeqId]) -> Sight {
        if seq <= self.cleared_up_to {
            Sight::Cleared
        } else if hidden.binary_search(&seq).is_ok() {
            Sight::Hidden
        } else {
            Sight::Whole
        }
    }

    /// The state after the user cleared the conversation up to and with `up_to`, or `None` when it
    /// was cleared as far before. `left` is the number of messages beyond `up_to` that the user
    /// deleted for themselves.
    pub fn after_clearing(&self, up_to: SeqId, left: u32) -> Option<Self> {
        let next = Self {
            cleared_up_to: up_to.max(self.cleared_up_to),
            hidden_count: left,
            ..self.clone()
        };
        (next.cleared_up_to > self.cleared_up_to).then(|| Self {
            version: self.version + 1,
            ..next
        })
    }

    /// The state after the user deleted a message for themselves that they see, or `None` when they
    /// don't see it: it was cleared away.
    ///
    /// ```
    /// use gochat_core::own_state::OwnState;
    /// let state = OwnState { cleared_up_to: 5, ..OwnState::default() };
    /// assert_eq!(state.after_hiding(5)?, None);
    /// let hidden = state.after_hiding(6)?.expect("it was seen");
    /// assert_eq!((hidden.hidden_count, hidden.version), (1, 1));
    /// # Ok::<(), gochat_core::error::Error>(())
    /// ```
    ///
    /// # Errors
    /// `TOO_MANY_HIDDEN` when there would be one more than [`HIDDEN_MAX`].
    pub fn after_hiding(&self, seq: SeqId) -> Result<Option<Self>> {
        if seq <= self.cleared_up_to {
            return Ok(None);
        }
        if self.hidden_count >= HIDDEN_MAX {
            return Err(ErrorCode::TooManyHidden.into());
        }
        Ok(Some(Self {
            hidden_count: self.hidden_count + 1,
            version: self.version + 1,
            ..self.clone()
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::super::tests::state;
    use super::*;

    #[derive(Debug, Clone)]
    enum Act {
        Clear(SeqId),
        Hide(SeqId),
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            (0u64..12).prop_map(Act::Clear),
            (1u64..12).prop_map(Act::Hide)
        ]
    }

    proptest! {
        /// Messages are cleared and hidden in any order: those that went stay away, all others are
        /// seen whole, and the count is that of the rows.
        #[test]
        fn what_went_stays_away_and_nothing_else_does(
            acts in prop::collection::vec(act(), 0..40),
        ) {
            let (mut state, mut rows) = (OwnState::default(), BTreeSet::<SeqId>::new());
            let (mut cleared, mut hidden) = (0, BTreeSet::new());
            for act in acts {
                let before = state.version;
                let next = match act {
                    Act::Clear(up_to) => {
                        cleared = cleared.max(up_to);
                        let left = rows.iter().filter(|seq| **seq > up_to).count();
                        let next = state.after_clearing(up_to, u32::try_from(left).unwrap());
                        if next.is_some() {
                            rows.retain(|seq| *seq > up_to);
                        }
                        next
                    }
                    Act::Hide(seq) => {
                        hidden.insert(seq);
                        let next = match rows.contains(&seq) {
                            true => None,
                            false => state.after_hiding(seq).unwrap(),
                        };
                        if next.is_some() {
                            rows.insert(seq);
                        }
                        next
                    }
                };
                if let Some(next) = next {
                    prop_assert_eq!(next.version, before + 1);
                    state = next;
                }
                prop_assert_eq!(state.hidden_count as usize, rows.len());
                let listed: Vec<SeqId> = rows.iter().copied().collect();
                for seq in 1..14 {
                    let expected = match (seq <= cleared, hidden.contains(&seq)) {
                        (true, _) => Sight::Cleared,
                        (false, true) => Sight::Hidden,
                        (false, false) => Sight::Whole,
                    };
                    prop_assert_eq!(state.sight(seq, &listed), expected);
                    prop_assert_eq!(expected != Sight::Cleared, seq >= state.first_seq());
                }
            }
        }

        #[test]
        fn nothing_else_changes(state in state(), seq in 1u64..40) {
            let settings = |state: OwnState| OwnState {
                cleared_up_to: 0,
                hidden_count: 0,
                version: 0,
                ..state
            };
            for next in [state.after_clearing(seq, 0), state.after_hiding(seq).unwrap()] {
                let next = next.unwrap_or_else(|| state.clone());
                prop_assert_eq!(settings(next), settings(state.clone()));
            }
        }
    }

    #[test]
    fn there_is_room_for_so_many() {
        let state = |hidden_count| OwnState {
            hidden_count,
            ..OwnState::default()
        };
        assert!(state(HIDDEN_MAX - 1).after_hiding(1).unwrap().is_some());
        let refused = state(HIDDEN_MAX).after_hiding(1).unwrap_err();
        assert_eq!(refused.code, ErrorCode::TooManyHidden);
    }
}
