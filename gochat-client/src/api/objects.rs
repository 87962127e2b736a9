//! The JSON objects of the contract.

use gochat_core::ids::{ConversationId, MessageId, RequestId, Rev, SeqId, UserId};
use gochat_core::message::{MessageType, SystemMessage};
use gochat_core::own_state::OwnState;
use gochat_core::sync::{self, ForwardedFrom, Quote};
use serde::{Deserialize, Serialize};

use super::Announcement;

/// A user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// User id.
    pub id: UserId,
    /// Unique name.
    pub username: String,
    /// Picture.
    #[serde(default)]
    pub avatar_url: Option<String>,
    /// Whether this is a guest account.
    #[serde(default)]
    pub is_guest: bool,
    /// 0 normal, 1 disabled.
    #[serde(default)]
    pub status: i32,
    /// Unix seconds.
    #[serde(default)]
    pub created_at: i64,
    /// Unix seconds.
    #[serde(default)]
    pub updated_at: i64,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// Message id.
    pub id: MessageId,
    /// Where.
    pub conversation_id: ConversationId,
    /// Who.
    pub sender_id: UserId,
    /// Who, in full, when the server knows.
    #[serde(default)]
    pub sender: Option<User>,
    /// 1 text, 2 image, 3 file, 4 system, 5 voice, 6 video.
    pub message_type: i32,
    /// What; empty when it was recalled.
    #[serde(default)]
    pub content: String,
    /// Place in the conversation.
    pub seq_id: SeqId,
    /// The author's own id.
    #[serde(default)]
    pub client_msg_id: Option<String>,
    /// Whether it was recalled.
    #[serde(default)]
    pub deleted: bool,
    /// JSON text.
    #[serde(default)]
    pub extra: Option<String>,
    /// Unix seconds.
    #[serde(default)]
    pub created_at: i64,
    /// Unix seconds.
    #[serde(default)]
    pub updated_at: i64,
    /// Number of its last change, over the messages of the conversation and their changes; 0 from a
    /// server of before changes.
    #[serde(default)]
    pub rev: Rev,
    /// Unix seconds of the last edit; `None` when it was never edited.
    #[serde(default)]
    pub edited_at: Option<i64>,
    /// Number of edits.
    #[serde(default)]
    pub edit_count: u32,
    /// At most 20 kinds, in the order of first use.
    #[serde(default)]
    pub reactions: Vec<Reaction>,
    /// Whether it stands on the list of pins of its conversation.
    #[serde(default)]
    pub pinned: bool,
    /// The message that it answers, as that is now.
    #[serde(default)]
    pub reply_to: Option<Quote>,
    /// Users that it names, ascending.
    #[serde(default)]
    pub mentions: Vec<UserId>,
    /// Whether the message names everybody.
    #[serde(default)]
    pub mention_all: bool,
    /// Origin of a message that was passed on; `None` when it was written here.
    #[serde(default)]
    pub forwarded_from: Option<ForwardedFrom>,
    /// Whether the user deleted it for themselves: it keeps its place and says nothing.
    #[serde(default)]
    pub hidden: bool,
}

impl Message {
    /// What happened to the group, of a message that the server wrote; `None` of all others. Kinds
    /// of a newer server are [`SystemMessage::Other`].
    pub fn system(&self) -> Option<SystemMessage> {
        let is_system = MessageType::from_i32(self.message_type) == Some(MessageType::System);
        SystemMessage::parse(&self.content).filter(|_| is_system)
    }
}

/// How often an emoji stands under a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reaction {
    /// One emoji, or a name that the group allows.
    pub emoji: String,
    /// Number of users.
    pub count: u32,
    /// The user is among them; not told in the last messages of lists of conversations.
    #[serde(default)]
    pub mine: bool,
}

/// Messages that are new or changed since a `rev`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangesPage {
    /// Each once, as it is now, by ascending `rev`.
    pub messages: Vec<Message>,
    /// With this page everything up to and with this `rev` is known: go on from here.
    pub complete_to: Rev,
    /// The newest `rev` known of, on this page or not.
    pub head_rev: Rev,
    /// Whether more follows.
    pub has_more: bool,
    /// Changes up to `head_rev` are on their way to the database and may be missing here.
    #[serde(default)]
    pub behind: bool,
}

/// Messages that the user deleted for themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HiddenPage {
    /// By ascending version.
    pub messages: Vec<HiddenMessage>,
    /// Whether more follow the last version.
    pub has_more: bool,
}

/// A message that the user deleted for themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HiddenMessage {
    /// The message.
    pub message_id: MessageId,
    /// Place in the conversation.
    pub seq_id: SeqId,
    /// Version of the own state with which it went.
    pub version: u64,
}

impl From<Reaction> for sync::Reaction {
    fn from(reaction: Reaction) -> Self {
        Self {
            emoji: reaction.emoji,
            count: reaction.count,
            mine: reaction.mine,
        }
    }
}

