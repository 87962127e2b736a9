use gochat_core::error::ErrorCode;
use gochat_core::ids::{MessageId, UserId};
use gochat_core::message::{ChangeKind, Emoji, Reply, State, Target};
use gochat_proto::mq::v1::{
    self as wire, DownstreamMessage, FanoutTask, Forwarded, MessageError, Origin,
    PersistenceMessage, ReactionCount, References, UpstreamKind, UserInfo,
};
use prost::Message;

use super::*;

fn upstream() -> Upstream<'static> {
    Upstream {
        trace_id: "t-1",
        user_id: "7",
        gateway_id: "gateway-1",
        conversation_id: "g_5",
        message_type: 2,
        content: "content",
        client_msg_id: "c-1",
        extra: "{}",
        kind: 0,
        conn_id: 9,
        resend: false,
        change: 0,
        target_id: 0,
        reply_to: 0,
        mention_ids: &[],
        mention_all: false,
        forwarded: &[],
        only_repeat: "",
        system: false,
    }
}

fn sequenced() -> Sequenced {
    let message_id = MessageId::new(1 << 62).unwrap();
    Sequenced {
        record: 0,
        message_id,
        seq: 300,
        rev: 400,
        at: 1_700_000_000_000,
    }
}

fn author() -> UserInfo {
    UserInfo {
        id: "7".into(),
        username: "ann".into(),
        avatar_url: "a".into(),
        is_guest: true,
    }
}

fn incoming(value: Vec<u8>) -> InRecord {
    InRecord {
        offset: 3,
        timestamp_ms: 0,
        record: Record::new("g_5", value),
    }
}

fn users(n: u64) -> Effects {
    Effects {
        list: vec![],
        users: (0..n).map(|n| UserId::new(n).unwrap()).collect(),
    }
}

