//! Who may take a message back, and until when.

use crate::error::{ErrorCode, Result};
use crate::ids::{UnixMillis, UserId};

/// How long an author may take a message back, in milliseconds.
pub const RECALL_WINDOW_MS: u64 = 120_000;

/// A wish to recall a message, with the stored facts it is judged by.
///
/// ```
/// use gochat_core::ids::UserId;
/// use gochat_core::message::{RECALL_WINDOW_MS, Recall};
/// let author = UserId::new(7).unwrap();
/// let wish = Recall { operator: author, author, moderator: false, sent_at: 0, recalled: false };
/// assert!(wish.check(RECALL_WINDOW_MS, RECALL_WINDOW_MS).is_ok());
/// assert!(wish.check(RECALL_WINDOW_MS + 1, RECALL_WINDOW_MS).is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recall {
    /// Who wants it.
    pub operator: UserId,
    /// Who wrote the message.
    pub author: UserId,
    /// Whether the operator is admin or owner of the group.
    pub moderator: bool,
    /// When the message was sent.
    pub sent_at: UnixMillis,
    /// Whether it was recalled before.
    pub recalled: bool,
}

impl Recall {
    /// Judges the wish. `window` is the author's time in milliseconds, usually [`RECALL_WINDOW_MS`].
    ///
    /// # Errors
    /// `INSUFFICIENT_PERMISSION` for others than the author and moderators, `MESSAGE_RECALLED`
    /// for a second recall, `RECALL_TIME_EXCEEDED` for an author who comes too late.
    pub fn check(&self, now: UnixMillis, window: u64) -> Result<()> {
        let author = self.operator == self.author;
        if !author && !self.moderator {
            return Err(ErrorCode::InsufficientPermission.into());
        }
        if self.recalled {
            return Err(ErrorCode::MessageRecalled.into());
        }
        if !self.moderator && now.saturating_sub(self.sent_at) > window {
            return Err(ErrorCode::RecallTimeExceeded.into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(operator: u64, moderator: bool, recalled: bool, now: u64) -> Result<(), ErrorCode> {
        let user = |n| UserId::new(n).unwrap();
        Recall {
            operator: user(operator),
            author: user(1),
            moderator,
            sent_at: 1000,
            recalled,
        }
        .check(now, RECALL_WINDOW_MS)
        .map_err(|e| e.code)
    }

    #[test]
    fn an_author_has_two_minutes() {
        assert_eq!(judge(1, false, false, 121_000), Ok(()));
        assert_eq!(
            judge(1, false, false, 121_001),
            Err(ErrorCode::RecallTimeExceeded)
        );
        assert_eq!(
            judge(1, false, false, 0),
            Ok(()),
            "a clock that went back harms nobody"
        );
    }

    #[test]
    fn moderators_may_recall_any_time_and_others_never() {
        assert_eq!(judge(2, true, false, u64::MAX), Ok(()));
        assert_eq!(judge(1, true, false, u64::MAX), Ok(()));
        assert_eq!(
            judge(2, false, false, 1000),
            Err(ErrorCode::InsufficientPermission)
        );
        assert_eq!(
            judge(2, false, true, 1000),
            Err(ErrorCode::InsufficientPermission)
        );
    }

    #[test]
    fn a_message_is_recalled_once() {
        assert_eq!(judge(1, false, true, 1000), Err(ErrorCode::MessageRecalled));
        assert_eq!(judge(2, true, true, 1000), Err(ErrorCode::MessageRecalled));
    }
}
