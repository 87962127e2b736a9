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
    /// states of a message the one with the higher number is newer. 0 from a server without
    /// changes.
    pub rev: Rev,
    /// Unix seconds of the last edit; `None` when it was never edited.
    pub edited_at: Option<i64>,
    /// Number of edits.
    pub edit_count: u32,
    /// At most 20 kinds, in the order of first use.
    pub reactions: Vec<Reaction>,
    /// Whether it stands on the list of pins of its conversation.
    pub pinned: bool,
}

/// How often an emoji stands under a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reaction {
    /// One emoji, or a name that the group allows.
    pub emoji: String,
    /// Number of users.
    pub count: u32,
    /// The user is among them.
    pub mine: bool,
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
    /// #     deleted: false, rev: 3, edited_at: None, edit_count: 0, reactions: vec![], pinned: false,
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
        if let Some(reactions) = &change.reactions {
            self.take_reactions(reactions, change);
        }
        self.pinned = change.pinned.unwrap_or(self.pinned);
        if self.deleted {
            (self.reactions, self.pinned) = (Vec::new(), false);
        }
        true
    }

    /// A push says how many reacted, and whose reaction it is about; a read says which are the
    /// user's own.
    fn take_reactions(&mut self, reactions: &[Reaction], change: &Changed) {
        let before = std::mem::replace(&mut self.reactions, reactions.to_vec());
        if change.kind.is_none() {
            return;
        }
        let was_mine = |emoji: &str| before.iter().any(|r| r.mine && r.emoji == emoji);
        for reaction in &mut self.reactions {
            reaction.mine = match &change.own_reaction {
                Some((emoji, is_there)) if *emoji == reaction.emoji => *is_there,
                _ => was_mine(&reaction.emoji),
            };
        }
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
            reactions: Vec::new(),
            pinned: false,
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
            refers: None,
            forward: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reaction(emoji: &str, count: u32, mine: bool) -> Reaction {
        Reaction {
            emoji: emoji.to_owned(),
            count,
            mine,
        }
    }

    #[test]
    fn a_push_of_counts_keeps_whose_reactions_are_known() {
        let mut message = Message {
            id: MessageId::new(7).unwrap(),
            conversation_id: ConversationId::World,
            seq_id: 3,
            sender_id: UserId::new(1).unwrap(),
            sender_name: None,
            message_type: 1,
            content: "hi".into(),
            client_msg_id: String::new(),
            extra: None,
            created_at: 1,
            deleted: false,
            rev: 3,
            edited_at: None,
            edit_count: 0,
            reactions: vec![reaction("a", 1, true)],
            pinned: true,
        };
        let pushed = |rev, counts: &[(&str, u32)], own: Option<(&str, bool)>| Changed {
            seq_id: 3,
            rev,
            reactions: Some(counts.iter().map(|(e, n)| reaction(e, *n, false)).collect()),
            own_reaction: own.map(|(emoji, is_there)| (emoji.to_owned(), is_there)),
            kind: Some("reaction".into()),
            ..Changed::default()
        };
        assert!(message.apply(&pushed(4, &[("a", 2), ("b", 1)], None)));
        assert_eq!(
            message.reactions,
            [reaction("a", 2, true), reaction("b", 1, false)]
        );
        message.apply(&pushed(5, &[("a", 2), ("b", 2)], Some(("b", true))));
        message.apply(&pushed(6, &[("a", 1), ("b", 2)], Some(("a", false))));
        assert_eq!(
            message.reactions,
            [reaction("a", 1, false), reaction("b", 2, true)]
        );
        assert_eq!((&*message.content, message.pinned), ("hi", true));
        let read = Changed {
            kind: None,
            ..pushed(7, &[("b", 2)], None)
        };
        message.apply(&read);
        assert_eq!(message.reactions, [reaction("b", 2, false)]);
        let recalled = Changed {
            seq_id: 3,
            rev: 8,
            deleted: true,
            content: Some(String::new()),
            ..Changed::default()
        };
        message.apply(&recalled);
        assert!(message.reactions.is_empty() && !message.pinned);
    }
}
