//! The permission matrix.

use super::Role;
use crate::error::{ErrorCode, Result};

/// How somebody stands to a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Standing {
    /// A guest who is no member.
    Guest,
    /// A registered user who is no member.
    Outsider,
    /// A member, with a role.
    Member(Role),
}

impl Standing {
    /// All of them, in the order of the table's columns.
    pub const ALL: [Self; 5] = [
        Self::Guest,
        Self::Outsider,
        Self::Member(Role::Member),
        Self::Member(Role::Admin),
        Self::Member(Role::Owner),
    ];

    /// From what is stored. A guest never controls others, whatever role is stored.
    pub const fn new(role: Option<Role>, is_guest: bool) -> Self {
        match (role, is_guest) {
            (Some(_), true) => Self::Member(Role::Member),
            (Some(role), false) => Self::Member(role),
            (None, true) => Self::Guest,
            (None, false) => Self::Outsider,
        }
    }

    /// Returns true if a member sees when mutes of other members end: admins and the owner do.
    pub fn sees_mute_ends(self) -> bool {
        self.may(Action::MuteMember).is_ok()
    }

    /// The role, if a member.
    pub const fn role(self) -> Option<Role> {
        match self {
            Self::Member(role) => Some(role),
            _ => None,
        }
    }

    /// Looks the permission up.
    ///
    /// ```
    /// use gochat_core::membership::{Action, Role, Standing};
    /// assert!(Standing::Member(Role::Admin).may(Action::RemoveMember).is_ok());
    /// assert!(Standing::Member(Role::Admin).may(Action::RemoveAdmin).is_err());
    /// ```
    pub fn may(self, action: Action) -> Result<()> {
        let column = match self {
            Self::Guest => 0,
            Self::Outsider => 1,
            Self::Member(Role::Member) => 2,
            Self::Member(Role::Admin) => 3,
            Self::Member(Role::Owner) => 4,
        };
        MATRIX[action as usize].1[column].map_or(Ok(()), |code| Err(code.into()))
    }
}

