//! What messages refer to: answered messages that exist, named users who are members.

use gochat_core::error::ErrorCode;
use gochat_core::ids::{ConversationId, MessageId};
use gochat_core::message::{ChangeKind, QuoteState, Refers, Target};
use gochat_core::sequence::{ClientKey, Head};
use gochat_core::step::*;

use crate::support::*;

/// A bench whose database knows the chat of users 1 and 2.
fn single() -> (Bench, ConversationId) {
    let mut bench = Bench::new();
    let chat = ConversationId::single(user(1), user(2)).unwrap();
    bench.store(chat, Facts::open(Members::Implicit));
    (bench, chat)
}

fn id(n: u64) -> MessageId {
    MessageId::new(n).unwrap()
}

fn refers(reply_to: Option<u64>, mentions: &[u64], mention_all: bool) -> Refers {
    Refers {
        reply_to: reply_to.map(id),
        mentions: mentions.iter().map(|n| user(*n)).collect(),
        mention_all,
    }
}

fn message(place: ConversationId, sender: u64, client: &str, refers: Refers) -> Record {
    Record::Submit(Submission {
        conversation: place,
        key: ClientKey::new(user(sender), client),
        change: None,
        refers: Some(Box::new(refers)),
        only_repeat: None,
        gateway: gateways(1)[0],
        resend: false,
        bytes: 20,
        long: false,
    })
}

/// What became of one message: what it refers to, or why it was refused.
fn one(bench: &mut Bench, record: Record) -> Result<Referred, ErrorCode> {
    match bench.run(vec![record]).into_iter().next() {
        Some(Effect::Persist { referred, .. }) => Ok(*referred.unwrap()),
        Some(Effect::Nack { error, .. }) => Err(error.code),
        other => panic!("{other:?}"),
    }
}

/// The database knows message 7 under number 1, sent by user 1, and what it says.
fn store_message(bench: &mut Bench, place: ConversationId, target: Target, excerpt: Excerpt) {
    let loaded = bench.stored.get_mut(&place).unwrap();
    loaded.targets = Some(Found {
        messages: vec![(id(7), target)],
        excerpts: vec![(id(7), excerpt)],
        ..Found::default()
    });
    loaded.head = Head { seq: 1, rev: 1 };
}

fn said(text: &str, edits: u32) -> Excerpt {
    Excerpt {
        kind: 1,
        edits,
        text: text.into(),
    }
}

fn sent() -> Target {
    Target::new(1, user(1), NOW)
}

#[test]
fn an_answer_quotes_what_is_stored() {
    let (mut bench, s) = single();
    store_message(&mut bench, s, sent(), said("hello", 0));
    let answer = one(&mut bench, message(s, 2, "a", refers(Some(7), &[], false)));
    let quoted = answer.unwrap().reply.unwrap();
    assert_eq!((quoted.reply.id, quoted.reply.seq), (id(7), 1));
    assert_eq!((quoted.reply.by, quoted.kind), (user(1), 1));
    assert_eq!(
        (&*quoted.excerpt, quoted.state),
        ("hello", QuoteState::Normal)
    );
    let unknown = one(&mut bench, message(s, 2, "b", refers(Some(8), &[], false)));
    assert_eq!(unknown, Err(ErrorCode::MessageNotFound));
}

#[test]
fn a_text_that_was_edited_or_taken_back_since_is_not_quoted() {
    let (mut bench, s) = single();
    store_message(&mut bench, s, sent(), said("hello", 0));
    let mut quote_after = |kind: ChangeKind, client: &str| {
        let change = Record::Submit(Submission {
            conversation: s,
            key: ClientKey::of_change(user(1), client),
            change: Some(Change {
                kind,
                target: id(7),
                emoji: None,
            }),
            refers: None,
            only_repeat: None,
            gateway: gateways(1)[0],
            resend: false,
            bytes: 20,
            long: false,
        });
        bench.run(vec![change]);
        // The row still says what it said: the change isn't stored.
        let answer = message(s, 2, client, refers(Some(7), &[], false));
        let quoted = one(&mut bench, answer).unwrap().reply.unwrap();
        (quoted.state, quoted.excerpt.to_string())
    };
    let edited = (QuoteState::Edited, String::new());
    assert_eq!(quote_after(ChangeKind::Edit, "e"), edited);
    let recalled = (QuoteState::Recalled, String::new());
    assert_eq!(quote_after(ChangeKind::Recall, "r"), recalled);
}

#[test]
fn a_message_of_this_moment_can_be_answered() {
    let (mut bench, s) = single();
    bench.stored.get_mut(&s).unwrap().targets = Some(Found::default());
    let effects = bench.run(vec![bench.submit(s, 1, "a")]);
    let Some(Effect::Persist { message: first, .. }) = effects.first() else {
        panic!("{effects:?}");
    };
    let refers = Refers {
        reply_to: Some(first.message_id),
        ..Refers::default()
    };
    let quoted = one(&mut bench, message(s, 2, "b", refers)).unwrap().reply;
    let quoted = quoted.unwrap();
    assert_eq!((quoted.reply.seq, quoted.reply.by), (1, user(1)));
    assert_eq!((quoted.kind, &*quoted.excerpt), (0, ""));
}

