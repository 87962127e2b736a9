//! What a message refers to, as a client sees it.

use serde::{Deserialize, Serialize};

use super::{Changed, Message};
use crate::ids::{ConversationId, MessageId, ParseIdError, SeqId, UserId};
use crate::message::{MessageType, QuoteState, excerpt};
use crate::session::frame;

/// A message that another one answers, as it is now: a view of a message of the same conversation.
///
/// A client that applies each change to the quotes of the changed message as well
/// ([`Message::apply_to_quote`]) ends with what the server shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Quote {
    /// Message id.
    pub message_id: MessageId,
    /// Place in the conversation.
    pub seq_id: SeqId,
    /// Author of the quoted message.
    pub sender_id: UserId,
    /// 1 text, 2 image, 3 file, 4 system, 5 voice, 6 video; `None` while that isn't known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_type: Option<i32>,
    /// Beginning of a text, 100 characters at most; `None` for other types, after a recall, while it
    /// isn't known, and for users who may not see the quoted message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excerpt: Option<String>,
    /// Whether the quoted message is as it was sent.
    #[serde(default)]
    pub state: QuoteState,
}

/// Where a message that is passed on comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ForwardedFrom {
    /// Identifier of the message that was passed on.
    pub message_id: MessageId,
    /// Conversation of that message; `None` for single chats, whose id names both sides. It is
    /// shown, not opened: the user need not be in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation_id: Option<ConversationId>,
    /// Author of the first message.
    pub sender_id: UserId,
    /// Name of that author when it was passed on.
    #[serde(default)]
    pub sender_name: String,
}

impl Quote {
    /// A quote of a message as the caller holds it: what an answer to the message shows.
    ///
    /// ```
    /// # use gochat_core::ids::{ConversationId, MessageId, UserId};
    /// use gochat_core::message::QuoteState;
    /// use gochat_core::sync::{Message, Quote};
    /// # let [id, user] = [7, 1];
    /// let message = Message {
    ///     content: "hello".into(),
    ///     edit_count: 1,
    ///     ..Message::new(ConversationId::World, MessageId::new(id).unwrap(), UserId::new(user).unwrap())
    /// };
    /// let quote = Quote::of(&message);
    /// assert_eq!(quote.excerpt.as_deref(), Some("hello"));
    /// assert_eq!(quote.state, QuoteState::Edited);
    /// ```
    pub fn of(message: &Message) -> Self {
        let state = QuoteState::of(message.deleted, message.edit_count);
        let mut quote = Self {
            message_id: message.id,
            seq_id: message.seq_id,
            sender_id: message.sender_id,
            message_type: Some(message.message_type),
            excerpt: None,
            state,
        };
        if state != QuoteState::Recalled {
            quote.take_content(&message.content);
        }
        quote
    }

    /// Makes the quote what it is after a change of the quoted message. Gives false when the change
    /// is about another message.
    pub fn apply(&mut self, change: &Changed) -> bool {
        if change.seq_id != self.seq_id {
            return false;
        }
        // No message is ever again what it was before an edit or a recall.
        self.state = self
            .state
            .max(QuoteState::of(change.deleted, change.edit_count));
        if self.state == QuoteState::Recalled {
            self.excerpt = None;
        } else if let Some(content) = &change.content {
            self.take_content(content);
        }
        true
    }

    /// What isn't known to be a text has no excerpt.
    fn take_content(&mut self, content: &str) {
        let kind = self.message_type.and_then(MessageType::from_i32);
        let shown = kind.map_or("", |kind| excerpt(kind, content));
        self.excerpt = (!shown.is_empty()).then(|| shown.to_owned());
    }
}

impl TryFrom<&frame::Quote<'_>> for Quote {
    type Error = ParseIdError;

    fn try_from(quote: &frame::Quote<'_>) -> Result<Self, ParseIdError> {
        let excerpt = quote.excerpt.as_deref().filter(|text| !text.is_empty());
        Ok(Self {
            message_id: quote.message_id.parse()?,
            seq_id: quote.seq_id,
            sender_id: quote.sender_id.parse()?,
            message_type: quote.message_type,
            excerpt: excerpt.map(str::to_owned),
            // A later version may know more states.
            state: QuoteState::from_name(&quote.state).unwrap_or_default(),
        })
    }
}

