//! What every RPC of im-logic answers to whom.
//!
//! RPCs carry no token: whoever calls them is trusted to name the user, and the user is judged.

/// Columns: a missing user id, one that is no id, then the actors of `cast::ACTORS`.
pub const CALLERS: [&str; 8] = [
    "nobody", "no id", "guest", "stranger", "member", "muted", "admin", "owner",
];

const OK: &str = "OK";
const PARAM: &str = "INVALID_PARAMS";
const GUEST: &str = "GUEST_NOT_ALLOWED";
const OUT: &str = "NOT_CONVERSATION_MEMBER";
const LOW: &str = "INSUFFICIENT_PERMISSION";
const AUTHOR: &str = "NOT_THE_AUTHOR";
const MUTED: &str = "MEMBER_MUTED";
const STAYS: &str = "CANNOT_LEAVE_CONVERSATION";
const THERE: &str = "USER_ALREADY_IN_CONVERSATION";
const NO_INVITE: &str = "INVITATION_NOT_FOUND";
const NO_FRIEND: &str = "NOT_FRIENDS";
const NO_REQUEST: &str = "FRIEND_REQUEST_NOT_FOUND";

/// Service and method, cells in the order of [`CALLERS`].
#[rustfmt::skip]
pub const RPCS: &[(&str, [&str; 8])] = &[
    //                                                nobody no id   guest  stranger     member      muted       admin       owner
    ("ConversationService/CreateConversation",        [PARAM, PARAM, GUEST, OK,          OK,         OK,         OK,         OK]),
    ("ConversationService/GetConversation",           [PARAM, PARAM, OUT,   OUT,         OK,         OK,         OK,         OK]),
    ("ConversationService/GetConversations",          [PARAM, PARAM, OK,    OK,          OK,         OK,         OK,         OK]),
    ("ConversationService/GetConversationsOptimized", [PARAM, PARAM, OK,    OK,          OK,         OK,         OK,         OK]),
    ("ConversationService/UpdateConversation",        [PARAM, PARAM, OUT,   OUT,         LOW,        LOW,        OK,         OK]),
    ("ConversationService/DeleteConversation",        [PARAM, PARAM, OUT,   OUT,         LOW,        LOW,        LOW,        OK]),
    ("ConversationService/AddMembers",                [PARAM, PARAM, OUT,   OUT,         OK,         OK,         OK,         OK]),
    ("ConversationService/RemoveMembers",             [PARAM, PARAM, OUT,   OUT,         LOW,        LOW,        OK,         OK]),
    ("ConversationService/UpdateMemberRole",          [PARAM, PARAM, OUT,   OUT,         LOW,        LOW,        LOW,        OK]),
    ("ConversationService/GetMembers",                [PARAM, PARAM, OUT,   OUT,         OK,         OK,         OK,         OK]),
    ("ConversationService/LeaveConversation",         [PARAM, PARAM, OUT,   OUT,         OK,         OK,         OK,         STAYS]),
    ("ConversationService/GetMessages",               [PARAM, PARAM, OUT,   OUT,         OK,         OK,         OK,         OK]),
    ("ConversationService/ListChanges",               [PARAM, PARAM, OUT,   OUT,         OK,         OK,         OK,         OK]),
    ("ConversationService/MarkAsRead",                [PARAM, PARAM, OUT,   OUT,         OK,         OK,         OK,         OK]),
    ("ConversationService/GetReadBy",                 [PARAM, PARAM, OUT,   OUT,         OK,         OK,         OK,         OK]),
    ("ConversationService/ReadAnnouncement",          [PARAM, PARAM, OUT,   OUT,         OK,         OK,         OK,         OK]),
    ("ConversationService/ListAnnouncementReaders",   [PARAM, PARAM, OUT,   OUT,         OK,         OK,         OK,         OK]),
    ("ConversationService/UpdateOwnState",            [PARAM, PARAM, OUT,   OUT,         OK,         OK,         OK,         OK]),
    ("ConversationService/HideMessage",               [PARAM, PARAM, OUT,   OUT,         OK,         OK,         OK,         OK]),
    ("ConversationService/ClearHistory",              [PARAM, PARAM, OUT,   OUT,         OK,         OK,         OK,         OK]),
    ("ConversationService/ListHidden",                [PARAM, PARAM, OUT,   OUT,         OK,         OK,         OK,         OK]),
    ("ConversationService/GetUnreadCount",            [PARAM, PARAM, OUT,   OUT,         OK,         OK,         OK,         OK]),
    ("ConversationService/JoinWorldChat",             [PARAM, PARAM, OK,    OK,          OK,         OK,         OK,         OK]),
    ("ConversationService/SearchConversations",       [PARAM, PARAM, OK,    OK,          OK,         OK,         OK,         OK]),
    ("ConversationService/MuteMember",                [PARAM, PARAM, OUT,   OUT,         LOW,        LOW,        OK,         OK]),
    ("ConversationService/GetInvitations",            [PARAM, PARAM, GUEST, OK,          OK,         OK,         OK,         OK]),
    ("ConversationService/AnswerInvitation",          [PARAM, PARAM, GUEST, NO_INVITE,   NO_INVITE,  NO_INVITE,  NO_INVITE,  NO_INVITE]),
    ("ConversationService/CreateInvitationLink",      [PARAM, PARAM, OUT,   OUT,         OK,         OK,         OK,         OK]),
    ("ConversationService/ListInvitationLinks",       [PARAM, PARAM, OUT,   OUT,         OK,         OK,         OK,         OK]),
    ("ConversationService/RevokeInvitationLink",      [PARAM, PARAM, OUT,   OUT,         LOW,        LOW,        OK,         OK]),
    ("ConversationService/UseInvitationLink",         [PARAM, PARAM, GUEST, OK,          OK,         OK,         OK,         OK]),
    ("ConversationService/AskToJoin",                 [PARAM, PARAM, GUEST, OK,          THERE,      THERE,      THERE,      THERE]),
    ("ConversationService/GetJoinRequest",            [PARAM, PARAM, OUT,   OUT,         LOW,        LOW,        OK,         OK]),
    ("ConversationService/ListJoinRequests",          [PARAM, PARAM, OUT,   OUT,         LOW,        LOW,        OK,         OK]),
    ("ConversationService/AnswerJoinRequest",         [PARAM, PARAM, OUT,   OUT,         LOW,        LOW,        OK,         OK]),
    ("MessageService/SendMessage",                    [PARAM, PARAM, OUT,   OUT,         OK,         MUTED,      OK,         OK]),
    ("MessageService/EditMessage",                    [PARAM, PARAM, OUT,   OUT,         AUTHOR,     MUTED,      AUTHOR,     OK]),
    ("MessageService/DeleteMessage",                  [PARAM, PARAM, OUT,   OUT,         LOW,        LOW,        OK,         OK]),
    ("MessageService/React",                          [PARAM, PARAM, OUT,   OUT,         OK,         MUTED,      OK,         OK]),
    ("MessageService/PinMessage",                     [PARAM, PARAM, OUT,   OUT,         LOW,        MUTED,      OK,         OK]),
    ("MessageService/ListReactions",                  [PARAM, PARAM, OUT,   OUT,         OK,         OK,         OK,         OK]),
    ("MessageService/ListPins",                       [PARAM, PARAM, OUT,   OUT,         OK,         OK,         OK,         OK]),
    ("MessageService/ListFormerTexts",                [PARAM, PARAM, OUT,   OUT,         LOW,        LOW,        OK,         OK]),
    ("MessageService/ReadForwardSource",              [PARAM, PARAM, OUT,   OUT,         OK,         OK,         OK,         OK]),
    ("FriendService/SendFriendRequest",               [PARAM, PARAM, GUEST, OK,          OK,         OK,         OK,         OK]),
    // The request went to the member.
    ("FriendService/HandleFriendRequest",             [PARAM, PARAM, GUEST, NO_REQUEST,  OK,         NO_REQUEST, NO_REQUEST, NO_REQUEST]),
    ("FriendService/GetFriends",                      [PARAM, PARAM, GUEST, OK,          OK,         OK,         OK,         OK]),
    ("FriendService/GetFriendsWithSync",              [PARAM, PARAM, GUEST, OK,          OK,         OK,         OK,         OK]),
    ("FriendService/GetFriendRequests",               [PARAM, PARAM, GUEST, OK,          OK,         OK,         OK,         OK]),
    ("FriendService/SearchUsers",                     [PARAM, PARAM, GUEST, OK,          OK,         OK,         OK,         OK]),
    ("FriendService/BlockUser",                       [PARAM, PARAM, GUEST, OK,          OK,         OK,         OK,         OK]),
    ("FriendService/GetBlockedUsers",                 [PARAM, PARAM, GUEST, OK,          OK,         OK,         OK,         OK]),
    ("FriendService/RemoveFriend",                    [PARAM, PARAM, GUEST, NO_FRIEND,   NO_FRIEND,  NO_FRIEND,  NO_FRIEND,  NO_FRIEND]),
    ("FriendService/UpdateProfile",                   [PARAM, PARAM, GUEST, OK,          OK,         OK,         OK,         OK]),
    ("FriendService/GetProfile",                      [PARAM, PARAM, OK,    OK,          OK,         OK,         OK,         OK]),
    ("GroupService/CreateGroup",                      [PARAM, PARAM, GUEST, OK,          OK,         OK,         OK,         OK]),
    // Strangers see a group's name before they join it; the answer says that they have no role.
    ("GroupService/GetGroup",                         [PARAM, PARAM, OK,    OK,          OK,         OK,         OK,         OK]),
    ("GroupService/JoinGroup",                        [PARAM, PARAM, GUEST, OK,          THERE,      THERE,      THERE,      THERE]),
    ("GroupService/LeaveGroup",                       [PARAM, PARAM, OUT,   OUT,         OK,         OK,         OK,         STAYS]),
    ("GroupService/GetGroupMembers",                  [PARAM, PARAM, OUT,   OUT,         OK,         OK,         OK,         OK]),
    ("GroupService/UpdateGroup",                      [PARAM, PARAM, OUT,   OUT,         LOW,        LOW,        OK,         OK]),
    ("GroupService/SetMemberRole",                    [PARAM, PARAM, OUT,   OUT,         LOW,        LOW,        LOW,        OK]),
    ("GroupService/RemoveMember",                     [PARAM, PARAM, OUT,   OUT,         LOW,        LOW,        OK,         OK]),
    ("GroupService/AddGroupMember",                   [PARAM, PARAM, OUT,   OUT,         OK,         OK,         OK,         OK]),
];
