//! Facts about groups that others react to.

use super::{Mute, Role};
use crate::ids::UserId;

/// Why a member is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Departure {
    /// Went on their own.
    Left,
    /// Was removed by somebody with the permission.
    Removed,
}

impl Departure {
    /// The word used in events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Removed => "removed",
        }
    }
}

/// Which stream an event belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventTopic {
    /// Facts about conversations for any consumer.
    Conversation,
    /// What drives pushes to clients.
    Notification,
}

/// Something that happened to a group. One value is one record on one topic, so a member
/// change is two: a fact on `conversation-events` and the trigger of the push on `notifications`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupEvent {
    /// `conversation.created`
    Created {
        /// First members, the owner included.
        members: Vec<UserId>,
    },
    /// `conversation.member.added`
    MembersAdded {
        /// Who came.
        added: Vec<UserId>,
        /// Who added them; themselves when they joined.
        by: UserId,
    },
    /// `conversation.member.removed`
    MemberRemoved {
        /// Who is gone.
        user: UserId,
        /// By whom; themselves when they left.
        by: UserId,
        /// Why.
        departure: Departure,
    },
    /// `conversation.member.role.updated`
    RoleUpdated {
        /// Whose role.
        user: UserId,
        /// Role before.
        old: Role,
        /// Role now.
        new: Role,
        /// By whom.
        by: UserId,
    },
    /// `conversation.member.mute.updated`
    Muted {
        /// The member who is muted, or may write again.
        user: UserId,
        /// Role of the member.
        role: Role,
        /// The mute from now on.
        mute: Mute,
        /// The operator.
        by: UserId,
    },
    /// `conversation.info.updated`
    InfoUpdated {
        /// Field, value before, value now.
        fields: Vec<(&'static str, String, String)>,
        /// By whom.
        by: UserId,
    },
    /// `group.member.joined`
    Joined {
        /// Who came.
        users: Vec<UserId>,
        /// Who added them.
        by: UserId,
    },
    /// `group.member.left` or `group.member.removed`
    Gone {
        /// Who is gone.
        user: UserId,
        /// By whom.
        by: UserId,
        /// Why.
        departure: Departure,
    },
    /// `conversation.invited`
    Invited {
        /// Who was added.
        user: UserId,
        /// By whom.
        by: UserId,
    },
}

impl GroupEvent {
    /// The contract's name of the event.
    pub const fn event_type(&self) -> &'static str {
        match self {
            Self::Created { .. } => "conversation.created",
            Self::MembersAdded { .. } => "conversation.member.added",
            Self::MemberRemoved { .. } => "conversation.member.removed",
            Self::RoleUpdated { .. } => "conversation.member.role.updated",
            Self::Muted { .. } => "conversation.member.mute.updated",
            Self::InfoUpdated { .. } => "conversation.info.updated",
            Self::Joined { .. } => "group.member.joined",
            Self::Gone {
                departure: Departure::Left,
                ..
            } => "group.member.left",
            Self::Gone {
                departure: Departure::Removed,
                ..
            } => "group.member.removed",
            Self::Invited { .. } => "conversation.invited",
        }
    }

    /// Where it is published.
    pub const fn topic(&self) -> EventTopic {
        match self {
            Self::Joined { .. } | Self::Gone { .. } | Self::Invited { .. } => {
                EventTopic::Notification
            }
            _ => EventTopic::Conversation,
        }
    }

    /// What is told when `users` came, added by `by` (themselves when they joined).
    pub fn joined(users: &[UserId], by: UserId) -> Vec<Self> {
        if users.is_empty() {
            return Vec::new();
        }
        let mut events = vec![
            Self::Joined {
                users: users.to_vec(),
                by,
            },
            Self::MembersAdded {
                added: users.to_vec(),
                by,
            },
        ];
        let invited = users.iter().filter(|user| **user != by);
        events.extend(invited.map(|user| Self::Invited { user: *user, by }));
        events
    }

    /// What is told when `user` is gone.
    pub fn gone(user: UserId, by: UserId, departure: Departure) -> [Self; 2] {
        [
            Self::Gone {
                user,
                by,
                departure,
            },
            Self::MemberRemoved {
                user,
                by,
                departure,
            },
        ]
    }
}
