//! Messages as a client keeps them.

use super::{Changed, ForwardedFrom, Quote};
use crate::error::Error;
use crate::ids::{ConversationId, MessageId, ParseIdError, Rev, SeqId, UserId};
use crate::message::{MessageType, Refers, SystemMessage};
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
    /// Whether the user deleted it for themselves: of what it says, nothing is there.
    pub hidden: bool,
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
    /// The message that it answers, as that is now; `None` when it answers none, and after a recall.
    pub reply_to: Option<Quote>,
    /// Users that it names, ascending, 50 at most.
    pub mentions: Vec<UserId>,
    /// Whether the message names everybody.
    pub mention_all: bool,
    /// Origin of a message that was passed on; `None` when it was written here, and after a
    /// recall.
    pub forwarded_from: Option<ForwardedFrom>,
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
    /// A text message that says nothing yet; fill in the rest.
    pub const fn new(conversation_id: ConversationId, id: MessageId, sender_id: UserId) -> Self {
        Self {
            id,
            conversation_id,
            seq_id: 0,
            sender_id,
            sender_name: None,
            message_type: 1,
            content: String::new(),
            client_msg_id: String::new(),
            extra: None,
            created_at: 0,
            deleted: false,
            hidden: false,
            rev: 0,
            edited_at: None,
            edit_count: 0,
            reactions: Vec::new(),
            pinned: false,
            reply_to: None,
            mentions: Vec::new(),
            mention_all: false,
            forwarded_from: None,
        }
    }

    /// Takes away what the message says: the user deleted it for themselves. Its place stays, and
    /// later changes bring nothing back.
    pub fn hide(&mut self) {
        (self.hidden, self.pinned) = (true, false);
        self.content.clear();
        self.client_msg_id.clear();
        self.reactions.clear();
        self.mentions.clear();
        (self.extra, self.reply_to, self.forwarded_from) = (None, None, None);
        self.mention_all = false;
    }

    /// What happened to the group, of a message that the server wrote; `None` of all others. Kinds
    /// of a newer server are [`SystemMessage::Other`].
    ///
    /// ```
    /// # use gochat_core::ids::{ConversationId, MessageId, UserId};
    /// use gochat_core::message::SystemMessage;
    /// use gochat_core::sync::Message;
    /// let (id, author) = (MessageId::new(7).unwrap(), UserId::new(1).unwrap());
    /// let mut message = Message::new(ConversationId::World, id, author);
    /// message.content = r#"{"kind":"left"}"#.into();
    /// assert_eq!(message.system(), None);
    /// message.message_type = 4;
    /// assert_eq!(message.system(), Some(SystemMessage::Left));
    /// ```
    pub fn system(&self) -> Option<SystemMessage> {
        let is_system = MessageType::from_i32(self.message_type) == Some(MessageType::System);
        SystemMessage::parse(&self.content).filter(|_| is_system)
    }

    /// Makes the message what it is after a change. Gives false, and leaves it alone, when it is as
    /// new already or the change is about another message.
    ///
    /// ```
    /// # use gochat_core::ids::{ConversationId, MessageId, UserId};
    /// use gochat_core::sync::{Changed, Message};
    /// # let [id, user] = [7, 1];
    /// # let mut message = Message {
    /// #     seq_id: 3, content: "helo".into(), rev: 3,
    /// #     ..Message::new(ConversationId::World, MessageId::new(id).unwrap(), UserId::new(user).unwrap())
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
        if self.hidden || change.hidden {
            self.hide();
        }
        if self.deleted {
            (self.reactions, self.pinned) = (Vec::new(), false);
            (self.reply_to, self.forwarded_from) = (None, None);
            (self.mentions, self.mention_all) = (Vec::new(), false);
        }
        true
    }

    /// Makes what the message shows of the message that it answers what it is after a change of
    /// that. Gives false when the message answers another one or none. A client that applies every
    /// change to all messages of its conversation both ways ends with what the server shows.
    ///
    /// ```
    /// # use gochat_core::ids::{ConversationId, MessageId, UserId};
    /// use gochat_core::message::QuoteState;
    /// use gochat_core::sync::{Changed, Message, Quote};
    /// # let [one, two, user] = [7, 8, 1];
    /// # let user = UserId::new(user).unwrap();
    /// # let text = |seq_id, id, content: &str| Message {
    /// #     seq_id, rev: seq_id, content: content.into(),
    /// #     ..Message::new(ConversationId::World, MessageId::new(id).unwrap(), user)
    /// # };
    /// let question = text(3, one, "tee?");
    /// let answer = Message { reply_to: Some(Quote::of(&question)), ..text(4, two, "yes") };
    /// let mut timeline = [question, answer];
    ///
    /// let edit = Changed {
    ///     seq_id: 3, rev: 5, content: Some("tea?".into()), edit_count: 1, ..Changed::default()
    /// };
    /// for message in &mut timeline {
    ///     message.apply(&edit);
    ///     message.apply_to_quote(&edit);
    /// }
    /// let quote = timeline[1].reply_to.as_ref().unwrap();
    /// assert_eq!((quote.excerpt.as_deref(), quote.state), (Some("tea?"), QuoteState::Edited));
    /// ```
    pub fn apply_to_quote(&mut self, change: &Changed) -> bool {
        let mut quote = self.reply_to.as_mut();
        quote.as_mut().is_some_and(|quote| quote.apply(change))
    }

    /// Whether the message names a user: by name, or everybody. Nobody is named by a message of
    /// one's own.
    ///
    /// ```
    /// # use gochat_core::ids::{ConversationId, MessageId, UserId};
    /// use gochat_core::sync::Message;
    /// # let [id, ann, ben, cem] = [7, 1, 2, 3];
    /// # let [ann, ben, cem] = [ann, ben, cem].map(|id| UserId::new(id).unwrap());
    /// # let id = MessageId::new(id).unwrap();
    /// let mut message = Message {
    ///     mentions: vec![ben],
    ///     ..Message::new(ConversationId::World, id, ann)
    /// };
    /// assert!(message.mentions(ben) && !message.mentions(cem));
    /// message.mention_all = true;
    /// assert!(message.mentions(cem) && !message.mentions(ann));
    /// ```
    pub fn mentions(&self, user: UserId) -> bool {
        user != self.sender_id && (self.mention_all || self.mentions.contains(&user))
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
            seq_id: frame.seq_id,
            sender_name: Some(frame.sender.username.clone().into_owned()).filter(|n| !n.is_empty()),
            message_type: frame.message_type,
            content: frame.content.clone().into_owned(),
            client_msg_id: frame.client_msg_id.clone().into_owned(),
            extra: frame.extra.as_ref().map(|e| e.clone().into_owned()),
            created_at: frame.created_at,
            rev: frame.rev,
            // A message is shown even when what it refers to makes no sense.
            reply_to: frame.reply_to.as_ref().and_then(|q| q.try_into().ok()),
            mentions: frame
                .mentions
                .iter()
                .filter_map(|id| id.parse().ok())
                .collect(),
            mention_all: frame.mention_all,
            forwarded_from: frame
                .forwarded_from
                .as_ref()
                .and_then(|from| from.try_into().ok()),
            ..Self::new(
                frame.conversation_id.parse()?,
                frame.id.parse()?,
                frame.sender.id.parse()?,
            )
        })
    }
}

