//! Changes of messages: who may, by which facts, with which numbers.

use gochat_core::error::ErrorCode;
use gochat_core::ids::{ConversationId, MessageId, Rev};
use gochat_core::message::{ChangeKind, EDIT_WINDOW_MS, State, Target};
use gochat_core::sequence::{ClientKey, Head};
use gochat_core::step::*;

use crate::support::*;

use ChangeKind::{Edit, Pin, Recall, Unpin};

fn id(n: u64) -> MessageId {
    MessageId::new(n).unwrap()
}

/// A wish of user `who` about message `target`.
fn wish(place: ConversationId, who: u64, client: &str, kind: ChangeKind, target: u64) -> Record {
    Record::Submit(Submission {
        conversation: place,
        key: ClientKey::of_change(user(who), client),
        change: Some(Change {
            kind,
            target: id(target),
            emoji: None,
        }),
        refers: None,
        only_repeat: None,
        gateway: gateways(1)[0],
        resend: false,
        bytes: 20,
        long: false,
    })
}

/// The database knows these messages, sent by user 1 a moment ago.
fn store_messages(bench: &mut Bench, place: ConversationId, messages: &[(u64, Target)]) {
    let loaded = bench.stored.get_mut(&place).unwrap();
    let messages_of = |(n, target): &(u64, Target)| (id(*n), target.clone());
    loaded.targets = Some(Found {
        messages: messages.iter().map(messages_of).collect(),
        ..Found::default()
    });
    let head = messages.len() as u64;
    loaded.head = Head {
        seq: head,
        rev: head,
    };
}

fn sent(seq: u64) -> Target {
    Target::new(seq, user(1), NOW)
}

/// The facts of a message after a change.
fn after(target: Target, kind: ChangeKind) -> Target {
    let state = State {
        target,
        own: vec![],
        pins: 0,
    };
    state.after(kind, None).target
}

/// What became of one wish: its `rev`, or the refusal.
fn change(bench: &mut Bench, record: Record) -> Result<Rev, ErrorCode> {
    let effects = bench.run(vec![record]);
    let answer = effects.iter().find_map(|effect| match effect {
        Effect::Persist { message, .. } | Effect::Ack { message, .. } => Some(Ok(message.rev)),
        Effect::Nack { error, .. } => Some(Err(error.code)),
        _ => None,
    });
    answer.expect("every wish is answered")
}

#[test]
fn a_change_takes_the_next_rev_names_its_message_and_reaches_the_audience() {
    let mut bench = Bench::new();
    let g = bench.store_group(1, &[1, 2]);
    bench.online(1, &[0]);
    bench.online(2, &[1]);
    store_messages(&mut bench, g, &[(7, sent(1))]);
    let effects = bench.run(vec![wish(g, 1, "e", Edit, 7), bench.submit(g, 2, "m")]);
    let Effect::Persist {
        message, changed, ..
    } = &effects[0]
    else {
        panic!("{effects:?}");
    };
    assert_eq!(
        (message.message_id, message.seq, message.rev),
        (id(7), 1, 2)
    );
    let changed = changed.as_ref().unwrap();
    assert_eq!(changed.state.target, after(sent(1), Edit));
    let reached = |effect: &&Effect| matches!(effect, Effect::ToMembers { .. });
    assert_eq!(effects.iter().filter(reached).count() % 2, 0);
    let sent: Vec<_> = effects.iter().filter_map(outcome).collect();
    assert_eq!(sent, [Ok(1), Ok(2)], "the message got seq 2");
    assert_eq!(bench.send(g, 2, "m"), Ok(2));
    assert_eq!(
        change(&mut bench, wish(g, 1, "e", Edit, 7)),
        Ok(2),
        "a repeat"
    );
    assert_eq!(change(&mut bench, wish(g, 1, "e2", Edit, 7)), Ok(4));
}

#[test]
fn what_the_owner_did_lately_overrides_what_the_database_answers() {
    let mut bench = Bench::new();
    let g = bench.store_group(1, &[1, 2]);
    store_messages(&mut bench, g, &[(7, sent(1))]);
    assert_eq!(change(&mut bench, wish(g, 1, "r", Recall, 7)), Ok(2));
    // The database still says that the message is there.
    let refused = Err(ErrorCode::MessageRecalled);
    assert_eq!(change(&mut bench, wish(g, 1, "e", Edit, 7)), refused);
    assert_eq!(change(&mut bench, wish(g, 1, "r2", Recall, 7)), refused);
    assert_eq!(change(&mut bench, wish(g, 1, "r", Recall, 7)), Ok(2));
}

