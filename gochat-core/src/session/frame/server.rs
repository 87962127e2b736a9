//! Server → client: every frame type, with the field names of the contract.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    ChangedMessage, ConversationChange, ForwardedFrom, HiddenMessage, Member, Quote, Sender, User,
};
use crate::error::{Error, ErrorCode};
use crate::ids::{Rev, SeqId};
use crate::own_state::OwnState;

/// Whole profiles in one signal at most; clients fetch the others when they show them.
pub const PROFILES_MAX: usize = 10;
/// User ids in one signal at most; a client that wants all members loads the list.
pub const IDS_MAX: usize = 100;

/// The data of one type of server frame.
pub trait ServerPayload: Serialize {
    /// The `type` on the wire.
    const TYPE: &'static str;
}

#[derive(Serialize)]
struct EnvelopeOut<'a, T> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a T>,
    timestamp: i64,
}

/// Appends the JSON text of a frame to `out`. `timestamp` is in Unix seconds.
///
/// ```
/// use gochat_core::session::frame::{Pong, encode};
/// let mut out = Vec::new();
/// encode(&Pong {}, 1_700_000_000, &mut out);
/// assert_eq!(out, br#"{"type":"pong","timestamp":1700000000}"#);
/// ```
pub fn encode<T: ServerPayload>(payload: &T, timestamp: i64, out: &mut Vec<u8>) {
    // A payload without fields is a frame without data.
    let data = (size_of::<T>() > 0).then_some(payload);
    let envelope = EnvelopeOut {
        kind: T::TYPE,
        data,
        timestamp,
    };
    serde_json::to_writer(out, &envelope).expect("plain structs written to memory can't fail");
}

