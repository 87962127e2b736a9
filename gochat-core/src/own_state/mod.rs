//! Own state: what belongs to one user of a conversation alone. That is silence, pin, archive, mark
//! as unread and draft, and which messages the user deleted for themselves. Other members never
//! learn of it; the user's devices do.

mod sight;

use serde::{Deserialize, Serialize};
pub use sight::{HIDDEN_MAX, Sight};

use crate::error::{Error, ErrorCode, Result};
use crate::ids::{SeqId, UnixMillis};
use crate::message::DraftLimits;
use crate::text;

/// Maximum number of conversations that a user has pinned; another one is refused with
/// `TOO_MANY_PINS`.
pub const PINNED_MAX: u32 = 100;
/// Greatest end of a silence in Unix seconds, the last one of the year 9999; later ones are refused
/// with `INVALID_PARAMS`.
const MUTE_UNTIL_MAX: i64 = 253_402_300_799;

/// The state of a conversation for one user.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OwnState {
    /// Unix seconds until which the conversation is silent; 0 for good, `None` when it isn't.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mute_until: Option<i64>,
    /// The conversation stands on top of the user's list.
    #[serde(rename = "pinned")]
    pub is_pinned: bool,
    /// The conversation is put away. New messages don't bring it back.
    #[serde(rename = "archived")]
    pub is_archived: bool,
    /// The user wants to see the conversation as unread. Reading ends it.
    #[serde(rename = "markedUnread")]
    pub is_marked_unread: bool,
    /// A text that was begun; empty when there is none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub draft: String,
    /// The user cleared the conversation up to and with this message; 0 when they never did.
    #[serde(skip_serializing_if = "is_zero")]
    pub cleared_up_to: SeqId,
    /// Number of later messages that the user deleted for themselves, at most [`HIDDEN_MAX`].
    #[serde(skip_serializing_if = "is_empty")]
    pub hidden_count: u32,
    /// Number of changes so far. Of two states, the one with the higher number is newer.
    pub version: u64,
}

const fn is_zero(seq: &SeqId) -> bool {
    *seq == 0
}

const fn is_empty(count: &u32) -> bool {
    *count == 0
}

/// Change of an [`OwnState`]; `None` leaves a field alone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OwnChange {
    /// New end of the silence; the inner `None` ends it.
    pub mute_until: Option<Option<i64>>,
    /// On top of the list or not.
    pub is_pinned: Option<bool>,
    /// Put away or not.
    pub is_archived: Option<bool>,
    /// Marked as unread or not.
    pub is_marked_unread: Option<bool>,
    /// New draft; the empty text removes it.
    pub draft: Option<String>,
}

impl OwnChange {
    /// The change with its draft in the form in which texts are stored.
    ///
    /// # Errors
    /// `INVALID_PARAMS` when it names nothing or an end of the silence out of range,
    /// `MESSAGE_TOO_LARGE` when the draft is longer than a message.
    pub fn checked(mut self) -> Result<Self> {
        if self == Self::default() {
            return Err(invalid("Nothing to change was named."));
        }
        let is_sound = |until: &i64| (0..=MUTE_UNTIL_MAX).contains(until);
        if !self.mute_until.flatten().iter().all(is_sound) {
            return Err(invalid("`muteUntil` is a time in Unix seconds, or 0."));
        }
        self.draft = self.draft.map(text::into_nfc);
        let max = DraftLimits::default().content_chars;
        let is_long = |draft: &String| draft.chars().count() > max;
        if self.draft.as_ref().is_some_and(is_long) {
            return Err(ErrorCode::MessageTooLarge.into());
        }
        Ok(self)
    }
}

impl OwnState {
    /// The state after a change, or `None` when that is the present one. `pinned` is the number of
    /// conversations that the user has pinned. A silence that is over by `now` is none.
    ///
    /// ```
    /// use gochat_core::own_state::{OwnChange, OwnState};
    /// let pin = OwnChange { is_pinned: Some(true), ..OwnChange::default() };
    /// let pinned = OwnState::default().merged(&pin, 0, 0)?.expect("a change");
    /// assert!(pinned.is_pinned && pinned.version == 1);
    /// assert_eq!(pinned.merged(&pin, 1, 0)?, None);
    /// # Ok::<(), gochat_core::error::Error>(())
    /// ```
    ///
    /// # Errors
    /// `TOO_MANY_PINS` when one conversation more than [`PINNED_MAX`] would be pinned.
    pub fn merged(&self, change: &OwnChange, pinned: u32, now: UnixMillis) -> Result<Option<Self>> {
        let mute_until = change.mute_until.unwrap_or(self.mute_until);
        let is_over = |until: &i64| *until > 0 && until.unsigned_abs().saturating_mul(1_000) <= now;
        let draft = change.draft.as_ref().unwrap_or(&self.draft);
        let next = Self {
            mute_until: mute_until.filter(|until| !is_over(until)),
            is_pinned: change.is_pinned.unwrap_or(self.is_pinned),
            is_archived: change.is_archived.unwrap_or(self.is_archived),
            is_marked_unread: change.is_marked_unread.unwrap_or(self.is_marked_unread),
            draft: draft.clone(),
            ..self.clone()
        };
        if next.is_pinned && !self.is_pinned && pinned >= PINNED_MAX {
            return Err(ErrorCode::TooManyPins.into());
        }
        Ok(self.followed_by(next))
    }