#[test]
fn changes_of_one_batch_see_each_other_and_go_with_it() {
    let mut bench = Bench::new();
    let g = bench.store_group(1, &[1, 2]);
    store_messages(&mut bench, g, &[(7, sent(1))]);
    let batch = || vec![wish(g, 1, "r", Recall, 7), wish(g, 1, "e", Edit, 7)];
    let is_answer = |effect: &&Effect| !matches!(effect, Effect::Ack { .. });
    let answers = |effects: Vec<Effect>| -> Vec<_> {
        let answers = effects.iter().filter(is_answer);
        answers.filter_map(outcome).collect()
    };
    let expected = [Ok(1), Err(ErrorCode::MessageRecalled)];
    assert_eq!(answers(bench.decide(batch())), expected);
    bench.machine.aborted();
    assert_eq!(change(&mut bench, wish(g, 1, "e", Edit, 7)), Ok(2));
}

#[test]
fn a_message_of_this_moment_can_be_changed_before_its_row_is_written() {
    let mut bench = Bench::new();
    let g = bench.store_group(1, &[1, 2]);
    store_messages(&mut bench, g, &[]);
    assert_eq!(bench.send(g, 1, "m"), Ok(1));
    let edit = |who, target| wish(g, who, &format!("{who}-{target}"), Edit, target);
    assert_eq!(change(&mut bench, edit(1, 1001)), Ok(2));
    let denied = Err(ErrorCode::NotTheAuthor);
    assert_eq!(change(&mut bench, edit(2, 1001)), denied);
    let nowhere = Err(ErrorCode::MessageNotFound);
    assert_eq!(change(&mut bench, edit(1, 5)), nowhere);
}

#[test]
fn while_nobody_can_tell_what_was_said_a_change_waits() {
    let mut bench = Bench::new();
    let g = bench.store_group(1, &[1, 2]);
    // An answer without targets: an older im-repo, or none.
    let waits = Err(ErrorCode::ServiceUnavailable);
    assert_eq!(change(&mut bench, wish(g, 1, "e", Edit, 5)), waits);
    bench.machine.begin([wish(g, 1, "e", Edit, 5)]);
    assert_eq!(bench.machine.needs()[0].targets, [id(5)]);
    assert_eq!(
        bench.decide_provided().iter().find_map(outcome),
        Some(Err(ErrorCode::ServiceUnavailable))
    );
}

#[test]
fn a_new_owner_knows_changes_that_are_not_stored() {
    let mut bench = Bench::new();
    let g = bench.store_group(1, &[1, 2]);
    store_messages(&mut bench, g, &[(7, sent(1))]);
    let effects = bench.run(vec![wish(g, 1, "r", Recall, 7)]);
    let Effect::Persist {
        message, changed, ..
    } = &effects[0]
    else {
        panic!("{effects:?}");
    };
    let tail = TailRecord {
        conversation: g,
        recorded: gochat_core::sequence::Recorded {
            key: ClientKey::of_change(user(1), "r"),
            message_id: message.message_id,
            seq: message.seq,
            rev: message.rev,
            at: message.at,
        },
        changed: changed.as_deref().cloned(),
    };
    bench.machine = PartitionMachine::new(Limits::default());
    bench.machine.recover([tail]);
    let refused = Err(ErrorCode::MessageRecalled);
    assert_eq!(change(&mut bench, wish(g, 1, "e", Edit, 7)), refused);
    assert_eq!(change(&mut bench, wish(g, 1, "r", Recall, 7)), Ok(2));
    assert_eq!(bench.send(g, 2, "next"), Ok(2));
}

#[test]
fn strangers_muted_members_and_latecomers_are_refused() {
    let mut bench = Bench::new();
    let muted = Standing {
        muted_until: Standing::FOREVER,
        ..Standing::plain(user(1))
    };
    let admin = Standing {
        privileged: true,
        ..Standing::plain(user(3))
    };
    bench.store(group(1), Facts::open(Members::all([muted, admin])));
    let g = group(1);
    store_messages(&mut bench, g, &[(7, sent(1)), (8, sent(2)), (9, sent(3))]);
    let stranger = Err(ErrorCode::NotConversationMember);
    assert_eq!(change(&mut bench, wish(g, 4, "a", Recall, 7)), stranger);
    let mute = Err(ErrorCode::MemberMuted);
    assert_eq!(change(&mut bench, wish(g, 1, "b", Edit, 7)), mute);
    assert_eq!(change(&mut bench, wish(g, 1, "c", Recall, 7)), Ok(4));
    bench.now += EDIT_WINDOW_MS;
    let late = Err(ErrorCode::RecallTimeExceeded);
    assert_eq!(change(&mut bench, wish(g, 1, "d", Recall, 8)), late);
    assert_eq!(change(&mut bench, wish(g, 3, "e", Recall, 8)), Ok(5));
}

