//! A request per RPC, with everything right but perhaps the caller.
// One macro makes all of them; some messages have no other fields to default.
#![allow(clippy::needless_update)]

use gochat_proto::common::v1::{
    ConversationMemberRole, ConversationType, MessageType, OwnStateChange,
};
use gochat_proto::im::logic::v1 as pb;
use prost::Message;

use crate::kit::fresh_name;

/// What a request may name.
pub struct Names<'a> {
    pub caller: &'a str,
    pub group: &'a str,
    pub message: &'a str,
    /// An ordinary member of the group.
    pub target: &'a str,
    /// Somebody nobody knows.
    pub fresh: &'a str,
    /// A friend request to the member.
    pub request: &'a str,
    /// The code of an invitation link of the owner.
    pub link: &'a str,
    /// A stranger whose request to join is open.
    pub asker: &'a str,
}

/// The encoded request of `Service/Method`.
pub fn encode(method: &str, n: &Names<'_>) -> Vec<u8> {
    let (service, name) = method.split_once('/').expect("Service/Method");
    match service {
        "ConversationService" => conversation(name, n),
        "MessageService" => message(name, n),
        "FriendService" => friend(name, n),
        "GroupService" => group(name, n),
        _ => panic!("no requests for {method}"),
    }
}

macro_rules! request {
    ($name:ident { $($field:ident: $value:expr),* $(,)? }) => {
        pb::$name { $($field: $value.into(),)* ..Default::default() }.encode_to_vec()
    };
}

fn conversation(name: &str, n: &Names<'_>) -> Vec<u8> {
    let targets = vec![n.target.to_owned()];
    let admin = ConversationMemberRole::Admin;
    match name {
        "CreateConversation" => request!(CreateConversationRequest {
            creator_id: n.caller,
            r#type: ConversationType::Group,
            name: "new",
            member_ids: targets
        }),
        "GetConversation" => request!(GetConversationRequest {
            user_id: n.caller,
            conversation_id: n.group
        }),
        "GetConversations" => request!(GetConversationsRequest { user_id: n.caller }),
        "GetConversationsOptimized" => {
            request!(GetConversationsOptimizedRequest { user_id: n.caller })
        }
        "UpdateConversation" => request!(UpdateConversationRequest {
            user_id: n.caller,
            conversation_id: n.group,
            name: fresh_name()
        }),
        "DeleteConversation" => request!(DeleteConversationRequest {
            user_id: n.caller,
            conversation_id: n.group
        }),
        "AddMembers" => request!(AddMembersRequest {
            operator_id: n.caller,
            conversation_id: n.group,
            user_ids: vec![n.fresh.to_owned()]
        }),
        "RemoveMembers" => request!(RemoveMembersRequest {
            operator_id: n.caller,
            conversation_id: n.group,
            user_ids: targets
        }),
        "UpdateMemberRole" => request!(UpdateMemberRoleRequest {
            operator_id: n.caller,
            conversation_id: n.group,
            target_user_id: n.target,
            new_role: admin
        }),
        "GetMembers" => request!(GetMembersRequest {
            user_id: n.caller,
            conversation_id: n.group
        }),
        "LeaveConversation" => request!(LeaveConversationRequest {
            user_id: n.caller,
            conversation_id: n.group
        }),
        "GetMessages" => request!(GetMessagesRequest {
            user_id: n.caller,
            conversation_id: n.group
        }),
        "ListChanges" => request!(ListChangesRequest {
            user_id: n.caller,
            conversation_id: n.group
        }),
        "MarkAsRead" => request!(MarkAsReadRequest {
            user_id: n.caller,
            conversation_id: n.group,
            seq_id: 1
        }),
        "UpdateOwnState" => request!(UpdateOwnStateRequest {
            user_id: n.caller,
            conversation_id: n.group,
            change: OwnStateChange {
                pinned: Some(false),
                ..Default::default()
            }
        }),
        "HideMessage" => request!(HideMessageRequest {
            user_id: n.caller,
            conversation_id: n.group,
            message_id: n.message
        }),
        "ClearHistory" => request!(ClearHistoryRequest {
            user_id: n.caller,
            conversation_id: n.group
        }),
        "ListHidden" => request!(ListHiddenRequest {
            user_id: n.caller,
            conversation_id: n.group
        }),
        "ReadAnnouncement" => request!(ReadAnnouncementRequest {
            user_id: n.caller,
            conversation_id: n.group,
            version: 1
        }),
        "ListAnnouncementReaders" => request!(ListAnnouncementReadersRequest {
            user_id: n.caller,
            conversation_id: n.group
        }),
        "GetReadBy" => request!(GetReadByRequest {
            user_id: n.caller,
            conversation_id: n.group,
            seq_id: 1
        }),
        "GetUnreadCount" => request!(GetUnreadCountRequest {
            user_id: n.caller,
            conversation_id: n.group
        }),
        "JoinWorldChat" => request!(JoinWorldChatRequest { user_id: n.caller }),
        "SearchConversations" => request!(SearchConversationsRequest {
            user_id: n.caller,
            query: "m"
        }),
        "GetInvitations" => request!(GetInvitationsRequest { user_id: n.caller }),
        "AnswerInvitation" => request!(AnswerInvitationRequest {
            user_id: n.caller,
            invitation_id: "1234567890",
            action: 1
        }),
        "CreateInvitationLink" => request!(CreateInvitationLinkRequest {
            user_id: n.caller,
            conversation_id: n.group
        }),
        "ListInvitationLinks" => request!(ListInvitationLinksRequest {
            user_id: n.caller,
            conversation_id: n.group
        }),
        "RevokeInvitationLink" => request!(RevokeInvitationLinkRequest {
            user_id: n.caller,
            conversation_id: n.group,
            code: n.link
        }),
        "UseInvitationLink" => request!(UseInvitationLinkRequest {
            user_id: n.caller,
            code: n.link
        }),
        "AskToJoin" => request!(AskToJoinRequest {
            user_id: n.caller,
            conversation_id: n.group
        }),
        "GetJoinRequest" => request!(GetJoinRequestRequest {
            user_id: n.caller,
            conversation_id: n.group,
            asker_id: n.asker
        }),
        "ListJoinRequests" => request!(ListJoinRequestsRequest {
            user_id: n.caller,
            conversation_id: n.group
        }),
        "AnswerJoinRequest" => request!(AnswerJoinRequestRequest {
            operator_id: n.caller,
            conversation_id: n.group,
            asker_id: n.asker,
            action: 1
        }),
        "MuteMember" => request!(MuteMemberRequest {
            operator_id: n.caller,
            conversation_id: n.group,
            target_user_id: n.target,
            muted: true
        }),
        _ => panic!("no request for ConversationService/{name}"),
    }
}