#[test]
fn where_members_may_not_read_what_was_before_no_text_is_quoted() {
    let mut bench = Bench::new();
    let g = bench.store_group(1, &[1, 2]);
    let facts = bench.stored.get_mut(&g).unwrap().facts.as_mut().unwrap();
    facts.hides_earlier = true;
    store_message(&mut bench, g, sent(), said("hello", 0));
    let answer = one(&mut bench, message(g, 2, "a", refers(Some(7), &[], false)));
    assert_eq!(&*answer.unwrap().reply.unwrap().excerpt, "");
}

#[test]
fn only_members_are_named() {
    let mut bench = Bench::new();
    let g = bench.store_group(1, &[1, 2, 3]);
    let named = one(&mut bench, message(g, 1, "a", refers(None, &[2, 9], false)));
    assert_eq!(named.unwrap().mentions, [user(2)]);
    let (mut bench, s) = single();
    let named = one(&mut bench, message(s, 1, "a", refers(None, &[2, 3], false)));
    assert_eq!(named.unwrap().mentions, [user(2)]);
}

#[test]
fn of_a_group_too_large_to_list_the_named_are_asked_for_each_time() {
    let mut bench = Bench::new();
    let g = bench.store_group(1, &[1, 2, 3]);
    let facts = bench.stored.get_mut(&g).unwrap().facts.as_mut().unwrap();
    facts.members = Members::asked(&[user(1)], [Standing::plain(user(1))]);
    for client in ["a", "b"] {
        let record = message(g, 1, client, refers(None, &[2, 9], false));
        bench.machine.begin(vec![record.clone()]);
        let need = &bench.machine.needs()[0];
        assert_eq!(
            (&*need.senders, &*need.named),
            (&[user(1)][..], &[user(2), user(9)][..])
        );
        bench.stored.get_mut(&g).unwrap().named = vec![(user(2), true), (user(9), false)];
        assert_eq!(one(&mut bench, record).unwrap().mentions, [user(2)]);
    }
    // Nobody knows whether user 5 is a member: the message has to wait.
    let unknown = message(g, 1, "c", refers(None, &[5], false));
    assert_eq!(one(&mut bench, unknown), Err(ErrorCode::ServiceUnavailable));
}

#[test]
fn a_batch_that_names_thousands_asks_for_a_thousand() {
    let mut bench = Bench::new();
    let g = bench.store_group(1, &[1]);
    let facts = bench.stored.get_mut(&g).unwrap().facts.as_mut().unwrap();
    facts.members = Members::asked(&[user(1)], [Standing::plain(user(1))]);
    let names = |n: u64| (n * 50 + 2..n * 50 + 52).collect::<Vec<_>>();
    let records = (0..30).map(|n| message(g, 1, &n.to_string(), refers(None, &names(n), false)));
    bench.machine.begin(records);
    let needs = bench.machine.needs();
    assert_eq!((needs[0].senders.len(), needs[0].named.len()), (1, 1_000));
}

#[test]
fn what_can_t_be_said_is_still_acknowledged_as_a_repeat() {
    let (mut bench, s) = single();
    let only = |client: &str| {
        let Record::Submit(submission) = message(s, 1, client, Refers::default()) else {
            panic!("not a message");
        };
        Record::Submit(Submission {
            only_repeat: Some(ErrorCode::MessageRecalled),
            ..submission
        })
    };
    assert_eq!(bench.send(s, 1, "a"), Ok(1));
    let outcome = |effects: Vec<Effect>| match effects.first() {
        Some(Effect::Ack {
            message, replay, ..
        }) => Ok((message.seq, *replay)),
        Some(Effect::Nack { error, .. }) => Err(error.code),
        other => panic!("{other:?}"),
    };
    assert_eq!(outcome(bench.run(vec![only("a")])), Ok((1, true)));
    let refused = Err(ErrorCode::MessageRecalled);
    assert_eq!(outcome(bench.run(vec![only("b")])), refused);
}

#[test]
fn everybody_is_named_by_admins_or_by_whom_the_group_lets() {
    let mut bench = Bench::new();
    let g = bench.store_group(1, &[1, 2]);
    let admin = Standing {
        privileged: true,
        ..Standing::plain(user(1))
    };
    let facts = bench.stored.get_mut(&g).unwrap().facts.as_mut().unwrap();
    facts.members = Members::all([admin, Standing::plain(user(2))]);
    facts.members_mention_all = false;
    let all = |sender, client: &str| message(g, sender, client, refers(None, &[], true));
    assert!(one(&mut bench, all(1, "a")).unwrap().mention_all);
    let refused = Err(ErrorCode::InsufficientPermission);
    assert_eq!(one(&mut bench, all(2, "b")), refused);
    let (mut bench, s) = single();
    let in_single = message(s, 1, "c", refers(None, &[], true));
    assert_eq!(one(&mut bench, in_single), refused);
}
