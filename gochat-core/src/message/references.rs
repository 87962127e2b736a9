//! What a message refers to: a message it answers, users it names, a message it passes on.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::MessageType;
use crate::error::{Error, ErrorCode, Result};
use crate::ids::{ConversationId, MessageId, SeqId, UserId};

/// Maximum number of users that one message names.
pub const MENTIONS_MAX: usize = 50;
/// Maximum number of characters of a quoted text.
pub const EXCERPT_CHARS: usize = 100;

/// What a message refers to, as its author wishes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Refers {
    /// Message of the same conversation that is answered.
    pub reply_to: Option<MessageId>,
    /// Users that are named; ascending, each once.
    pub mentions: Vec<UserId>,
    /// Whether the message names everybody.
    pub mention_all: bool,
}

impl Refers {
    /// What a message refers to; `None` for one that refers to nothing.
    ///
    /// ```
    /// use gochat_core::ids::UserId;
    /// use gochat_core::message::Refers;
    /// let [a, b] = [1, 2].map(|id| UserId::new(id).unwrap());
    /// let refers = Refers::check(None, vec![b, a, b], false).unwrap().unwrap();
    /// assert_eq!(refers.mentions, [a, b]);
    /// assert_eq!(Refers::check(None, vec![], false), Ok(None));
    /// ```
    ///
    /// # Errors
    /// `INVALID_PARAMS` for more than [`MENTIONS_MAX`] users.
    pub fn check(
        reply_to: Option<MessageId>,
        mut mentions: Vec<UserId>,
        mention_all: bool,
    ) -> Result<Option<Self>> {
        mentions.sort_unstable();
        mentions.dedup();
        if mentions.len() > MENTIONS_MAX {
            let text = format!("A message mentions {MENTIONS_MAX} users at most.");
            return Err(Error::new(ErrorCode::InvalidParams, text));
        }
        let refers = Self {
            reply_to,
            mentions,
            mention_all,
        };
        Ok((refers != Self::default()).then_some(refers))
    }
}

/// What a message refers to, as it is stored with the message. What a quoted message says is read
/// where it stands, so a quote is never older than its message.
///
/// ```
/// use gochat_core::message::References;
/// let stored = r#"{"reply":{"id":"7","seq":3,"by":"2"},"mentions":["5"]}"#;
/// let references: References = serde_json::from_str(stored).unwrap();
/// assert_eq!(references.reply.as_ref().unwrap().seq, 3);
/// assert_eq!(serde_json::to_string(&references).unwrap(), stored);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct References {
    /// Message that is answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply: Option<Reply>,
    /// Users that are named, ascending: those of the wish who were members.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mentions: Vec<UserId>,
    /// Whether the message names everybody.
    #[serde(rename = "all", skip_serializing_if = "is_false")]
    pub mention_all: bool,
    /// Message that is passed on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forwarded: Option<Forwarded>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes fields by reference"
)]
const fn is_false(value: &bool) -> bool {
    !*value
}

/// A message that is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// Id of the answered message, of the same conversation.
    pub id: MessageId,
    /// Position of that message.
    pub seq: SeqId,
    /// Author of that message.
    pub by: UserId,
}

/// Where a message that is passed on comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forwarded {
    /// Author of the first message.
    pub by: UserId,
    /// Name of the author when it was passed on.
    pub name: String,
    /// The message that was passed on.
    pub id: MessageId,
    /// Conversation of that message; not of a single chat, whose id names both sides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<ConversationId>,
}

impl Forwarded {
    /// Where a message comes from that is passed on: of one that was passed on itself the first
    /// author is named.
    ///
    /// ```
    /// use gochat_core::ids::{ConversationId, MessageId, UserId};
    /// use gochat_core::message::Forwarded;
    /// let [a, b] = [1, 2].map(|id| UserId::new(id).unwrap());
    /// let [first, second] = [7, 8].map(|id| MessageId::new(id).unwrap());
    /// let chat = ConversationId::single(a, b).unwrap();
    /// let once = Forwarded::of(chat, first, (a, "ann"), None);
    /// assert_eq!((once.by, once.from), (a, None));
    /// let twice = Forwarded::of(ConversationId::World, second, (b, "bob"), Some(&once));
    /// assert_eq!((twice.by, &*twice.name, twice.id), (a, "ann", second));
    /// ```
    pub fn of(
        conversation: ConversationId,
        id: MessageId,
        (author, name): (UserId, &str),
        before: Option<&Self>,
    ) -> Self {
        let (by, name) = before.map_or((author, name), |first| (first.by, &first.name));
        let is_single = matches!(conversation, ConversationId::Single(..));
        Self {
            by,
            name: name.to_owned(),
            id,
            from: (!is_single).then_some(conversation),
        }
    }
}

impl References {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Whether a quoted message is as it was sent. A message only goes on to later states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum QuoteState {
    /// As it was sent.
    #[default]
    Normal,
    /// Edited since.
    Edited,
    /// Taken back: it says nothing any more.
    Recalled,
}

impl QuoteState {
    /// The state of a message.
    pub const fn of(recalled: bool, edits: u32) -> Self {
        match (recalled, edits) {
            (true, _) => Self::Recalled,
            (false, 0) => Self::Normal,
            (false, _) => Self::Edited,
        }
    }

    /// As it stands in frames and answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Edited => "edited",
            Self::Recalled => "recalled",
        }
    }

    /// The state with this name.
    ///
    /// ```
    /// use gochat_core::message::QuoteState;
    /// assert_eq!(QuoteState::from_name("edited"), Some(QuoteState::Edited));
    /// assert_eq!(QuoteState::from_name("burnt"), None);
    /// ```
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Normal, Self::Edited, Self::Recalled]
            .into_iter()
            .find(|state| state.as_str() == name)
    }
}

impl Serialize for QuoteState {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A state of later versions is read as the normal one.
impl<'de> Deserialize<'de> for QuoteState {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let name = Cow::<'de, str>::deserialize(deserializer)?;
        Ok(Self::from_name(&name).unwrap_or_default())
    }
}

/// What is shown of a quoted message: the beginning of a text, nothing of other types, whose content
/// isn't for people.
///
/// ```
/// use gochat_core::message::{MessageType, excerpt};
/// assert_eq!(excerpt(MessageType::Text, "hello"), "hello");
/// assert_eq!(excerpt(MessageType::Text, &"ä".repeat(200)), "ä".repeat(100));
/// assert_eq!(excerpt(MessageType::Image, r#"{"url":"…"}"#), "");
/// ```
pub fn excerpt(kind: MessageType, content: &str) -> &str {
    if kind != MessageType::Text {
        return "";
    }
    let end = content.char_indices().nth(EXCERPT_CHARS);
    end.map_or(content, |(at, _)| &content[..at])
}
