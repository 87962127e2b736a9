//! System messages: written whoever may or may not speak, once, and changed by nobody.

use gochat_core::error::ErrorCode;
use gochat_core::fanout::Budget;
use gochat_core::ids::{ConversationId, MessageId};
use gochat_core::message::{ChangeKind, Emoji, Target, system_client_id};
use gochat_core::sequence::{ClientKey, Head};
use gochat_core::step::*;

use crate::rules::names;
use crate::support::*;

/// The message of row `n`.
fn row(n: u64) -> String {
    system_client_id(n, NOW)
}

#[test]
fn the_rules_for_people_do_not_hold_for_system_messages() {
    let mut bench = Bench::new();
    let muted = Standing {
        muted_until: Standing::FOREVER,
        ..Standing::plain(user(2))
    };
    let facts = Facts {
        mute_all: true,
        slow_mode: 60_000,
        ..Facts::open(Members::all([Standing::plain(user(1)), muted]))
    };
    bench.store(group(1), facts);
    let disabled = Sender::Known {
        guest: false,
        active: false,
    };
    bench.lookups.senders.insert(user(3), disabled);
    bench.lookups.senders.insert(user(4), Sender::Missing);
    for (seq, author) in [(1, 1), (2, 2), (3, 3), (4, 4), (5, 1)] {
        assert_eq!(bench.send(group(1), author, "m").map_err(drop), Err(()));
        assert_eq!(bench.send(group(1), author, &row(seq)), Ok(seq));
        assert_eq!(bench.send(group(1), author, &row(seq)), Ok(seq), "a repeat");
    }
}

#[test]
fn a_system_message_takes_no_turn_of_slow_mode_from_its_author() {
    let mut bench = Bench::new();
    let facts = Facts {
        slow_mode: 60_000,
        ..Facts::open(Members::all([Standing::plain(user(1))]))
    };
    bench.store(group(1), facts);
    assert_eq!(bench.send(group(1), 1, &row(1)), Ok(1));
    assert_eq!(bench.send(group(1), 1, "m"), Ok(2));
    assert_eq!(
        bench.send(group(1), 1, &row(2)),
        Ok(3),
        "and waits for none"
    );
    assert_eq!(bench.send(group(1), 1, "n"), Err(ErrorCode::SlowMode));
}

#[test]
fn only_a_living_group_takes_system_messages() {
    let mut bench = Bench::new();
    let dissolved = Facts {
        dissolved: true,
        ..Facts::open(Members::all([Standing::plain(user(1))]))
    };
    bench.store(group(1), dissolved);
    let refused = Err(ErrorCode::ConversationDissolved);
    assert_eq!(bench.send(group(1), 1, &row(1)), refused);
    assert_eq!(
        bench.send(group(2), 1, &row(1)),
        Err(ErrorCode::ConversationNotFound)
    );
    let single = ConversationId::single(user(1), user(2)).unwrap();
    for place in [single, ConversationId::World] {
        bench.store(place, Facts::open(Members::Implicit));
        let refused = Err(ErrorCode::UnsupportedMessageType);
        assert_eq!(bench.send(place, 1, &row(1)), refused);
    }
}

/// A wish of the group's owner about a message.
fn wish(bench: &Bench, kind: ChangeKind, target: MessageId) -> Record {
    let emoji: Option<Emoji> = kind.is_reaction().then(|| "👍".parse().unwrap());
    Record::Submit(Submission {
        conversation: group(1),
        key: ClientKey::of_change(user(1), kind.name()),
        change: Some(Change {
            kind,
            target,
            emoji,
        }),
        refers: None,
        only_repeat: None,
        gateway: bench.live[0],
        resend: false,
        bytes: 20,
        long: false,
    })
}

#[test]
fn nobody_changes_a_system_message_stored_or_not() {
    let owner = Standing {
        privileged: true,
        ..Standing::plain(user(1))
    };
    for stored in [false, true] {
        let mut bench = Bench::new();
        bench.store(group(1), Facts::open(Members::all([owner])));
        let record = bench.submit(group(1), 1, &row(1));
        let effects = bench.run(vec![record]);
        let Some(Effect::Persist { message, .. }) = effects.first() else {
            panic!("{effects:?}");
        };
        let id = message.message_id;
        let loaded = bench.stored.get_mut(&group(1)).unwrap();
        loaded.targets = Some(Found::default());
        if stored {
            let target = Target {
                system: true,
                ..Target::new(1, user(1), NOW)
            };
            loaded.head = Head { seq: 1, rev: 1 };
            loaded.targets = Some(Found {
                messages: vec![(id, target)],
                ..Found::default()
            });
        }
        for kind in ChangeKind::ALL {
            let record = wish(&bench, kind, id);
            let effects = bench.run(vec![record]);
            let answers: Vec<_> = effects.iter().filter_map(outcome).collect();
            let refused = Err(ErrorCode::UnsupportedMessageType);
            assert_eq!(answers, [refused], "{kind:?}, stored: {stored}");
        }
    }
}

#[test]
fn an_author_who_has_left_a_large_group_is_not_served() {
    let mut bench = Bench::with(Limits {
        fanout: Budget {
            members: 1,
            ..Budget::default()
        },
        ..Limits::default()
    });
    let g = bench.store_group(1, &[1, 2]);
    bench.online(1, &[0]);
    bench.online(3, &[0]);
    let gone = bench.submit(g, 3, &row(1));
    let effects = bench.run(vec![gone]);
    let expected = ["persist 1 recheck[] members", "fanout 1", "ack 1 g0"];
    assert_eq!(names(&bench, &effects), expected);
    let member = bench.submit(g, 1, &row(2));
    let effects = bench.run(vec![member]);
    let expected = [
        "persist 2 recheck[] reached[1] members",
        "deliver+ack g0 [1]",
        "fanout 2",
    ];
    assert_eq!(names(&bench, &effects), expected);
}
