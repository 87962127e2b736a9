//! The state of a message, and who may change it.

use super::{ChangeKind, EDITS_MAX, Emoji, Tally, Windows};
use crate::error::{Error, ErrorCode, Result};
use crate::ids::{SeqId, UnixMillis, UserId};

/// Maximum number of pinned messages of one conversation.
pub const PINS_MAX: u32 = 100;

/// Facts of a message that changes are judged by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Position in the conversation.
    pub seq: SeqId,
    /// Author of the message.
    pub author: UserId,
    /// Time at which the message was sent.
    pub sent_at: UnixMillis,
    /// Whether the message was recalled.
    pub recalled: bool,
    /// Number of edits of the message.
    pub edits: u32,
    /// Whether the message is pinned.
    pub pinned: bool,
    /// Reactions to the message.
    pub reactions: Tally,
    /// Whether the system wrote the message: then it never changes.
    pub system: bool,
}

impl Target {
    /// A message to which nothing has happened yet.
    pub fn new(seq: SeqId, author: UserId, sent_at: UnixMillis) -> Self {
        Self {
            seq,
            author,
            sent_at,
            recalled: false,
            edits: 0,
            pinned: false,
            reactions: Tally::default(),
            system: false,
        }
    }
}

/// All that a change is judged by and may change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Facts of the message.
    pub target: Target,
    /// The operator's own reactions to the message; known for reactions only.
    pub own: Vec<Emoji>,
    /// Number of pinned messages of the conversation; known where it may change
    /// ([`ChangeKind::moves_pins`]).
    pub pins: u32,
}

/// A wish to change a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    /// Kind of the change.
    pub kind: ChangeKind,
    /// Emoji of a reaction.
    pub emoji: Option<Emoji>,
    /// User that wants to make the change.
    pub operator: UserId,
    /// The operator is admin or owner of the group.
    pub moderator: bool,
    /// Time of the judgement.
    pub now: UnixMillis,
    /// Bounds in time of what authors may do.
    pub windows: Windows,
}

impl State {
    /// Judges a wish by the facts of its message. Whether the operator may act in the conversation
    /// at all is judged before ([`crate::step::Facts::judge_change`]).
    ///
    /// ```
    /// use gochat_core::error::ErrorCode;
    /// use gochat_core::ids::UserId;
    /// use gochat_core::message::{ChangeKind, State, Target, Windows, Wish};
    /// let author = UserId::new(7).unwrap();
    /// let state = State { target: Target::new(1, author, 0), own: vec![], pins: 0 };
    /// let windows = Windows { edit: 1_000, recall: Some(500) };
    /// let wish = |kind| Wish { kind, emoji: None, operator: author, moderator: false, now: 900, windows };
    /// assert!(state.judge(&wish(ChangeKind::Edit)).is_ok());
    /// let late = state.judge(&wish(ChangeKind::Recall)).unwrap_err();
    /// assert_eq!(late.code, ErrorCode::RecallTimeExceeded);
    /// ```
    ///
    /// # Errors
    /// * All kinds: `MESSAGE_RECALLED`; `UNSUPPORTED_MESSAGE_TYPE` for system messages, which nobody
    ///   changes.
    /// * Edits: `NOT_THE_AUTHOR`, `EDIT_TIME_EXCEEDED`, `TOO_MANY_EDITS`.
    /// * Recalls: `FORBIDDEN` where they are switched off, `INSUFFICIENT_PERMISSION` for all but the
    ///   author and moderators, `RECALL_TIME_EXCEEDED` for an author who comes too late.
    /// * Reactions: `REACTION_NOT_ALLOWED` without an emoji, `TOO_MANY_REACTIONS`.
    /// * Pins: `TOO_MANY_PINS`.
    pub fn judge(&self, wish: &Wish) -> Result<()> {
        if self.target.system {
            return Err(Error::new(
                ErrorCode::UnsupportedMessageType,
                "System messages can't be changed.",
            ));
        }
        match wish.kind {
            ChangeKind::Edit => self.target.judge_edit(wish),
            ChangeKind::Recall => self.target.judge_recall(wish),
            _ if self.target.recalled => Err(ErrorCode::MessageRecalled.into()),
            ChangeKind::React => {
                let emoji = wish.emoji.ok_or(ErrorCode::ReactionNotAllowed)?;
                self.target.reactions.judge(emoji, &self.own)
            }
            ChangeKind::Pin if !self.target.pinned && self.pins >= PINS_MAX => {
                Err(ErrorCode::TooManyPins.into())
            }
            ChangeKind::Unreact | ChangeKind::Pin | ChangeKind::Unpin => Ok(()),
        }
    }

