//! Why a frame could not be read: looked up field by field, after the fast way failed.
//!
//! The client's id is read before the rest, so that every refusal of a message names the message.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::FrameError;
use crate::error::{Error, ErrorCode};

/// Longest client id that a refusal repeats, in bytes; a longer one is no id.
const CLIENT_ID_MAX_BYTES: usize = 256;

/// The form of a field's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    /// A whole number from 0.
    Position,
    /// A number or a name.
    MessageType,
    Flag,
    /// A list of texts.
    Texts,
    /// The place of a message: `conversationId` and `messageId`.
    Place,
}

/// A field of a frame's data: its spellings, its form, and whether it must be there.
pub(super) struct Field {
    pub(super) names: &'static [&'static str],
    pub(super) form: Form,
    pub(super) required: bool,
}

const fn field(names: &'static [&'static str], form: Form, required: bool) -> Field {
    Field {
        names,
        form,
        required,
    }
}

const CLIENT_ID: Field = field(
    &["client_msg_id", "clientMsgId", "tempMessageId"],
    Form::Text,
    false,
);
const CONVERSATION: Field = field(&["conversationId", "conversation_id"], Form::Text, true);

const MESSAGE: Field = field(&["messageId", "message_id"], Form::Text, true);
const RESEND: Field = field(&["resend"], Form::Flag, false);

/// The fields of a frame's data, in the order in which faults are told.
pub(super) const fn fields_of(kind: &str) -> &'static [Field] {
    const SEND: &[Field] = &[
        CLIENT_ID,
        CONVERSATION,
        field(&["content"], Form::Text, true),
        field(&["messageType", "message_type"], Form::MessageType, true),
        field(&["extra"], Form::Text, false),
        RESEND,
        field(&["replyTo"], Form::Text, false),
        field(&["mentions"], Form::Texts, false),
        field(&["mentionAll"], Form::Flag, false),
        field(&["forwardedFrom"], Form::Place, false),
    ];
    const RECALL: &[Field] = &[CLIENT_ID, CONVERSATION, MESSAGE, RESEND];
    const EDIT: &[Field] = &[
        CLIENT_ID,
        CONVERSATION,
        MESSAGE,
        field(&["content"], Form::Text, true),
        field(&["extra"], Form::Text, false),
        RESEND,
    ];
    const REACT: &[Field] = &[
        CLIENT_ID,
        CONVERSATION,
        MESSAGE,
        field(&["emoji"], Form::Text, true),
        field(&["remove"], Form::Flag, false),
        RESEND,
    ];
    const READ: &[Field] = &[
        CONVERSATION,
        field(&["seqId", "seq_id"], Form::Position, true),
    ];
    const PLACE: &[Field] = &[CONVERSATION];
    const TOKEN: &[Field] = &[field(&["token"], Form::Text, true)];
    match kind.as_bytes() {
        b"send-message" => SEND,
        b"edit-message" => EDIT,
        b"recall-message" | b"pin-message" | b"unpin-message" => RECALL,
        b"react" => REACT,
        b"mark-read" => READ,
        b"typing" | b"stop-typing" => PLACE,
        b"authenticate" => TOKEN,
        _ => &[],
    }
}

/// Says what is wrong with a frame that could not be read.
pub(super) fn explain(text: &str) -> FrameError {
    let refused = |sentence: String, client_msg_id| FrameError {
        error: Error::new(ErrorCode::InvalidMessage, sentence),
        client_msg_id,
    };
    let Some(envelope) = Object::read(text) else {
        return refused("A frame is a JSON object.".into(), None);
    };
    let data = envelope.value("data").and_then(Object::read);
    let client_msg_id = data.as_ref().and_then(Object::client_id);
    let kind = match envelope
        .value("type")
        .map(serde_json::from_str::<Cow<'_, str>>)
    {
        Some(Ok(kind)) => kind,
        Some(Err(_)) => return refused("`type` must be text.".into(), client_msg_id),
        None => return refused("`type` is missing.".into(), client_msg_id),
    };
    let sentence = match (&data, envelope.value("data")) {
        (Some(data), _) => fields_of(&kind).iter().find_map(|field| data.fault(field)),
        (None, Some(_)) => Some("`data` must be an object.".to_owned()),
        (None, None) => Some("`data` is missing.".to_owned()),
    };
    let twice = envelope.repeated.or(data.as_ref().and_then(|d| d.repeated));
    let twice = twice.map(|name| format!("`{name}` stands there twice."));
    match sentence.or(twice) {
        Some(sentence) => refused(sentence, client_msg_id),
        None => FrameError {
            error: ErrorCode::InvalidMessage.into(),
            client_msg_id,
        },
    }
}

/// The client id of a frame that may be wrong otherwise.
pub(super) fn client_id(text: &str) -> Option<String> {
    Object::read(Object::read(text)?.value("data")?)?.client_id()
}

/// The fields of an object that have a meaning in some frame, as they were written.
struct Object<'a> {
    fields: Vec<(&'static str, &'a str)>,
    /// A field that stands there more than once.
    repeated: Option<&'static str>,
}

