//! Objects that appear inside server frames; names as in the HTTP contract.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::ids::SeqId;

/// The author of a message, as short as clients need it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sender<'a> {
    /// User id.
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    /// Name to show.
    #[serde(borrow, default)]
    pub username: Cow<'a, str>,
    /// Picture; empty when there is none.
    #[serde(borrow, default)]
    pub avatar_url: Cow<'a, str>,
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct User<'a> {
    /// User id.
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    /// Unique name.
    #[serde(borrow, default)]
    pub username: Cow<'a, str>,
    /// Picture.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub avatar_url: Option<Cow<'a, str>>,
    /// Whether this is a guest account.
    #[serde(default)]
    pub is_guest: bool,
    /// Unix seconds.
    #[serde(default)]
    pub created_at: i64,
}

/// A member of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Member<'a> {
    /// User id.
    #[serde(borrow)]
    pub user_id: Cow<'a, str>,
    /// Conversation id.
    #[serde(borrow, default)]
    pub conversation_id: Cow<'a, str>,
    /// 1 member, 2 admin, 3 owner.
    #[serde(default)]
    pub role: i32,
    /// Whether the member may not write.
    #[serde(default)]
    pub muted: bool,
    /// Unix seconds in which the mute ends; 0 = without an end. Absent for members who aren't muted
    /// and in what is told to the whole group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub muted_until: Option<i64>,
    /// Unix seconds.
    #[serde(default)]
    pub joined_at: i64,
    /// The user behind the member, when known.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub user: Option<User<'a>>,
}

/// The changed fields of a conversation; what isn't set didn't change.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConversationChange<'a> {
    /// Conversation id.
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    /// 1 single, 2 group, 3 world.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<i32>,
    /// New name.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Cow<'a, str>>,
    /// New picture.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub avatar_url: Option<Cow<'a, str>>,
    /// New description.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Cow<'a, str>>,
    /// New owner.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub owner_id: Option<Cow<'a, str>>,
    /// New number of members.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member_count: Option<i64>,
    /// Unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<i64>,
    /// New announcement; absent also when it was removed.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub announcement: Option<AnnouncementText<'a>>,
}

/// The announcement of a group.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AnnouncementText<'a> {
    /// The text.
    #[serde(borrow)]
    pub text: Cow<'a, str>,
    /// Unix seconds.
    pub updated_at: i64,
    /// User that set the text; may be empty.
    #[serde(borrow, default)]
    pub operator_id: Cow<'a, str>,
    /// Number of texts so far.
    pub version: u64,
}

/// A message that is answered, as it was when the answer was sent.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Quote<'a> {
    /// Message id, of the same conversation.
    #[serde(borrow)]
    pub message_id: Cow<'a, str>,
    /// Place in the conversation.
    pub seq_id: SeqId,
    /// Author.
    #[serde(borrow, default)]
    pub sender_id: Cow<'a, str>,
    /// Number of the message type; absent when the server doesn't know it yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_type: Option<i32>,
    /// Beginning of a text; absent for other types, after a recall, for readers who may not see it,
    /// and when the server doesn't know it yet.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub excerpt: Option<Cow<'a, str>>,
    /// `normal`, `edited` or `recalled`.
    #[serde(borrow, default)]
    pub state: Cow<'a, str>,
}

/// Where a message that is passed on comes from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ForwardedFrom<'a> {
    /// The message that was passed on.
    #[serde(borrow)]
    pub message_id: Cow<'a, str>,
    /// Conversation in which that message stands; absent for single chats, whose id names both
    /// sides.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub conversation_id: Option<Cow<'a, str>>,
    /// Author of the first message.
    #[serde(borrow, default)]
    pub sender_id: Cow<'a, str>,
    /// Name of that author when it was passed on.
    #[serde(borrow, default)]
    pub sender_name: Cow<'a, str>,
}

/// A message that a user deleted for themselves.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HiddenMessage<'a> {
    /// Message id.
    #[serde(borrow)]
    pub message_id: Cow<'a, str>,
    /// Its position.
    pub seq_id: SeqId,
}

/// A message after a change, as far as the change determines it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangedMessage<'a> {
    /// Message id.
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    /// Author of the message.
    #[serde(borrow, default)]
    pub sender_id: Cow<'a, str>,
    /// What the message says now; absent when the change left it as it was, empty after a recall.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Cow<'a, str>>,
    /// JSON text; absent when there is none, and when the change left it as it was.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub extra: Option<Cow<'a, str>>,
    /// True after a recall.
    #[serde(default)]
    pub deleted: bool,
    /// Unix seconds of the last edit; only with `edited`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edited_at: Option<i64>,
    /// Number of edits of the message.
    #[serde(default)]
    pub edit_count: u32,
    /// How often each emoji stands under the message now; only with `reaction`.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub reactions: Option<Vec<ReactionCount<'a>>>,
    /// Whether the message is pinned now; only with `pinned` and `unpinned`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned: Option<bool>,
    /// Unix seconds.
    #[serde(default)]
    pub created_at: i64,
}

/// How often an emoji stands under a message.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ReactionCount<'a> {
    /// The emoji, or the name that stands for one.
    #[serde(borrow)]
    pub emoji: Cow<'a, str>,
    /// Number of users.
    pub count: u32,
}