    /// The state after a change that was judged. Doing again what was done changes nothing: no
    /// second reaction, no second pin.
    #[must_use]
    pub fn after(mut self, kind: ChangeKind, emoji: Option<Emoji>) -> Self {
        let target = &mut self.target;
        match (kind, emoji) {
            (ChangeKind::Edit, _) => target.edits = target.edits.saturating_add(1),
            (ChangeKind::Recall, _) => {
                self.pins = self.pins.saturating_sub(u32::from(target.pinned));
                (target.recalled, target.pinned) = (true, false);
                target.reactions = Tally::default();
                self.own.clear();
            }
            (ChangeKind::React, Some(emoji)) if !self.own.contains(&emoji) => {
                target.reactions.add(emoji);
                self.own.push(emoji);
            }
            (ChangeKind::Unreact, Some(emoji)) if self.own.contains(&emoji) => {
                target.reactions.take(emoji);
                self.own.retain(|own| *own != emoji);
            }
            (ChangeKind::Pin, _) => {
                self.pins += u32::from(!target.pinned);
                target.pinned = true;
            }
            (ChangeKind::Unpin, _) => {
                self.pins = self.pins.saturating_sub(u32::from(target.pinned));
                target.pinned = false;
            }
            (ChangeKind::React | ChangeKind::Unreact, _) => {}
        }
        self
    }
}

impl Target {
    fn judge_edit(&self, wish: &Wish) -> Result<()> {
        if wish.operator != self.author {
            return Err(ErrorCode::NotTheAuthor.into());
        }
        if self.recalled {
            return Err(ErrorCode::MessageRecalled.into());
        }
        let window = wish.windows.edit;
        if window == 0 || wish.now.saturating_sub(self.sent_at) > window {
            return Err(ErrorCode::EditTimeExceeded.into());
        }
        if self.edits >= EDITS_MAX {
            return Err(ErrorCode::TooManyEdits.into());
        }
        Ok(())
    }