    /// The state after its user has read, or `None` when that is the present one.
    pub fn after_reading(&self) -> Option<Self> {
        let next = Self {
            is_marked_unread: false,
            ..self.clone()
        };
        self.followed_by(next)
    }

    fn followed_by(&self, next: Self) -> Option<Self> {
        (next != *self).then(|| Self {
            version: self.version + 1,
            ..next
        })
    }
}

fn invalid(sentence: &'static str) -> Error {
    Error::new(ErrorCode::InvalidParams, sentence)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(super) const NOW: UnixMillis = 50_000;

    fn change() -> impl Strategy<Value = OwnChange> {
        (
            prop::option::of(prop::option::of(0i64..100)),
            prop::option::of(any::<bool>()),
            prop::option::of(any::<bool>()),
            prop::option::of(any::<bool>()),
            prop::option::of("[a-c]{0,3}"),
        )
            .prop_map(|(mute_until, pinned, archived, unread, draft)| OwnChange {
                mute_until,
                is_pinned: pinned,
                is_archived: archived,
                is_marked_unread: unread,
                draft,
            })
    }

    pub(super) fn state() -> impl Strategy<Value = OwnState> {
        (change(), 0u64..20, 0u32..20).prop_map(|(change, cleared_up_to, hidden_count)| {
            let merged = OwnState::default().merged(&change, 0, NOW);
            OwnState {
                cleared_up_to,
                hidden_count,
                ..merged.unwrap().unwrap_or_default()
            }
        })
    }

    proptest! {
        #[test]
        fn a_change_that_is_repeated_changes_nothing(state in state(), change in change()) {
            let once = state.merged(&change, 0, NOW).unwrap().unwrap_or(state);
            prop_assert_eq!(once.merged(&change, 0, NOW).unwrap(), None);
        }

        #[test]
        fn what_is_not_named_stays_and_what_is_named_is_so_afterwards(
            state in state(), change in change(),
        ) {
            let next = state.merged(&change, 0, NOW).unwrap();
            let next = next.unwrap_or_else(|| state.clone());
            prop_assert_eq!(next.is_pinned, change.is_pinned.unwrap_or(state.is_pinned));
            prop_assert_eq!(next.is_archived, change.is_archived.unwrap_or(state.is_archived));
            let unread = change.is_marked_unread.unwrap_or(state.is_marked_unread);
            prop_assert_eq!(next.is_marked_unread, unread);
            prop_assert_eq!(&next.draft, change.draft.as_ref().unwrap_or(&state.draft));
            let wanted = change.mute_until.unwrap_or(state.mute_until);
            prop_assert_eq!(next.mute_until, wanted.filter(|until| *until == 0 || *until > 50));
            let gone = |state: &OwnState| (state.cleared_up_to, state.hidden_count);
            prop_assert_eq!(gone(&next), gone(&state));
        }

        #[test]
        fn a_version_names_one_state(state in state(), change in change()) {
            match state.merged(&change, 0, NOW).unwrap() {
                None => {}
                Some(next) => prop_assert_eq!(next.version, state.version + 1),
            }
        }

        #[test]
        fn reading_ends_the_mark_and_nothing_else(state in state()) {
            let read = state.after_reading();
            prop_assert_eq!(read.is_some(), state.is_marked_unread);
            if let Some(read) = read {
                let expected = OwnState {
                    is_marked_unread: false,
                    version: state.version + 1,
                    ..state
                };
                prop_assert_eq!(read, expected);
            }
        }

        #[test]
        fn a_state_is_read_as_it_was_written(state in state()) {
            let json = serde_json::to_string(&state).unwrap();
            prop_assert_eq!(serde_json::from_str::<OwnState>(&json).unwrap(), state);
        }
    }

    #[test]
    fn pins_are_bounded_and_a_pinned_one_stays() {
        let pin = OwnChange {
            is_pinned: Some(true),
            ..OwnChange::default()
        };
        let state = OwnState::default();
        assert!(state.merged(&pin, PINNED_MAX - 1, NOW).unwrap().is_some());
        let refused = state.merged(&pin, PINNED_MAX, NOW).unwrap_err();
        assert_eq!(refused.code, ErrorCode::TooManyPins);
        let pinned = OwnState {
            is_pinned: true,
            ..state
        };
        assert_eq!(pinned.merged(&pin, PINNED_MAX, NOW).unwrap(), None);
    }

    #[test]
    fn a_change_has_bounds() {
        let code = |change: OwnChange| change.checked().map_err(|e| e.code);
        let draft = |draft: String| OwnChange {
            draft: Some(draft),
            ..OwnChange::default()
        };
        let mute = |until| OwnChange {
            mute_until: Some(Some(until)),
            ..OwnChange::default()
        };
        assert_eq!(code(OwnChange::default()), Err(ErrorCode::InvalidParams));
        assert!(code(draft("é".repeat(5_000))).is_ok());
        let long = code(draft("x".repeat(5_001)));
        assert_eq!(long, Err(ErrorCode::MessageTooLarge));
        let composed = draft("e\u{301}".to_owned()).checked().unwrap();
        assert_eq!(composed.draft.as_deref(), Some("é"));
        assert!(code(mute(0)).is_ok() && code(mute(MUTE_UNTIL_MAX)).is_ok());
        for wrong in [-1, MUTE_UNTIL_MAX + 1] {
            assert_eq!(code(mute(wrong)), Err(ErrorCode::InvalidParams));
        }
    }
}
