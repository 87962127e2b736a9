//! Rules about conversations as such: their settings, names, changes of both, deletion,
//! and who may open a single chat with whom. Members and roles live in
//! [`membership`](crate::membership).

mod edit;
mod info;
mod settings;

pub use edit::{Revision, Seen, decide_edit};
pub use info::{Info, InfoPatch, InfoUpdate, check_description, check_name, decide_update};
pub use settings::{
    GROUP_MEMBERS_DEFAULT, GROUP_MEMBERS_MAX, GroupSettings, Settings, SingleSettings,
    WorldSettings,
};

use crate::error::{Error, ErrorCode, Result};
use crate::ids::{ConversationId, ConversationKind, UserId};
use crate::membership::Role;

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

/// The other side of a single chat that somebody wants to open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Who.
    pub id: UserId,
    /// Whether the account exists and is neither disabled nor deleted.
    pub active: bool,
    /// Whether one of the two blocked the other.
    pub blocked: bool,
}

/// Decides a request to open a single chat.
///
/// Guests open none; friendship isn't needed, so a registered user may write to a guest;
/// a blocked pair may not. The answer is the one id this pair can have, so opening twice
/// gives the same conversation.
pub fn decide_single_chat(creator: UserId, is_guest: bool, peer: Peer) -> Result<ConversationId> {
    if is_guest {
        return Err(ErrorCode::GuestNotAllowed.into());
    }
    let Some(id) = ConversationId::single(creator, peer.id) else {
        return Err(Error::new(
            ErrorCode::InvalidParams,
            "A single chat needs somebody else.",
        ));
    };
    if !peer.active {
        return Err(ErrorCode::UserNotFound.into());
    }
    if peer.blocked {
        return Err(Error::new(
            ErrorCode::Forbidden,
            "You can't write to this user.",
        ));
    }
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(n: u64) -> UserId {
        UserId::new(n).unwrap()
    }

    fn peer(n: u64) -> Peer {
        Peer {
            id: user(n),
            active: true,
            blocked: false,
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
        let one = decide_single_chat(user(1), false, peer(2));
        assert_eq!(one, decide_single_chat(user(2), false, peer(1)));
        assert!(one.is_ok());
    }

    #[test]
    fn single_chats_are_refused_to_guests_with_oneself_with_nobody_and_when_blocked() {
        let code = |guest, peer| decide_single_chat(user(1), guest, peer).unwrap_err().code;
        assert_eq!(code(true, peer(2)), ErrorCode::GuestNotAllowed);
        assert_eq!(code(false, peer(1)), ErrorCode::InvalidParams);
        assert_eq!(
            code(
                false,
                Peer {
                    active: false,
                    ..peer(2)
                }
            ),
            ErrorCode::UserNotFound
        );
        assert_eq!(
            code(
                false,
                Peer {
                    blocked: true,
                    ..peer(2)
                }
            ),
            ErrorCode::Forbidden
        );
    }
}
