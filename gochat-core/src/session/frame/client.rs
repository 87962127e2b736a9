//! Client → server.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, Visitor};
use serde_json::value::RawValue;

use super::refusal;
use crate::error::{Error, ErrorCode};
use crate::ids::{ConversationId, MessageId, SeqId, UserId};
use crate::message::{ChangeKind, Refers};

/// A frame a client may send, borrowed from its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientFrame<'a> {
    /// A new message, or the repetition of one.
    SendMessage(SendMessage<'a>),
    /// A change of a message, or the repetition of one.
    Change(ChangeMessage<'a>),
    /// Sign of life; the answer is `pong`.
    Ping,
    /// The user has read up to `seq_id`.
    MarkRead {
        /// Where.
        conversation_id: ConversationId,
        /// Newest message seen.
        seq_id: SeqId,
    },
    /// The user is writing.
    Typing(ConversationId),
    /// The user stopped writing.
    StopTyping(ConversationId),
    /// A newer access token of the connection's session: the connection lives as long as it does.
    Authenticate(AccessToken<'a>),
}

/// An access token; never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessToken<'a>(pub Cow<'a, str>);

impl fmt::Debug for AccessToken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// The data of `send-message`. Only its shape is checked here; lengths and types are judged
/// by the message rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendMessage<'a> {
    /// Where to.
    pub conversation_id: ConversationId,
    /// What; empty when a message is passed on.
    pub content: Cow<'a, str>,
    /// Number of the message type; names have been translated. 0 when a message is passed on.
    pub message_type: i32,
    /// The client's own id; the server makes one up when it is missing.
    pub client_msg_id: Option<Cow<'a, str>>,
    /// JSON text that travels with the message.
    pub extra: Option<Cow<'a, str>>,
    /// The client may have sent it before: it is stored once however long ago that was.
    pub resend: bool,
    /// What the message refers to; boxed, for most refer to nothing.
    pub refers: Option<Box<Refers>>,
    /// The message that is passed on: type, content and extra are taken from there.
    pub forward: Option<Forward>,
}

/// A message that is to be passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forward {
    /// Conversation in which it stands.
    pub conversation_id: ConversationId,
    /// Identifier of the message.
    pub message_id: MessageId,
}

/// The data of `edit-message`, `recall-message`, `react`, `pin-message` and `unpin-message`. Only
/// its shape is checked here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeMessage<'a> {
    /// Conversation of the message.
    pub conversation_id: ConversationId,
    /// Identifier of the message.
    pub message_id: MessageId,
    /// Kind of the change.
    pub kind: ChangeKind,
    /// Of an edit: what the message says from now on. Of a reaction: its emoji.
    pub content: Cow<'a, str>,
    /// Of an edit: JSON text that travels with the message.
    pub extra: Option<Cow<'a, str>>,
    /// The client's own id of the change; the server makes one up when it is missing.
    pub client_msg_id: Option<Cow<'a, str>>,
    /// The client may have sent it before: it has effect once.
    pub resend: bool,
}

/// Why a frame was refused. The connection stays open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameError {
    /// What to tell the client.
    pub error: Error,
    /// The client id of the refused message, to be repeated in the `error` frame's details.
    pub client_msg_id: Option<String>,
}

impl From<ErrorCode> for FrameError {
    fn from(code: ErrorCode) -> Self {
        Self {
            error: code.into(),
            client_msg_id: None,
        }
    }
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

/// Borrowed text inside an `Option`: serde borrows a `Cow` only when it is the field itself.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Deserialize)]
struct TokenData<'a> {
    #[serde(borrow)]
    token: Cow<'a, str>,
}

