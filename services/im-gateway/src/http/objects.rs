//! The JSON objects of the contract, made from the services' messages.

use gochat_core::error::ErrorCode;
use gochat_core::message::QuoteState;
use gochat_core::reach::AddedBy;
use gochat_proto::common::v1 as common;
use gochat_proto::im::logic::v1 as logic;
use gochat_proto::im::repo::v1::RepoMessage;
use gochat_proto::mq::v1 as mq;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// `Some` for text that is not empty.
fn text(value: String) -> Option<String> {
    (!value.is_empty()).then_some(value)
}

/// A user.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct User {
    /// Decimal text.
    id: String,
    username: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    avatar_url: Option<String>,
    is_guest: bool,
    /// 0 normal, 1 disabled.
    status: i32,
    /// Unix seconds.
    created_at: i64,
    /// Unix seconds.
    updated_at: i64,
    /// Number of edits of the profile so far: for `If-Match` and `version`.
    pub(crate) version: i64,
    /// Who adds you to groups without asking: `everybody`, `friends` or `nobody`; in your own
    /// profile only.
    #[serde(skip_serializing_if = "Option::is_none")]
    added_by: Option<&'static str>,
}

impl User {
    /// The profile as its owner sees it.
    pub(crate) fn own(u: common::User) -> Self {
        let setting = AddedBy::from_i32(u.added_by).unwrap_or_default();
        Self {
            added_by: Some(setting.as_str()),
            ..u.into()
        }
    }
}

impl From<common::User> for User {
    fn from(u: common::User) -> Self {
        Self {
            id: u.id,
            username: u.username,
            avatar_url: text(u.avatar_url),
            is_guest: u.is_guest,
            // The wire counts from 1 because 0 is "not set" there.
            status: (u.status - 1).max(0),
            created_at: u.created_at,
            updated_at: u.updated_at,
            version: u.version,
            added_by: None,
        }
    }
}

/// What others see of a user.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UserBrief {
    /// Decimal text.
    id: String,
    username: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    avatar_url: Option<String>,
    is_guest: bool,
}

impl UserBrief {
    pub(crate) fn new(id: String, username: String, avatar_url: String, is_guest: bool) -> Self {
        Self {
            id,
            username,
            avatar_url: text(avatar_url),
            is_guest,
        }
    }
}

impl From<common::UserInfo> for UserBrief {
    fn from(u: common::UserInfo) -> Self {
        Self::new(u.id, u.username, u.avatar_url, u.is_guest)
    }
}

/// A message.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Message {
    /// Decimal text.
    pub(crate) id: String,
    pub(crate) conversation_id: String,
    pub(crate) sender_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sender: Option<UserBrief>,
    /// 1 text, 2 image, 3 file, 4 system, 5 voice, 6 video.
    pub(crate) message_type: i32,
    pub(crate) content: String,
    /// Place in the conversation: 1, 2, 3 … without gaps.
    pub(crate) seq_id: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client_msg_id: Option<String>,
    /// True for recalled messages.
    pub(crate) deleted: bool,
    /// JSON text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) extra: Option<String>,
    /// Unix seconds.
    pub(crate) created_at: i64,
    /// Unix seconds.
    pub(crate) updated_at: i64,
    /// Number of its last change, over the messages of the conversation and their changes.
    pub(crate) rev: i64,
    /// Unix seconds of the last edit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) edited_at: Option<i64>,
    /// Number of edits.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) edit_count: i32,
    /// At most 20 kinds, in the order of first use; absent when nobody reacted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) reactions: Vec<Reaction>,
    /// Stands on the list of pins of its conversation.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) pinned: bool,
    /// The message it answers, as it is now; absent when it answers none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reply_to: Option<Quote>,
    /// Ids of the users that it names; absent when there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) mentions: Vec<String>,
    /// True when the message names everybody.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) mention_all: bool,
    /// Origin of a message that was passed on; absent when it was written here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) forwarded_from: Option<ForwardedFrom>,
    /// True for messages that you deleted for yourself: they keep their place and say nothing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) hidden: bool,
}

