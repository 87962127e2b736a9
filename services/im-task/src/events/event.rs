//! One shape for the events of all topics.

use gochat_infra::port::mq::Record;
use gochat_infra::topics;
use gochat_proto::mq::v1::{
    ConversationEvent, FriendEvent, MessageEvent, NotificationEvent, UserEvent,
};
use prost::{DecodeError, Message};
use serde::de::DeserializeOwned;

use super::Failure;

/// A domain event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) id: String,
    pub(super) kind: String,
    /// Unix seconds.
    pub(super) timestamp: i64,
    pub(super) trace_id: String,
    /// User or first friend; empty when it is about a conversation.
    pub(super) user_id: String,
    /// The other friend.
    pub(super) friend_id: String,
    /// Who is to be told; empty = everybody concerned.
    pub(super) target_user_id: String,
    pub(super) conversation_id: String,
    pub(super) operator_id: String,
    payload: String,
}

impl Event {
    /// Decodes a record of one of the event topics.
    pub(super) fn decode(topic: &str, record: &Record) -> Result<Self, String> {
        let trace = record
            .headers
            .find("X-Trace-ID")
            .or_else(|| record.headers.find("trace_id"));
        let trace_id = trace.map_or_else(String::new, |t| String::from_utf8_lossy(t).into_owned());
        let event = decode(topic, record).map_err(|e| format!("can't be decoded: {e}"))?;
        if event.id.is_empty() || event.kind.is_empty() {
            return Err("has no id or no type".to_owned());
        }
        Ok(Self { trace_id, ..event })
    }

    /// The payload as this type.
    pub(super) fn payload<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        let text = if self.payload.is_empty() {
            "{}"
        } else {
            &self.payload
        };
        serde_json::from_str(text)
            .map_err(|e| Failure::Never(format!("payload of {}: {e}", self.kind)))
    }
}

fn decode(topic: &str, record: &Record) -> Result<Event, DecodeError> {
    let value = record.value.clone();
    Ok(match topic {
        topics::USER_EVENTS => {
            let e = UserEvent::decode(value)?;
            let head = head(e.event_id, e.event_type, e.timestamp, e.payload);
            Event {
                user_id: e.user_id,
                ..head
            }
        }
        topics::MESSAGE_EVENTS => {
            let e = MessageEvent::decode(value)?;
            let head = head(e.event_id, e.event_type, e.timestamp, e.payload);
            Event {
                conversation_id: e.conversation_id,
                operator_id: e.operator_id,
                ..head
            }
        }
        topics::CONVERSATION_EVENTS => {
            let e = ConversationEvent::decode(value)?;
            let head = head(e.event_id, e.event_type, e.timestamp, e.payload);
            Event {
                conversation_id: e.conversation_id,
                operator_id: e.operator_id,
                ..head
            }
        }
        topics::FRIEND_EVENTS => {
            let e = FriendEvent::decode(value)?;
            let head = head(e.event_id, e.event_type, e.timestamp, e.payload);
            Event {
                user_id: e.user_id,
                friend_id: e.friend_id,
                ..head
            }
        }
        _ => {
            let e = NotificationEvent::decode(value)?;
            let head = head(e.event_id, e.event_type, e.timestamp, e.payload);
            Event {
                target_user_id: e.target_user_id,
                conversation_id: e.conversation_id,
                operator_id: e.operator_id,
                ..head
            }
        }
    })
}

fn head(id: String, kind: String, timestamp: i64, payload: String) -> Event {
    Event {
        id,
        kind,
        timestamp,
        payload,
        ..Default::default()
    }
}
