use std::borrow::Cow;

use proptest::prelude::*;

use super::*;
use crate::error::{Error, ErrorCode};
use crate::ids::{ConversationId, MessageId, UserId};
use crate::message::{ChangeKind, Refers};

fn parse_send(data: &str) -> Result<SendMessage<'static>, FrameError> {
    let text = format!(r#"{{"type":"send-message","data":{data},"timestamp":1}}"#);
    let text: &'static str = Box::leak(text.into_boxed_str());
    match ClientFrame::parse(text)? {
        ClientFrame::SendMessage(message) => Ok(message),
        other => panic!("{other:?}"),
    }
}

fn code_of(text: &str) -> ErrorCode {
    ClientFrame::parse(text)
        .expect_err("to be refused")
        .error
        .code
}

#[test]
fn a_send_is_read_without_copying() {
    let message = parse_send(
        r#"{"conversationId":"s_3_7","content":"hi","messageType":2,"client_msg_id":"c1","extra":"{}","else":[[1]]}"#,
    )
    .unwrap();
    assert_eq!(message.conversation_id.to_string(), "s_3_7");
    assert_eq!(message.message_type, 2);
    assert!(matches!(message.content, Cow::Borrowed("hi")));
    assert!(matches!(message.client_msg_id, Some(Cow::Borrowed("c1"))));
    assert!(matches!(message.extra, Some(Cow::Borrowed("{}"))));
}