/// A message that is answered, as it is now.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Quote {
    /// The message, of the same conversation.
    message_id: String,
    /// Its place.
    seq_id: i64,
    /// Its author.
    sender_id: String,
    /// As of messages; absent when it isn't known yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    message_type: Option<i32>,
    /// Beginning of a text, at most 100 characters; absent for other types, after a recall, for a
    /// message that you may not read, and in the last messages of a list of conversations.
    #[serde(skip_serializing_if = "Option::is_none")]
    excerpt: Option<String>,
    /// `normal`, `edited` or `recalled`; absent in the last messages of a list of conversations.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
}

impl Quote {
    /// As it stands in the record of a message that was just accepted.
    pub(crate) fn pushed(q: mq::Quoted) -> Self {
        Self {
            message_id: q.message_id.to_string(),
            seq_id: q.seq_id,
            sender_id: q.sender_id,
            message_type: (q.message_type != 0).then_some(q.message_type),
            excerpt: text(q.excerpt),
            state: Some(state(q.edited, q.recalled)),
        }
    }
}

fn state(edited: bool, recalled: bool) -> &'static str {
    QuoteState::of(recalled, u32::from(edited)).as_str()
}

impl From<common::Quote> for Quote {
    fn from(q: common::Quote) -> Self {
        Self {
            message_id: q.message_id,
            seq_id: q.seq_id,
            sender_id: q.sender_id,
            message_type: (q.r#type != 0).then_some(q.r#type),
            excerpt: text(q.excerpt),
            // Where the message wasn't read, nothing is known of it.
            state: (q.created_at != 0).then(|| state(q.edited, q.recalled)),
        }
    }
}

/// Where a message that is passed on comes from.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ForwardedFrom {
    /// The message that was passed on.
    message_id: String,
    /// Where that message stands; absent for single chats.
    #[serde(skip_serializing_if = "Option::is_none")]
    conversation_id: Option<String>,
    /// Author of the first message.
    sender_id: String,
    /// Name of that author when it was passed on.
    sender_name: String,
}

impl From<common::Forwarded> for ForwardedFrom {
    fn from(from: common::Forwarded) -> Self {
        Self {
            message_id: from.message_id,
            conversation_id: text(from.conversation_id),
            sender_id: from.sender_id,
            sender_name: from.sender_name,
        }
    }
}

impl From<mq::Forwarded> for ForwardedFrom {
    fn from(from: mq::Forwarded) -> Self {
        Self {
            message_id: from.message_id.to_string(),
            conversation_id: text(from.conversation_id),
            sender_id: from.sender_id,
            sender_name: from.sender_name,
        }
    }
}

/// How often an emoji stands under a message.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Reaction {
    /// One emoji, or a name that the group allows.
    emoji: String,
    /// Number of users.
    count: u32,
    /// You are among them. Always false in the last messages of a list of conversations.
    mine: bool,
}

impl From<common::Reaction> for Reaction {
    fn from(reaction: common::Reaction) -> Self {
        Self {
            emoji: reaction.emoji,
            count: reaction.count,
            mine: reaction.mine,
        }
    }
}

const fn is_zero(count: &i32) -> bool {
    *count == 0
}

impl From<common::Message> for Message {
    fn from(m: common::Message) -> Self {
        Self {
            id: m.id,
            conversation_id: m.conversation_id,
            sender_id: m.sender.as_ref().map(|s| s.id.clone()).unwrap_or_default(),
            sender: m.sender.map(Into::into),
            message_type: m.r#type,
            content: m.content,
            seq_id: m.seq_id,
            client_msg_id: text(m.client_msg_id),
            deleted: m.deleted,
            extra: text(m.extra),
            created_at: m.created_at,
            updated_at: if m.updated_at == 0 {
                m.created_at
            } else {
                m.updated_at
            },
            rev: m.rev,
            edited_at: (m.edited_at > 0).then_some(m.edited_at),
            edit_count: m.edit_count,
            reactions: m.reactions.into_iter().map(Into::into).collect(),
            pinned: m.pinned,
            reply_to: m.reply_to.map(Into::into),
            mentions: m.mention_ids,
            mention_all: m.mention_all,
            forwarded_from: m.forwarded_from.map(Into::into),
            hidden: m.hidden,
        }
    }
}

