//! Server frames as bytes that are ready to be written, encoded once and shared.

use std::borrow::Cow;

use bytes::Bytes;
use gochat_core::error::{Error, ErrorCode};
use gochat_core::message::{ChangeKind, QuoteState};
use gochat_core::session::frame::{
    self, ChangeAck, ChangedMessage, ErrorFrame, ForwardedFrom, MessageAck, MessageChanged,
    MessageRecalled, NewMessage, Quote, ReactionCount, Sender, ServerPayload,
};
use gochat_core::session::wire::{MAX_HEADER, Opcode, encode_header};
use gochat_core::signal::{Change, Signal};
use gochat_proto::mq::v1::{DownstreamMessage, References};
use serde::Deserialize;

/// A text frame whose JSON `write` appends.
pub(crate) fn text(capacity: usize, write: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    let mut buffer = Vec::with_capacity(MAX_HEADER + capacity);
    buffer.resize(MAX_HEADER, 0);
    write(&mut buffer);
    // The header's length depends on the text's: it is put right before the text, in the room left.
    let (header, used) = encode_header(Opcode::Text, buffer.len() - MAX_HEADER);
    let start = MAX_HEADER - used;
    buffer[start..MAX_HEADER].copy_from_slice(&header[..used]);
    Bytes::from(buffer).slice(start..)
}

/// The frame of a payload; `timestamp` is in Unix seconds.
pub(crate) fn frame<T: ServerPayload>(payload: &T, timestamp: i64) -> Bytes {
    text(160, |out| frame::encode(payload, timestamp, out))
}

/// An `error` frame.
pub(crate) fn error(error: &Error, client_msg_id: Option<&str>) -> Bytes {
    frame(
        &ErrorFrame::new(error, client_msg_id),
        crate::clock::now_s(),
    )
}

/// The `new-message` frame of a downstream record.
pub(crate) fn new_message(message: &DownstreamMessage, now_s: i64) -> Bytes {
    let id = message.message_id.to_string();
    let sender = message.sender_info.as_ref();
    let payload = NewMessage {
        id: Cow::Borrowed(&id),
        conversation_id: Cow::Borrowed(&message.conversation_id),
        sender: Sender {
            id: Cow::Borrowed(&message.sender_id),
            username: Cow::Borrowed(sender.map_or("", |s| &s.username)),
            avatar_url: Cow::Borrowed(sender.map_or("", |s| &s.avatar_url)),
        },
        sender_id: Cow::Borrowed(&message.sender_id),
        content: Cow::Borrowed(&message.content),
        message_type: message.message_type,
        seq_id: u64::try_from(message.seq_id).unwrap_or_default(),
        rev: u64::try_from(message.rev).unwrap_or_default(),
        client_msg_id: Cow::Borrowed(&message.client_msg_id),
        extra: (!message.extra.is_empty()).then_some(Cow::Borrowed(&*message.extra)),
        created_at: message.timestamp,
        ..NewMessage::default()
    };
    let payload = match &message.references {
        None => payload,
        Some(references) => with_references(payload, references),
    };
    text(384 + message.content.len() + message.extra.len(), |out| {
        frame::encode(&payload, now_s, out);
    })
}

fn with_references<'a>(message: NewMessage<'a>, references: &'a References) -> NewMessage<'a> {
    let quote = references.reply_to.as_ref().map(|quoted| Quote {
        message_id: quoted.message_id.to_string().into(),
        seq_id: quoted.seq_id.unsigned_abs(),
        sender_id: Cow::Borrowed(&quoted.sender_id),
        message_type: (quoted.message_type != 0).then_some(quoted.message_type),
        excerpt: (!quoted.excerpt.is_empty()).then(|| Cow::Borrowed(&*quoted.excerpt)),
        state: QuoteState::of(quoted.recalled, u32::from(quoted.edited))
            .as_str()
            .into(),
    });
    let forwarded = references.forwarded.as_ref();
    let place = |id: &'a String| (!id.is_empty()).then(|| Cow::Borrowed(&**id));
    let mentions = references.mention_ids.iter();
    NewMessage {
        reply_to: quote,
        mentions: mentions.map(|id| id.to_string().into()).collect(),
        mention_all: references.mention_all,
        forwarded_from: forwarded.map(|from| ForwardedFrom {
            message_id: from.message_id.to_string().into(),
            conversation_id: place(&from.conversation_id),
            sender_id: Cow::Borrowed(&from.sender_id),
            sender_name: Cow::Borrowed(&from.sender_name),
        }),
        ..message
    }
}