impl TryFrom<&frame::ForwardedFrom<'_>> for ForwardedFrom {
    type Error = ParseIdError;

    fn try_from(from: &frame::ForwardedFrom<'_>) -> Result<Self, ParseIdError> {
        let conversation = from.conversation_id.as_deref();
        Ok(Self {
            message_id: from.message_id.parse()?,
            conversation_id: conversation.and_then(|id| id.parse().ok()),
            sender_id: from.sender_id.parse()?,
            sender_name: from.sender_name.clone().into_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(seq: SeqId) -> Message {
        let [id, user] = [seq, 1];
        Message {
            seq_id: seq,
            content: "as sent".into(),
            rev: seq,
            ..Message::new(
                ConversationId::World,
                MessageId::new(id).unwrap(),
                UserId::new(user).unwrap(),
            )
        }
    }

    /// A change as it is pushed, or as a client learns of it that was away.
    fn change(of: &Message, kind: u8, is_pushed: bool) -> Changed {
        let mut after = of.clone();
        after.rev += 1;
        match kind {
            0 => {
                after.content = "long ".repeat(of.edit_count as usize * 9 + 9);
                after.edit_count += 1;
            }
            1 => (after.deleted, after.content) = (true, String::new()),
            _ => after.pinned = !after.pinned,
        }
        Changed {
            seq_id: after.seq_id,
            rev: after.rev,
            deleted: after.deleted,
            content: Some(after.content).filter(|_| !is_pushed || kind < 2),
            edit_count: after.edit_count,
            pinned: Some(after.pinned),
            ..Changed::default()
        }
    }

    proptest! {
        #[test]
        fn a_quote_goes_through_the_states_of_its_message(
            message_type in 1..8i32,
            acts in prop::collection::vec((0..4u8, any::<bool>()), 0..12),
        ) {
            let mut quoted = Message { message_type, ..message(3) };
            let mut answer = Message { reply_to: Some(Quote::of(&quoted)), ..message(4) };
            for (kind, is_pushed) in acts {
                if quoted.deleted {
                    break;
                }
                let change = change(&quoted, kind, is_pushed);
                prop_assert!(quoted.apply(&change));
                prop_assert!(answer.apply_to_quote(&change));
                prop_assert!(!answer.apply(&change), "it is about the other message");
                prop_assert_eq!(answer.reply_to.as_ref(), Some(&Quote::of(&quoted)));
            }
        }
    }

    #[test]
    fn a_quote_of_a_message_that_is_not_known_takes_only_its_state() {
        let mut quote = Quote {
            message_type: None,
            excerpt: None,
            ..Quote::of(&message(3))
        };
        let edit = change(&message(3), 0, true);
        assert!(quote.apply(&edit));
        assert_eq!((quote.excerpt, quote.state), (None, QuoteState::Edited));
        let mut other = Quote::of(&message(4));
        assert!(!other.apply(&edit));
        assert_eq!(other, Quote::of(&message(4)));
    }

    #[test]
    fn a_recalled_message_refers_to_nothing() {
        let me = UserId::new(9).unwrap();
        let mut answer = Message {
            reply_to: Some(Quote::of(&message(3))),
            mentions: vec![me],
            mention_all: true,
            forwarded_from: Some(ForwardedFrom {
                message_id: MessageId::new(5).unwrap(),
                conversation_id: None,
                sender_id: me,
                sender_name: "ann".into(),
            }),
            ..message(4)
        };
        assert!(answer.mentions(me) && !answer.mentions(answer.sender_id));
        assert!(answer.apply(&change(&message(4), 1, true)));
        assert!(!answer.mentions(me));
        assert_eq!((answer.reply_to, answer.forwarded_from), (None, None));
    }
}