impl From<RepoMessage> for Message {
    fn from(m: RepoMessage) -> Self {
        // What was recalled keeps its place and has no content.
        let shown = |content| if m.deleted { String::new() } else { content };
        let (is_shown, mut mentions) = (!m.deleted, m.mention_ids);
        if m.deleted {
            mentions.clear();
        }
        // Whether the reader may see what is quoted isn't known here.
        let quote = m.reply_to.map(|quote| common::Quote {
            excerpt: String::new(),
            ..quote
        });
        Self {
            id: m.id,
            conversation_id: m.conversation_id,
            sender_id: m.sender_id,
            sender: m.sender.map(Into::into),
            message_type: m.message_type,
            content: shown(m.content),
            seq_id: m.seq_id,
            client_msg_id: text(m.client_msg_id),
            deleted: m.deleted,
            extra: text(shown(m.extra)),
            created_at: m.created_at,
            updated_at: m.updated_at.max(m.created_at),
            rev: m.rev,
            edited_at: (m.edited_at > 0).then_some(m.edited_at),
            edit_count: m.edit_count,
            reactions: m.reactions.into_iter().map(Into::into).collect(),
            pinned: m.pinned,
            reply_to: quote.filter(|_| is_shown).map(Into::into),
            mentions,
            mention_all: m.mention_all && is_shown,
            forwarded_from: m.forwarded_from.filter(|_| is_shown).map(Into::into),
            hidden: m.hidden,
        }
    }
}

/// A member of a conversation.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ConversationMember {
    user_id: String,
    conversation_id: String,
    /// 1 member, 2 admin, 3 owner.
    role: i32,
    muted: bool,
    /// Unix seconds in which the mute ends, 0 for one without an end: for admins, the owner and the
    /// muted one; absent for others and without a mute.
    #[serde(skip_serializing_if = "Option::is_none")]
    muted_until: Option<i64>,
    /// Unix seconds.
    joined_at: i64,
    /// Unix seconds.
    updated_at: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<UserBrief>,
}

impl ConversationMember {
    /// `conversation_id` fills in where the service left it out.
    pub(crate) fn new(m: common::ConversationMember, conversation_id: &str) -> Self {
        Self {
            user_id: m.user.as_ref().map(|u| u.id.clone()).unwrap_or_default(),
            conversation_id: text(m.conversation_id).unwrap_or_else(|| conversation_id.to_owned()),
            role: m.role,
            muted: m.muted,
            muted_until: (m.muted && m.mute_end_shown).then_some(m.muted_until),
            joined_at: m.joined_at,
            updated_at: if m.updated_at == 0 {
                m.joined_at
            } else {
                m.updated_at
            },
            user: m.user.map(Into::into),
        }
    }
}

/// State of a conversation that belongs to one user alone.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OwnState {
    /// Unix seconds until which the conversation is silent, 0 for good; absent when it isn't.
    #[serde(skip_serializing_if = "Option::is_none")]
    mute_until: Option<i64>,
    /// Stands on top of your list. Pages of the list keep the order of activity: sort by yourself.
    pinned: bool,
    /// Put away. New messages don't bring it back.
    archived: bool,
    /// To be shown as unread. Reading ends it.
    marked_unread: bool,
    /// A text that was begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    draft: Option<String>,
    /// You cleared the conversation up to and with this place; absent when you never did. Forget
    /// what you hold of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    cleared_up_to: Option<i64>,
    /// Number of later messages that you deleted for yourself; absent when there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    hidden_count: Option<u32>,
    /// Number of changes so far: of two states, the higher version is newer.
    version: i64,
}

impl From<common::OwnState> for OwnState {
    fn from(my: common::OwnState) -> Self {
        Self {
            mute_until: my.mute_until,
            pinned: my.pinned,
            archived: my.archived,
            marked_unread: my.marked_unread,
            draft: text(my.draft),
            cleared_up_to: (my.cleared_up_to > 0).then_some(my.cleared_up_to),
            hidden_count: (my.hidden_count > 0).then_some(my.hidden_count),
            version: my.version,
        }
    }
}