fn message(name: &str, n: &Names<'_>) -> Vec<u8> {
    match name {
        "SendMessage" => request!(SendMessageRequest {
            user_id: n.caller,
            conversation_id: n.group,
            content: "hi",
            r#type: MessageType::Text,
            client_msg_id: fresh_name()
        }),
        "EditMessage" => request!(EditMessageRequest {
            message_id: n.message,
            operator_id: n.caller,
            conversation_id: n.group,
            content: "x"
        }),
        "DeleteMessage" => request!(DeleteMessageRequest {
            message_id: n.message,
            operator_id: n.caller,
            conversation_id: n.group
        }),
        "React" => request!(ReactRequest {
            message_id: n.message,
            operator_id: n.caller,
            conversation_id: n.group,
            emoji: "👍"
        }),
        "PinMessage" => request!(PinMessageRequest {
            message_id: n.message,
            operator_id: n.caller,
            conversation_id: n.group
        }),
        "ListReactions" => request!(ListReactionsRequest {
            message_id: n.message,
            user_id: n.caller,
            conversation_id: n.group
        }),
        "ListFormerTexts" => request!(ListFormerTextsRequest {
            message_id: n.message,
            user_id: n.caller,
            conversation_id: n.group
        }),
        "ListPins" => request!(ListPinsRequest {
            user_id: n.caller,
            conversation_id: n.group
        }),
        "ReadForwardSource" => request!(ReadForwardSourceRequest {
            user_id: n.caller,
            source: Some(pb::ForwardSource {
                conversation_id: n.group.to_owned(),
                message_id: n.message.to_owned(),
            })
        }),
        _ => panic!("no request for MessageService/{name}"),
    }
}

fn friend(name: &str, n: &Names<'_>) -> Vec<u8> {
    match name {
        "SendFriendRequest" => request!(SendFriendRequestRequest {
            requester_id: n.caller,
            target_id: n.fresh
        }),
        "HandleFriendRequest" => request!(HandleFriendRequestRequest {
            request_id: n.request,
            handler_id: n.caller,
            action: 2
        }),
        "GetFriends" => request!(GetFriendsRequest { user_id: n.caller }),
        "GetFriendsWithSync" => request!(GetFriendsWithSyncRequest { user_id: n.caller }),
        "GetFriendRequests" => request!(GetFriendRequestsRequest {
            user_id: n.caller,
            r#type: 1
        }),
        "SearchUsers" => request!(SearchUsersRequest {
            user_id: n.caller,
            query: "someone"
        }),
        "BlockUser" => request!(BlockUserRequest {
            user_id: n.caller,
            target_id: n.fresh,
            blocked: true
        }),
        "GetBlockedUsers" => request!(GetBlockedUsersRequest { user_id: n.caller }),
        "RemoveFriend" => request!(RemoveFriendRequest {
            user_id: n.caller,
            friend_id: n.fresh
        }),
        "UpdateProfile" => request!(UpdateProfileRequest {
            user_id: n.caller,
            avatar_url: "https://example.org/a.png"
        }),
        "GetProfile" => request!(GetProfileRequest { user_id: n.caller }),
        _ => panic!("no request for FriendService/{name}"),
    }
}

fn group(name: &str, n: &Names<'_>) -> Vec<u8> {
    let admin = ConversationMemberRole::Admin;
    match name {
        "CreateGroup" => request!(CreateGroupRequest {
            creator_id: n.caller,
            name: "new",
            member_ids: vec![n.target.to_owned()]
        }),
        "GetGroup" => request!(GetGroupRequest {
            user_id: n.caller,
            group_id: n.group
        }),
        "JoinGroup" => request!(JoinGroupRequest {
            user_id: n.caller,
            group_id: n.group
        }),
        "LeaveGroup" => request!(LeaveGroupRequest {
            user_id: n.caller,
            group_id: n.group
        }),
        "GetGroupMembers" => request!(GetGroupMembersRequest {
            user_id: n.caller,
            group_id: n.group
        }),
        "UpdateGroup" => request!(UpdateGroupRequest {
            user_id: n.caller,
            group_id: n.group,
            name: fresh_name()
        }),
        "SetMemberRole" => request!(SetMemberRoleRequest {
            operator_id: n.caller,
            group_id: n.group,
            target_user_id: n.target,
            new_role: admin
        }),
        "RemoveMember" => request!(RemoveMemberRequest {
            operator_id: n.caller,
            group_id: n.group,
            target_user_id: n.target
        }),
        "AddGroupMember" => request!(AddGroupMemberRequest {
            operator_id: n.caller,
            group_id: n.group,
            user_ids: vec![n.fresh.to_owned()]
        }),
        _ => panic!("no request for GroupService/{name}"),
    }
}
