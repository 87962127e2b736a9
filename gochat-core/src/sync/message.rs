//! Messages as a client keeps them.

use crate::ids::{ConversationId, MessageId, ParseIdError, SeqId, UserId};
use crate::session::frame::{ClientFrame, NewMessage, SendMessage};

/// A message in a timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Message id.
    pub id: MessageId,
    /// Where.
    pub conversation_id: ConversationId,
    /// Place in the conversation.
    pub seq_id: SeqId,
    /// Who wrote it.
    pub sender_id: UserId,
    /// The author's name, when it came along.
    pub sender_name: Option<String>,
    /// 1 text, 2 image, 3 file, 4 system, 5 voice, 6 video.
    pub message_type: i32,
    /// What; empty when it was recalled.
    pub content: String,
    /// The author's own id; may be empty.
    pub client_msg_id: String,
    /// JSON text that travels with it.
    pub extra: Option<String>,
    /// Unix seconds.
    pub created_at: i64,
    /// Whether it was recalled.
    pub deleted: bool,
}

impl TryFrom<&NewMessage<'_>> for Message {
    type Error = ParseIdError;

    fn try_from(frame: &NewMessage<'_>) -> Result<Self, ParseIdError> {
        Ok(Self {
            id: frame.id.parse()?,
            conversation_id: frame.conversation_id.parse()?,
            seq_id: frame.seq_id,
            sender_id: frame.sender.id.parse()?,
            sender_name: Some(frame.sender.username.clone().into_owned()).filter(|n| !n.is_empty()),
            message_type: frame.message_type,
            content: frame.content.clone().into_owned(),
            client_msg_id: frame.client_msg_id.clone().into_owned(),
            extra: frame.extra.as_ref().map(|e| e.clone().into_owned()),
            created_at: frame.created_at,
            deleted: false,
        })
    }
}

/// A message to be sent. Its client id is its identity: every repetition carries the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// At most 64 characters, unique per sender; a random UUID is a good choice.
    pub client_msg_id: String,
    /// Where to.
    pub conversation_id: ConversationId,
    /// 1 text, 2 image, 3 file, 5 voice, 6 video.
    pub message_type: i32,
    /// What.
    pub content: String,
    /// JSON text that travels with it.
    pub extra: Option<String>,
    /// Whether it may have been sent before. The outbox sets it on every repetition; set it yourself for a message
    /// that an earlier run of your application left unsettled.
    pub resend: bool,
}

impl Outgoing {
    /// The frame that sends it.
    pub fn frame(&self) -> ClientFrame<'_> {
        ClientFrame::SendMessage(SendMessage {
            conversation_id: self.conversation_id,
            content: self.content.as_str().into(),
            message_type: self.message_type,
            client_msg_id: Some(self.client_msg_id.as_str().into()),
            extra: self.extra.as_deref().map(Into::into),
            resend: self.resend,
        })
    }
}
