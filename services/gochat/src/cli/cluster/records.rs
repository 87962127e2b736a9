//! Records as JSON, for people.

use gochat_infra::port::mq::InRecord;
use gochat_infra::topics;
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};
use serde_json::{Value, json};

/// Package of all payloads.
const PACKAGE: &str = "gochat.mq.v1";

/// Knows the payloads of all topics.
pub(super) struct Decoder {
    pool: DescriptorPool,
}

impl Decoder {
    /// From the descriptors this program was built with.
    pub(super) fn new() -> Result<Self, String> {
        DescriptorPool::decode(gochat_proto::FILE_DESCRIPTOR_SET)
            .map(|pool| Self { pool })
            .map_err(|e| format!("descriptors: {e}"))
    }

    /// The record with its payload in words; one that can't be read is shown by its length.
    pub(super) fn to_json(&self, topic: &str, partition: u32, record: &InRecord) -> Value {
        let key = String::from_utf8_lossy(&record.record.key);
        let mut headers = serde_json::Map::new();
        let mut named = None;
        for (name, value) in record.record.headers.iter() {
            let text = String::from_utf8_lossy(value).into_owned();
            if name.eq_ignore_ascii_case("content-type") {
                named = text.split("type=").nth(1).map(|t| t.trim().to_owned());
            }
            headers.insert(name.to_string(), Value::String(text));
        }
        let origin = headers.get("X-DLQ-Topic").and_then(Value::as_str);
        let kind = named.or_else(|| payload_of(origin.unwrap_or(topic)).map(str::to_owned));
        let value = kind.and_then(|kind| self.payload(&kind, &record.record.value));
        json!({
            "partition": partition,
            "offset": record.offset,
            "key": key,
            "headers": headers,
            "value": value.unwrap_or_else(|| json!({"bytes": record.record.value.len()})),
        })
    }

    fn payload(&self, kind: &str, bytes: &[u8]) -> Option<Value> {
        let name = kind.rsplit('.').next().unwrap_or(kind);
        let message = self
            .pool
            .get_message_by_name(&format!("{PACKAGE}.{name}"))?;
        let message = DynamicMessage::decode(message, bytes).ok()?;
        let options = SerializeOptions::new().use_proto_field_name(true);
        message
            .serialize_with_options(serde_json::value::Serializer, &options)
            .ok()
    }
}

/// What a topic carries: those of the message path have no header that says so.
fn payload_of(topic: &str) -> Option<&'static str> {
    Some(match topic {
        topics::UPSTREAM => "UpstreamMessage",
        topics::PERSIST => "PersistenceMessage",
        topics::FANOUT => "FanoutTask",
        topics::USER_EVENTS => "UserEvent",
        topics::MESSAGE_EVENTS => "MessageEvent",
        topics::CONVERSATION_EVENTS => "ConversationEvent",
        topics::NOTIFICATIONS => "NotificationEvent",
        topics::FRIEND_EVENTS => "FriendEvent",
        topics::TOKEN_EVENTS => "TokenEvent",
        other if other.starts_with(topics::DOWNSTREAM) => "DownstreamMessage",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_topic_has_a_payload_that_is_known() {
        let decoder = Decoder::new().unwrap();
        let names = topics::specs(1).into_iter().map(|spec| spec.name);
        for name in names.filter(|name| !name.starts_with("gochat.dlq.")) {
            let kind = payload_of(&name).unwrap_or_else(|| panic!("{name}"));
            assert!(decoder.payload(kind, &[]).is_some(), "{kind}");
        }
    }
}