/// Every spelling has a field of its own, so that a client may send two of them at once.
#[derive(Deserialize)]
struct SendData<'a> {
    #[serde(rename = "conversationId", borrow, default)]
    conversation: Option<Text<'a>>,
    #[serde(rename = "conversation_id", borrow, default)]
    conversation_snake: Option<Text<'a>>,
    #[serde(borrow, default)]
    content: Option<Text<'a>>,
    #[serde(rename = "messageType", default)]
    message_type: Option<TypeNumber>,
    #[serde(rename = "message_type", default)]
    message_type_snake: Option<TypeNumber>,
    #[serde(rename = "client_msg_id", borrow, default)]
    client_id: Option<Text<'a>>,
    #[serde(rename = "clientMsgId", borrow, default)]
    client_id_camel: Option<Text<'a>>,
    #[serde(rename = "tempMessageId", borrow, default)]
    client_id_temp: Option<Text<'a>>,
    #[serde(borrow, default)]
    extra: Option<Text<'a>>,
    #[serde(default)]
    resend: Option<bool>,
    #[serde(rename = "replyTo", borrow, default)]
    reply_to: Option<Text<'a>>,
    #[serde(borrow, default)]
    mentions: Option<Vec<Text<'a>>>,
    #[serde(rename = "mentionAll", default)]
    mention_all: Option<bool>,
    #[serde(rename = "forwardedFrom", borrow, default)]
    forwarded: Option<ForwardData<'a>>,
}

#[derive(Deserialize)]
pub(super) struct ForwardData<'a> {
    #[serde(rename = "conversationId", borrow)]
    conversation: Cow<'a, str>,
    #[serde(rename = "messageId", borrow)]
    message: Cow<'a, str>,
}

impl ForwardData<'_> {
    fn read(&self) -> Result<Forward, Fault> {
        let conversation = self.conversation.parse();
        let message = self.message.parse();
        Ok(Forward {
            conversation_id: conversation.map_err(|_| ErrorCode::ConversationNotFound)?,
            message_id: message.map_err(|_| ErrorCode::MessageNotFound)?,
        })
    }
}

#[derive(Deserialize)]
struct ChangeData<'a> {
    #[serde(rename = "conversationId", borrow, default)]
    conversation: Option<Text<'a>>,
    #[serde(rename = "conversation_id", borrow, default)]
    conversation_snake: Option<Text<'a>>,
    #[serde(rename = "messageId", borrow, default)]
    message: Option<Text<'a>>,
    #[serde(rename = "message_id", borrow, default)]
    message_snake: Option<Text<'a>>,
    #[serde(borrow, default)]
    content: Option<Text<'a>>,
    #[serde(borrow, default)]
    emoji: Option<Text<'a>>,
    #[serde(default)]
    remove: Option<bool>,
    #[serde(rename = "client_msg_id", borrow, default)]
    client_id: Option<Text<'a>>,
    #[serde(rename = "clientMsgId", borrow, default)]
    client_id_camel: Option<Text<'a>>,
    #[serde(rename = "tempMessageId", borrow, default)]
    client_id_temp: Option<Text<'a>>,
    #[serde(borrow, default)]
    extra: Option<Text<'a>>,
    #[serde(default)]
    resend: Option<bool>,
}

#[derive(Deserialize)]
struct PlaceData<'a> {
    #[serde(rename = "conversationId", borrow, default)]
    conversation: Option<Text<'a>>,
    #[serde(rename = "conversation_id", borrow, default)]
    conversation_snake: Option<Text<'a>>,
    #[serde(rename = "seqId", default)]
    seq: Option<Whole>,
    #[serde(rename = "seq_id", default)]
    seq_snake: Option<Whole>,
}

impl<'a> ClientFrame<'a> {
    /// Parses the text of one WebSocket message.
    ///
    /// ```
    /// use gochat_core::session::frame::ClientFrame;
    /// let text = r#"{"type":"send-message","data":{
    ///     "conversationId":"world","content":"hi","messageType":"text","client_msg_id":"c1"}}"#;
    /// let Ok(ClientFrame::SendMessage(message)) = ClientFrame::parse(text) else { panic!() };
    /// assert_eq!((&*message.content, message.message_type), ("hi", 1));
    /// ```
    ///
    /// # Errors
    /// Every refusal carries the client id of the message when the frame has one, and names the
    /// field that is wrong.
    pub fn parse(text: &'a str) -> Result<Self, FrameError> {
        match read(text) {
            Ok(frame) => Ok(frame),
            Err(Fault::Form) => Err(refusal::explain(text)),
            Err(Fault::Meaning(error)) => Err(FrameError {
                error,
                client_msg_id: refusal::client_id(text),
            }),
        }
    }
}

