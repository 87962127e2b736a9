//! The descriptor set holds what the contract promises, in the style the contract asks for.
// Tests may panic: that is how they report.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use prost::Message as _;
use prost_types::{DescriptorProto, EnumDescriptorProto, FileDescriptorProto, FileDescriptorSet};

/// Every service of the contract with its RPCs.
const CONTRACT: &[(&str, &str)] = &[
    ("im.gateway.v1.PusherService", "PushToUsers"),
    (
        "im.logic.v1.AuthService",
        "Login Register RefreshToken Logout ValidateToken GuestLogin ListSessions EndSessions \
         ChangePassword DeleteAccount UpgradeGuest GetChallenge",
    ),
    ("im.logic.v1.KeyService", "GetPublicKeys"),
    (
        "im.logic.v1.AdminService",
        "ShowUser DisableUser EnableUser SignOutUser DeleteUser ResetPassword RotateKeys RevokeKey ListKeys ListAudit",
    ),
    (
        "im.logic.v1.ConversationService",
        "CreateConversation GetConversation GetConversations GetConversationsOptimized \
         UpdateConversation DeleteConversation AddMembers RemoveMembers UpdateMemberRole \
         GetMembers LeaveConversation GetMessages MarkAsRead GetUnreadCount JoinWorldChat \
         SearchConversations MuteMember",
    ),
    ("im.logic.v1.MessageService", "SendMessage DeleteMessage"),
    (
        "im.logic.v1.FriendService",
        "SendFriendRequest HandleFriendRequest GetFriends GetFriendsWithSync GetFriendRequests \
         SearchUsers UpdateProfile GetProfile",
    ),
    (
        "im.logic.v1.GroupService",
        "CreateGroup GetGroup JoinGroup LeaveGroup GetGroupMembers UpdateGroup SetMemberRole \
         RemoveMember AddGroupMember",
    ),
    (
        "im.repo.v1.UserService",
        "CreateUser GetUser GetUsers UpdateUser VerifyPassword GetUserByUsername \
         SearchUsersByUsername DeleteExpiredGuests SetPassword DeleteUser UpgradeGuest",
    ),
    (
        "im.repo.v1.ConversationService",
        "GetUserConversationsWithDetails CreateConversation GetConversation UpdateConversation \
         DeleteConversation GetUserConversations BatchGetConversations UpdateReadPointer \
         GetReadPointer GetUnreadCount BatchGetUnreadCounts AddConversationMember \
         RemoveConversationMember UpdateMemberRole GetConversationMembers GetMember \
         LoadConversationFacts HideConversation TransferOwnership SearchConversations MuteMember",
    ),
    (
        "im.repo.v1.MessageService",
        "SaveMessage BatchSaveMessages GetMessage GetConversationMessages \
         CheckMessageIdempotency GetLatestMessages DeleteMessage GenerateSeqID ListMessageAuthors",
    ),
    (
        "im.repo.v1.OnlineStatusService",
        "SetUserOnline SetUserOffline GetUserOnlineStatus GetUsersOnlineStatus UpdateHeartbeat \
         CleanupExpiredStatus ListOnlineGateways SetUsersOnline SetUsersOffline UpdateHeartbeats",
    ),
    (
        "im.repo.v1.FriendService",
        "GetUserFriends CreateFriendRequest CheckExistingFriendRequest UpdateFriendRequest \
         GetUserFriendRequests GetUserFriendsWithSync",
    ),
    (
        "im.repo.v1.GroupService",
        "CreateGroup GetGroup UpdateGroup AddGroupMember RemoveGroupMember GetGroupMembers \
         GetMembersOnlineStatus UpdateMemberRole",
    ),
    ("im.repo.v1.SequenceService", "GetNextSeq GetCurrentSeq"),
    ("im.repo.v1.IdempotencyService", "CheckOrSet MarkDone"),
    ("im.repo.v1.RateLimitService", "Allow"),
    (
        "im.repo.v1.KeyService",
        "ListSigningKeys AddSigningKey RetireSigningKey",
    ),
    (
        "im.repo.v1.AuditService",
        "AppendAudit ListAudit PurgeAudit",
    ),
    (
        "im.repo.v1.SessionService",
        "CreateSession RefreshSession GetSession ListSessions EndSessions ListEndedSessions",
    ),
];

/// Every payload of the Kafka contract.
const PAYLOADS: &str = "UpstreamMessage PersistenceMessage DownstreamMessage FanoutTask UserInfo \
    ConversationInfo TaskMessage SystemSignalMessage UserEvent MessageEvent ConversationEvent \
    NotificationEvent FriendEvent TokenEvent";