/// The `message-ack` frame of a downstream record.
pub(crate) fn message_ack(message: &DownstreamMessage, now_s: i64) -> Bytes {
    let id = message.message_id.to_string();
    let payload = MessageAck {
        client_msg_id: Cow::Borrowed(&message.client_msg_id),
        client_msg_id_camel: Cow::Borrowed(&message.client_msg_id),
        message_id: Cow::Borrowed(&id),
        conversation_id: Cow::Borrowed(&message.conversation_id),
        seq_id: u64::try_from(message.seq_id).unwrap_or_default(),
        rev: u64::try_from(message.rev).unwrap_or_default(),
        status: Cow::Borrowed("success"),
        created_at: message.timestamp,
    };
    text(320, |out| frame::encode(&payload, now_s, out))
}

/// The `change-ack` frame of a downstream record.
pub(crate) fn change_ack(message: &DownstreamMessage, now_s: i64) -> Bytes {
    let id = message.message_id.to_string();
    let payload = ChangeAck {
        client_msg_id: Cow::Borrowed(&message.client_msg_id),
        conversation_id: Cow::Borrowed(&message.conversation_id),
        message_id: Cow::Borrowed(&id),
        seq_id: u64::try_from(message.seq_id).unwrap_or_default(),
        rev: u64::try_from(message.rev).unwrap_or_default(),
    };
    text(256, |out| frame::encode(&payload, now_s, out))
}

/// The `message-changed` frame of a downstream record; behind it, for clients that don't know it,
/// `message-recalled` when it was recalled. `revs` are the numbers it stands for: of several
/// reactions nobody's is named. `None` for a kind of change this version doesn't know.
pub(crate) fn message_changed(
    message: &DownstreamMessage,
    revs: &[i64],
    now_s: i64,
) -> Option<Bytes> {
    let kind = ChangeKind::from_i32(message.change)?;
    let is_one = revs.len() < 2;
    let id = message.message_id.to_string();
    let (seq_id, rev) = (
        u64::try_from(message.seq_id).unwrap_or_default(),
        u64::try_from(message.rev).unwrap_or_default(),
    );
    let text_of = |text| Cow::Borrowed::<str>(text);
    let is_edit = kind == ChangeKind::Edit;
    let is_recall = kind == ChangeKind::Recall;
    // An edit always says something: what isn't here is for history to tell.
    let is_withheld = is_edit && message.content.is_empty();
    let payload = MessageChanged {
        conversation_id: Cow::Borrowed(&message.conversation_id),
        message_id: Cow::Borrowed(&id),
        seq_id,
        rev,
        kind: Cow::Borrowed(kind.name()),
        operator_id: Cow::Borrowed(if is_one { &message.sender_id } else { "" }),
        emoji: (kind.is_reaction() && is_one).then(|| text_of(&message.content)),
        removed: kind == ChangeKind::Unreact && is_one,
        revs: match is_one {
            true => Vec::new(),
            false => revs.iter().map(|rev| rev.unsigned_abs()).collect(),
        },
        message: ChangedMessage {
            id: Cow::Borrowed(&id),
            sender_id: Cow::Borrowed(&message.author_id),
            content: match is_recall {
                true => Some(Cow::Borrowed("")),
                false => (is_edit && !is_withheld).then(|| text_of(&message.content)),
            },
            extra: (is_edit && !message.extra.is_empty()).then(|| text_of(&message.extra)),
            deleted: is_recall,
            edited_at: is_edit.then_some(message.timestamp),
            edit_count: u32::try_from(message.edit_count).unwrap_or_default(),
            reactions: kind.is_reaction().then(|| counts(message)),
            pinned: match kind {
                ChangeKind::Pin => Some(true),
                ChangeKind::Unpin => Some(false),
                _ => None,
            },
            created_at: message.sent_at,
        },
    };
    let changed = text(384 + message.content.len() + message.extra.len(), |out| {
        frame::encode(&payload, now_s, out);
    });
    if !is_recall {
        return Some(changed);
    }
    let recalled = MessageRecalled {
        conversation_id: payload.conversation_id,
        message_id: payload.message_id,
        seq_id,
        rev,
        operator_id: payload.operator_id,
    };
    let both = [changed, frame(&recalled, now_s)];
    Some(both.concat().into())
}