#[test]
fn what_is_saved_is_forgotten_and_asked_for_again() {
    let mut bench = Bench::new();
    let g = bench.store_group(1, &[1, 2]);
    let all: Vec<_> = (1..=200).map(|n| (n, sent(n))).collect();
    store_messages(&mut bench, g, &all);
    bench.now = NOW + 1_000;
    let before = {
        assert_eq!(change(&mut bench, wish(g, 1, "first", Edit, 1)), Ok(201));
        bench.machine.memory()
    };
    for n in 1..=200 {
        let record = wish(g, 1, &n.to_string(), Edit, n);
        bench.decide(vec![record]);
        let mark = bench.machine.committed();
        bench.machine.saved(mark);
    }
    let entry_bytes = 64 * 200;
    let grown = bench.machine.memory() - before;
    assert!(grown < entry_bytes + 320 * 130, "{grown} bytes");
    bench.machine.begin([wish(g, 1, "again", Edit, 1)]);
    assert_eq!(bench.machine.needs()[0].targets, [id(1)]);
}

/// Whether an edit keeps the text before it is decided once, by the facts that it is judged by: the
/// decision stands in the record, whatever the group says later.
#[test]
fn an_edit_keeps_the_text_before_it_where_the_group_says_so_then() {
    let mut bench = Bench::new();
    let g = bench.store_group(1, &[1, 2]);
    store_messages(&mut bench, g, &[(7, sent(1)), (8, sent(2))]);
    let facts = |bench: &mut Bench, keeps: bool| {
        let stored = bench.stored.get_mut(&g).unwrap();
        stored.facts.as_mut().unwrap().keeps_former_texts = keeps;
    };
    let kept = |effects: &[Effect]| {
        let kept = effects.iter().filter_map(|effect| match effect {
            Effect::Persist { changed, .. } => changed.as_ref().map(|c| c.keeps_former),
            _ => None,
        });
        kept.collect::<Vec<_>>()
    };
    let effects = bench.run(vec![wish(g, 1, "a", Edit, 7)]);
    assert_eq!(kept(&effects), [false]);
    facts(&mut bench, true);
    let batch = vec![Record::FactsChanged(g), wish(g, 1, "b", Edit, 7)];
    assert_eq!(kept(&bench.run(batch)), [true]);
    // A repeat is told again and not made again; a recall keeps nothing.
    let batch = vec![wish(g, 1, "b", Edit, 7), wish(g, 1, "r", Recall, 8)];
    assert_eq!(kept(&bench.run(batch)), [false]);
    facts(&mut bench, false);
    let batch = vec![Record::FactsChanged(g), wish(g, 1, "c", Edit, 7)];
    assert_eq!(kept(&bench.run(batch)), [false]);
}

/// Whether a pin is told is decided once, by what the group says then; putting a pin on top, and
/// taking it off, is told by nobody.
#[test]
fn a_new_pin_is_told_where_the_group_says_so_then() {
    let mut bench = Bench::new();
    let g = bench.store_group(1, &[1, 2]);
    store_messages(&mut bench, g, &[(7, sent(1)), (8, sent(2))]);
    let told = |effects: &[Effect]| {
        let told = effects.iter().filter_map(|effect| match effect {
            Effect::Persist { changed, .. } => changed.as_ref().map(|c| c.tells),
            _ => None,
        });
        told.collect::<Vec<_>>()
    };
    let effects = bench.run(vec![wish(g, 1, "a", Pin, 7)]);
    assert_eq!(told(&effects), [false]);
    let stored = bench.stored.get_mut(&g).unwrap();
    stored.facts.as_mut().unwrap().system_messages = true;
    let batch = vec![
        Record::FactsChanged(g),
        wish(g, 1, "b", Pin, 8),
        wish(g, 1, "c", Pin, 8),
        wish(g, 1, "d", Unpin, 8),
        wish(g, 1, "e", Edit, 7),
        wish(g, 1, "f", Pin, 8),
    ];
    assert_eq!(told(&bench.run(batch)), [true, false, false, false, true]);
}