#[test]
fn escaped_text_is_unescaped() {
    let message =
        parse_send(r#"{"conversationId":"world","content":"a\"\u00fc","messageType":1}"#).unwrap();
    assert_eq!(message.content, "a\"ü");
    assert_eq!(message.client_msg_id, None);
}

#[test]
fn every_alias_is_understood() {
    for id in ["client_msg_id", "clientMsgId", "tempMessageId"] {
        for place in ["conversationId", "conversation_id"] {
            for kind in ["messageType", "message_type"] {
                let data =
                    format!(r#"{{"{place}":"g_5","content":"x","{kind}":"voice","{id}":"me"}}"#);
                let message = parse_send(&data).unwrap();
                assert_eq!(message.client_msg_id.as_deref(), Some("me"));
                assert_eq!(message.message_type, 5);
            }
        }
    }
    let both = parse_send(
        r#"{"conversationId":"world","content":"x","messageType":1,"client_msg_id":"a","clientMsgId":"a"}"#,
    );
    assert_eq!(both.unwrap().client_msg_id.as_deref(), Some("a"));
}

#[test]
fn the_other_frames_are_understood() {
    let world = ConversationId::World;
    let parse = |text| ClientFrame::parse(text).unwrap();
    assert_eq!(parse(r#"{"type":"ping"}"#), ClientFrame::Ping);
    assert_eq!(
        parse(r#"{"type":"ping","data":null,"message_id":"x"}"#),
        ClientFrame::Ping
    );
    let read = ClientFrame::MarkRead {
        conversation_id: world,
        seq_id: 7,
    };
    assert_eq!(
        parse(r#"{"type":"mark-read","data":{"conversationId":"world","seqId":7}}"#),
        read
    );
    assert_eq!(
        parse(r#"{"data":{"seq_id":7,"conversation_id":"world"},"type":"mark-read"}"#),
        read
    );
    let typing = parse(r#"{"type":"typing","data":{"conversationId":"world"}}"#);
    assert_eq!(typing, ClientFrame::Typing(world));
    let stop = parse(r#"{"type":"stop-typing","data":{"conversationId":"world"}}"#);
    assert_eq!(stop, ClientFrame::StopTyping(world));
}

#[test]
fn what_is_wrong_is_told_with_the_client_id() {
    let refused = parse_send(
        r#"{"conversationId":"nowhere","content":"x","messageType":1,"clientMsgId":"c9"}"#,
    )
    .unwrap_err();
    assert_eq!(refused.error.code, ErrorCode::ConversationNotFound);
    assert_eq!(refused.client_msg_id.as_deref(), Some("c9"));
    let refused = parse_send(
        r#"{"conversationId":"world","content":"x","messageType":"poem","client_msg_id":"c9"}"#,
    )
    .unwrap_err();
    assert_eq!(refused.error.code, ErrorCode::UnsupportedMessageType);
    assert_eq!(refused.client_msg_id.as_deref(), Some("c9"));
}

/// Values of every JSON form, by the forms of a field that take them.
const VALUES: [(&str, &[&str]); 9] = [
    ("null", &["absent"]),
    (r#""text""#, &["text", "type"]),
    ("7", &["position", "type"]),
    ("7.0", &[]),
    ("7.5", &[]),
    ("-1", &["type"]),
    ("true", &["flag"]),
    ("[]", &[]),
    ("{}", &[]),
];

/// Every field of every frame, whether it must be there, and its form.
const FIELDS: [(&str, &[&str], bool, &str); 10] = [
    (
        "send-message",
        &["client_msg_id", "clientMsgId", "tempMessageId"],
        false,
        "text",
    ),
    (
        "send-message",
        &["conversationId", "conversation_id"],
        true,
        "text",
    ),
    ("send-message", &["content"], true, "text"),
    (
        "send-message",
        &["messageType", "message_type"],
        true,
        "type",
    ),
    ("send-message", &["extra"], false, "text"),
    ("send-message", &["resend"], false, "flag"),
    ("send-message", &["replyTo"], false, "text"),
    ("send-message", &["mentionAll"], false, "flag"),
    ("mark-read", &["seqId", "seq_id"], true, "position"),
    (
        "typing",
        &["conversationId", "conversation_id"],
        true,
        "text",
    ),
];

/// A frame with one field changed; `None` leaves it out. The client id stands last.
fn changed(kind: &str, names: &[&str], name: &str, value: Option<&str>) -> String {
    let mut data = vec![
        ("conversationId", r#""world""#),
        ("content", r#""hi""#),
        ("messageType", "1"),
        ("seqId", "1"),
        ("client_msg_id", r#""the-id""#),
    ];
    data.retain(|(known, _)| !names.contains(known) || *known == "client_msg_id");
    if name != "client_msg_id" || value.is_none() {
        data.retain(|(known, _)| *known != name);
    } else {
        data.retain(|(known, _)| *known != "client_msg_id");
    }
    data.extend(value.map(|value| (name, value)));
    let data: Vec<_> = data.iter().map(|(k, v)| format!("\"{k}\":{v}")).collect();
    format!(r#"{{"data":{{{}}},"type":"{kind}"}}"#, data.join(","))
}

#[test]
fn every_field_takes_the_forms_of_the_contract_and_no_other() {
    for (kind, names, required, form) in FIELDS {
        for name in names {
            for (value, forms) in VALUES {
                let text = changed(kind, names, name, Some(value));
                let taken = forms.contains(&form) || (!required && forms.contains(&"absent"));
                let refusal = match ClientFrame::parse(&text) {
                    Ok(_) => {
                        assert!(taken, "{text}");
                        continue;
                    }
                    Err(refusal) => refusal,
                };
                // The form may be right and name nothing.
                let named_nothing = refusal.error.code != ErrorCode::InvalidMessage;
                assert_eq!(named_nothing, taken, "{text}: {refusal:?}");
                let named = refusal.error.message.contains(&format!("`{name}`"))
                    || refusal.error.message.contains(&format!("`{}`", names[0]));
                assert!(named || named_nothing, "{text}: {refusal:?}");
                if names[0] != "client_msg_id" {
                    let id = refusal.client_msg_id.as_deref();
                    assert_eq!(id, Some("the-id"), "{text}");
                }
            }
            let without = changed(kind, names, name, None);
            assert_eq!(ClientFrame::parse(&without).is_ok(), !required, "{without}");
        }
    }
}

#[test]
fn half_a_character_and_a_repeated_field_are_told_with_the_client_id() {
    for (text, word) in [
        (
            r#"{"type":"send-message","data":{"conversationId":"world","messageType":1,"content":"hi \ud83d","client_msg_id":"c9"}}"#,
            "`content`",
        ),
        (
            r#"{"type":"send-message","data":{"conversationId":"world","messageType":1,"content":"a","content":"b","client_msg_id":"c9"}}"#,
            "`content`",
        ),
        (
            r#"{"type":"send-message","data":{"conversationId":"world","messageType":1,"content":"a","client_msg_id":9}}"#,
            "`client_msg_id`",
        ),
        (r#"{"type":5,"data":{"client_msg_id":"c9"}}"#, "`type`"),
        (r#"{"data":{"client_msg_id":"c9"}}"#, "`type`"),
        (r#"{"type":"dance","data":{"client_msg_id":"c9"}}"#, "type"),
        (
            r#"{"type":"send-message","data":["world","hi",1]}"#,
            "`data`",
        ),
        (r#"["ping"]"#, "object"),
    ] {
        let refusal = ClientFrame::parse(text).expect_err(text);
        assert_eq!(refusal.error.code, ErrorCode::InvalidMessage, "{text}");
        assert!(refusal.error.message.contains(word), "{text}: {refusal:?}");
        let id = refusal.client_msg_id.unwrap_or_default();
        assert_eq!(id.ends_with('9'), text.contains("client_msg_id"), "{text}");
    }
}

#[test]
fn a_fault_of_a_message_that_is_passed_on_is_named() {
    for (field, word) in [
        (
            r#""forwardedFrom":{"conversationId":"world"}"#,
            "`forwardedFrom`",
        ),
        (
            r#""forwardedFrom":{"conversationId":"world","messageId":"11"},"resend":1"#,
            "`resend`",
        ),
    ] {
        let text =
            format!(r#"{{"type":"send-message","data":{{"conversationId":"world",{field}}}}}"#);
        let refusal = ClientFrame::parse(&text).unwrap_err();
        assert!(refusal.error.message.contains(word), "{refusal:?}");
    }
}

#[test]
fn bad_frames_are_invalid_messages() {
    for text in [
        "",
        "null",
        "[]",
        "{}",
        r#"{"type":"dance"}"#,
        r#"{"type":7}"#,
        r#"{"type":"send-message"}"#,
        r#"{"type":"send-message","data":{"conversationId":"world","content":"x"}}"#,
        r#"{"type":"send-message","data":{"content":"x","messageType":1}}"#,
        r#"{"type":"send-message","data":{"conversationId":"world","content":7,"messageType":1}}"#,
        r#"{"type":"mark-read","data":{"conversationId":"world","seqId":-1}}"#,
        r#"{"type":"mark-read","data":{"conversationId":"world","seqId":18446744073709551615}}"#,
        r#"{"type":"typing","data":{}}"#,
        r#"{"type":"typing"}"#,
    ] {
        assert_eq!(code_of(text), ErrorCode::InvalidMessage, "{text}");
    }
}

#[test]
fn deep_nesting_in_unknown_fields_does_no_harm() {
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    let text = format!(r#"{{"type":"ping","data":{{"x":{deep}}},"y":{deep}}}"#);
    assert_eq!(ClientFrame::parse(&text), Ok(ClientFrame::Ping));
    let data =
        format!(r#"{{"conversationId":"world","content":"x","messageType":1,"unknown":{deep}}}"#);
    assert!(parse_send(&data).is_ok());
}

fn text_of<T: ServerPayload>(payload: &T) -> String {
    let mut out = b"before".to_vec();
    encode(payload, 17, &mut out);
    String::from_utf8(out)
        .unwrap()
        .strip_prefix("before")
        .unwrap()
        .to_owned()
}

#[test]
fn frames_have_the_fields_of_the_contract() {
    let message = NewMessage {
        id: "11".into(),
        conversation_id: "s_3_7".into(),
        sender: Sender {
            id: "3".into(),
            username: "ann".into(),
            avatar_url: "".into(),
        },
        sender_id: "3".into(),
        content: "hi \"you\"".into(),
        message_type: 1,
        seq_id: 5,
        rev: 6,
        client_msg_id: "c1".into(),
        extra: None,
        created_at: 16,
        ..NewMessage::default()
    };
    assert_eq!(
        text_of(&message),
        r#"{"type":"new-message","data":{"id":"11","conversationId":"s_3_7","sender":{"id":"3","username":"ann","avatarUrl":""},"senderId":"3","content":"hi \"you\"","messageType":1,"seqId":5,"rev":6,"clientMsgId":"c1","createdAt":16},"timestamp":17}"#
    );
    let ack = MessageAck {
        client_msg_id: "c1".into(),
        client_msg_id_camel: "c1".into(),
        message_id: "11".into(),
        conversation_id: "world".into(),
        seq_id: 5,
        rev: 6,
        status: "success".into(),
        created_at: 16,
    };
    assert_eq!(
        text_of(&ack),
        r#"{"type":"message-ack","data":{"client_msg_id":"c1","clientMsgId":"c1","messageId":"11","conversationId":"world","seqId":5,"rev":6,"status":"success","createdAt":16},"timestamp":17}"#
    );
    assert_eq!(text_of(&Pong {}), r#"{"type":"pong","timestamp":17}"#);
    assert_eq!(
        text_of(&Restarting { reconnect_in: 250 }),
        r#"{"type":"restarting","data":{"reconnectIn":250},"timestamp":17}"#
    );
    let error = Error::from(ErrorCode::RateLimited);
    assert_eq!(
        text_of(&ErrorFrame::new(&error, Some("c1"))),
        r#"{"type":"error","data":{"code":"RATE_LIMITED","message":"Too many requests; slow down.","details":{"client_msg_id":"c1","retryable":true}},"timestamp":17}"#
    );
    let acked = ChangeAck {
        client_msg_id: "c2".into(),
        conversation_id: "world".into(),
        message_id: "11".into(),
        seq_id: 5,
        rev: 7,
    };
    assert_eq!(
        text_of(&acked),
        r#"{"type":"change-ack","data":{"client_msg_id":"c2","conversationId":"world","messageId":"11","seqId":5,"rev":7},"timestamp":17}"#
    );
    let changed = MessageChanged {
        conversation_id: "world".into(),
        message_id: "11".into(),
        seq_id: 5,
        rev: 7,
        kind: "edited".into(),
        operator_id: "3".into(),
        message: ChangedMessage {
            id: "11".into(),
            sender_id: "3".into(),
            content: Some("ho".into()),
            edited_at: Some(17),
            edit_count: 1,
            created_at: 16,
            ..ChangedMessage::default()
        },
        ..MessageChanged::default()
    };
    assert_eq!(
        text_of(&changed),
        r#"{"type":"message-changed","data":{"conversationId":"world","messageId":"11","seqId":5,"rev":7,"kind":"edited","operatorId":"3","message":{"id":"11","senderId":"3","content":"ho","deleted":false,"editedAt":17,"editCount":1,"createdAt":16}},"timestamp":17}"#
    );
    let reacted = MessageChanged {
        rev: 9,
        kind: "reaction".into(),
        emoji: Some("👍".into()),
        removed: true,
        revs: vec![8, 9],
        message: ChangedMessage {
            id: "11".into(),
            sender_id: "3".into(),
            reactions: Some(vec![ReactionCount {
                emoji: "🎉".into(),
                count: 2,
            }]),
            created_at: 16,
            ..ChangedMessage::default()
        },
        ..changed
    };
    assert_eq!(
        text_of(&reacted),
        r#"{"type":"message-changed","data":{"conversationId":"world","messageId":"11","seqId":5,"rev":9,"kind":"reaction","operatorId":"3","emoji":"👍","removed":true,"revs":[8,9],"message":{"id":"11","senderId":"3","deleted":false,"editCount":0,"reactions":[{"emoji":"🎉","count":2}],"createdAt":16}},"timestamp":17}"#
    );
    let read = MessageRead {
        conversation_id: "world".into(),
        user_id: "3".into(),
        seq_id: 5,
        read_at: 16,
    };
    assert_eq!(
        text_of(&read),
        r#"{"type":"message-read","data":{"conversationId":"world","userId":"3","seqId":5,"readAt":16},"timestamp":17}"#
    );
}

#[test]
fn a_client_reads_what_the_server_wrote() {
    macro_rules! round_trip {
        ($($name:ident),*) => {$({
            let payload = $name::default();
            let text = text_of(&payload);
            let (frame, at) = ServerFrame::parse(&text).unwrap();
            assert_eq!((frame, at), (ServerFrame::$name(payload), 17));
        })*};
    }
    round_trip!(
        NewMessage,
        MessageAck,
        OnlineStatus,
        Pong,
        ErrorFrame,
        ConversationUpdated,
        MemberAdded,
        MemberRemoved,
        TypingIndicator,
        MessageRead,
        MessageRecalled,
        FriendRequest,
        FriendAdded,
        FriendRemoved,
        GroupInvitation,
        ConversationState,
        JoinRequest,
        JoinRequestAnswered,
        Restarting
    );
}

#[test]
fn frames_of_a_later_version_are_unknown_not_errors() {
    let (frame, _) = ServerFrame::parse(r#"{"type":"hologram","data":[1]}"#).unwrap();
    assert_eq!(frame, ServerFrame::Unknown("hologram".into()));
}

#[test]
fn an_error_frame_becomes_the_error_again() {
    let error = Error::from(ErrorCode::MemberMuted);
    assert_eq!(ErrorFrame::new(&error, None).to_error(), error);
}

#[test]
fn a_token_in_a_frame_is_never_printed() {
    let frame = ClientFrame::parse(r#"{"type":"authenticate","data":{"token":"hush"}}"#).unwrap();
    assert!(!format!("{frame:?}").contains("hush"));
    assert!(ClientFrame::parse(r#"{"type":"authenticate","data":{}}"#).is_err());
    assert!(ClientFrame::parse(r#"{"type":"authenticate"}"#).is_err());
}

#[test]
fn a_server_reads_what_a_client_wrote() {
    let conversation_id = ConversationId::World;
    let frames = [
        ClientFrame::Ping,
        ClientFrame::MarkRead {
            conversation_id,
            seq_id: 3,
        },
        ClientFrame::Typing(conversation_id),
        ClientFrame::StopTyping(conversation_id),
        ClientFrame::Authenticate(AccessToken("a.b.c".into())),
        ClientFrame::SendMessage(SendMessage {
            conversation_id,
            content: "a\n\"b".into(),
            message_type: 1,
            client_msg_id: Some("c".into()),
            extra: None,
            resend: true,
            refers: None,
            forward: None,
        }),
        ClientFrame::SendMessage(SendMessage {
            conversation_id,
            content: "hi".into(),
            message_type: 1,
            client_msg_id: Some("c".into()),
            extra: None,
            resend: false,
            refers: Some(Box::new(Refers {
                reply_to: MessageId::new(11),
                mentions: [7, 8].map(|id| UserId::new(id).unwrap()).to_vec(),
                mention_all: true,
            })),
            forward: None,
        }),
        ClientFrame::SendMessage(SendMessage {
            conversation_id,
            content: "".into(),
            message_type: 0,
            client_msg_id: Some("c".into()),
            extra: None,
            resend: false,
            refers: None,
            forward: Some(Forward {
                conversation_id,
                message_id: MessageId::new(11).unwrap(),
            }),
        }),
    ];
    for frame in frames {
        let mut out = Vec::new();
        frame.encode(&mut out);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(ClientFrame::parse(&text), Ok(frame));
    }
}

proptest! {
    #[test]
    fn hostile_text_never_panics(text in ".{0,300}") {
        let _ = ClientFrame::parse(&text);
        let _ = ServerFrame::parse(&text);
    }

    #[test]
    fn perturbed_frames_never_panic(at in any::<prop::sample::Index>(), with in any::<char>()) {
        let text = r#"{"type":"send-message","data":{"conversationId":"s_3_7","content":"hi","messageType":2,"client_msg_id":"c1"}}"#;
        let mut chars: Vec<char> = text.chars().collect();
        let at = at.index(chars.len());
        chars[at] = with;
        let text: String = chars.into_iter().collect();
        let _ = ClientFrame::parse(&text);
    }

    #[test]
    fn any_content_survives(content in ".{0,200}", id in "[a-z0-9-]{1,64}") {
        let data = serde_json::json!({
            "conversationId": "world", "content": content, "messageType": 1, "client_msg_id": id,
        });
        let text = serde_json::json!({ "type": "send-message", "data": data }).to_string();
        let Ok(ClientFrame::SendMessage(message)) = ClientFrame::parse(&text) else {
            panic!("refused")
        };
        prop_assert_eq!(&*message.content, content.as_str());
        prop_assert_eq!(message.client_msg_id.as_deref(), Some(id.as_str()));
    }
}

#[test]
fn changes_are_read_as_they_are_written() {
    let mut edit = ChangeMessage {
        conversation_id: ConversationId::World,
        message_id: "11".parse().unwrap(),
        kind: ChangeKind::Edit,
        content: "ho".into(),
        extra: Some("{}".into()),
        client_msg_id: Some("c2".into()),
        resend: true,
    };
    let written = |change: &ChangeMessage<'_>| {
        let mut out = Vec::new();
        ClientFrame::Change(change.clone()).encode(&mut out);
        String::from_utf8(out).unwrap()
    };
    let text = written(&edit);
    assert_eq!(
        text,
        r#"{"type":"edit-message","data":{"conversationId":"world","messageId":"11","content":"ho","client_msg_id":"c2","extra":"{}","resend":true}}"#
    );
    assert_eq!(
        ClientFrame::parse(&text),
        Ok(ClientFrame::Change(edit.clone()))
    );
    (edit.kind, edit.content, edit.extra) = (ChangeKind::Recall, "".into(), None);
    let text = written(&edit);
    assert_eq!(ClientFrame::parse(&text), Ok(ClientFrame::Change(edit)));
    let refused = |text: &str| ClientFrame::parse(text).unwrap_err();
    let silent = refused(
        r#"{"type":"edit-message","data":{"conversationId":"world","messageId":"1","clientMsgId":"c"}}"#,
    );
    assert_eq!(silent.error.message, "`content` is missing.");
    assert_eq!(silent.client_msg_id.as_deref(), Some("c"));
    let react = r#"{"type":"react","data":{"conversationId":"world","messageId":"11","emoji":"👍","remove":true,"client_msg_id":"c3"}}"#;
    let ClientFrame::Change(taken_back) = ClientFrame::parse(react).unwrap() else {
        panic!("not a change");
    };
    assert_eq!(
        (taken_back.kind, &*taken_back.content),
        (ChangeKind::Unreact, "👍")
    );
    let mut out = Vec::new();
    ClientFrame::Change(taken_back).encode(&mut out);
    assert_eq!(String::from_utf8(out).unwrap(), react);
    let no_emoji = r#"{"type":"react","data":{"conversationId":"world","messageId":"11"}}"#;
    assert!(refused(no_emoji).error.message.contains("emoji"));
    let pin = r#"{"type":"unpin-message","data":{"conversationId":"world","messageId":"11"}}"#;
    let ClientFrame::Change(unpin) = ClientFrame::parse(pin).unwrap() else {
        panic!("not a change");
    };
    assert_eq!(unpin.kind, ChangeKind::Unpin);
    let nothing = refused(r#"{"type":"recall-message","data":{"conversationId":"world"}}"#);
    assert_eq!(nothing.error.message, "`messageId` is missing.");
    let nowhere =
        refused(r#"{"type":"recall-message","data":{"conversationId":"world","messageId":"x"}}"#);
    assert_eq!(nowhere.error.code, ErrorCode::MessageNotFound);
}
