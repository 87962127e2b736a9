//! Signals: what im-task asks gateways to tell users, and the frame each becomes.
//!
//! A signal's payload is the JSON of the frame's `data`, so a gateway forwards it without building it again. The one
//! exception in naming is [`Signal::GroupMemberChanged`], which stands for several frames: its payload carries a
//! `change` beside the frame's fields.

use serde::{Deserialize, Serialize};

/// Type of a signal; the names are those of `PushToUsers.signal_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Signal {
    /// A friend came online or went offline.
    FriendStatusChanged,
    /// Somebody read up to a message.
    MessageReceiptUpdated,
    /// Members joined, left, were removed, or changed role.
    GroupMemberChanged,
    /// A conversation was created or its facts changed.
    ConversationUpdated,
    /// Somebody wants to be friends.
    FriendRequestReceived,
    /// Two users are friends now.
    FriendAdded,
    /// Two users are no longer friends, or a user blocked another one.
    FriendRemoved,
    /// A member of a group invites the user to it.
    GroupInvitation,
    /// A user changed what the user keeps about a conversation alone.
    ConversationState,
    /// A stranger asks to join a group.
    JoinRequested,
    /// A request to join a group was answered.
    JoinAnswered,
    /// A message was recalled.
    MessageRecalled,
    /// Somebody types.
    Typing,
    /// A session was pushed out by a newer one on another gateway.
    SessionReplaced,
}

impl Signal {
    /// All signals.
    pub const ALL: [Signal; 14] = [
        Self::FriendStatusChanged,
        Self::MessageReceiptUpdated,
        Self::GroupMemberChanged,
        Self::ConversationUpdated,
        Self::FriendRequestReceived,
        Self::FriendAdded,
        Self::FriendRemoved,
        Self::GroupInvitation,
        Self::ConversationState,
        Self::JoinRequested,
        Self::JoinAnswered,
        Self::MessageRecalled,
        Self::Typing,
        Self::SessionReplaced,
    ];

    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::FriendStatusChanged => "friend.status.changed",
            Self::MessageReceiptUpdated => "message.receipt.updated",
            Self::GroupMemberChanged => "group.member.changed",
            Self::ConversationUpdated => "conversation.updated",
            Self::FriendRequestReceived => "friend.request.received",
            Self::FriendAdded => "friend.added",
            Self::FriendRemoved => "friend.removed",
            Self::GroupInvitation => "group.invitation",
            Self::ConversationState => "conversation.state",
            Self::JoinRequested => "group.join.requested",
            Self::JoinAnswered => "group.join.answered",
            Self::MessageRecalled => "message.recalled",
            Self::Typing => "typing",
            Self::SessionReplaced => "session.replaced",
        }
    }

    /// Finds a signal by name. Older senders reuse event names; those are accepted too.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "user.online" | "user.offline" => Some(Self::FriendStatusChanged),
            "message.read" => Some(Self::MessageReceiptUpdated),
            "conversation.member.added" => Some(Self::GroupMemberChanged),
            _ => Self::ALL.into_iter().find(|signal| signal.name() == name),
        }
    }

    /// The frame a payload with this `change` becomes; `None` for signals that act on the connection itself.
    pub const fn frame(self, change: Option<Change>) -> Option<&'static str> {
        Some(match self {
            Self::FriendStatusChanged => "online-status",
            Self::MessageReceiptUpdated => "message-read",
            Self::GroupMemberChanged => match change {
                Some(Change::Joined) => "member-added",
                Some(Change::Left | Change::Removed) => "member-removed",
                Some(Change::Role) | None => "conversation-updated",
            },
            Self::ConversationUpdated => "conversation-updated",
            Self::FriendRequestReceived => "friend-request",
            Self::FriendAdded => "friend-added",
            Self::FriendRemoved => "friend-removed",
            Self::GroupInvitation => "group-invitation",
            Self::ConversationState => "conversation-state",
            Self::JoinRequested => "join-request",
            Self::JoinAnswered => "join-request-answered",
            Self::MessageRecalled => "message-recalled",
            Self::Typing => "typing-indicator",
            Self::SessionReplaced => return None,
        })
    }
}

/// What happened to members, the `change` of a [`Signal::GroupMemberChanged`] payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// New members.
    Joined,
    /// A member left.
    Left,
    /// A member was removed by somebody else.
    Removed,
    /// A role changed.
    Role,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_signal_is_found_by_its_name() {
        for signal in Signal::ALL {
            assert_eq!(Signal::from_name(signal.name()), Some(signal));
        }
        assert_eq!(Signal::from_name("nonsense"), None);
    }

    #[test]
    fn a_member_change_decides_the_frame() {
        let frame = |change| Signal::GroupMemberChanged.frame(change);
        assert_eq!(frame(Some(Change::Joined)), Some("member-added"));
        assert_eq!(frame(Some(Change::Removed)), Some("member-removed"));
        assert_eq!(frame(Some(Change::Role)), Some("conversation-updated"));
    }
}