/// What a batch of these records would look up.
fn needs(bench: &mut Bench, records: Vec<Record>) -> Vec<Need> {
    bench.machine.begin(records);
    let needs = bench.machine.needs();
    bench.machine.aborted();
    needs
}

#[test]
fn a_message_of_a_moment_ago_is_changed_without_a_look_into_the_database() {
    let mut bench = Bench::new();
    let g = bench.store_group(1, &[1, 2]);
    store_messages(&mut bench, g, &[]);
    assert_eq!(bench.send(g, 1, "m"), Ok(1));
    let react = |who, client: &str| {
        let mut record = wish(g, who, client, ChangeKind::React, 1001);
        if let Record::Submit(Submission {
            change: Some(change),
            ..
        }) = &mut record
        {
            change.emoji = "👍".parse().ok();
        }
        record
    };
    assert_eq!(needs(&mut bench, vec![wish(g, 1, "e", Edit, 1001)]), []);
    assert_eq!(needs(&mut bench, vec![react(2, "r")]), []);
    // A stranger is found out as ever, and only the database knows how many are pinned.
    let denied = Err(ErrorCode::NotTheAuthor);
    assert_eq!(change(&mut bench, wish(g, 2, "e", Edit, 1001)), denied);
    assert_eq!(needs(&mut bench, vec![wish(g, 1, "p", Pin, 1001)]).len(), 1);
    // What it is after a change is remembered, and so is who reacted.
    assert_eq!(change(&mut bench, react(1, "r1")), Ok(2));
    assert_eq!(needs(&mut bench, vec![react(2, "r2"), react(1, "r3")]), []);
    assert_eq!(change(&mut bench, react(2, "r2")), Ok(3));
    // A message from before this owner's time isn't.
    let older = needs(&mut bench, vec![wish(g, 1, "o", Edit, 5)]);
    assert_eq!(older[0].targets, [id(5)]);
}

#[test]
fn only_facts_that_are_not_at_hand_are_asked_for() {
    let mut bench = Bench::new();
    let g = bench.store_group(1, &[1, 2]);
    store_messages(&mut bench, g, &[(7, sent(1))]);
    let asks = |bench: &mut Bench| {
        let needs = needs(bench, vec![wish(g, 1, "e", Edit, 7)]);
        (needs[0].with_facts, needs[0].targets.clone())
    };
    assert_eq!(asks(&mut bench), (true, vec![id(7)]));
    assert_eq!(bench.send(g, 1, "m"), Ok(2));
    assert_eq!(asks(&mut bench), (false, vec![id(7)]));
    // An answer without facts leaves those at hand, and an answer of nothing doesn't.
    let loaded = bench.stored.get_mut(&g).unwrap();
    let facts = loaded.facts.take();
    loaded.keeps_facts = true;
    assert_eq!(change(&mut bench, wish(g, 1, "e", Edit, 7)), Ok(3));
    let denied = Err(ErrorCode::NotTheAuthor);
    assert_eq!(change(&mut bench, wish(g, 2, "e", Edit, 7)), denied);
    // What a change of the group makes old is asked for again.
    bench.stored.get_mut(&g).unwrap().facts = facts;
    bench.run(vec![Record::FactsChanged(g)]);
    assert!(asks(&mut bench).0);
}

#[test]
fn a_message_is_found_at_the_end_of_a_batch_that_was_found_at_its_begin() {
    let mut bench = Bench::new();
    let g = bench.store_group(1, &[1, 2]);
    store_messages(&mut bench, g, &[(7, sent(1))]);
    for n in 0..1_000 {
        assert_eq!(bench.send(g, 1, &format!("m{n}")), Ok(2 + n));
    }
    // All of it is stored meanwhile, and an edit of an old message asks the database.
    bench.stored.get_mut(&g).unwrap().head = Head {
        seq: 1_001,
        rev: 1_001,
    };
    let many = (0..200).map(|n| bench.submit(g, 2, &format!("n{n}")));
    let edits = [
        wish(g, 1, "old", Edit, 7),
        wish(g, 1, "young", Edit, 1_001 + 50),
    ];
    let batch: Vec<Record> = many.chain(edits).collect();
    let effects = bench.run(batch);
    let refused: Vec<_> = effects
        .iter()
        .filter_map(outcome)
        .filter(Result::is_err)
        .collect();
    assert_eq!(refused, []);
}
