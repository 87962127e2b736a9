//! Rules about conversations as such: their settings, names, changes of both, deletion,
//! and who may open a single chat with whom. Members and roles live in
//! [`membership`](crate::membership).

mod announcement;
mod edit;
mod info;
mod settings;

pub use announcement::{
    ANNOUNCEMENT_MAX_CHARS, Announcement, check_announcement, may_list_announcement_readers,
};
pub use edit::{Revision, Seen, decide_edit};
pub use info::{Info, InfoPatch, InfoUpdate, check_description, check_name, decide_update};
pub use settings::{
    GROUP_MEMBERS_DEFAULT, GROUP_MEMBERS_MAX, GroupSettings, SLOW_MODE_MAX_S, Settings,
    SingleSettings, WorldSettings,
};

use crate::error::{Error, ErrorCode, Result};
use crate::friendship::{Pair, Person};
use crate::ids::{ConversationId, ConversationKind};
use crate::membership::Role;
use crate::reach::{Contact, may_reach};

/// What "delete this conversation" means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    /// The group ends for everybody.
    Dissolve,
    /// The single chat leaves the caller's list until the next message.
    Hide,
}

/// Decides a request to delete. `role` is the caller's role, `None` for a stranger.
///
/// A group is dissolved by its owner, a single chat is hidden, the world chat stays.
pub fn decide_delete(kind: ConversationKind, role: Option<Role>) -> Result<Deletion> {
    match (kind, role) {
        (ConversationKind::World, _) => Err(Error::new(
            ErrorCode::Forbidden,
            "The world chat can't be deleted.",
        )),
        (_, None) => Err(ErrorCode::NotConversationMember.into()),
        (ConversationKind::Single, Some(_)) => Ok(Deletion::Hide),
        (ConversationKind::Group, Some(Role::Owner)) => Ok(Deletion::Dissolve),
        (ConversationKind::Group, Some(_)) => Err(Error::new(
            ErrorCode::InsufficientPermission,
            "Only the owner dissolves a group.",
        )),
    }
}

/// Decides a request to open a single chat. `pair` is seen by the creator.
///
/// Guests open none; friendship isn't needed, so a registered user may write to a guest;
/// a blocked pair may not. The answer is the one id this pair can have, so opening twice
/// gives the same conversation.
///
/// # Errors
/// `INVALID_PARAMS` for a chat with oneself, and the refusals of [`may_reach`].
pub fn decide_single_chat(creator: Person, peer: Person, pair: Pair) -> Result<ConversationId> {
    if creator.is_guest {
        return Err(ErrorCode::GuestNotAllowed.into());
    }
    let Some(id) = ConversationId::single(creator.id, peer.id) else {
        return Err(Error::new(
            ErrorCode::InvalidParams,
            "A single chat needs somebody else.",
        ));
    };
    may_reach(creator, peer, pair, Contact::Chat)?;
    Ok(id)
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

    #[test]
    fn only_the_owner_dissolves_a_group() {
        use ConversationKind::Group;
        assert_eq!(
            decide_delete(Group, Some(Role::Owner)),
            Ok(Deletion::Dissolve)
        );
        for role in [Role::Admin, Role::Member] {
            let refusal = decide_delete(Group, Some(role)).unwrap_err();
            assert_eq!(refusal.code, ErrorCode::InsufficientPermission);
        }
        assert_eq!(
            decide_delete(Group, None).unwrap_err().code,
            ErrorCode::NotConversationMember
        );
    }

    #[test]
    fn a_single_chat_is_hidden_and_the_world_stays() {
        let single = decide_delete(ConversationKind::Single, Some(Role::Member));
        assert_eq!(single, Ok(Deletion::Hide));
        let world = decide_delete(ConversationKind::World, Some(Role::Member)).unwrap_err();
        assert_eq!(world.code, ErrorCode::Forbidden);
    }

    #[test]
    fn both_sides_open_the_same_single_chat() {
        let one = decide_single_chat(person(1), person(2), Pair::default());
        let other = decide_single_chat(person(2), person(1), Pair::default());
        assert_eq!(one, other);
        assert!(one.is_ok());
    }

    #[test]
    fn single_chats_are_refused_to_guests_with_oneself_with_nobody_and_when_blocked() {
        let code = |creator, peer, pair| decide_single_chat(creator, peer, pair).unwrap_err().code;
        let guest = Person {
            is_guest: true,
            ..person(1)
        };
        let gone = Person {
            active: false,
            ..person(2)
        };
        let row = Row {
            id: RequestId::new(9).unwrap(),
            requester: person(2).id,
            target: person(1).id,
            status: Status::Blocked,
            mirrored: false,
            changed_at: 0,
        };
        let blocked = Pair {
            outgoing: None,
            incoming: Some(row),
        };
        let none = Pair::default();
        assert_eq!(code(guest, person(2), none), ErrorCode::GuestNotAllowed);
        assert_eq!(code(person(1), person(1), none), ErrorCode::InvalidParams);
        assert_eq!(code(person(1), gone, none), ErrorCode::UserNotFound);
        assert_eq!(code(person(1), person(2), blocked), ErrorCode::Forbidden);
    }
}