/// A message to be sent. Its client id is its identity: every repetition carries the same.
///
/// ```
/// use gochat_core::ids::{ConversationId, MessageId, UserId};
/// use gochat_core::sync::Outgoing;
/// # let [question, ann] = [7, 1];
/// # let (question, ann) = (MessageId::new(question).unwrap(), UserId::new(ann).unwrap());
/// let answer = Outgoing::text("id-1", ConversationId::World, "yes, @ann")
///     .reply_to(question)
///     .mention([ann]);
/// assert_eq!((answer.refers.reply_to, answer.refers.mentions), (Some(question), vec![ann]));
/// ```
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
    /// The message that it answers and the users that it names; none by default.
    pub refers: Refers,
}

impl Outgoing {
    /// A text message.
    pub fn text(
        client_msg_id: impl Into<String>,
        conversation_id: ConversationId,
        content: impl Into<String>,
    ) -> Self {
        Self {
            client_msg_id: client_msg_id.into(),
            conversation_id,
            message_type: 1,
            content: content.into(),
            extra: None,
            resend: false,
            refers: Refers::default(),
        }
    }

    /// Answers a message of the same conversation. One that isn't there is refused with
    /// `MESSAGE_NOT_FOUND`.
    pub const fn reply_to(mut self, message: MessageId) -> Self {
        self.refers.reply_to = Some(message);
        self
    }

    /// Names users, 50 at most. Those who aren't members are left out. Where nobody can be named,
    /// as in single chats and the world chat, it is refused with `INSUFFICIENT_PERMISSION`.
    pub fn mention(mut self, users: impl IntoIterator<Item = UserId>) -> Self {
        self.refers.mentions.extend(users);
        self.refers.mentions.sort_unstable();
        self.refers.mentions.dedup();
        self
    }

    /// Names everybody, as admins, the owner and members by leave of the group may.
    pub const fn mention_all(mut self) -> Self {
        self.refers.mention_all = true;
        self
    }

    /// What the message refers to; `None` for one that refers to nothing.
    ///
    /// # Errors
    /// `INVALID_PARAMS` for more than [`MENTIONS_MAX`](crate::message::MENTIONS_MAX) users.
    pub(super) fn check_refers(&self) -> Result<Option<Refers>, Error> {
        let Refers {
            reply_to,
            mentions,
            mention_all,
        } = &self.refers;
        Refers::check(*reply_to, mentions.clone(), *mention_all)
    }

    /// The frame that sends it.
    pub fn frame(&self) -> ClientFrame<'_> {
        ClientFrame::SendMessage(SendMessage {
            conversation_id: self.conversation_id,
            content: self.content.as_str().into(),
            message_type: self.message_type,
            client_msg_id: Some(self.client_msg_id.as_str().into()),
            extra: self.extra.as_deref().map(Into::into),
            resend: self.resend,
            refers: (self.refers != Refers::default()).then(|| Box::new(self.refers.clone())),
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
            seq_id: 3,
            content: "hi".into(),
            created_at: 1,
            rev: 3,
            reactions: vec![reaction("a", 1, true)],
            pinned: true,
            ..Message::new(
                ConversationId::World,
                MessageId::new(7).unwrap(),
                UserId::new(1).unwrap(),
            )
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
        let mut gone = message.clone();
        assert!(gone.apply(&Changed {
            seq_id: 3,
            rev: 8,
            hidden: true,
            content: Some(String::new()),
            ..Changed::default()
        }));
        assert!(gone.hidden && gone.content.is_empty());
        let edit = Changed {
            seq_id: 3,
            rev: 9,
            content: Some("again".to_owned()),
            ..Changed::default()
        };
        assert!(
            gone.apply(&edit) && gone.content.is_empty(),
            "it stays away"
        );
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