/// Announcement of a group.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Announcement {
    /// At most 2000 characters.
    text: String,
    /// Unix seconds.
    updated_at: i64,
    /// User that set the text.
    #[serde(skip_serializing_if = "Option::is_none")]
    operator_id: Option<String>,
    /// Number of texts so far: for the report that you have read it.
    version: i64,
    /// You have read this text, or set it. In answers about one conversation only.
    #[serde(skip_serializing_if = "Option::is_none")]
    read: Option<bool>,
    /// Number of members that have read this text, without the one who set it. In answers about one
    /// conversation only.
    #[serde(skip_serializing_if = "Option::is_none")]
    read_count: Option<i32>,
}

impl From<common::Announcement> for Announcement {
    fn from(a: common::Announcement) -> Self {
        Self {
            text: a.text,
            updated_at: a.updated_at,
            operator_id: text(a.operator_id),
            version: a.version,
            read: a.read,
            read_count: a.read_count,
        }
    }
}

/// A conversation as the caller sees it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Conversation {
    /// `s_…_…`, `g_…` or `world`.
    id: String,
    /// 1 single, 2 group, 3 world.
    #[serde(rename = "type")]
    kind: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    avatar_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner_id: Option<String>,
    member_count: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    settings: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_message: Option<Message>,
    unread_count: i64,
    /// Unread messages that name you or everybody.
    unread_mentions: i64,
    /// Your read pointer.
    last_read_seq_id: i64,
    /// The newest message's place.
    last_seq_id: i64,
    /// Number of the newest message or change of a message.
    last_rev: i64,
    /// Number of pinned messages.
    #[serde(skip_serializing_if = "is_zero")]
    pinned_count: i32,
    /// Highest `seqId` that the peer of a single chat has read; absent where that isn't shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    peer_last_read_seq_id: Option<i64>,
    /// True when a message you know of is on its way to the database and not in here.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    behind: bool,
    /// The message this answer should have reached; with `behind` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    head_seq_id: Option<i64>,
    /// The other side of a single chat.
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<UserBrief>,
    #[serde(skip_serializing_if = "Option::is_none")]
    my_membership: Option<ConversationMember>,
    /// Your own state of the conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    my: Option<OwnState>,
    /// Unix seconds.
    created_at: i64,
    /// Unix seconds.
    updated_at: i64,
    /// Number of edits of name, picture, description, settings and announcement so far: for
    /// `If-Match` and `version`.
    pub(crate) version: i64,
    /// Announcement of a group; absent when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    announcement: Option<Announcement>,
    /// In the detail answer only.
    #[serde(skip_serializing_if = "Option::is_none")]
    members: Option<Vec<ConversationMember>>,
    /// True when `members` holds the first ones only; the list of members has all.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    has_more_members: bool,
}

impl From<common::Conversation> for Conversation {
    fn from(c: common::Conversation) -> Self {
        let membership = c.my_membership.map(|m| ConversationMember::new(m, &c.id));
        Self {
            kind: c.r#type,
            name: text(c.name),
            avatar_url: text(c.avatar_url),
            description: text(c.description),
            owner_id: text(c.owner_id),
            member_count: c.member_count,
            settings: settings(&c.settings),
            last_message: c.last_message.map(Into::into),
            unread_count: c.unread_count,
            unread_mentions: c.unread_mentions,
            last_read_seq_id: c.last_read_seq_id,
            last_seq_id: c.last_seq_id,
            last_rev: c.last_rev,
            pinned_count: c.pinned_count,
            peer_last_read_seq_id: c.peer_last_read_seq_id,
            behind: c.awaited_seq_id > 0,
            head_seq_id: (c.awaited_seq_id > 0).then_some(c.awaited_seq_id),
            peer: c.peer.map(Into::into),
            my_membership: membership,
            my: c.my.map(Into::into),
            created_at: c.created_at,
            updated_at: c.updated_at,
            version: c.version,
            announcement: c.announcement.map(Into::into),
            members: None,
            has_more_members: false,
            id: c.id,
        }
    }
}