macro_rules! frames {
    ($($(#[$doc:meta])* $name:ident $(<$lt:lifetime>)? = $kind:literal {
        $($(#[$attr:meta])* $field:ident: $ty:ty,)*
    })*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
            #[serde(rename_all = "camelCase")]
            pub struct $name $(<$lt>)? {
                $($(#[$attr])* pub $field: $ty,)*
            }

            impl $(<$lt>)? ServerPayload for $name $(<$lt>)? {
                const TYPE: &'static str = $kind;
            }
        )*

        /// Any server frame, as a client reads it.
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[expect(missing_docs, reason = "each variant is documented at its payload")]
        #[non_exhaustive]
        pub enum ServerFrame<'a> {
            $($name($name $(<$lt>)?),)*
            /// A type this version doesn't know; to be ignored.
            Unknown(Cow<'a, str>),
        }

        impl<'a> ServerFrame<'a> {
            fn from_parts(kind: Cow<'a, str>, data: &'a str) -> serde_json::Result<Self> {
                Ok(match &*kind {
                    $($kind => Self::$name(serde_json::from_str(data)?),)*
                    _ => Self::Unknown(kind),
                })
            }
        }
    };
}

frames! {
    /// A message was sent to a conversation of the receiver.
    NewMessage<'a> = "new-message" {
        /// Message id.
        #[serde(borrow)] id: Cow<'a, str>,
        /// Where.
        #[serde(borrow)] conversation_id: Cow<'a, str>,
        /// Who.
        #[serde(borrow)] sender: Sender<'a>,
        /// Who, once more, for clients that want only the id.
        #[serde(borrow, default)] sender_id: Cow<'a, str>,
        /// What.
        #[serde(borrow)] content: Cow<'a, str>,
        /// 1 text, 2 image, 3 file, 4 system, 5 voice, 6 video.
        message_type: i32,
        /// Place in the conversation.
        seq_id: SeqId,
        /// Number over the messages of the conversation and their changes; 0 from a server of before
        /// changes.
        #[serde(default)] rev: Rev,
        /// The author's own id.
        #[serde(borrow, default)] client_msg_id: Cow<'a, str>,
        /// JSON text; absent when the author sent none.
        #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
        extra: Option<Cow<'a, str>>,
        /// Unix seconds.
        created_at: i64,
        /// Message that is answered.
        #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
        reply_to: Option<Quote<'a>>,
        /// Ids of the users that are named.
        #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
        mentions: Vec<Cow<'a, str>>,
        /// Whether the message names everybody.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")] mention_all: bool,
        /// Where the message comes from; absent when it was written here.
        #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
        forwarded_from: Option<ForwardedFrom<'a>>,
    }
    /// A message was sequenced and is durable.
    MessageAck<'a> = "message-ack" {
        /// The author's own id, in the spelling of requests.
        #[serde(rename = "client_msg_id", borrow)] client_msg_id: Cow<'a, str>,
        /// The same in the spelling of message objects.
        #[serde(rename = "clientMsgId", borrow, default)] client_msg_id_camel: Cow<'a, str>,
        /// Message id.
        #[serde(borrow)] message_id: Cow<'a, str>,
        /// Where.
        #[serde(borrow, default)] conversation_id: Cow<'a, str>,
        /// Place in the conversation.
        #[serde(default)] seq_id: SeqId,
        /// Number over messages and changes; 0 from a server of before changes.
        #[serde(default)] rev: Rev,
        /// `success`.
        #[serde(borrow)] status: Cow<'a, str>,
        /// Unix seconds.
        #[serde(default)] created_at: i64,
    }
    /// A friend came or went.
    OnlineStatus<'a> = "online-status" {
        /// Who.
        #[serde(borrow)] user_id: Cow<'a, str>,
        /// `online` or `offline`.
        #[serde(borrow)] status: Cow<'a, str>,
        /// Unix seconds, for those who went.
        #[serde(default, skip_serializing_if = "Option::is_none")] last_seen: Option<i64>,
    }
    /// Answers `authenticate`: the connection lives as long as the newer token.
    Authenticated = "authenticated" {
        /// Unix seconds at which the connection's token expires now.
        expires_at: i64,
    }
    /// Answers `ping`.
    Pong = "pong" {}
    /// Something the client asked for was refused, or the connection is about to end.
    ErrorFrame<'a> = "error" {
        /// Stable code.
        #[serde(borrow)] code: Cow<'a, str>,
        /// Sentence for a person.
        #[serde(borrow)] message: Cow<'a, str>,
        /// What it is about.
        #[serde(borrow, default)] details: ErrorDetails<'a>,
    }
    /// A conversation was created or changed.
    ConversationUpdated<'a> = "conversation-updated" {
        /// Which.
        #[serde(borrow)] conversation_id: Cow<'a, str>,
        /// Names of the changed fields.
        #[serde(borrow, default)] updated_fields: Vec<Cow<'a, str>>,
        /// Their new values.
        #[serde(borrow, default)] conversation: ConversationChange<'a>,
        /// Who changed it.
        #[serde(borrow, default)] operator_id: Cow<'a, str>,
    }
    /// Members joined.
    MemberAdded<'a> = "member-added" {
        /// Where.
        #[serde(borrow)] conversation_id: Cow<'a, str>,
        /// Who joined, with profiles: at most [`PROFILES_MAX`]; the others are named in `user_ids`
        /// and fetched.
        #[serde(borrow, default)] members: Vec<Member<'a>>,
        /// Ids of those who joined, at most [`IDS_MAX`].
        #[serde(borrow, default)] user_ids: Vec<Cow<'a, str>>,
        /// Number of users who joined, listed or not.
        #[serde(default)] added: i64,
        /// Who added them.
        #[serde(borrow, default)] operator_id: Cow<'a, str>,
        /// Members now.
        #[serde(default)] member_count: i64,
    }
    /// A member left or was removed.
    MemberRemoved<'a> = "member-removed" {
        /// Where.
        #[serde(borrow)] conversation_id: Cow<'a, str>,
        /// Who is gone.
        #[serde(borrow)] user_id: Cow<'a, str>,
        /// Who did it.
        #[serde(borrow, default)] operator_id: Cow<'a, str>,
        /// `left` or `removed`.
        #[serde(borrow, default)] reason: Cow<'a, str>,
        /// Members now.
        #[serde(default)] member_count: i64,
    }
    /// Somebody is writing, or stopped.
    TypingIndicator<'a> = "typing-indicator" {
        /// Where.
        #[serde(borrow)] conversation_id: Cow<'a, str>,
        /// Who.
        #[serde(borrow)] user_id: Cow<'a, str>,
        /// Name to show.
        #[serde(borrow, default)] username: Cow<'a, str>,
        /// Writing, or not any more.
        is_typing: bool,
    }
    /// A reader got further; also sent to the reader's own other devices.
    MessageRead<'a> = "message-read" {
        /// Where.
        #[serde(borrow)] conversation_id: Cow<'a, str>,
        /// The reader.
        #[serde(borrow)] user_id: Cow<'a, str>,
        /// Newest message read.
        seq_id: SeqId,
        /// Unix seconds.
        #[serde(default)] read_at: i64,
    }
    /// A change was numbered and is durable.
    ChangeAck<'a> = "change-ack" {
        /// The client's own id of the change, in the spelling of requests.
        #[serde(rename = "client_msg_id", borrow)] client_msg_id: Cow<'a, str>,
        /// Identifier of the conversation.
        #[serde(borrow)] conversation_id: Cow<'a, str>,
        /// Identifier of the message that was changed.
        #[serde(borrow)] message_id: Cow<'a, str>,
        /// Place of that message.
        #[serde(default)] seq_id: SeqId,
        /// Number of the change, over messages and changes.
        #[serde(default)] rev: Rev,
    }
    /// A message was changed. Sent to everybody in the conversation but the connection that made the change.
    MessageChanged<'a> = "message-changed" {
        /// Identifier of the conversation.
        #[serde(borrow)] conversation_id: Cow<'a, str>,
        /// Identifier of the message.
        #[serde(borrow)] message_id: Cow<'a, str>,
        /// Place of the message.
        #[serde(default)] seq_id: SeqId,
        /// Number of the change, over messages and changes.
        #[serde(default)] rev: Rev,
        /// `edited`, `recalled`, `reaction`, `pinned` or `unpinned`; others may follow.
        #[serde(borrow)] kind: Cow<'a, str>,
        /// User that made the change. Empty when the frame stands for changes of several users.
        #[serde(borrow, default)] operator_id: Cow<'a, str>,
        /// Emoji of a reaction; absent when the frame stands for several.
        #[serde(borrow, default, skip_serializing_if = "Option::is_none")] emoji: Option<Cow<'a, str>>,
        /// The reaction was taken back.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")] removed: bool,
        /// Numbers of all changes that the frame stands for, ascending, when there are several:
        /// many reactions to one message are told together. `rev` is the last of them.
        #[serde(default, skip_serializing_if = "Vec::is_empty")] revs: Vec<Rev>,
        /// The message after the change, as far as the change determines it.
        #[serde(borrow, default)] message: ChangedMessage<'a>,
    }
    /// A message was recalled; comes with `message-changed`, for clients that don't know it.
    MessageRecalled<'a> = "message-recalled" {
        /// Where.
        #[serde(borrow)] conversation_id: Cow<'a, str>,
        /// Which.
        #[serde(borrow)] message_id: Cow<'a, str>,
        /// Its place.
        #[serde(default)] seq_id: SeqId,
        /// Number of the change; 0 from a server of before changes.
        #[serde(default)] rev: Rev,
        /// Who recalled it.
        #[serde(borrow, default)] operator_id: Cow<'a, str>,
    }
    /// Somebody asks for friendship.
    FriendRequest<'a> = "friend-request" {
        /// Which request.
        #[serde(borrow)] request_id: Cow<'a, str>,
        /// Who asks.
        #[serde(borrow)] requester_id: Cow<'a, str>,
        /// Who asks, in full.
        #[serde(borrow, default)] requester: User<'a>,
        /// Words that came along.
        #[serde(borrow, default)] message: Cow<'a, str>,
        /// Unix seconds.
        #[serde(default)] created_at: i64,
    }
    /// A friendship was made.
    FriendAdded<'a> = "friend-added" {
        /// The new friend.
        #[serde(borrow)] friend_id: Cow<'a, str>,
        /// The new friend, in full.
        #[serde(borrow, default)] friend: User<'a>,
        /// The chat of the two.
        #[serde(borrow, default)] conversation_id: Cow<'a, str>,
    }
    /// A friendship ended, or the user blocked somebody on another device.
    FriendRemoved<'a> = "friend-removed" {
        /// The other one.
        #[serde(borrow)] friend_id: Cow<'a, str>,
        /// The receiver of this frame blocked the other one. Who is blocked isn't told.
        #[serde(default)] blocked: bool,
    }
    /// A member of a group invites the user to it.
    GroupInvitation<'a> = "group-invitation" {
        /// Identifier of the invitation.
        #[serde(borrow)] invitation_id: Cow<'a, str>,
        /// Identifier of the group.
        #[serde(borrow)] conversation_id: Cow<'a, str>,
        /// The group's name.
        #[serde(borrow, default)] name: Cow<'a, str>,
        /// Who invites.
        #[serde(borrow, default)] inviter_id: Cow<'a, str>,
        /// Unix seconds.
        #[serde(default)] expires_at: i64,
    }
    /// The user changed what the user keeps about a conversation alone, on any device.
    ConversationState<'a> = "conversation-state" {
        /// Identifier of the conversation.
        #[serde(borrow)] conversation_id: Cow<'a, str>,
        /// The whole state after the change. Of two states, the higher version is newer.
        #[serde(default)] my: OwnState,
        /// The message that the user deleted for themselves with it.
        #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
        hidden: Option<HiddenMessage<'a>>,
        /// Newest version of the announcement that the user has read, when that is what changed.
        #[serde(default, skip_serializing_if = "Option::is_none")] announcement_read: Option<u64>,
    }
    /// A stranger asks to join a group; told to its admins and the owner.
    JoinRequest<'a> = "join-request" {
        /// Identifier of the group.
        #[serde(borrow)] conversation_id: Cow<'a, str>,
        /// User that asks to join.
        #[serde(borrow)] user_id: Cow<'a, str>,
        /// Words of the asker; may be empty.
        #[serde(borrow, default)] message: Cow<'a, str>,
        /// Unix seconds.
        #[serde(default)] created_at: i64,
    }
    /// The user's own request to join a group was answered.
    JoinRequestAnswered<'a> = "join-request-answered" {
        /// Identifier of the group.
        #[serde(borrow)] conversation_id: Cow<'a, str>,
        /// The group's name.
        #[serde(borrow, default)] name: Cow<'a, str>,
        /// The user is a member now.
        #[serde(default)] accepted: bool,
    }
    /// This gateway is draining: connect elsewhere after the given time.
    Restarting = "restarting" {
        /// Milliseconds to wait; different for every client, so that there is no storm.
        reconnect_in: u64,
    }
}

