//! From an upstream record to what the step must know of it.

use gochat_core::error::{Error, ErrorCode, Result};
use gochat_core::fanout::GatewayIx;
use gochat_core::ids::{ConversationId, MessageId, UserId};
use gochat_core::message::{ChangeForm, ChangeKind, Draft, DraftLimits, Refers, Writer};
use gochat_core::partition;
use gochat_core::sequence::ClientKey;
use gochat_core::step::{Change, Record, Submission};
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
    pub(super) change: i32,
    pub(super) target_id: u64,
    pub(super) reply_to: u64,
    /// Ids of 8 bytes each.
    pub(super) mention_ids: &'a [u8],
    pub(super) mention_all: bool,
    /// Encoded `Forwarded`.
    pub(super) forwarded: &'a [u8],
    pub(super) only_repeat: &'a str,
    pub(super) system: bool,
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
                13 => message.change = value.number()? as i32,
                14 => message.target_id = value.number()?,
                15 => message.reply_to = value.number()?,
                16 => message.mention_ids = value.bytes()?,
                17 => message.mention_all = value.number()? != 0,
                18 => message.forwarded = value.bytes()?,
                19 => message.only_repeat = value.text()?,
                20 => message.system = value.number()? != 0,
                _ => {}
            }
        }
        Some(message)
    }

    /// The record is a change of a message.
    pub(super) fn is_change(&self) -> bool {
        self.kind == UpstreamKind::Change as i32
    }

    /// What identifies a repeat; `None` for an author id that is none.
    pub(super) fn key(&self) -> Option<ClientKey> {
        let sender = self.user_id.parse().ok()?;
        Some(match self.is_change() {
            true => ClientKey::of_change(sender, self.client_msg_id),
            false => ClientKey::new(sender, self.client_msg_id),
        })
    }
}

/// What naming a user costs of a conversation's budget, in bytes: about what is stored of it.
const NAME_BYTES: usize = 100;

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
        (Ok(UpstreamKind::Message | UpstreamKind::Change), conversation) => {
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
    let Some(key) = message.key() else {
        return Record::Poison {
            reason: "no such author id",
        };
    };
    let gateway = gateway(message.gateway_id);
    let refused = |error: Error| Record::Refused { gateway, error };
    let Some(conversation) = conversation else {
        return refused(ErrorCode::ConversationNotFound.into());
    };
    let Upstream { content, extra, .. } = *message;
    match form(message, limits) {
        Ok(Form {
            change,
            refers,
            long,
        }) => {
            let names = refers.as_ref().map_or(0, |refers| refers.mentions.len());
            let bytes = content.len().saturating_add(extra.len());
            let bytes = bytes.saturating_add(names * NAME_BYTES);
            Record::Submit(Submission {
                conversation,
                key,
                change,
                refers,
                only_repeat: only_repeat(message),
                gateway,
                resend: message.resend,
                bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
                long,
            })
        }
        Err(error) => refused(error),
    }
}

/// What is left of a message whose form is right.
struct Form {
    change: Option<Change>,
    refers: Option<Box<Refers>>,
    /// The content is longer than guests may write.
    long: bool,
}

fn form(message: &Upstream<'_>, limits: &DraftLimits) -> Result<Form> {
    let Upstream {
        message_type,
        content,
        client_msg_id,
        extra,
        ..
    } = *message;
    if !message.is_change() && only_repeat(message).is_some() {
        Draft::check_client_id(client_msg_id, limits)?;
        return Ok(Form {
            change: None,
            refers: None,
            long: false,
        });
    }
    if !message.is_change() {
        let by = match message.system {
            true => Writer::Server,
            false => Writer::Client,
        };
        let draft = Draft::check(message_type, content, client_msg_id, extra, by, limits)?;
        return Ok(Form {
            change: None,
            refers: refers(message)?.map(Box::new),
            long: draft.is_long(limits),
        });
    }
    let mut change = change(message)?;
    let form = Draft::check_change(change.kind, content, client_msg_id, extra, limits)?;
    let mut long = false;
    match form {
        ChangeForm::Edit(draft) => long = draft.is_long(limits),
        // Gateways write the usual spelling: what is stored is what was judged.
        ChangeForm::Reaction(emoji) if emoji.as_str() != content => {
            return Err(ErrorCode::ReactionNotAllowed.into());
        }
        ChangeForm::Reaction(emoji) => change.emoji = Some(emoji),
        ChangeForm::Plain => {}
    }
    Ok(Form {
        change: Some(change),
        refers: None,
        long,
    })
}

/// With what a message is refused that is no repeat.
fn only_repeat(message: &Upstream<'_>) -> Option<ErrorCode> {
    let is_there = !message.only_repeat.is_empty();
    is_there.then(|| ErrorCode::from_code(message.only_repeat).unwrap_or(ErrorCode::Internal))
}

/// What a message refers to.
fn refers(message: &Upstream<'_>) -> Result<Option<Refers>> {
    let reply_to = match message.reply_to {
        0 => None,
        id => Some(MessageId::new(id).ok_or(ErrorCode::MessageNotFound)?),
    };
    let (ids, rest) = message.mention_ids.as_chunks::<8>();
    let mentions = ids.iter().map(|id| UserId::new(u64::from_le_bytes(*id)));
    let mentions = mentions
        .collect::<Option<Vec<_>>>()
        .filter(|_| rest.is_empty());
    let no_users = || Error::new(ErrorCode::InvalidParams, "Only users can be mentioned.");
    Refers::check(
        reply_to,
        mentions.ok_or_else(no_users)?,
        message.mention_all,
    )
}