impl From<logic::ConversationOptimized> for Conversation {
    fn from(c: logic::ConversationOptimized) -> Self {
        Self::from(common::Conversation {
            id: c.id,
            r#type: c.r#type,
            name: c.name,
            avatar_url: c.avatar_url,
            description: c.description,
            owner_id: c.owner_id,
            member_count: c.member_count,
            last_message: c.last_message,
            unread_count: c.unread_count,
            updated_at: c.updated_at,
            created_at: c.created_at,
            settings: c.settings,
            my_membership: c.my_membership,
            last_activity_at: c.last_activity_at,
            last_read_seq_id: c.last_read_seq_id,
            last_seq_id: c.last_seq_id,
            last_rev: c.last_rev,
            pinned_count: c.pinned_count,
            unread_mentions: c.unread_mentions,
            awaited_seq_id: c.awaited_seq_id,
            peer_last_read_seq_id: c.peer_last_read_seq_id,
            my: c.my,
            peer: c.peer,
            version: c.version,
            announcement: c.announcement,
        })
    }
}

impl Conversation {
    /// Adds the members, except in the world chat.
    pub(crate) fn with_members(
        mut self,
        members: Vec<common::ConversationMember>,
        has_more: bool,
    ) -> Self {
        if self.kind != common::ConversationType::World as i32 {
            self.has_more_members = has_more;
            let id = self.id.clone();
            self.members = Some(
                members
                    .into_iter()
                    .map(|m| ConversationMember::new(m, &id))
                    .collect(),
            );
        }
        self
    }
}

fn settings(json: &str) -> Option<Value> {
    serde_json::from_str(json).ok().filter(Value::is_object)
}

/// A request for friendship.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FriendRequest {
    id: String,
    requester_id: String,
    target_id: String,
    /// 0 pending, 1 accepted, 2 rejected, 3 blocked.
    status: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    /// Unix seconds.
    created_at: i64,
    /// Unix seconds.
    updated_at: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    requester: Option<User>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<User>,
}

impl From<logic::FriendRequest> for FriendRequest {
    fn from(r: logic::FriendRequest) -> Self {
        Self {
            id: r.id,
            requester_id: r.requester_id,
            target_id: r.target_id,
            status: r.status,
            message: text(r.message),
            created_at: r.created_at,
            updated_at: r.updated_at,
            requester: r.requester.map(Into::into),
            target: r.target.map(Into::into),
        }
    }
}

/// A friend.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Friend {
    user_id: String,
    friend_id: String,
    /// 1 friends, 3 blocked.
    status: i32,
    /// Unix seconds.
    created_at: i64,
    /// Unix seconds.
    updated_at: i64,
    online: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    friend: Option<User>,
}

impl From<logic::Friend> for Friend {
    fn from(f: logic::Friend) -> Self {
        Self {
            user_id: f.user_id,
            friend_id: f.friend_id,
            status: f.status,
            created_at: f.created_at,
            updated_at: f.updated_at,
            online: f.online,
            friend: f.friend.map(Into::into),
        }
    }
}

/// A user an operation could not be applied to.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FailedUser {
    user_id: String,
    /// A sentence for people.
    reason: String,
    /// Stable code.
    code: &'static str,
}

impl From<logic::FailedUser> for FailedUser {
    fn from(f: logic::FailedUser) -> Self {
        Self {
            code: refusal_of(f.error_code, &f.reason).code(),
            user_id: f.user_id,
            reason: f.reason,
        }
    }
}

/// The code behind a number of the wire. Codes that share a number are told apart by their sentence.
pub(crate) fn refusal_of(number: i32, reason: &str) -> ErrorCode {
    let named = |code: &&ErrorCode| code.number() == number && code.default_message() == reason;
    let exact = ErrorCode::ALL.iter().find(named).copied();
    exact
        .or_else(|| ErrorCode::from_number(number))
        .unwrap_or(ErrorCode::Internal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_that_share_a_number_are_told_apart() {
        for code in ErrorCode::ALL {
            assert_eq!(refusal_of(code.number(), code.default_message()), *code);
        }
        assert_eq!(refusal_of(1003, "in other words"), ErrorCode::Forbidden);
        assert_eq!(refusal_of(-1, ""), ErrorCode::Internal);
    }
}