/// What an [`ErrorFrame`] is about.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ErrorDetails<'a> {
    /// The message it answers.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub client_msg_id: Option<Cow<'a, str>>,
    /// The conversation it is about.
    #[serde(
        rename = "conversationId",
        borrow,
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub conversation_id: Option<Cow<'a, str>>,
    /// Whether the same request can succeed later.
    #[serde(default)]
    pub retryable: bool,
    /// Seconds after which the same request may be accepted, where that is known.
    #[serde(
        rename = "retryAfter",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub retry_after: Option<u32>,
}

impl<'a> ErrorFrame<'a> {
    /// The frame that tells a client about `error`.
    pub fn new(error: &'a Error, client_msg_id: Option<&'a str>) -> Self {
        Self {
            code: Cow::Borrowed(error.code.code()),
            message: Cow::Borrowed(&error.message),
            details: ErrorDetails {
                client_msg_id: client_msg_id.map(Cow::Borrowed),
                conversation_id: None,
                retryable: error.is_retryable(),
                retry_after: error.retry_after_s(),
            },
        }
    }

    /// The error as a value of the catalogue; a code this version doesn't know is internal,
    /// retryable when the server says so.
    pub fn to_error(&self) -> Error {
        let code = ErrorCode::from_code(&self.code).unwrap_or(if self.details.retryable {
            ErrorCode::Internal
        } else {
            ErrorCode::InvalidParams
        });
        let seconds = self.details.retry_after.unwrap_or_default();
        Error::new(code, self.message.clone().into_owned()).after(u64::from(seconds) * 1_000)
    }
}

/// A text from the server that isn't a frame.
#[derive(Debug, thiserror::Error)]
#[error("not a server frame: {0}")]
pub struct ServerFrameError(#[from] serde_json::Error);

#[derive(Deserialize)]
struct EnvelopeIn<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(default)]
    timestamp: i64,
}

impl<'a> ServerFrame<'a> {
    /// Parses the text of one WebSocket message; gives the frame and the server's time in
    /// Unix seconds.
    pub fn parse(text: &'a str) -> Result<(Self, i64), ServerFrameError> {
        let envelope: EnvelopeIn<'a> = serde_json::from_str(text)?;
        let data = envelope.data.map_or("{}", RawValue::get);
        Ok((Self::from_parts(envelope.kind, data)?, envelope.timestamp))
    }
}