#[test]
fn every_service_and_rpc_of_the_contract_exists() {
    let found: BTreeMap<String, BTreeSet<String>> = files()
        .iter()
        .flat_map(|file| file.service.iter().map(move |service| (file, service)))
        .map(|(file, service)| {
            let methods = service.method.iter().map(|method| method.name().to_owned());
            (
                format!("{}.{}", file.package(), service.name()),
                methods.collect(),
            )
        })
        .collect();
    for (service, methods) in CONTRACT {
        let found = found
            .get(*service)
            .unwrap_or_else(|| panic!("{service} is missing"));
        for method in methods.split_whitespace() {
            assert!(found.contains(method), "{service}/{method} is missing");
        }
    }
}

#[test]
fn every_kafka_payload_of_the_contract_exists() {
    let files = files();
    let found: BTreeSet<&str> = files
        .iter()
        .filter(|file| file.package() == "gochat.mq.v1")
        .flat_map(|file| file.message_type.iter().map(DescriptorProto::name))
        .collect();
    for payload in PAYLOADS.split_whitespace() {
        assert!(found.contains(payload), "{payload} is missing");
    }
}

#[test]
fn every_rpc_has_a_request_and_a_response_of_its_own() {
    let mut used = BTreeSet::new();
    for file in files() {
        for service in &file.service {
            for method in &service.method {
                for (ty, suffix) in [
                    (method.input_type(), "Request"),
                    (method.output_type(), "Response"),
                ] {
                    let short = format!(".{}.{}{suffix}", file.package(), method.name());
                    let long = format!(
                        ".{}.{}{}{suffix}",
                        file.package(),
                        service.name(),
                        method.name()
                    );
                    assert!(
                        ty == short || ty == long,
                        "{ty} should be {short} or {long}"
                    );
                    assert!(used.insert(ty.to_owned()), "{ty} serves two RPCs");
                }
            }
        }
    }
}

#[test]
fn enum_values_carry_the_name_of_their_enum() {
    for file in files() {
        for enumeration in &file.enum_type {
            let prefix = format!("{}_", screaming_snake(enumeration.name()));
            for value in &enumeration.value {
                assert!(
                    value.name().starts_with(&prefix),
                    "{} lacks {prefix}",
                    value.name()
                );
            }
        }
    }
}

#[test]
fn every_message_field_value_service_and_rpc_has_a_comment() {
    for file in files() {
        let commented: BTreeSet<Vec<i32>> = file
            .source_code_info
            .iter()
            .flat_map(|info| &info.location)
            .filter(|location| {
                !location.leading_comments().is_empty() || !location.trailing_comments().is_empty()
            })
            .map(|location| location.path.clone())
            .collect();
        for (path, name) in documented_items(&file) {
            assert!(
                commented.contains(&path),
                "{}: {name} has no comment",
                file.name()
            );
        }
    }
}

/// Source paths (see `SourceCodeInfo` in descriptor.proto) and names of what needs a comment.
fn documented_items(file: &FileDescriptorProto) -> Vec<(Vec<i32>, String)> {
    let mut items = Vec::new();
    for (m, message) in (0..).zip(&file.message_type) {
        items.push((vec![4, m], message.name().to_owned()));
        let names = message
            .field
            .iter()
            .map(|field| (message.name(), field.name()));
        items.extend(
            (0..)
                .zip(names)
                .map(|(f, (of, name))| (vec![4, m, 2, f], format!("{of}.{name}"))),
        );
    }
    for (e, enumeration) in (0..).zip(&file.enum_type) {
        items.push((
            vec![5, e],
            EnumDescriptorProto::name(enumeration).to_owned(),
        ));
        let names = enumeration
            .value
            .iter()
            .map(|value| value.name().to_owned());
        items.extend((0..).zip(names).map(|(v, name)| (vec![5, e, 2, v], name)));
    }
    for (s, service) in (0..).zip(&file.service) {
        items.push((vec![6, s], service.name().to_owned()));
        let names = service.method.iter().map(|method| method.name().to_owned());
        items.extend((0..).zip(names).map(|(m, name)| (vec![6, s, 2, m], name)));
    }
    items
}

fn files() -> Vec<FileDescriptorProto> {
    FileDescriptorSet::decode(gochat_proto::FILE_DESCRIPTOR_SET)
        .unwrap()
        .file
}

fn screaming_snake(name: &str) -> String {
    let mut out = String::new();
    for (position, letter) in name.char_indices() {
        if position > 0 && letter.is_uppercase() {
            out.push('_');
        }
        out.extend(letter.to_uppercase());
    }
    out
}