/// Why the fast way ends.
enum Fault {
    /// The text isn't a frame of its type.
    Form,
    /// The fields have the right form and name something that isn't there.
    Meaning(Error),
}

impl From<ErrorCode> for Fault {
    fn from(code: ErrorCode) -> Self {
        Self::Meaning(code.into())
    }
}

/// Reads an object. serde takes an array for a struct as well, which the contract does not.
fn object<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Fault> {
    if text.trim_ascii_start().starts_with('{') {
        serde_json::from_str(text).map_err(|_| Fault::Form)
    } else {
        Err(Fault::Form)
    }
}

fn read(text: &str) -> Result<ClientFrame<'_>, Fault> {
    let envelope: Envelope<'_> = object(text)?;
    let data = envelope.data.map(RawValue::get);
    match &*envelope.kind {
        "send-message" => send_message(data.ok_or(Fault::Form)?),
        "edit-message" => change(data.ok_or(Fault::Form)?, ChangeKind::Edit),
        "recall-message" => change(data.ok_or(Fault::Form)?, ChangeKind::Recall),
        "react" => change(data.ok_or(Fault::Form)?, ChangeKind::React),
        "pin-message" => change(data.ok_or(Fault::Form)?, ChangeKind::Pin),
        "unpin-message" => change(data.ok_or(Fault::Form)?, ChangeKind::Unpin),
        "ping" => Ok(ClientFrame::Ping),
        "mark-read" => {
            let place = place(data)?;
            let seq = place.seq.or(place.seq_snake);
            let seq = seq.and_then(|s| SeqId::try_from(s.0).ok());
            Ok(ClientFrame::MarkRead {
                conversation_id: place.id()?,
                seq_id: seq.ok_or(Fault::Form)?,
            })
        }
        "typing" => Ok(ClientFrame::Typing(place(data)?.id()?)),
        "authenticate" => {
            let data: TokenData<'_> = object(data.ok_or(Fault::Form)?)?;
            Ok(ClientFrame::Authenticate(AccessToken(data.token)))
        }
        "stop-typing" => Ok(ClientFrame::StopTyping(place(data)?.id()?)),
        _ => Err(Fault::Meaning(Error::new(
            ErrorCode::InvalidMessage,
            "Unknown frame type.",
        ))),
    }
}

impl From<Error> for FrameError {
    fn from(error: Error) -> Self {
        Self {
            error,
            client_msg_id: None,
        }
    }
}

fn send_message(data: &str) -> Result<ClientFrame<'_>, Fault> {
    let data: SendData<'_> = object(data)?;
    let client_id = data
        .client_id
        .or(data.client_id_camel)
        .or(data.client_id_temp);
    let forward = data.forwarded.as_ref().map(ForwardData::read).transpose()?;
    let message_type = match data.message_type.or(data.message_type_snake) {
        _ if forward.is_some() => 0,
        Some(TypeNumber(Some(number))) => number,
        Some(TypeNumber(None)) => return Err(ErrorCode::UnsupportedMessageType.into()),
        None => return Err(Fault::Form),
    };
    let content = match (data.content, &forward) {
        (_, Some(_)) => Cow::Borrowed(""),
        (content, None) => content.ok_or(Fault::Form)?.0,
    };
    let conversation = data.conversation.or(data.conversation_snake);
    // A text that is no id names no conversation.
    let conversation_id = conversation
        .ok_or(Fault::Form)?
        .0
        .parse()
        .map_err(|_| ErrorCode::ConversationNotFound)?;
    Ok(ClientFrame::SendMessage(SendMessage {
        conversation_id,
        content,
        message_type,
        client_msg_id: client_id.map(|text| text.0),
        extra: data.extra.filter(|_| forward.is_none()).map(|text| text.0),
        resend: data.resend.unwrap_or(false),
        refers: refers(data.reply_to, data.mentions, data.mention_all)?.map(Box::new),
        forward,
    }))
}

