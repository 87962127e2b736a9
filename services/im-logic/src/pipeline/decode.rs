//! From an upstream record to what the step must know of it.

use gochat_core::error::{Error, ErrorCode};
use gochat_core::fanout::GatewayIx;
use gochat_core::ids::{ConversationId, UserId};
use gochat_core::message::{Draft, DraftLimits, Writer};
use gochat_core::partition;
use gochat_core::sequence::ClientKey;
use gochat_core::step::{Record, Submission};
use gochat_proto::mq::v1::UpstreamKind;

use super::wire::Fields;

/// `UpstreamMessage`, borrowed from its record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Upstream<'a> {
    pub(super) trace_id: &'a str,
    pub(super) user_id: &'a str,
    pub(super) gateway_id: &'a str,
    pub(super) conversation_id: &'a str,
    pub(super) message_type: i32,
    pub(super) content: &'a str,
    pub(super) client_msg_id: &'a str,
    pub(super) extra: &'a str,
    pub(super) kind: i32,
    pub(super) conn_id: u64,
    pub(super) resend: bool,
}

impl<'a> Upstream<'a> {
    /// `None` when the bytes are no such message.
    pub(super) fn decode(bytes: &'a [u8]) -> Option<Self> {
        let mut message = Self::default();
        let mut fields = Fields::of(bytes);
        while let Some((tag, value)) = fields.next().ok()? {
            match tag {
                1 => message.trace_id = value.text()?,
                2 => message.user_id = value.text()?,
                3 => message.gateway_id = value.text()?,
                4 => message.conversation_id = value.text()?,
                // int32 travels sign-extended.
                5 => message.message_type = value.number()? as i32,
                6 => message.content = value.text()?,
                7 => message.client_msg_id = value.text()?,
                9 => message.extra = value.text()?,
                10 => message.kind = value.number()? as i32,
                11 => message.conn_id = value.number()?,
                12 => message.resend = value.number()? != 0,
                _ => {}
            }
        }
        Some(message)
    }
}

/// Where a record was found.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) partition: u32,
    pub(super) partitions: u32,
}

/// Judges the form of a message. `gateway` interns the instance the answer goes to.
pub(super) fn record(
    message: Option<&Upstream<'_>>,
    place: Place,
    limits: &DraftLimits,
    gateway: impl FnOnce(&str) -> GatewayIx,
) -> Record {
    let Some(message) = message else {
        return Record::Poison {
            reason: "not an UpstreamMessage",
        };
    };
    let conversation: Option<ConversationId> = message.conversation_id.parse().ok();
    let found = partition::of_key(message.conversation_id.as_bytes(), place.partitions);
    if conversation.is_some() && found != place.partition {
        // Two owners would number one conversation.
        return Record::Poison {
            reason: "in the wrong partition for its conversation",
        };
    }
    match (UpstreamKind::try_from(message.kind), conversation) {
        (Ok(UpstreamKind::Message), conversation) => {
            submission(message, conversation, limits, gateway)
        }
        (Ok(UpstreamKind::FactsChanged), Some(id)) => Record::FactsChanged(id),
        (Ok(UpstreamKind::FactsChanged), None) => Record::Poison {
            reason: "no such conversation id",
        },
        (Err(_), _) => Record::Poison {
            reason: "unknown kind",
        },
    }
}

fn submission(
    message: &Upstream<'_>,
    conversation: Option<ConversationId>,
    limits: &DraftLimits,
    gateway: impl FnOnce(&str) -> GatewayIx,
) -> Record {
    let Ok(sender) = message.user_id.parse::<UserId>() else {
        return Record::Poison {
            reason: "no such author id",
        };
    };
    let gateway = gateway(message.gateway_id);
    let refused = |error: Error| Record::Refused { gateway, error };
    let Some(conversation) = conversation else {
        return refused(ErrorCode::ConversationNotFound.into());
    };
    let Upstream {
        message_type,
        content,
        client_msg_id,
        extra,
        ..
    } = *message;
    match Draft::check(
        message_type,
        content,
        client_msg_id,
        extra,
        Writer::Client,
        limits,
    ) {
        Ok(draft) => {
            let bytes = content.len().saturating_add(extra.len());
            let key = ClientKey::new(sender, client_msg_id);
            Record::Submit(Submission {
                conversation,
                key,
                gateway,
                resend: message.resend,
                bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
                long: draft.is_long(limits),
            })
        }
        Err(error) => refused(error),
    }
}