    fn judge_recall(&self, wish: &Wish) -> Result<()> {
        let Some(window) = wish.windows.recall else {
            return Err(Error::new(
                ErrorCode::Forbidden,
                "Recalling is switched off in this chat.",
            ));
        };
        if wish.operator != self.author && !wish.moderator {
            return Err(ErrorCode::InsufficientPermission.into());
        }
        if self.recalled {
            return Err(ErrorCode::MessageRecalled.into());
        }
        if !wish.moderator && wish.now.saturating_sub(self.sent_at) > window {
            return Err(ErrorCode::RecallTimeExceeded.into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::message::{EDIT_WINDOW_MS, REACTION_KINDS_MAX, REACTIONS_PER_USER_MAX};

    const WINDOWS: Windows = Windows {
        edit: EDIT_WINDOW_MS,
        recall: Some(120_000),
    };

    fn user(n: u64) -> UserId {
        UserId::new(n).unwrap()
    }

    fn emoji(n: usize) -> Emoji {
        format!("e{n}").parse().unwrap()
    }

    fn state() -> State {
        State {
            target: Target::new(4, user(1), 1_000),
            own: Vec::new(),
            pins: 0,
        }
    }

    fn wish(kind: ChangeKind, operator: u64, moderator: bool, now: u64) -> Wish {
        Wish {
            kind,
            emoji: kind.is_reaction().then(|| emoji(0)),
            operator: user(operator),
            moderator,
            now,
            windows: WINDOWS,
        }
    }

    #[test]
    fn nobody_changes_a_system_message() {
        let mut state = state();
        state.target.system = true;
        for kind in ChangeKind::ALL {
            for (operator, moderator) in [(1, false), (1, true), (2, true)] {
                let judged = state.judge(&wish(kind, operator, moderator, 1_000));
                let code = judged.map_err(|error| error.code);
                assert_eq!(code, Err(ErrorCode::UnsupportedMessageType), "{kind:?}");
            }
        }
    }

    fn judge(kind: ChangeKind, operator: u64, moderator: bool, now: u64) -> Result<(), ErrorCode> {
        let judged = state().judge(&wish(kind, operator, moderator, now));
        judged.map_err(|error| error.code)
    }

    #[test]
    fn an_author_may_recall_for_two_minutes_and_edit_for_two_days() {
        use ChangeKind::{Edit, Recall};
        assert_eq!(judge(Recall, 1, false, 121_000), Ok(()));
        let late = Err(ErrorCode::RecallTimeExceeded);
        assert_eq!(judge(Recall, 1, false, 121_001), late);
        assert_eq!(judge(Recall, 1, false, 0), Ok(()), "a clock that went back");
        assert_eq!(judge(Edit, 1, false, EDIT_WINDOW_MS + 1_000), Ok(()));
        let late = Err(ErrorCode::EditTimeExceeded);
        assert_eq!(judge(Edit, 1, false, EDIT_WINDOW_MS + 1_001), late);
    }

    #[test]
    fn moderators_recall_at_any_time_and_never_edit() {
        use ChangeKind::{Edit, Recall};
        assert_eq!(judge(Recall, 2, true, u64::MAX), Ok(()));
        assert_eq!(judge(Edit, 2, true, 0), Err(ErrorCode::NotTheAuthor));
        let denied = Err(ErrorCode::InsufficientPermission);
        assert_eq!(judge(Recall, 2, false, 0), denied);
    }

    #[test]
    fn where_recalls_are_off_nobody_recalls() {
        let off = Wish {
            windows: Windows {
                recall: None,
                ..WINDOWS
            },
            ..wish(ChangeKind::Recall, 1, true, 0)
        };
        assert_eq!(state().judge(&off).unwrap_err().code, ErrorCode::Forbidden);
    }

    #[test]
    fn a_message_has_room_for_twenty_kinds_and_three_of_one_user() {
        let react = |emoji| Wish {
            emoji,
            ..wish(ChangeKind::React, 2, false, 0)
        };
        let judge = |state: &State, wish| state.judge(&wish).map_err(|error| error.code);
        let mut full = state();
        for n in 0..REACTION_KINDS_MAX {
            full.target.reactions.add(emoji(n));
        }
        let refused = Err(ErrorCode::TooManyReactions);
        assert_eq!(judge(&full, react(Some(emoji(99)))), refused);
        assert_eq!(judge(&full, react(Some(emoji(3)))), Ok(()));
        full.own = (0..REACTIONS_PER_USER_MAX).map(emoji).collect();
        assert_eq!(judge(&full, react(Some(emoji(3)))), refused);
        assert_eq!(
            judge(&full, react(Some(emoji(0)))),
            Ok(()),
            "has it already"
        );
        let none = Err(ErrorCode::ReactionNotAllowed);
        assert_eq!(judge(&state(), react(None)), none);
    }

    #[test]
    fn a_conversation_has_room_for_a_hundred_pins() {
        let mut full = state();
        full.pins = PINS_MAX;
        let pin = wish(ChangeKind::Pin, 2, false, 0);
        let code = |state: &State| state.judge(&pin).map_err(|error| error.code);
        assert_eq!(code(&full), Err(ErrorCode::TooManyPins));
        full.target.pinned = true;
        assert_eq!(code(&full), Ok(()), "is pinned already");
        assert_eq!(full.after(ChangeKind::Recall, None).pins, PINS_MAX - 1);
    }

    #[derive(Debug, Clone)]
    struct Step {
        kind: usize,
        operator: u64,
        emoji: usize,
        moderator: bool,
    }

    fn step() -> impl Strategy<Value = Step> {
        (0..6usize, 1..5u64, 0..25usize, any::<bool>()).prop_map(
            |(kind, operator, emoji, moderator)| Step {
                kind,
                operator,
                emoji,
                moderator,
            },
        )
    }

    proptest! {
        /// Whatever is done in whatever order: nothing follows a recall, the count of edits is that
        /// of the edits that were allowed, and the tally is what the users' own reactions add up
        /// to.
        #[test]
        fn the_state_is_the_sum_of_what_was_allowed(steps in prop::collection::vec(step(), 0..80)) {
            let (mut target, mut edits, mut pins) = (state().target, 0, 0);
            let mut reactions: BTreeSet<(u64, Emoji)> = BTreeSet::new();
            for Step { kind, operator, emoji: number, moderator } in steps {
                let kind = ChangeKind::ALL[kind];
                let emoji = emoji(number);
                let own = reactions.iter().filter(|(who, _)| *who == operator).map(|(_, e)| *e);
                let before = State { target: target.clone(), own: own.collect(), pins };
                let wish = Wish { emoji: Some(emoji), ..wish(kind, operator, moderator, 2_000) };
                let allowed = before.judge(&wish).is_ok();
                prop_assert!(!(before.target.recalled && allowed));
                if !allowed {
                    continue;
                }
                edits += u32::from(kind == ChangeKind::Edit);
                match kind {
                    ChangeKind::React => drop(reactions.insert((operator, emoji))),
                    ChangeKind::Unreact => drop(reactions.remove(&(operator, emoji))),
                    ChangeKind::Recall => reactions.clear(),
                    _ => {}
                }
                State { target, pins, .. } = before.after(kind, Some(emoji));
            }
            prop_assert_eq!(target.edits, edits);
            prop_assert_eq!(pins, u32::from(target.pinned));
            let mut counts: Vec<_> = target.reactions.counts().to_vec();
            counts.sort_unstable();
            let kinds: BTreeSet<Emoji> = reactions.iter().map(|(_, e)| *e).collect();
            let sum = |e: Emoji| u32::try_from(reactions.iter().filter(|(_, r)| *r == e).count()).unwrap();
            prop_assert_eq!(&counts, &kinds.iter().map(|e| (*e, sum(*e))).collect::<Vec<_>>());
            prop_assert!(counts.len() <= REACTION_KINDS_MAX);
            let json = target.reactions.to_json();
            prop_assert_eq!(Tally::from_json(&json), target.reactions);
        }
    }
}
