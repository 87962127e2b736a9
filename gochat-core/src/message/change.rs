//! What may happen to a message after it was sent, and who may do it.

use crate::error::{Error, ErrorCode, Result};
use crate::ids::{SeqId, UnixMillis, UserId};

/// How long an author may take a message back, in milliseconds: two minutes.
pub const RECALL_WINDOW_MS: u64 = 120_000;

/// How long an author may edit a message, in milliseconds: 48 hours.
pub const EDIT_WINDOW_MS: u64 = 48 * 60 * 60 * 1_000;

/// Maximum number of edits of one message.
pub const EDITS_MAX: u32 = 1_000;

/// A kind of change; the numbers are those of the wire and the database.
///
/// ```
/// use gochat_core::message::ChangeKind;
/// assert_eq!(ChangeKind::from_i32(1), Some(ChangeKind::Edit));
/// assert_eq!(ChangeKind::Recall.name(), "recalled");
/// assert_eq!(ChangeKind::from_i32(0), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i32)]
pub enum ChangeKind {
    /// The author says something else.
    Edit = 1,
    /// The message is taken back: its content is erased for everybody.
    Recall = 2,
}

impl ChangeKind {
    /// Every kind, in the order of the numbers.
    pub const ALL: [Self; 2] = [Self::Edit, Self::Recall];

    /// The kind with this number.
    pub const fn from_i32(number: i32) -> Option<Self> {
        match number {
            1 => Some(Self::Edit),
            2 => Some(Self::Recall),
            _ => None,
        }
    }

    /// The number on the wire and in the database.
    pub const fn as_i32(self) -> i32 {
        self as i32
    }

    /// The word clients read in `message-changed`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Edit => "edited",
            Self::Recall => "recalled",
        }
    }
}

/// What a change is judged by: facts of the message that is to be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
}

/// Bounds in time of what authors may do to their messages, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    /// For edits; 0 where nobody may edit.
    pub edit: u64,
    /// For recalls by the author; `None` where the conversation has switched recalls off.
    pub recall: Option<u64>,
}

impl Target {
    /// Judges a change of this message by `operator`, who is admin or owner of the group when
    /// `moderator` is true.
    ///
    /// ```
    /// use gochat_core::error::ErrorCode;
    /// use gochat_core::ids::UserId;
    /// use gochat_core::message::{ChangeKind, Target, Windows};
    /// let author = UserId::new(7).unwrap();
    /// let target = Target { seq: 1, author, sent_at: 0, recalled: false, edits: 0 };
    /// let windows = Windows { edit: 1_000, recall: Some(500) };
    /// assert!(target.judge(ChangeKind::Edit, author, false, 900, windows).is_ok());
    /// let late = target.judge(ChangeKind::Recall, author, false, 900, windows).unwrap_err();
    /// assert_eq!(late.code, ErrorCode::RecallTimeExceeded);
    /// ```
    ///
    /// # Errors
    /// Edits: `NOT_THE_AUTHOR`, `MESSAGE_RECALLED`, `EDIT_TIME_EXCEEDED`, `TOO_MANY_EDITS`. Recalls: `FORBIDDEN` where
    /// they are switched off, `INSUFFICIENT_PERMISSION` for others than the author and moderators,
    /// `MESSAGE_RECALLED` for a second one, `RECALL_TIME_EXCEEDED` for an author who comes too late.
    pub fn judge(
        &self,
        kind: ChangeKind,
        operator: UserId,
        moderator: bool,
        now: UnixMillis,
        windows: Windows,
    ) -> Result<()> {
        match kind {
            ChangeKind::Edit => self.judge_edit(operator, now, windows.edit),
            ChangeKind::Recall => self.judge_recall(operator, moderator, now, windows.recall),
        }
    }

    fn judge_edit(&self, operator: UserId, now: UnixMillis, window: u64) -> Result<()> {
        if operator != self.author {
            return Err(ErrorCode::NotTheAuthor.into());
        }
        if self.recalled {
            return Err(ErrorCode::MessageRecalled.into());
        }
        if window == 0 || now.saturating_sub(self.sent_at) > window {
            return Err(ErrorCode::EditTimeExceeded.into());
        }
        if self.edits >= EDITS_MAX {
            return Err(ErrorCode::TooManyEdits.into());
        }
        Ok(())
    }

    fn judge_recall(
        &self,
        operator: UserId,
        moderator: bool,
        now: UnixMillis,
        window: Option<u64>,
    ) -> Result<()> {
        let Some(window) = window else {
            return Err(Error::new(
                ErrorCode::Forbidden,
                "Recalling is switched off in this chat.",
            ));
        };
        if operator != self.author && !moderator {
            return Err(ErrorCode::InsufficientPermission.into());
        }
        if self.recalled {
            return Err(ErrorCode::MessageRecalled.into());
        }
        if !moderator && now.saturating_sub(self.sent_at) > window {
            return Err(ErrorCode::RecallTimeExceeded.into());
        }
        Ok(())
    }

    /// The facts after a change that was judged.
    #[must_use]
    pub const fn after(self, kind: ChangeKind) -> Self {
        match kind {
            ChangeKind::Edit => Self {
                edits: self.edits.saturating_add(1),
                ..self
            },
            ChangeKind::Recall => Self {
                recalled: true,
                ..self
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WINDOWS: Windows = Windows {
        edit: EDIT_WINDOW_MS,
        recall: Some(120_000),
    };

    fn user(n: u64) -> UserId {
        UserId::new(n).unwrap()
    }

    fn target() -> Target {
        Target {
            seq: 4,
            author: user(1),
            sent_at: 1_000,
            recalled: false,
            edits: 0,
        }
    }

    fn judge(kind: ChangeKind, operator: u64, moderator: bool, now: u64) -> Result<(), ErrorCode> {
        let judged = target().judge(kind, user(operator), moderator, now, WINDOWS);
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
        let off = Windows {
            recall: None,
            ..WINDOWS
        };
        let judged = target().judge(ChangeKind::Recall, user(1), true, 0, off);
        assert_eq!(judged.unwrap_err().code, ErrorCode::Forbidden);
    }

    proptest! {
        /// Whatever is done in whatever order: nothing follows a recall, and the count of edits is
        /// that of the edits that were allowed.
        #[test]
        fn a_recalled_message_stays_as_it_is(steps in prop::collection::vec((0..2usize, 1..3u64, any::<bool>()), 0..40)) {
            let (mut now, mut facts, mut edits) = (target(), Vec::new(), 0);
            for (kind, operator, moderator) in steps {
                let kind = ChangeKind::ALL[kind];
                let allowed = now.judge(kind, user(operator), moderator, 2_000, WINDOWS).is_ok();
                prop_assert!(!(now.recalled && allowed));
                if allowed {
                    edits += u32::from(kind == ChangeKind::Edit);
                    now = now.after(kind);
                    facts.push(kind);
                }
            }
            prop_assert_eq!(now.edits, edits);
            prop_assert!(facts.iter().rev().skip(1).all(|kind| *kind != ChangeKind::Recall));
        }
    }
}
