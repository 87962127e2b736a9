//! The announcement of a group: one text for all members, and who has read it.
//!
//! Every new text has a version. A member has read up to a version, so a new text is unread for
//! everybody by its version alone, and nothing has to be deleted for that.

use crate::error::{Error, ErrorCode, Result};
use crate::ids::{ConversationKind, UnixMillis, UserId};
use crate::membership::{Action, Standing};
use crate::receipt;

/// Maximum length of an announcement in characters; longer ones are refused with `INVALID_PARAMS`.
pub const ANNOUNCEMENT_MAX_CHARS: usize = 2_000;

/// The announcement of a group, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Announcement {
    /// The text; empty when there is none.
    pub text: String,
    /// Number of texts so far, removals included; 0 when there never was one.
    pub version: u64,
    /// Time at which the text was set or removed.
    pub at: UnixMillis,
    /// User that set or removed the text; `None` for the system.
    pub by: Option<UserId>,
}

/// Checks a text, of at most [`ANNOUNCEMENT_MAX_CHARS`] characters. The empty text removes an
/// announcement.
///
/// # Errors
/// `INVALID_PARAMS`.
pub fn check_announcement(text: &str) -> Result<()> {
    if text.chars().count() <= ANNOUNCEMENT_MAX_CHARS {
        return Ok(());
    }
    Err(Error::new(
        ErrorCode::InvalidParams,
        "An announcement has at most 2000 characters.",
    ))
}

impl Announcement {
    /// Whether there is a text to be read.
    pub fn is_shown(&self) -> bool {
        !self.text.is_empty()
    }

    /// The announcement after somebody set a text; the empty text removes it. The same text again
    /// stays what it is, so that nobody has to read it twice.
    ///
    /// ```
    /// use gochat_core::conversation::Announcement;
    /// let first = Announcement::default().after("Tea at five".into(), None, 7);
    /// assert_eq!((first.version, first.at), (1, 7));
    /// assert_eq!(first.clone().after("Tea at five".into(), None, 9), first);
    /// assert_eq!(first.after(String::new(), None, 9).version, 2);
    /// ```
    #[must_use]
    pub fn after(self, text: String, by: Option<UserId>, at: UnixMillis) -> Self {
        if self.text == text {
            return self;
        }
        Self {
            text,
            version: self.version + 1,
            at,
            by,
        }
    }

    /// Judges a report that `reader`, who has read up to version `stored` (0 for none), has read
    /// version `seen`. Returns the version to store, or `None` when there is nothing to write.
    ///
    /// The stored version never goes back. An older version than the present one counts for itself
    /// alone. Who set the present text is no reader of it.
    ///
    /// # Errors
    /// `INVALID_PARAMS` for a version that there never was.
    pub fn read(&self, reader: UserId, stored: u64, seen: u64) -> Result<Option<u64>> {
        if seen == 0 || seen > self.version {
            return Err(Error::new(
                ErrorCode::InvalidParams,
                "There is no such version of the announcement.",
            ));
        }
        let is_own = seen == self.version && self.by == Some(reader);
        Ok((seen > stored && !is_own).then_some(seen))
    }

    /// Whether the present text is read by a user who has read up to version `stored`: by readers,
    /// and by who set it.
    pub fn is_read_by(&self, user: UserId, stored: u64) -> bool {
        stored >= self.version || self.by == Some(user)
    }
}

/// Judges who may list the readers of an announcement: admins and the owner always, members in
/// groups that are small enough for lists of readers of a message.
///
/// # Errors
/// `NOT_CONVERSATION_MEMBER`; `TOO_MANY_MEMBERS` for members of larger groups.
pub fn may_list_announcement_readers(standing: Standing, members: u32) -> Result<()> {
    standing.may(Action::Read)?;
    match standing.may(Action::UpdateInfo) {
        Ok(()) => Ok(()),
        Err(_) => receipt::may_list_readers(ConversationKind::Group, members),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::membership::Role;

    fn user(n: u64) -> UserId {
        UserId::new(n).unwrap()
    }

    #[test]
    fn readers_are_listed_for_those_who_announce_and_in_small_groups() {
        let ask = |standing, members| {
            may_list_announcement_readers(standing, members).map_err(|error| error.code)
        };
        for role in [Role::Admin, Role::Owner] {
            assert_eq!(ask(Standing::Member(role), 10_000), Ok(()));
        }
        let member = Standing::Member(Role::Member);
        assert_eq!(ask(member, receipt::READ_BY_MEMBERS_MAX), Ok(()));
        let large = receipt::READ_BY_MEMBERS_MAX + 1;
        assert_eq!(ask(member, large), Err(ErrorCode::TooManyMembers));
        let stranger = ask(Standing::Outsider, 3);
        assert_eq!(stranger, Err(ErrorCode::NotConversationMember));
    }

    #[test]
    fn a_text_has_at_most_2000_characters() {
        assert!(check_announcement(&"ß".repeat(2_000)).is_ok());
        assert!(check_announcement(&"ß".repeat(2_001)).is_err());
    }

    /// What happens to an announcement.
    #[derive(Debug, Clone)]
    enum Act {
        Set { by: u64, text: u8 },
        Read { by: u64, seen: u64 },
    }

    fn acts() -> impl Strategy<Value = Vec<Act>> {
        let set = (1..4_u64, 0..3_u8).prop_map(|(by, text)| Act::Set { by, text });
        let read = (1..4_u64, 0..6_u64).prop_map(|(by, seen)| Act::Read { by, seen });
        prop::collection::vec(prop_oneof![set, read], 0..40)
    }

    proptest! {
        /// Versions grow by one with every other text. What a user has read never goes back, is
        /// never beyond the newest version, and a report about one version says nothing of a newer.
        #[test]
        fn reports_move_forward_and_never_mark_a_newer_text(acts in acts()) {
            let mut now = Announcement::default();
            let mut stored = [0_u64; 4];
            for act in acts {
                let before = stored;
                match act {
                    Act::Set { by, text } => {
                        let text = ["", "tea", "coffee"][usize::from(text)].to_owned();
                        let next = now.clone().after(text.clone(), Some(user(by)), now.version + 9);
                        let step = u64::from(text != now.text);
                        prop_assert_eq!(next.version, now.version + step);
                        prop_assert_eq!(&next.text, &text);
                        if step > 0 {
                            for other in (1..4).filter(|other| *other != by) {
                                prop_assert!(!next.is_read_by(user(other), stored[other as usize]));
                            }
                            prop_assert!(next.is_read_by(user(by), stored[by as usize]));
                        }
                        now = next;
                    }
                    Act::Read { by, seen } => {
                        let at = by as usize;
                        match now.read(user(by), stored[at], seen) {
                            Ok(write) => {
                                prop_assert!((1..=now.version).contains(&seen));
                                stored[at] = write.unwrap_or(stored[at]);
                                // A repeat writes nothing.
                                prop_assert_eq!(now.read(user(by), stored[at], seen), Ok(None));
                                let is_read = now.is_read_by(user(by), stored[at]);
                                let was_read = now.is_read_by(user(by), before[at]);
                                prop_assert_eq!(is_read, was_read || seen == now.version);
                            }
                            Err(_) => prop_assert!(seen == 0 || seen > now.version),
                        }
                    }
                }
                for at in 1..4 {
                    prop_assert!(stored[at] >= before[at] && stored[at] <= now.version);
                }
            }
        }
    }
}