fn change(message: &Upstream<'_>) -> Result<Change> {
    let unknown = || Error::new(ErrorCode::InvalidParams, "There is no such kind of change.");
    let kind = ChangeKind::from_i32(message.change).ok_or_else(unknown)?;
    // A record that names no message reads 0.
    let target = MessageId::new(message.target_id).filter(|id| id.get() > 0);
    let target = target.ok_or(ErrorCode::MessageNotFound)?;
    Ok(Change {
        kind,
        target,
        emoji: None,
    })
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
            ..Default::default()
        }
    }

    fn edit() -> UpstreamMessage {
        UpstreamMessage {
            kind: UpstreamKind::Change as i32,
            change: ChangeKind::Edit.as_i32(),
            target_id: 9,
            message_type: 0,
            ..message()
        }
    }

    #[test]
    fn a_change_names_its_message_and_has_a_key_of_its_own() {
        let Record::Submit(wish) = judge(&edit()) else {
            panic!("not a change");
        };
        let change = wish.change.map(|c| (c.kind, c.target.get()));
        assert_eq!(change, Some((ChangeKind::Edit, 9)));
        assert_eq!(wish.key, ClientKey::of_change(wish.key.sender, "c"));
        let refused = |message: &UpstreamMessage| match judge(message) {
            Record::Refused { error, .. } => Some(error.code),
            _ => None,
        };
        let none = UpstreamMessage {
            target_id: 0,
            ..edit()
        };
        assert_eq!(refused(&none), Some(ErrorCode::MessageNotFound));
        let what = UpstreamMessage {
            change: 9,
            ..edit()
        };
        assert_eq!(refused(&what), Some(ErrorCode::InvalidParams));
        let empty = |kind: ChangeKind| UpstreamMessage {
            change: kind.as_i32(),
            content: String::new(),
            ..edit()
        };
        let says_nothing = refused(&empty(ChangeKind::Edit));
        assert_eq!(says_nothing, Some(ErrorCode::MessageEmpty));
        assert_eq!(refused(&empty(ChangeKind::Recall)), None);
        let reacts = |emoji: &str| UpstreamMessage {
            change: ChangeKind::React.as_i32(),
            content: emoji.into(),
            ..edit()
        };
        let none = Some(ErrorCode::ReactionNotAllowed);
        assert_eq!(refused(&reacts("👍")), None);
        assert_eq!(refused(&reacts("hello there")), none);
        assert_eq!(refused(&reacts("\u{2764}")), none, "not the usual spelling");
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
            change: 0,
            target_id: 0,
            reply_to: 0,
            mention_ids: &[],
            mention_all: false,
            forwarded: &[],
            only_repeat: "",
            system: false,
        };
        assert_eq!(read, expected);
    }

    #[test]
    fn what_a_message_refers_to_is_read_and_judged_by_its_form() {
        let refers_to = |message: &UpstreamMessage| match judge(message) {
            Record::Submit(submission) => Ok(submission.refers.map(|refers| *refers)),
            Record::Refused { error, .. } => Err(error.code),
            other => panic!("{other:?}"),
        };
        assert_eq!(refers_to(&message()), Ok(None));
        let answer = UpstreamMessage {
            reply_to: 11,
            mention_ids: vec![9, 8, 9],
            mention_all: true,
            ..message()
        };
        let expected = Refers {
            reply_to: MessageId::new(11),
            mentions: [8, 9].map(|id| UserId::new(id).unwrap()).to_vec(),
            mention_all: true,
        };
        assert_eq!(refers_to(&answer), Ok(Some(expected)));
        let many = UpstreamMessage {
            mention_ids: (1..=51).collect(),
            ..message()
        };
        assert_eq!(refers_to(&many), Err(ErrorCode::InvalidParams));
        let nobody = UpstreamMessage {
            mention_ids: vec![u64::MAX],
            ..message()
        };
        assert_eq!(refers_to(&nobody), Err(ErrorCode::InvalidParams));
    }

    #[test]
    fn a_system_message_is_one_of_a_service_under_a_client_id_of_the_system() {
        let system = UpstreamMessage {
            system: true,
            message_type: 4,
            content: r#"{"kind":"left"}"#.into(),
            client_msg_id: "system:1-5".into(),
            ..message()
        };
        let Record::Submit(submission) = judge(&system) else {
            panic!("refused");
        };
        assert!(submission.is_system() && submission.resend);
        let not_marked = UpstreamMessage {
            system: false,
            ..system.clone()
        };
        let text = UpstreamMessage {
            message_type: 1,
            ..system.clone()
        };
        let own_id = UpstreamMessage {
            client_msg_id: "c".into(),
            ..system.clone()
        };
        let under_its_id = UpstreamMessage {
            client_msg_id: "system:1-5".into(),
            ..message()
        };
        let only_repeat = UpstreamMessage {
            only_repeat: "MESSAGE_RECALLED".into(),
            ..under_its_id.clone()
        };
        for forged in [not_marked, text, own_id, under_its_id, only_repeat] {
            assert!(
                matches!(judge(&forged), Record::Refused { .. }),
                "{forged:?}"
            );
        }
    }

    #[test]
    fn what_can_t_be_said_may_still_be_a_repeat() {
        let gone = UpstreamMessage {
            message_type: 0,
            content: String::new(),
            only_repeat: "MESSAGE_RECALLED".into(),
            ..message()
        };
        let Record::Submit(submission) = judge(&gone) else {
            panic!("refused");
        };
        assert_eq!(submission.only_repeat, Some(ErrorCode::MessageRecalled));
        let nameless = UpstreamMessage {
            client_msg_id: String::new(),
            ..gone
        };
        assert!(matches!(judge(&nameless), Record::Refused { .. }));
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
