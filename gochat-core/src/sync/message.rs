//! Messages as a client keeps them.

use super::Changed;
use crate::ids::{ConversationId, MessageId, ParseIdError, Rev, SeqId, UserId};
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
    /// Number of its last change, over the messages of the conversation and their changes: of two
    /// states of a message the one with the higher number is newer. 0 from a server without changes.
    pub rev: Rev,
    /// Unix seconds of the last edit; `None` when it was never edited.
    pub edited_at: Option<i64>,
    /// Number of edits.
    pub edit_count: u32,
}

impl Message {
    /// Makes the message what it is after a change. Gives false, and leaves it alone, when it is as
    /// new already or the change is about another message.
    ///
    /// ```
    /// # use gochat_core::ids::{ConversationId, MessageId, UserId};
    /// use gochat_core::sync::{Changed, Message};
    /// # let mut message = Message {
    /// #     id: MessageId::new(7).unwrap(), conversation_id: ConversationId::World, seq_id: 3,
    /// #     sender_id: UserId::new(1).unwrap(), sender_name: None, message_type: 1,
    /// #     content: "helo".into(), client_msg_id: String::new(), extra: None, created_at: 1,
    /// #     deleted: false, rev: 3, edited_at: None, edit_count: 0,
    /// # };
    /// let edit = Changed {
    ///     seq_id: 3, rev: 5, content: Some("hello".into()), edit_count: 1, ..Changed::default()
    /// };
    /// assert!(message.apply(&edit));
    /// assert_eq!((&*message.content, message.rev), ("hello", 5));
    /// assert!(!message.apply(&edit));
    /// ```
    pub fn apply(&mut self, change: &Changed) -> bool {
        if change.seq_id != self.seq_id || change.rev <= self.rev {
            return false;
        }
        self.rev = change.rev;
        self.deleted = change.deleted;
        if let Some(content) = &change.content {
            self.content.clone_from(content);
            self.extra.clone_from(&change.extra);
        }
        self.edited_at = change.edited_at.or(self.edited_at);
        self.edit_count = change.edit_count;
        true
    }
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
            rev: frame.rev,
            edited_at: None,
            edit_count: 0,
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
