//! Whether one user may reach another.
//!
//! One function decides for everything that one user does towards another: both accounts and both
//! directions of their relation go in. Services call [`may_reach`] before they write or push, so a
//! block means the same everywhere.

use crate::error::{Error, ErrorCode, Result};
use crate::friendship::{Pair, Person};

/// What one user does towards another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Contact {
    /// Opens a single chat, or writes in it.
    Chat,
    /// Asks for friendship.
    Request,
    /// Adds the other to a group.
    GroupAdd,
    /// Is seen writing in the chat of the two.
    Typing,
    /// Is seen to have read the other's messages in the chat of the two.
    Receipt,
    /// Is seen online.
    Presence,
    /// Is seen with name and picture.
    Profile,
}

impl Contact {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Chat,
        Self::Request,
        Self::GroupAdd,
        Self::Typing,
        Self::Receipt,
        Self::Presence,
        Self::Profile,
    ];
}

/// Decides whether `from` may reach `to`. `pair` is seen by `from`.
///
/// | contact | guest as sender | guest as target | blocked, in either direction | friendship needed |
/// |---|---|---|---|---|
/// | [`Contact::Chat`] | no | yes | no | no |
/// | [`Contact::Request`] | no | no | no | no |
/// | [`Contact::GroupAdd`] | no | no | no | no |
/// | [`Contact::Typing`], [`Contact::Receipt`] | yes | yes | no | no |
/// | [`Contact::Presence`] | yes | yes | no | yes |
/// | [`Contact::Profile`] | yes | yes | yes | no |
///
/// ```
/// use gochat_core::friendship::{Pair, Person};
/// use gochat_core::ids::UserId;
/// use gochat_core::reach::{Contact, may_reach};
/// let [ann, bob] = [1, 2].map(|n| Person {
///     id: UserId::new(n).unwrap(),
///     is_guest: false,
///     active: true,
/// });
/// assert!(may_reach(ann, bob, Pair::default(), Contact::Chat).is_ok());
/// assert!(may_reach(ann, bob, Pair::default(), Contact::Presence).is_err());
/// ```
///
/// # Errors
/// `GUEST_NOT_ALLOWED`, `USER_NOT_FOUND` for accounts that are disabled, deleted or unknown,
/// `FORBIDDEN` for a blocked pair, without saying who blocked whom, `NOT_FRIENDS`.
pub fn may_reach(from: Person, to: Person, pair: Pair, contact: Contact) -> Result<()> {
    use Contact::{Chat, GroupAdd, Presence, Profile, Request};
    if from.is_guest && matches!(contact, Chat | Request | GroupAdd) {
        return Err(ErrorCode::GuestNotAllowed.into());
    }
    if !to.active {
        return Err(ErrorCode::UserNotFound.into());
    }
    if to.is_guest && contact == Request {
        return Err(Error::new(
            ErrorCode::GuestNotAllowed,
            "Guests have no friends.",
        ));
    }
    if to.is_guest && contact == GroupAdd {
        return Err(ErrorCode::GuestNotAllowed.into());
    }
    if pair.is_blocked() && contact != Profile {
        return Err(Error::new(
            ErrorCode::Forbidden,
            match contact {
                Chat => "You can't write to this user.",
                Request => "You can't ask this user.",
                _ => "You can't reach this user.",
            },
        ));
    }
    if contact == Presence && !pair.are_friends() {
        return Err(ErrorCode::NotFriends.into());
    }
    Ok(())
}

/// Setting of a user: who may add the user to groups at once; everyone else may invite. The
/// numbers are those of the wire and the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(i32)]
pub enum AddedBy {
    /// Every user adds at once.
    #[default]
    Everybody = 0,
    /// Friends of the user add at once.
    Friends = 1,
    /// Every user has to invite.
    Nobody = 2,
}

impl AddedBy {
    /// The setting with this number.
    pub const fn from_i32(n: i32) -> Option<Self> {
        match n {
            0 => Some(Self::Everybody),
            1 => Some(Self::Friends),
            2 => Some(Self::Nobody),
            _ => None,
        }
    }

    /// The word of the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Everybody => "everybody",
            Self::Friends => "friends",
            Self::Nobody => "nobody",
        }
    }

    /// The setting with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        let all = [Self::Everybody, Self::Friends, Self::Nobody];
        all.into_iter().find(|setting| setting.as_str() == word)
    }
}

/// Way in which a user who may be added to a group becomes a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Way {
    /// At once.
    Directly,
    /// By accepting an invitation.
    ByInvitation,
}