fn texts(range: std::ops::Range<u64>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

/// Runs `f` with an encoder whose body is prepared for the message.
fn with_source<T>(
    effects: &Effects,
    f: impl FnOnce(&mut Encoder, &Source<'_>, OutRecord) -> T,
) -> T {
    let (record, message, author) = (incoming(vec![]), upstream(), author().encode_to_vec());
    let source = Source {
        record: &record,
        message: &message,
        author: Some(&author),
        headers: &Headers::none(),
    };
    let mut encoder = Encoder::default();
    let later = Later {
        recheck: 0..1,
        reached: 1..2,
        unknown: true,
        members: true,
        listed: true,
    };
    let mut gateways = Gateways::default();
    let live = ["gateway-1".to_owned(), "gateway-2".to_owned()];
    gateways.list(&live, tokio::time::Instant::now());
    let given = Given {
        message: &sequenced(),
        changed: None,
        referred: None,
        withheld: false,
    };
    let persist = encoder.persist(&source, given, &later, Some(&gateways), effects);
    f(&mut encoder, &source, persist)
}

fn downstream() -> DownstreamMessage {
    DownstreamMessage {
        trace_id: "t-1".into(),
        message_id: 1 << 62,
        conversation_id: "g_5".into(),
        sender_id: "7".into(),
        sender_info: Some(author()),
        message_type: 2,
        content: "content".into(),
        seq_id: 300,
        client_msg_id: "c-1".into(),
        timestamp: 1_700_000_000,
        extra: "{}".into(),
        conversation_type: 2,
        rev: 400,
        ..Default::default()
    }
}

fn origin() -> Option<Origin> {
    Some(Origin {
        user_id: "7".into(),
        conn_id: 9,
        trace_id: "t-1".into(),
    })
}

#[test]
fn a_persist_record_reads_as_the_generated_type() {
    let record = with_source(&users(2), |_, _, persist| persist);
    let read = PersistenceMessage::decode(record.record.value).unwrap();
    let expected = PersistenceMessage {
        trace_id: "t-1".into(),
        message_id: 1 << 62,
        conversation_id: "g_5".into(),
        sender_id: "7".into(),
        sender_info: Some(author()),
        message_type: 2,
        content: "content".into(),
        seq_id: 300,
        client_msg_id: "c-1".into(),
        timestamp: 1_700_000_000,
        extra: "{}".into(),
        recheck_user_ids: texts(0..1),
        reached_user_ids: vec![1],
        gateway_ids: vec!["gateway-1".into(), "gateway-2".into()],
        presence_unknown: true,
        to_members: true,
        rev: 400,
        ..Default::default()
    };
    assert_eq!(read, expected);
    assert_eq!(
        (&*record.topic, &record.record.key[..]),
        (topics::PERSIST, &b"g_5"[..])
    );
}

#[test]
fn a_change_names_its_message_and_has_no_type() {
    let (record, author) = (incoming(vec![]), author().encode_to_vec());
    let message = Upstream {
        kind: UpstreamKind::Change as i32,
        change: ChangeKind::Edit.as_i32(),
        target_id: 1 << 62,
        ..upstream()
    };
    let source = Source {
        record: &record,
        message: &message,
        author: Some(&author),
        headers: &Headers::none(),
    };
    let thumb: Emoji = "👍".parse().unwrap();
    let (mut target, author_id) = (Tally::default(), UserId::new(7).unwrap());
    target.add(thumb);
    target.add(thumb);
    let target = Target {
        edits: 2,
        pinned: true,
        reactions: target,
        ..Target::new(300, author_id, 1_600_000_000_000)
    };
    let after = Changed {
        kind: ChangeKind::Pin,
        operator: author_id,
        state: State {
            target,
            own: vec![thumb],
            pins: 9,
        },
        keeps_former: true,
        tells: true,
    };
    let given = Given {
        message: &sequenced(),
        changed: Some(&after),
        referred: None,
        withheld: false,
    };
    let (mut encoder, effects) = (Encoder::default(), users(1));
    let persist = encoder.persist(&source, given, &Later::default(), None, &effects);
    let read = PersistenceMessage::decode(persist.record.value).unwrap();
    let facts = (&*read.author_id, read.sent_at, read.edit_count, read.change);
    assert_eq!(facts, ("7", 1_600_000_000, 2, 1));
    assert_eq!((read.message_type, read.seq_id, read.rev), (0, 300, 400));
    assert!(read.keep_former && read.tells);
    let tally = vec![ReactionCount {
        emoji: "👍".into(),
        count: 2,
    }];
    assert_eq!((read.reactions, read.pinned), (tally.clone(), true));
    assert_eq!(
        (&*read.own_reactions, read.pin_count),
        (&["👍".to_owned()][..], 9)
    );
    let push = encoder.deliver(&source, "d".into(), false, &(0..1), &effects);
    let read = DownstreamMessage::decode(push.record.value).unwrap();
    assert_eq!(read.kind(), DownstreamKind::Change);
    let facts = (&*read.author_id, read.sent_at, read.edit_count, read.change);
    assert_eq!(facts, ("7", 1_600_000_000, 2, 1));
    assert_eq!((&*read.content, read.rev), ("content", 400));
    assert_eq!(read.reactions, tally);

    let withheld = Given {
        withheld: true,
        ..given
    };
    let persist = encoder.persist(&source, withheld, &Later::default(), None, &effects);
    let stored = PersistenceMessage::decode(persist.record.value).unwrap();
    assert_eq!((&*stored.content, stored.withheld), ("content", true));
    let push = encoder.deliver(&source, "d".into(), false, &(0..1), &effects);
    let read = DownstreamMessage::decode(push.record.value).unwrap();
    assert_eq!((&*read.content, &*read.extra, read.rev), ("", "", 400));
}

#[test]
fn deliveries_share_a_body_and_differ_in_targets_and_origin() {
    let effects = users(40);
    let records = with_source(&effects, |encoder, source, _| {
        let mut deliver = |origin, targets: &Users| {
            encoder.deliver(source, "topic".into(), origin, targets, &effects)
        };
        [
            deliver(true, &(0..1)),
            deliver(false, &(0..40)),
            deliver(false, &(0..40)),
        ]
    });
    let read = records.map(|r| DownstreamMessage::decode(r.record.value).unwrap());
    let first = DownstreamMessage {
        target_user_ids: texts(0..1),
        origin: origin(),
        ..downstream()
    };
    let second = DownstreamMessage {
        target_user_ids: texts(0..40),
        ..downstream()
    };
    assert_eq!(read, [first, second.clone(), second]);
}

#[test]
fn a_list_of_members_is_the_body_and_eight_bytes_each() {
    let effects = users(40);
    let (list, broadcast) = with_source(&effects, |encoder, source, _| {
        let list = encoder.list(source, "topic".into(), true, &(0..40), &effects);
        (list, encoder.broadcast(source, "topic".into(), true))
    });
    let (list, broadcast) = (list.record.value, broadcast.record.value);
    assert!(list.len() <= broadcast.len() + 8 * 40 + 8);
    let expected = DownstreamMessage {
        member_ids: (0..40).collect(),
        origin: origin(),
        ..downstream()
    };
    assert_eq!(DownstreamMessage::decode(list).unwrap(), expected);
}

#[test]
fn a_broadcast_and_a_fanout_task_carry_the_whole_message() {
    let (broadcast, fanout) = with_source(&users(2), |encoder, source, _| {
        let broadcast = encoder.broadcast(source, "topic".into(), true);
        (broadcast, encoder.fanout(source, &sequenced()))
    });
    let read = DownstreamMessage::decode(broadcast.record.value).unwrap();
    let expected = DownstreamMessage {
        broadcast: true,
        origin: origin(),
        ..downstream()
    };
    assert_eq!(read, expected);
    let read = FanoutTask::decode(fanout.record.value).unwrap();
    assert_eq!(read.message, Some(downstream()));
    assert_eq!((read.message_id, read.seq_id), (1 << 62, 300));
    assert!(read.at_once);
    assert_eq!(read.exclude_user_ids, ["7"]);
    assert_eq!((&*read.trace_id, &*read.conversation_id), ("t-1", "g_5"));
}

#[test]
fn answers_go_to_the_origin_alone() {
    let (ack, nack) = with_source(&users(2), |encoder, source, _| {
        let ack = encoder.ack(source, "topic".into(), &sequenced(), true);
        (
            ack,
            encoder.nack(
                source,
                "topic".into(),
                &Error::from(ErrorCode::RateLimited).after(1_500),
            ),
        )
    });
    let bare = DownstreamMessage {
        trace_id: "t-1".into(),
        conversation_id: "g_5".into(),
        sender_id: "7".into(),
        client_msg_id: "c-1".into(),
        origin: origin(),
        conversation_type: 2,
        ..Default::default()
    };
    let expected = DownstreamMessage {
        kind: DownstreamKind::Ack as i32,
        message_id: 1 << 62,
        seq_id: 300,
        timestamp: 1_700_000_000,
        replay: true,
        rev: 400,
        ..bare.clone()
    };
    assert_eq!(
        DownstreamMessage::decode(ack.record.value).unwrap(),
        expected
    );
    let error = Error::from(ErrorCode::RateLimited);
    let expected = DownstreamMessage {
        kind: DownstreamKind::Error as i32,
        error: Some(MessageError {
            code: "RATE_LIMITED".into(),
            message: error.message.into_owned(),
            retryable: true,
            retry_after_ms: 1_500,
        }),
        ..bare
    };
    assert_eq!(
        DownstreamMessage::decode(nack.record.value).unwrap(),
        expected
    );
}

#[test]
fn a_dead_letter_keeps_the_record_and_stays_within_the_bound() {
    let mut encoder = Encoder::default();
    let small = encoder.dead_letter(&incoming(b"x".to_vec()), 4, "why", 5);
    assert_eq!(small.record.value, "x");
    assert_eq!(small.record.headers.find("X-DLQ-Offset").unwrap(), "3");
    let large = encoder.dead_letter(&incoming(vec![0; MAX_RECORD_BYTES]), 4, "why", 5);
    assert!(large.record.size() <= MAX_RECORD_BYTES);
    assert!(large.record.headers.find("X-DLQ-Truncated").is_some());
}

#[test]
fn what_a_message_refers_to_stands_in_every_record_of_it() {
    let forwarded = Forwarded {
        message_id: 5,
        conversation_id: "g_4".into(),
        sender_id: "3".into(),
        sender_name: "cleo".into(),
    };
    let encoded = forwarded.encode_to_vec();
    let message = Upstream {
        conn_id: 0,
        forwarded: &encoded,
        ..upstream()
    };
    let record = incoming(vec![]);
    let source = Source {
        record: &record,
        message: &message,
        author: None,
        headers: &Headers::none(),
    };
    let referred = Referred {
        reply: Some(Quoted {
            reply: Reply {
                id: MessageId::new(11).unwrap(),
                seq: 2,
                by: UserId::new(7).unwrap(),
            },
            state: QuoteState::Edited,
            kind: 1,
            excerpt: "so it was".into(),
        }),
        mentions: [8, 9].map(|id| UserId::new(id).unwrap()).to_vec(),
        mention_all: true,
    };
    let expected = References {
        reply_to: Some(wire::Quoted {
            message_id: 11,
            seq_id: 2,
            sender_id: "7".into(),
            message_type: 1,
            excerpt: "so it was".into(),
            edited: true,
            recalled: false,
        }),
        mention_ids: vec![8, 9],
        mention_all: true,
        forwarded: Some(forwarded),
    };
    let given = Given {
        message: &sequenced(),
        changed: None,
        referred: Some(&referred),
        withheld: false,
    };
    let (mut encoder, effects) = (Encoder::default(), users(1));
    let persist = encoder.persist(&source, given, &Later::default(), None, &effects);
    let stored = PersistenceMessage::decode(persist.record.value).unwrap();
    assert_eq!(stored.references.as_ref(), Some(&expected));
    let push = encoder.deliver(&source, "d".into(), false, &(0..1), &effects);
    let pushed = DownstreamMessage::decode(push.record.value).unwrap();
    assert_eq!(pushed.references.as_ref(), Some(&expected));
    let answer = |encoder: &mut Encoder, replay| {
        let ack = encoder.ack(&source, "d".into(), &sequenced(), replay);
        DownstreamMessage::decode(ack.record.value)
            .unwrap()
            .references
    };
    assert_eq!(answer(&mut encoder, false), Some(expected));
    // What was sent first may have referred to something else.
    assert_eq!(answer(&mut encoder, true), None);
    // The next message refers to nothing.
    let plain = Upstream {
        forwarded: &[],
        ..message
    };
    let source = Source {
        message: &plain,
        ..source
    };
    let given = Given {
        referred: None,
        ..given
    };
    let persist = encoder.persist(&source, given, &Later::default(), None, &effects);
    let stored = PersistenceMessage::decode(persist.record.value).unwrap();
    assert_eq!(stored.references, None);
}