fn counts(message: &DownstreamMessage) -> Vec<ReactionCount<'_>> {
    let counts = message.reactions.iter().map(|reaction| ReactionCount {
        emoji: Cow::Borrowed(&reaction.emoji),
        count: reaction.count,
    });
    counts.collect()
}

/// The frame of a signal whose payload is the frame's data.
///
/// # Errors
/// `INVALID_PARAMS` for a payload that is not a JSON object, and for signals without a frame.
pub(crate) fn signal(signal: Signal, payload: &[u8], timestamp: i64) -> Result<Bytes, Error> {
    #[derive(Deserialize)]
    struct Changed {
        #[serde(default)]
        change: Option<Change>,
    }
    let bad = || {
        Error::new(
            ErrorCode::InvalidParams,
            "The payload must be a JSON object.",
        )
    };
    // Reads the one field that matters and checks the rest without building it.
    let head: Changed = serde_json::from_slice(payload).map_err(|_| bad())?;
    let kind = signal.frame(head.change).ok_or_else(bad)?;
    Ok(text(64 + payload.len(), |out| {
        out.extend_from_slice(br#"{"type":""#);
        out.extend_from_slice(kind.as_bytes());
        out.extend_from_slice(br#"","data":"#);
        out.extend_from_slice(payload);
        out.extend_from_slice(format!(r#","timestamp":{timestamp}}}"#).as_bytes());
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use gochat_core::session::frame::{Pong, ServerFrame};

    fn json_of(frame: &Bytes) -> &str {
        let header = match frame[1] {
            126 => 4,
            127 => 10,
            _ => 2,
        };
        std::str::from_utf8(&frame[header..]).unwrap()
    }

    #[test]
    fn a_frame_has_its_header_right_before_its_text() {
        let short = frame(&Pong {}, 5);
        assert_eq!(short[..2], [0x81, u8::try_from(short.len() - 2).unwrap()]);
        let long = text(0, |out| out.resize(out.len() + 70_000, b'x'));
        assert_eq!(long[..2], [0x81, 127]);
        assert_eq!(long.len(), 70_010);
    }

    #[test]
    fn clients_read_what_is_encoded() {
        let record = DownstreamMessage {
            message_id: 42,
            conversation_id: "world".into(),
            sender_id: "7".into(),
            message_type: 1,
            content: "hi \"you\"".into(),
            seq_id: 3,
            client_msg_id: "c".into(),
            timestamp: 9,
            ..Default::default()
        };
        let bytes = new_message(&record, 10);
        let (ServerFrame::NewMessage(m), 10) = ServerFrame::parse(json_of(&bytes)).unwrap() else {
            panic!("not a new-message")
        };
        assert_eq!(
            (&*m.id, &*m.content, m.seq_id, m.extra),
            ("42", "hi \"you\"", 3, None)
        );
        let bytes = message_ack(&record, 10);
        let (ServerFrame::MessageAck(ack), _) = ServerFrame::parse(json_of(&bytes)).unwrap() else {
            panic!("not an ack")
        };
        assert_eq!(
            (&*ack.client_msg_id, &*ack.message_id, &*ack.status),
            ("c", "42", "success")
        );
    }

    #[test]
    fn a_recall_is_two_frames_and_an_edit_is_one() {
        let edit = DownstreamMessage {
            message_id: 42,
            conversation_id: "world".into(),
            sender_id: "7".into(),
            author_id: "7".into(),
            content: "ho".into(),
            seq_id: 3,
            rev: 9,
            timestamp: 9,
            sent_at: 5,
            change: ChangeKind::Edit.as_i32(),
            edit_count: 1,
            ..Default::default()
        };
        let parse = |text: &str| ServerFrame::parse(text).map(|(frame, _)| format!("{frame:?}"));
        let bytes = message_changed(&edit, &[], 10).unwrap();
        let (ServerFrame::MessageChanged(c), _) = ServerFrame::parse(json_of(&bytes)).unwrap()
        else {
            panic!("not a change")
        };
        assert_eq!((&*c.kind, c.seq_id, c.rev), ("edited", 3, 9));
        assert_eq!(c.message.content.as_deref(), Some("ho"));
        assert_eq!((c.message.edited_at, c.message.edit_count), (Some(9), 1));

        let recall = DownstreamMessage {
            change: ChangeKind::Recall.as_i32(),
            ..edit
        };
        let bytes = message_changed(&recall, &[], 10).unwrap();
        // 126 announces a length of two bytes; the second frame is short.
        assert_eq!(bytes[1], 126);
        let length = usize::from(u16::from_be_bytes([bytes[2], bytes[3]]));
        let (first, second) = bytes.split_at(4 + length);
        let first = parse(std::str::from_utf8(&first[4..]).unwrap()).unwrap();
        assert!(
            first.contains("recalled") && !first.contains("ho\""),
            "{first}"
        );
        let second = parse(json_of(&Bytes::copy_from_slice(second))).unwrap();
        assert!(second.starts_with("MessageRecalled"), "{second}");
        let reaction = DownstreamMessage {
            change: ChangeKind::React.as_i32(),
            content: "👍".into(),
            reactions: vec![gochat_proto::mq::v1::ReactionCount {
                emoji: "👍".into(),
                count: 5,
            }],
            ..recall.clone()
        };
        let read = |revs: &[i64]| {
            let bytes = message_changed(&reaction, revs, 10).unwrap();
            let text = json_of(&bytes).to_owned();
            let (ServerFrame::MessageChanged(c), _) = ServerFrame::parse(&text).unwrap() else {
                panic!("not a change")
            };
            assert_eq!(c.message.reactions.as_ref().unwrap()[0].count, 5);
            assert_eq!((&*c.kind, &c.message.content), ("reaction", &None));
            (
                c.operator_id.into_owned(),
                c.emoji.map(Cow::into_owned),
                c.revs,
            )
        };
        assert_eq!(read(&[9]), ("7".into(), Some("👍".into()), vec![]));
        assert_eq!(read(&[8, 9]), (String::new(), None, vec![8, 9]));
        let unknown = DownstreamMessage {
            change: 99,
            ..recall
        };
        assert!(message_changed(&unknown, &[], 10).is_none());
    }

    #[test]
    fn a_signal_s_payload_travels_as_it_is() {
        let payload = br#"{"change":"joined","conversationId":"g_1","members":[]}"#;
        let bytes = signal(Signal::GroupMemberChanged, payload, 10).unwrap();
        let (ServerFrame::MemberAdded(added), 10) = ServerFrame::parse(json_of(&bytes)).unwrap()
        else {
            panic!("not a member-added")
        };
        assert_eq!(&*added.conversation_id, "g_1");
        for bad in [&b"[]x"[..], b"", b"\"x\"", b"{"] {
            assert!(signal(Signal::Typing, bad, 10).is_err());
        }
        assert!(signal(Signal::SessionReplaced, b"{}", 10).is_err());
    }
}