impl From<Message> for sync::Message {
    fn from(message: Message) -> Self {
        Self {
            id: message.id,
            conversation_id: message.conversation_id,
            seq_id: message.seq_id,
            sender_id: message.sender_id,
            sender_name: message.sender.map(|u| u.username),
            message_type: message.message_type,
            content: message.content,
            client_msg_id: message.client_msg_id.unwrap_or_default(),
            extra: message.extra.filter(|e| !e.is_empty()),
            created_at: message.created_at,
            deleted: message.deleted,
            rev: message.rev,
            edited_at: message.edited_at,
            edit_count: message.edit_count,
            reactions: message.reactions.into_iter().map(Into::into).collect(),
            pinned: message.pinned,
            reply_to: message.reply_to,
            mentions: message.mentions,
            mention_all: message.mention_all,
            forwarded_from: message.forwarded_from,
            hidden: message.hidden,
        }
    }
}

/// A conversation as its member sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Conversation {
    /// Conversation id.
    pub id: ConversationId,
    /// 1 single, 2 group, 3 world.
    #[serde(rename = "type")]
    pub kind: i32,
    /// Name; for single chats that of the other side.
    #[serde(default)]
    pub name: Option<String>,
    /// Picture.
    #[serde(default)]
    pub avatar_url: Option<String>,
    /// Description.
    #[serde(default)]
    pub description: Option<String>,
    /// Owner of a group.
    #[serde(default)]
    pub owner_id: Option<String>,
    /// Members.
    #[serde(default)]
    pub member_count: i64,
    /// Newest message.
    #[serde(default)]
    pub last_message: Option<Message>,
    /// Number of the newest message.
    #[serde(default)]
    pub last_seq_id: SeqId,
    /// Number of the newest message or change; 0 from a server without changes.
    #[serde(default)]
    pub last_rev: Rev,
    /// How far the user has read.
    #[serde(default)]
    pub last_read_seq_id: SeqId,
    /// Messages not read.
    #[serde(default)]
    pub unread_count: i64,
    /// Messages not read that name the user or everybody; a message that names both counts once.
    #[serde(default)]
    pub unread_mentions: i64,
    /// Highest `seqId` that the peer of a single chat has read; `None` where that isn't shown.
    #[serde(default)]
    pub peer_last_read_seq_id: Option<SeqId>,
    /// Announcement of a group; `None` when there is none.
    #[serde(default)]
    pub announcement: Option<Announcement>,
    /// Unix seconds.
    #[serde(default)]
    pub updated_at: i64,
    /// The user's own state of the conversation; `None` from servers that don't know it.
    #[serde(default)]
    pub my: Option<OwnState>,
    /// The user's own membership.
    #[serde(default)]
    pub my_membership: Option<ConversationMember>,
    /// The other side of a single chat.
    #[serde(default)]
    pub peer: Option<User>,
    /// Members, in answers that carry them.
    #[serde(default)]
    pub members: Vec<ConversationMember>,
}

/// What a member may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Talk.
    Member = 1,
    /// Manage members.
    Admin = 2,
    /// Everything.
    Owner = 3,
}

/// A member of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConversationMember {
    /// Who.
    pub user_id: UserId,
    /// Where.
    pub conversation_id: ConversationId,
    /// 1 member, 2 admin, 3 owner.
    pub role: i32,
    /// Whether the member may not write.
    #[serde(default)]
    pub muted: bool,
    /// Unix seconds in which the mute ends, 0 for one without an end; `None` without a mute, and
    /// for members who may not know.
    #[serde(default)]
    pub muted_until: Option<i64>,
    /// Unix seconds.
    #[serde(default)]
    pub joined_at: i64,
    /// Unix seconds.
    #[serde(default)]
    pub updated_at: i64,
    /// Who, in full.
    #[serde(default)]
    pub user: Option<User>,
}

/// A request for friendship.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FriendRequest {
    /// Request id.
    pub id: RequestId,
    /// Who asks.
    pub requester_id: UserId,
    /// Whom.
    pub target_id: UserId,
    /// 0 pending, 1 accepted, 2 rejected, 3 blocked.
    pub status: i32,
    /// Words that came along.
    #[serde(default)]
    pub message: Option<String>,
    /// Unix seconds.
    #[serde(default)]
    pub created_at: i64,
    /// Unix seconds.
    #[serde(default)]
    pub updated_at: i64,
    /// Who asks, in full.
    #[serde(default)]
    pub requester: Option<User>,
    /// Whom, in full.
    #[serde(default)]
    pub target: Option<User>,
}

/// A friendship.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Friend {
    /// The user.
    pub user_id: UserId,
    /// The friend.
    pub friend_id: UserId,
    /// 1 friends, 3 blocked.
    pub status: i32,
    /// Unix seconds.
    #[serde(default)]
    pub created_at: i64,
    /// Unix seconds.
    #[serde(default)]
    pub updated_at: i64,
    /// The friend, in full.
    #[serde(default)]
    pub friend: Option<User>,
    /// Whether the friend is connected now.
    #[serde(default)]
    pub online: bool,
}
