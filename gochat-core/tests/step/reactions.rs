//! Reactions and pins: counted exactly, whatever the database doesn't hold yet.

use gochat_core::error::ErrorCode;
use gochat_core::ids::{ConversationId, MessageId, Rev};
use gochat_core::message::{
    ChangeKind, Emoji, PINS_MAX, REACTIONS_PER_USER_MAX, State, Tally, Target,
};
use gochat_core::sequence::{ClientKey, Head, Recorded};
use gochat_core::step::*;

use crate::support::*;

use ChangeKind::{Pin, React, Recall, Unpin, Unreact};

fn id(n: u64) -> MessageId {
    MessageId::new(n).unwrap()
}

fn emoji(text: &str) -> Emoji {
    text.parse().unwrap()
}

/// A wish of user `who` about message 7; every wish has a client id of its own.
fn wish(
    bench: &mut Bench,
    place: ConversationId,
    who: u64,
    kind: ChangeKind,
    text: &str,
) -> Record {
    bench.wishes += 1;
    Record::Submit(Submission {
        conversation: place,
        key: ClientKey::of_change(user(who), &bench.wishes.to_string()),
        change: Some(Change {
            kind,
            target: id(7),
            emoji: text.parse().ok(),
        }),
        refers: None,
        only_repeat: None,
        gateway: gateways(1)[0],
        resend: false,
        bytes: 4,
        long: false,
    })
}

/// A group of users 1 to 5 whose database holds message 7 of user 1, and this of reactions and
/// pins.
fn bench(
    own: Vec<(MessageId, gochat_core::ids::UserId, Vec<Emoji>)>,
    pins: u32,
) -> (Bench, ConversationId) {
    let mut bench = Bench::new();
    let g = bench.store_group(1, &[1, 2, 3, 4, 5]);
    let mut tally = Tally::default();
    own.iter()
        .flat_map(|(.., own)| own)
        .for_each(|e| tally.add(*e));
    let target = Target {
        reactions: tally,
        ..Target::new(1, user(1), NOW)
    };
    let loaded = bench.stored.get_mut(&g).unwrap();
    loaded.head = Head { seq: 1, rev: 1 };
    loaded.targets = Some(Found {
        messages: vec![(id(7), target)],
        own,
        pins,
        ..Found::default()
    });
    (bench, g)
}

/// What one wish makes of the message, and its number.
fn made(bench: &mut Bench, record: Record) -> Result<(Rev, State), ErrorCode> {
    let effects = bench.run(vec![record]);
    match effects.first() {
        Some(Effect::Persist {
            message,
            changed: Some(changed),
            ..
        }) => Ok((message.rev, changed.state.clone())),
        Some(Effect::Nack { error, .. }) => Err(error.code),
        _ => panic!("{effects:?}"),
    }
}

fn counts(state: &State) -> Vec<(&str, u32)> {
    let counts = state.target.reactions.counts().iter();
    counts.map(|(e, n)| (e.as_str(), *n)).collect()
}

#[test]
fn reactions_add_up_to_what_is_stored_and_what_is_not() {
    let stored = vec![(id(7), user(2), vec![emoji("👍")])];
    let (mut bench, g) = bench(stored, 0);
    let react = |bench: &mut Bench, who, kind, text| {
        let record = wish(bench, g, who, kind, text);
        made(bench, record)
    };
    let (rev, state) = react(&mut bench, 3, React, "👍").unwrap();
    assert_eq!((rev, counts(&state)), (2, vec![("👍", 2)]));
    // The database still says one, and that user 3 has none.
    let (rev, state) = react(&mut bench, 3, React, "👍").unwrap();
    assert_eq!((rev, counts(&state)), (3, vec![("👍", 2)]), "once per user");
    let (_, state) = react(&mut bench, 4, React, "🎉").unwrap();
    assert_eq!(counts(&state), [("👍", 2), ("🎉", 1)]);
    let (_, state) = react(&mut bench, 2, Unreact, "👍").unwrap();
    assert_eq!(counts(&state), [("👍", 1), ("🎉", 1)]);
    let (_, state) = react(&mut bench, 2, Unreact, "👍").unwrap();
    assert_eq!(counts(&state), [("👍", 1), ("🎉", 1)], "is gone already");
    let (_, state) = react(&mut bench, 1, Recall, "").unwrap();
    assert_eq!(counts(&state), []);
    let refused = react(&mut bench, 2, React, "👍");
    assert_eq!(refused, Err(ErrorCode::MessageRecalled));
}

#[test]
fn the_user_s_own_reactions_are_asked_for_and_bounded() {
    let own: Vec<Emoji> = ["a", "b", "c"]
        .map(|name| emoji(&format!("{name}x")))
        .into();
    assert_eq!(own.len(), REACTIONS_PER_USER_MAX);
    let (mut bench, g) = bench(vec![(id(7), user(2), own)], 0);
    let record = wish(&mut bench, g, 2, React, "👍");
    bench.machine.begin([record]);
    let needs = bench.machine.needs();
    assert_eq!(needs[0].targets, [id(7)]);
    assert_eq!(needs[0].reactors, [(id(7), user(2))]);
    bench.machine.aborted();
    let record = wish(&mut bench, g, 2, React, "👍");
    assert_eq!(made(&mut bench, record), Err(ErrorCode::TooManyReactions));
    let record = wish(&mut bench, g, 2, Unreact, "bx");
    assert!(made(&mut bench, record).is_ok());
    let record = wish(&mut bench, g, 2, React, "👍");
    assert!(made(&mut bench, record).is_ok());
}