/// Decides how a user is added. `has_budget` tells whether strangers may still add this user
/// today; friends need no budget.
///
/// ```
/// use gochat_core::friendship::Pair;
/// use gochat_core::reach::{AddedBy, Way, how_added};
/// let strangers = Pair::default();
/// assert_eq!(how_added(strangers, AddedBy::Everybody, true), Way::Directly);
/// assert_eq!(how_added(strangers, AddedBy::Friends, true), Way::ByInvitation);
/// ```
pub fn how_added(pair: Pair, setting: AddedBy, has_budget: bool) -> Way {
    match setting {
        AddedBy::Nobody => Way::ByInvitation,
        _ if pair.are_friends() => Way::Directly,
        AddedBy::Everybody if has_budget => Way::Directly,
        AddedBy::Everybody | AddedBy::Friends => Way::ByInvitation,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::friendship::{Row, Status};
    use crate::ids::{RequestId, UserId};

    fn person(n: u64) -> Person {
        Person {
            id: UserId::new(n).unwrap(),
            is_guest: false,
            active: true,
        }
    }

    fn pair(from: u64, to: u64, status: Status) -> Pair {
        let row = Row {
            id: RequestId::new(9).unwrap(),
            requester: person(from).id,
            target: person(to).id,
            status,
            mirrored: false,
            changed_at: 0,
        };
        match from {
            1 => Pair {
                outgoing: Some(row),
                incoming: None,
            },
            _ => Pair {
                outgoing: None,
                incoming: Some(row),
            },
        }
    }

    fn code(from: Person, to: Person, pair: Pair, contact: Contact) -> Option<ErrorCode> {
        may_reach(from, to, pair, contact).err().map(|e| e.code)
    }

    #[test]
    fn a_block_ends_every_contact_but_the_name_in_both_directions() {
        for (from, to) in [(1, 2), (2, 1)] {
            let blocked = pair(from, to, Status::Blocked);
            for contact in Contact::ALL {
                let expected = (contact != Contact::Profile).then_some(ErrorCode::Forbidden);
                assert_eq!(code(person(1), person(2), blocked, contact), expected);
            }
        }
    }

    #[test]
    fn a_block_beside_a_refused_request_of_the_other_direction_counts() {
        let both = Pair {
            outgoing: pair(1, 2, Status::Rejected).outgoing,
            incoming: pair(2, 1, Status::Blocked).incoming,
        };
        let refusal = code(person(1), person(2), both, Contact::Chat);
        assert_eq!(refusal, Some(ErrorCode::Forbidden));
    }

    #[test]
    fn strangers_chat_ask_and_add_and_see_no_presence() {
        for contact in Contact::ALL {
            let expected = (contact == Contact::Presence).then_some(ErrorCode::NotFriends);
            assert_eq!(
                code(person(1), person(2), Pair::default(), contact),
                expected
            );
        }
        let friends = pair(1, 2, Status::Accepted);
        assert_eq!(code(person(1), person(2), friends, Contact::Presence), None);
    }

    #[test]
    fn friends_come_in_directly_unless_nobody_may_add() {
        let friends = pair(1, 2, Status::Accepted);
        let none = Pair::default();
        for budget in [true, false] {
            assert_eq!(
                how_added(friends, AddedBy::Everybody, budget),
                Way::Directly
            );
            assert_eq!(how_added(friends, AddedBy::Friends, budget), Way::Directly);
            assert_eq!(
                how_added(friends, AddedBy::Nobody, budget),
                Way::ByInvitation
            );
            assert_eq!(how_added(none, AddedBy::Friends, budget), Way::ByInvitation);
        }
        assert_eq!(
            how_added(none, AddedBy::Everybody, false),
            Way::ByInvitation
        );
        for setting in [AddedBy::Everybody, AddedBy::Friends, AddedBy::Nobody] {
            assert_eq!(AddedBy::from_word(setting.as_str()), Some(setting));
            assert_eq!(AddedBy::from_i32(setting as i32), Some(setting));
        }
    }

    #[test]
    fn nobody_reaches_an_account_that_is_gone() {
        let gone = Person {
            active: false,
            ..person(2)
        };
        for contact in Contact::ALL {
            let refusal = code(person(1), gone, Pair::default(), contact);
            assert_eq!(refusal, Some(ErrorCode::UserNotFound));
        }
    }

    #[test]
    fn guests_are_written_to_and_open_nothing() {
        let guest = Person {
            is_guest: true,
            ..person(2)
        };
        let no = Some(ErrorCode::GuestNotAllowed);
        let to = |contact| code(person(1), guest, Pair::default(), contact);
        assert_eq!(to(Contact::Chat), None);
        assert_eq!((to(Contact::Request), to(Contact::GroupAdd)), (no, no));
        let from = |contact| code(guest, person(1), Pair::default(), contact);
        for contact in [Contact::Chat, Contact::Request, Contact::GroupAdd] {
            assert_eq!(from(contact), no);
        }
    }
}