/// Every name that means something, in an envelope or in its data.
const NAMES: [&str; 23] = [
    "type",
    "data",
    "client_msg_id",
    "clientMsgId",
    "tempMessageId",
    "conversationId",
    "conversation_id",
    "messageId",
    "message_id",
    "content",
    "messageType",
    "message_type",
    "extra",
    "emoji",
    "remove",
    "resend",
    "seqId",
    "seq_id",
    "token",
    "replyTo",
    "mentions",
    "mentionAll",
    "forwardedFrom",
];

fn known(name: &str) -> Option<&'static str> {
    NAMES.into_iter().find(|known| *known == name)
}

impl<'a> Object<'a> {
    /// `None` for text that is no JSON object. Strings inside may hold half characters.
    fn read(text: &'a str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// The text of a field that is there and not `null`.
    fn value(&self, name: &str) -> Option<&'a str> {
        let named = self.fields.iter().find(|(known, _)| *known == name);
        named.map(|(_, value)| *value).filter(|v| *v != "null")
    }

    fn client_id(&self) -> Option<String> {
        let written = CLIENT_ID.names.iter().find_map(|name| self.value(name))?;
        let id = match serde_json::from_str::<Cow<'_, str>>(written) {
            Ok(id) => id.into_owned(),
            // A number is refused, but it still says which message is meant.
            Err(_) if written.starts_with(|c: char| c.is_ascii_digit()) => written.to_owned(),
            Err(_) => return None,
        };
        (id.len() <= CLIENT_ID_MAX_BYTES).then_some(id)
    }

    /// What is wrong with a field, in words.
    fn fault(&self, field: &Field) -> Option<String> {
        // A message that is passed on takes content and type from its source.
        let is_taken = matches!(field.names[0], "content" | "messageType")
            && self.value("forwardedFrom").is_some();
        let mut found = is_taken;
        for name in field.names {
            let Some(value) = self.value(name) else {
                continue;
            };
            found = true;
            if let Some(form) = field.form.fault(value) {
                return Some(format!("`{name}` must be {form}."));
            }
        }
        (field.required && !found).then(|| format!("`{}` is missing.", field.names[0]))
    }
}

impl Form {
    /// What the value should be, if it is something else.
    fn fault(self, value: &str) -> Option<&'static str> {
        let is = |right: bool, form| if right { None } else { Some(form) };
        match self {
            Self::Text if value.starts_with('"') => is(
                serde_json::from_str::<Cow<'_, str>>(value).is_ok(),
                "text without half characters",
            ),
            Self::Text => Some("text"),
            Self::Position => is(
                serde_json::from_str::<super::client::Whole>(value).is_ok_and(|n| n.0 >= 0),
                "a whole number from 0",
            ),
            Self::MessageType => is(
                serde_json::from_str::<super::client::TypeNumber>(value).is_ok(),
                "the number or the name of a message type",
            ),
            Self::Flag => is(matches!(value, "true" | "false"), "true or false"),
            Self::Texts => is(
                serde_json::from_str::<Vec<Cow<'_, str>>>(value).is_ok(),
                "a list of texts",
            ),
            Self::Place => is(
                value.starts_with('{')
                    && serde_json::from_str::<super::client::ForwardData<'_>>(value).is_ok(),
                "an object with `conversationId` and `messageId`",
            ),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
                let mut object = Object {
                    fields: Vec::new(),
                    repeated: None,
                };
                while let Some(name) = map.next_key::<Cow<'de, str>>()? {
                    let Some(name) = known(&name) else {
                        map.next_value::<IgnoredAny>()?;
                        continue;
                    };
                    let value = map.next_value::<&'de RawValue>()?.get();
                    if object.fields.iter().any(|(earlier, _)| *earlier == name) {
                        object.repeated = Some(name);
                    } else {
                        object.fields.push((name, value));
                    }
                }
                Ok(object)
            }
        }
        deserializer.deserialize_map(Fields)
    }
}