macro_rules! matrix {
    ($($(#[$doc:meta])* $action:ident: $($verdict:ident)*;)*) => {
        /// What somebody wants to do in a conversation.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(usize)]
        pub enum Action {
            $($(#[$doc])* $action,)*
        }

        impl Action {
            /// All actions, in the order of the table's rows.
            pub const ALL: &'static [Action] = &[$(Action::$action,)*];
        }

        const MATRIX: [(Action, [Option<ErrorCode>; 5]); Action::ALL.len()] =
            [$((Action::$action, [$($verdict,)*]),)*];
    };
}

/// Allowed.
const YES: Option<ErrorCode> = None;
/// Not a member.
const OUT: Option<ErrorCode> = Some(ErrorCode::NotConversationMember);
/// Not for guests.
const REG: Option<ErrorCode> = Some(ErrorCode::GuestNotAllowed);
/// The role doesn't suffice.
const LOW: Option<ErrorCode> = Some(ErrorCode::InsufficientPermission);
/// Muted.
const MUT: Option<ErrorCode> = Some(ErrorCode::MemberMuted);
/// The owner stays.
const OWN: Option<ErrorCode> = Some(ErrorCode::CannotLeaveConversation);
/// A member already.
const MEM: Option<ErrorCode> = Some(ErrorCode::UserAlreadyInConversation);

matrix! {
    //                     guest outsider member admin owner
    /// Create a group (nobody is a member of it yet).
    CreateGroup:           REG   YES      YES    YES   YES;
    /// See info, members and history; move one's read pointer.
    Read:                  OUT   OUT      YES    YES   YES;
    /// Write.
    Send:                  OUT   OUT      YES    YES   YES;
    /// Write while everybody is muted.
    SendWhileAllMuted:     OUT   OUT      MUT    YES   YES;
    /// Write while muted oneself.
    SendWhileMuted:        OUT   OUT      MUT    MUT   YES;
    /// Add others to a group whose members may not invite.
    AddMembers:            OUT   OUT      LOW    YES   YES;
    /// Add others to a group whose members may invite.
    AddMembersWhenOpen:    OUT   OUT      YES    YES   YES;
    /// Join a group where joining needs approval.
    Join:                  REG   LOW      MEM    MEM   MEM;
    /// Join a group that is open.
    JoinWhenOpen:          REG   YES      MEM    MEM   MEM;
    /// Ask to join.
    AskToJoin:             REG   YES      MEM    MEM   MEM;
    /// Answer requests to join.
    AnswerJoin:            OUT   OUT      LOW    YES   YES;
    /// Leave.
    Leave:                 OUT   OUT      YES    YES   OWN;
    /// Remove an ordinary member.
    RemoveMember:          OUT   OUT      LOW    YES   YES;
    /// Remove an admin.
    RemoveAdmin:           OUT   OUT      LOW    LOW   YES;
    /// Remove the owner.
    RemoveOwner:           OUT   OUT      LOW    LOW   LOW;
    /// Mute an ordinary member or lift it.
    MuteMember:            OUT   OUT      LOW    YES   YES;
    /// Mute an admin or lift it.
    MuteAdmin:             OUT   OUT      LOW    LOW   YES;
    /// Mute the owner.
    MuteOwner:             OUT   OUT      LOW    LOW   LOW;
    /// Make somebody admin or ordinary member.
    ChangeRole:            OUT   OUT      LOW    LOW   YES;
    /// Hand the group over.
    TransferOwnership:     OUT   OUT      LOW    LOW   YES;
    /// Change name, avatar, description.
    UpdateInfo:            OUT   OUT      LOW    YES   YES;
    /// Change settings.
    UpdateSettings:        OUT   OUT      LOW    YES   YES;
    /// Read what messages said before they were edited.
    ReadFormerTexts:       OUT   OUT      LOW    YES   YES;
    /// Recall somebody else's message.
    RecallOthers:          OUT   OUT      LOW    YES   YES;
    /// End the group.
    Dissolve:              OUT   OUT      LOW    LOW   YES;
}

impl Action {
    /// Removing somebody who has this role.
    pub const fn remove(target: Role) -> Self {
        match target {
            Role::Member => Self::RemoveMember,
            Role::Admin => Self::RemoveAdmin,
            Role::Owner => Self::RemoveOwner,
        }
    }

    /// Muting somebody who has this role.
    pub const fn mute(target: Role) -> Self {
        match target {
            Role::Member => Self::MuteMember,
            Role::Admin => Self::MuteAdmin,
            Role::Owner => Self::MuteOwner,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(standing: Standing) -> Vec<Action> {
        Action::ALL
            .iter()
            .copied()
            .filter(|a| standing.may(*a).is_ok())
            .collect()
    }

    #[test]
    fn the_matrix_answers_every_question_and_its_rows_are_in_order() {
        for (row, (action, _)) in MATRIX.iter().enumerate() {
            assert_eq!(*action as usize, row);
            for standing in Standing::ALL {
                let _ = standing.may(*action);
            }
        }
    }

    #[test]
    fn a_higher_role_may_whatever_a_lower_one_may_except_leave() {
        let columns = Standing::ALL.windows(2).skip(2);
        for pair in columns {
            for action in allowed(pair[0]) {
                assert!(
                    pair[1].may(action).is_ok() || action == Action::Leave,
                    "{action:?}"
                );
            }
        }
    }

    #[test]
    fn strangers_may_only_create_ask_and_join_open_groups_and_guests_nothing() {
        assert_eq!(
            allowed(Standing::Outsider),
            [Action::CreateGroup, Action::JoinWhenOpen, Action::AskToJoin]
        );
        assert_eq!(allowed(Standing::Guest), []);
    }

    #[test]
    fn members_read_write_invite_when_open_and_leave() {
        use Action::{AddMembersWhenOpen, CreateGroup, Leave, Read, Send};
        let member = allowed(Standing::Member(Role::Member));
        assert_eq!(member, [CreateGroup, Read, Send, AddMembersWhenOpen, Leave]);
    }

    #[test]
    fn nobody_removes_or_mutes_the_owner() {
        for standing in Standing::ALL {
            assert!(standing.may(Action::RemoveOwner).is_err());
            assert!(standing.may(Action::MuteOwner).is_err());
        }
    }

    #[test]
    fn strangers_learn_nothing_but_that_they_are_no_members() {
        for action in Action::ALL {
            if let Err(refusal) = Standing::Outsider.may(*action) {
                let expected = if *action == Action::Join {
                    ErrorCode::InsufficientPermission
                } else {
                    ErrorCode::NotConversationMember
                };
                assert_eq!(refusal.code, expected);
            }
        }
    }
}