fn refers(
    reply_to: Option<Text<'_>>,
    mentions: Option<Vec<Text<'_>>>,
    mention_all: Option<bool>,
) -> Result<Option<Refers>, Fault> {
    // A text that is no id names no message and no user.
    let reply_to = reply_to.filter(|text| !text.0.is_empty());
    let reply_to = reply_to.map(|text| text.0.parse()).transpose();
    let users = mentions.unwrap_or_default().into_iter();
    let users = users.map(|text| text.0.parse::<UserId>());
    let users = users.collect::<Result<Vec<_>, _>>();
    Refers::check(
        reply_to.map_err(|_| ErrorCode::MessageNotFound)?,
        users.map_err(|_| ErrorCode::UserNotFound)?,
        mention_all.unwrap_or(false),
    )
    .map_err(Fault::Meaning)
}

fn change(data: &str, kind: ChangeKind) -> Result<ClientFrame<'_>, Fault> {
    let data: ChangeData<'_> = object(data)?;
    let conversation = data.conversation.or(data.conversation_snake);
    let conversation_id = conversation
        .ok_or(Fault::Form)?
        .0
        .parse()
        .map_err(|_| ErrorCode::ConversationNotFound)?;
    // A text that is no id names no message.
    let message = data.message.or(data.message_snake).ok_or(Fault::Form)?.0;
    let message_id = message.parse().map_err(|_| ErrorCode::MessageNotFound)?;
    let kind = match data.remove {
        Some(true) if kind == ChangeKind::React => ChangeKind::Unreact,
        _ => kind,
    };
    let content = match kind {
        ChangeKind::Edit => data.content.ok_or(Fault::Form)?.0,
        ChangeKind::React | ChangeKind::Unreact => data.emoji.ok_or(Fault::Form)?.0,
        ChangeKind::Recall | ChangeKind::Pin | ChangeKind::Unpin => Cow::Borrowed(""),
    };
    let client_id = data
        .client_id
        .or(data.client_id_camel)
        .or(data.client_id_temp);
    Ok(ClientFrame::Change(ChangeMessage {
        conversation_id,
        message_id,
        kind,
        content,
        extra: data.extra.map(|text| text.0),
        client_msg_id: client_id.map(|text| text.0),
        resend: data.resend.unwrap_or(false),
    }))
}

fn place(data: Option<&str>) -> Result<PlaceData<'_>, Fault> {
    object(data.ok_or(Fault::Form)?)
}

impl PlaceData<'_> {
    fn id(&self) -> Result<ConversationId, Fault> {
        let text = self
            .conversation
            .as_ref()
            .or(self.conversation_snake.as_ref());
        let text = text.ok_or(Fault::Form)?;
        text.0
            .parse()
            .map_err(|_| ErrorCode::ConversationNotFound.into())
    }
}

/// A whole number of a signed 64-bit column, written without a fraction.
#[derive(Clone, Copy)]
pub(super) struct Whole(pub(super) i64);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;
        impl Visitor<'_> for Number {
            type Value = Whole;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Whole, E> {
                i64::try_from(number).map(Whole).map_err(E::custom)
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Whole, E> {
                Ok(Whole(number))
            }
        }
        deserializer.deserialize_any(Number)
    }
}

/// A message type given as number or name; `None` for a name or number nobody knows.
pub(super) struct TypeNumber(Option<i32>);

impl<'de> Deserialize<'de> for TypeNumber {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberOrName;
        impl Visitor<'_> for NumberOrName {
            type Value = TypeNumber;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a message type, as number or name")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<TypeNumber, E> {
                Ok(TypeNumber(i32::try_from(number).ok()))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<TypeNumber, E> {
                Ok(TypeNumber(i32::try_from(number).ok()))
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<TypeNumber, E> {
                const NAMES: [&str; 6] = ["text", "image", "file", "system", "voice", "video"];
                let number = NAMES
                    .iter()
                    .zip(1..)
                    .find(|(n, _)| **n == name)
                    .map(|(_, i)| i);
                Ok(TypeNumber(number))
            }
        }
        deserializer.deserialize_any(NumberOrName)
    }
}