#[test]
fn a_batch_that_never_was_leaves_no_reaction() {
    let (mut bench, g) = bench(vec![], 0);
    let records = (2..5)
        .map(|who| wish(&mut bench, g, who, React, "👍"))
        .collect();
    bench.decide(records);
    bench.machine.aborted();
    let record = wish(&mut bench, g, 5, React, "👍");
    let (rev, state) = made(&mut bench, record).unwrap();
    assert_eq!((rev, counts(&state)), (2, vec![("👍", 1)]));
}

#[test]
fn a_new_owner_counts_on() {
    let (mut bench, g) = bench(vec![], 3);
    let mut tail = Vec::new();
    for (who, kind) in [(2, React), (3, React), (2, Pin)] {
        let record = wish(&mut bench, g, who, kind, "👍");
        let Record::Submit(Submission { key, .. }) = record else {
            panic!("not a wish");
        };
        let effects = bench.run(vec![record]);
        let Some(Effect::Persist {
            message, changed, ..
        }) = effects.first()
        else {
            panic!("{effects:?}");
        };
        let recorded = Recorded {
            key,
            message_id: message.message_id,
            seq: message.seq,
            rev: message.rev,
            at: message.at,
        };
        tail.push(TailRecord {
            conversation: g,
            recorded,
            changed: changed.as_deref().cloned(),
        });
    }
    bench.machine = PartitionMachine::new(Limits::default());
    bench.machine.recover(tail);
    let record = wish(&mut bench, g, 2, React, "👍");
    let (_, state) = made(&mut bench, record).unwrap();
    assert_eq!(counts(&state), [("👍", 2)], "user 2 has it already");
    let record = wish(&mut bench, g, 2, Unpin, "");
    let (rev, state) = made(&mut bench, record).unwrap();
    assert_eq!((rev, state.pins, state.target.pinned), (6, 3, false));
}

#[test]
fn pins_are_bounded_over_all_messages() {
    let (mut bench, g) = bench(vec![], PINS_MAX - 1);
    bench
        .stored
        .get_mut(&g)
        .unwrap()
        .targets
        .as_mut()
        .unwrap()
        .messages
        .push((id(8), Target::new(1, user(1), NOW)));
    let pin = |bench: &mut Bench, target: u64, kind| {
        let Record::Submit(wish) = wish(bench, g, 2, kind, "") else {
            panic!("not a wish");
        };
        let change = wish.change.map(|change| Change {
            target: id(target),
            ..change
        });
        let record = Record::Submit(Submission { change, ..wish });
        made(bench, record).map(|(_, state)| state.pins)
    };
    assert_eq!(pin(&mut bench, 7, Pin), Ok(PINS_MAX));
    assert_eq!(pin(&mut bench, 7, Pin), Ok(PINS_MAX), "is pinned already");
    assert_eq!(pin(&mut bench, 8, Pin), Err(ErrorCode::TooManyPins));
    assert_eq!(pin(&mut bench, 7, Unpin), Ok(PINS_MAX - 1));
    assert_eq!(pin(&mut bench, 8, Pin), Ok(PINS_MAX));
}

#[test]
fn a_group_says_who_pins_and_with_what_is_reacted() {
    let (mut bench, g) = bench(vec![], 0);
    let admin = Standing {
        privileged: true,
        ..Standing::plain(user(1))
    };
    let muted = Standing {
        muted_until: Standing::FOREVER,
        ..Standing::plain(user(3))
    };
    let members = Members::all([admin, Standing::plain(user(2)), muted]);
    bench.stored.get_mut(&g).unwrap().facts = Some(Facts {
        members_pin: false,
        reactions: Some(Box::new([emoji("👍"), emoji("parrot")])),
        ..Facts::open(members)
    });
    let code = |bench: &mut Bench, who, kind, text| {
        let record = wish(bench, g, who, kind, text);
        made(bench, record).map(drop)
    };
    assert_eq!(
        code(&mut bench, 2, Pin, ""),
        Err(ErrorCode::InsufficientPermission)
    );
    assert_eq!(code(&mut bench, 1, Pin, ""), Ok(()));
    assert_eq!(code(&mut bench, 2, React, "parrot"), Ok(()));
    assert_eq!(
        code(&mut bench, 2, React, "🎉"),
        Err(ErrorCode::ReactionNotAllowed)
    );
    assert_eq!(
        code(&mut bench, 3, React, "👍"),
        Err(ErrorCode::MemberMuted)
    );
    assert_eq!(
        code(&mut bench, 3, Unreact, "👍"),
        Ok(()),
        "who is muted takes back"
    );
    assert_eq!(
        code(&mut bench, 4, React, "👍"),
        Err(ErrorCode::NotConversationMember)
    );
}

#[test]
fn names_count_only_where_a_group_lists_them_and_nobody_pins_in_the_world_chat() {
    let (mut bench, g) = bench(vec![], 0);
    let record = wish(&mut bench, g, 2, React, "parrot");
    assert_eq!(made(&mut bench, record), Err(ErrorCode::ReactionNotAllowed));
    let world = ConversationId::World;
    let facts = Facts::open(Members::Implicit);
    bench.store(world, facts);
    let targets = bench.stored[&g].targets.clone();
    bench.stored.get_mut(&world).unwrap().targets = targets;
    let record = wish(&mut bench, world, 2, Pin, "");
    assert_eq!(
        made(&mut bench, record),
        Err(ErrorCode::InsufficientPermission)
    );
    let record = wish(&mut bench, world, 2, React, "👍");
    assert!(made(&mut bench, record).is_ok());
}
