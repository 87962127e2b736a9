//! The client's pen: the frames [`ClientFrame::parse`](super::ClientFrame::parse) reads.

use serde::Serialize;

use super::{ClientFrame, SendMessage};
use crate::ids::{ConversationId, MessageId, SeqId, UserId};
use crate::message::ChangeKind;

#[derive(Serialize)]
struct Envelope<T> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<T>,
}

#[derive(Serialize)]
struct SendOut<'a> {
    #[serde(rename = "conversationId")]
    conversation_id: ConversationId,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
    #[serde(rename = "messageType", skip_serializing_if = "Option::is_none")]
    message_type: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_msg_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extra: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    resend: bool,
    #[serde(rename = "replyTo", skip_serializing_if = "Option::is_none")]
    reply_to: Option<MessageId>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    mentions: &'a [UserId],
    #[serde(rename = "mentionAll", skip_serializing_if = "std::ops::Not::not")]
    mention_all: bool,
    #[serde(rename = "forwardedFrom", skip_serializing_if = "Option::is_none")]
    forwarded: Option<ForwardOut>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ForwardOut {
    conversation_id: ConversationId,
    message_id: MessageId,
}

impl<'a> SendOut<'a> {
    fn of(message: &'a SendMessage<'_>) -> Self {
        let is_written = message.forward.is_none();
        let refers = message.refers.as_deref();
        Self {
            conversation_id: message.conversation_id,
            content: is_written.then_some(&*message.content),
            message_type: is_written.then_some(message.message_type),
            client_msg_id: message.client_msg_id.as_deref(),
            extra: message.extra.as_deref(),
            resend: message.resend,
            reply_to: refers.and_then(|refers| refers.reply_to),
            mentions: refers.map_or(&[], |refers| &refers.mentions),
            mention_all: refers.is_some_and(|refers| refers.mention_all),
            forwarded: message.forward.map(|forward| ForwardOut {
                conversation_id: forward.conversation_id,
                message_id: forward.message_id,
            }),
        }
    }
}

#[derive(Serialize)]
struct ChangeOut<'a> {
    #[serde(rename = "conversationId")]
    conversation_id: ConversationId,
    #[serde(rename = "messageId")]
    message_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    emoji: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    remove: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_msg_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extra: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    resend: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PlaceOut {
    conversation_id: ConversationId,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq_id: Option<SeqId>,
}

#[derive(Serialize)]
struct TokenOut<'a> {
    token: &'a str,
}

impl ClientFrame<'_> {
    /// Appends the frame's JSON text to `out`.
    ///
    /// ```
    /// use gochat_core::session::frame::ClientFrame;
    /// let mut out = Vec::new();
    /// ClientFrame::Ping.encode(&mut out);
    /// assert_eq!(out, br#"{"type":"ping"}"#);
    /// ```
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::SendMessage(message) => {
                write("send-message", Some(SendOut::of(message)), out);
            }
            Self::Change(change) => {
                let kind = match change.kind {
                    ChangeKind::Edit => "edit-message",
                    ChangeKind::Recall => "recall-message",
                    ChangeKind::React | ChangeKind::Unreact => "react",
                    ChangeKind::Pin => "pin-message",
                    ChangeKind::Unpin => "unpin-message",
                };
                let text = Some(&*change.content);
                let data = ChangeOut {
                    conversation_id: change.conversation_id,
                    message_id: change.message_id.to_string(),
                    content: text.filter(|_| change.kind == ChangeKind::Edit),
                    emoji: text.filter(|_| change.kind.is_reaction()),
                    remove: change.kind == ChangeKind::Unreact,
                    client_msg_id: change.client_msg_id.as_deref(),
                    extra: change.extra.as_deref(),
                    resend: change.resend,
                };
                write(kind, Some(data), out);
            }
            Self::Authenticate(token) => {
                write("authenticate", Some(TokenOut { token: &token.0 }), out);
            }
            Self::Ping => write::<()>("ping", None, out),
            &Self::MarkRead {
                conversation_id,
                seq_id,
            } => {
                let data = PlaceOut {
                    conversation_id,
                    seq_id: Some(seq_id),
                };
                write("mark-read", Some(data), out);
            }
            &Self::Typing(conversation_id) => {
                write(
                    "typing",
                    Some(PlaceOut {
                        conversation_id,
                        seq_id: None,
                    }),
                    out,
                );
            }
            &Self::StopTyping(conversation_id) => {
                write(
                    "stop-typing",
                    Some(PlaceOut {
                        conversation_id,
                        seq_id: None,
                    }),
                    out,
                );
            }
        }
    }
}

fn write<T: Serialize>(kind: &'static str, data: Option<T>, out: &mut Vec<u8>) {
    serde_json::to_writer(out, &Envelope { kind, data })
        .expect("plain structs written to memory can't fail");
}