#[cfg(test)]
mod tests {
    use gochat_core::fanout::GatewayTable;
    use gochat_proto::mq::v1::UpstreamMessage;
    use prost::Message;

    use super::*;

    fn message() -> UpstreamMessage {
        UpstreamMessage {
            trace_id: "t".into(),
            user_id: "1".into(),
            gateway_id: "gateway-1".into(),
            conversation_id: "s_1_2".into(),
            message_type: 1,
            content: "hällo".into(),
            client_msg_id: "c".into(),
            timestamp: 5,
            extra: "{}".into(),
            kind: 0,
            conn_id: u64::MAX,
            resend: true,
        }
    }

    fn judge(message: &UpstreamMessage) -> Record {
        let bytes = message.encode_to_vec();
        let place = Place {
            partition: 0,
            partitions: 1,
        };
        let upstream = Upstream::decode(&bytes);
        record(upstream.as_ref(), place, &DraftLimits::default(), |name| {
            GatewayTable::default().intern(name)
        })
    }

    fn is_poison(record: &Record) -> bool {
        matches!(record, Record::Poison { .. })
    }

    #[test]
    fn every_field_is_read_as_the_generated_type_reads_it() {
        let message = message();
        let bytes = message.encode_to_vec();
        let read = Upstream::decode(&bytes).unwrap();
        let expected = Upstream {
            trace_id: "t",
            user_id: "1",
            gateway_id: "gateway-1",
            conversation_id: "s_1_2",
            message_type: 1,
            content: "hällo",
            client_msg_id: "c",
            extra: "{}",
            kind: 0,
            conn_id: u64::MAX,
            resend: true,
        };
        assert_eq!(read, expected);
    }

    #[test]
    fn a_message_is_submitted_and_a_control_record_is_not() {
        assert!(matches!(judge(&message()), Record::Submit(_)));
        let control = UpstreamMessage {
            kind: 1,
            user_id: String::new(),
            content: String::new(),
            ..message()
        };
        assert_eq!(
            judge(&control),
            Record::FactsChanged("s_1_2".parse().unwrap())
        );
    }

    #[test]
    fn what_has_no_author_or_place_is_poison_and_the_rest_is_answered() {
        assert!(is_poison(&judge(&UpstreamMessage {
            user_id: "x".into(),
            ..message()
        })));
        assert!(is_poison(&judge(&UpstreamMessage {
            kind: 9,
            ..message()
        })));
        let nowhere = UpstreamMessage {
            conversation_id: "s_2_1".into(),
            ..message()
        };
        assert!(matches!(
            judge(&nowhere),
            Record::Refused { error, .. } if error.code == ErrorCode::ConversationNotFound
        ));
        let system = UpstreamMessage {
            message_type: 4,
            ..message()
        };
        assert!(matches!(judge(&system), Record::Refused { .. }));
    }

    #[test]
    fn a_record_in_the_wrong_partition_is_poison() {
        let bytes = message().encode_to_vec();
        let upstream = Upstream::decode(&bytes);
        let right = partition::of_key(b"s_1_2", 7);
        let at = |partition| {
            let place = Place {
                partition,
                partitions: 7,
            };
            record(upstream.as_ref(), place, &DraftLimits::default(), |name| {
                GatewayTable::default().intern(name)
            })
        };
        assert!(!is_poison(&at(right)));
        assert!(is_poison(&at((right + 1) % 7)));
    }

    #[test]
    fn bytes_that_are_no_message_are_poison() {
        let place = Place {
            partition: 0,
            partitions: 1,
        };
        let poison = |bytes: &[u8]| {
            let upstream = Upstream::decode(bytes);
            record(upstream.as_ref(), place, &DraftLimits::default(), |name| {
                GatewayTable::default().intern(name)
            })
        };
        for bytes in [&b"\xff\xff"[..], &[0x32, 2, 0xff, 0xfe], &[0x2a, 1, 0]] {
            assert!(is_poison(&poison(bytes)), "{bytes:?}");
        }
    }
}
