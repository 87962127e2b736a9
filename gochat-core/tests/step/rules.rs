//! What a batch leads to, effect by effect.

use gochat_core::error::ErrorCode;
use gochat_core::ids::{ConversationId, UserId};
use gochat_core::sequence::{ClientKey, Recorded};
use gochat_core::step::*;

use crate::support::*;

fn single(a: u64, b: u64) -> ConversationId {
    ConversationId::single(user(a), user(b)).unwrap()
}

pub(crate) fn names(bench: &Bench, effects: &[Effect]) -> Vec<String> {
    let ids = |users: &[UserId]| {
        users
            .iter()
            .map(|u| u.to_string())
            .collect::<Vec<_>>()
            .join(",")
    };
    let show = |effect: &Effect| match effect {
        Effect::Persist { message, later, .. } => {
            let users = |range| ids(bench.effects.users(range));
            let mut text = format!("persist {} recheck[{}]", message.seq, users(&later.recheck));
            if !later.reached.is_empty() {
                text += &format!(" reached[{}]", users(&later.reached));
            }
            if later.members {
                text += " members";
            }
            if later.unknown {
                text += " unknown";
            }
            text
        }
        Effect::Deliver {
            gateway,
            to_origin,
            targets,
            ..
        } => {
            let ack = if *to_origin { "+ack" } else { "" };
            format!(
                "deliver{ack} g{} [{}]",
                gateway.index(),
                ids(bench.effects.users(targets))
            )
        }
        Effect::ToMembers {
            gateway,
            to_origin,
            members,
            ..
        } => {
            let ack = if *to_origin { "+ack" } else { "" };
            let members = ids(bench.effects.users(members));
            format!("list{ack} g{} [{members}]", gateway.index())
        }
        Effect::Broadcast {
            gateway, to_origin, ..
        } => {
            format!(
                "broadcast{} g{}",
                if *to_origin { "+ack" } else { "" },
                gateway.index()
            )
        }
        Effect::Fanout { message } => format!("fanout {}", message.seq),
        Effect::Ack {
            message,
            gateway,
            replay,
        } => {
            let kind = if *replay { "replay" } else { "ack" };
            format!("{kind} {} g{}", message.seq, gateway.index())
        }
        Effect::Nack { error, .. } => format!("nack {}", error.code),
        Effect::DeadLetter { reason, .. } => format!("dead {reason}"),
    };
    effects.iter().map(show).collect()
}

#[test]
fn a_direct_message_goes_to_each_gateway_once_and_acks_its_sender() {
    let mut bench = Bench::new();
    let g = bench.store_group(1, &[1, 2, 3, 4]);
    bench.online(1, &[0]);
    bench.online(2, &[0, 1]);
    bench.online(3, &[1]);
    let effects = bench.run(vec![bench.submit(g, 1, "a")]);
    let expected = [
        "persist 1 recheck[4] reached[1,2,3]",
        "deliver+ack g0 [1,2]",
        "deliver g1 [2,3]",
    ];
    assert_eq!(names(&bench, &effects), expected);
}

#[test]
fn a_sender_whose_gateway_holds_no_recipient_still_gets_the_ack() {
    let mut bench = Bench::new();
    bench.store(single(1, 2), Facts::open(Members::Implicit));
    bench.online(2, &[1]);
    let effects = bench.run(vec![bench.submit(single(1, 2), 1, "a")]);
    let expected = ["persist 1 recheck[1]", "deliver g1 [2]", "ack 1 g0"];
    assert_eq!(names(&bench, &effects), expected);
}

#[test]
fn with_unknown_presence_everybody_goes_to_every_gateway_and_is_looked_up_again() {
    let mut bench = Bench::new();
    bench.store(single(1, 2), Facts::open(Members::Implicit));
    bench.lookups.presence_down = true;
    let effects = bench.run(vec![bench.submit(single(1, 2), 1, "a")]);
    let expected = [
        "persist 1 recheck[1,2] unknown",
        "deliver+ack g0 [1,2]",
        "deliver g1 [1,2]",
        "deliver g2 [1,2]",
    ];
    assert_eq!(names(&bench, &effects), expected);
}

#[test]
fn replaying_a_client_id_returns_the_first_ack_even_after_removal() {
    let mut bench = Bench::new();
    let g = bench.store_group(1, &[1, 2]);
    assert_eq!(bench.send(g, 1, "a"), Ok(1));
    assert_eq!(bench.send(g, 1, "b"), Ok(2));
    bench.store_group(1, &[2]);
    let batch = vec![
        Record::FactsChanged(g),
        bench.submit(g, 1, "a"),
        bench.submit(g, 1, "c"),
    ];
    let effects = bench.run(batch);
    assert_eq!(
        names(&bench, &effects),
        ["replay 1 g0", "nack NOT_CONVERSATION_MEMBER"]
    );
}

#[test]
fn a_repeat_inside_one_batch_is_one_message() {
    let mut bench = Bench::new();
    let g = bench.store_group(1, &[1, 2]);
    let batch = vec![
        bench.submit(g, 1, "a"),
        bench.submit(g, 1, "a"),
        bench.submit(g, 2, "a"),
    ];
    let effects = bench.run(batch);
    let expected = [
        "persist 1 recheck[1,2]",
        "ack 1 g0",
        "replay 1 g0",
        "persist 2 recheck[1,2]",
        "ack 2 g0",
    ];
    assert_eq!(names(&bench, &effects), expected);
}

#[test]
fn a_control_record_counts_for_messages_before_it_in_the_batch_too() {
    let mut bench = Bench::new();
    let g = bench.store_group(1, &[1, 2]);
    assert_eq!(bench.send(g, 1, "a"), Ok(1));
    bench.store_group(1, &[2]);
    assert_eq!(bench.send(g, 1, "b"), Ok(2), "nobody told the owner yet");
    let effects = bench.run(vec![bench.submit(g, 1, "c"), Record::FactsChanged(g)]);
    assert_eq!(names(&bench, &effects), ["nack NOT_CONVERSATION_MEMBER"]);
}

#[test]
fn each_reason_against_sending_has_its_code() {
    let mut bench = Bench::new();
    let plain = |n| Standing::plain(user(n));
    let mut facts = Facts::open(Members::all([
        plain(1),
        Standing {
            muted_until: NOW + 1,
            ..plain(2)
        },
        Standing {
            muted_until: Standing::FOREVER,
            ..plain(3)
        },
        Standing {
            privileged: true,
            ..plain(4)
        },
    ]));
    bench.store(group(1), facts.clone());
    assert_eq!(bench.send(group(1), 1, "a"), Ok(1));
    assert_eq!(bench.send(group(1), 2, "a"), Err(ErrorCode::MemberMuted));
    assert_eq!(bench.send(group(1), 3, "a"), Err(ErrorCode::MemberMuted));
    assert_eq!(
        bench.send(group(1), 9, "a"),
        Err(ErrorCode::NotConversationMember)
    );
    assert_eq!(
        bench.send(group(2), 1, "a"),
        Err(ErrorCode::ConversationNotFound)
    );
    bench.now += 1;
    assert_eq!(bench.send(group(1), 2, "a"), Ok(2), "a mute ends by itself");

    facts.mute_all = true;
    bench.store(group(3), facts.clone());
    assert_eq!(bench.send(group(3), 1, "a"), Err(ErrorCode::MemberMuted));
    assert_eq!(bench.send(group(3), 4, "a"), Ok(1), "admins are exempt");

    facts.dissolved = true;
    bench.store(group(4), facts);
    assert_eq!(
        bench.send(group(4), 4, "a"),
        Err(ErrorCode::ConversationDissolved)
    );

    let pair = single(1, 2);
    bench.store(
        pair,
        Facts {
            blocked: true,
            ..Facts::open(Members::Implicit)
        },
    );
    assert_eq!(bench.send(pair, 1, "a"), Err(ErrorCode::Forbidden));
    assert_eq!(
        bench.send(pair, 3, "a"),
        Err(ErrorCode::NotConversationMember)
    );
}

#[test]
fn accounts_are_judged_after_the_conversation() {
    let mut bench = Bench::new();
    let world = ConversationId::World;
    let guest = Sender::Known {
        guest: true,
        active: true,
    };
    bench.lookups.senders.extend([
        (user(1), guest),
        (user(2), Sender::Missing),
        (
            user(3),
            Sender::Known {
                guest: false,
                active: false,
            },
        ),
        (user(4), Sender::Unknown),
    ]);
    bench.store(world, Facts::open(Members::Implicit));
    assert_eq!(bench.send(world, 1, "a"), Ok(1));
    assert_eq!(bench.send(world, 2, "a"), Err(ErrorCode::UserNotFound));
    assert_eq!(bench.send(world, 3, "a"), Err(ErrorCode::UserDisabled));
    assert_eq!(
        bench.send(world, 4, "a"),
        Ok(2),
        "a lookup that failed doesn't stop sending"
    );

    bench.store(
        world,
        Facts {
            guests_allowed: false,
            ..Facts::open(Members::Implicit)
        },
    );
    bench.run(vec![Record::FactsChanged(world)]);
    assert_eq!(bench.send(world, 1, "b"), Err(ErrorCode::GuestNotAllowed));
    assert_eq!(
        bench.send(world, 4, "b"),
        Err(ErrorCode::ServiceUnavailable)
    );
    assert_eq!(bench.send(world, 5, "b"), Ok(3));
}

#[test]
fn without_an_answer_a_message_is_refused_retryably_and_the_others_go_on() {
    let mut bench = Bench::new();
    let (known, unknown) = (bench.store_group(1, &[1]), group(2));
    assert_eq!(bench.send(known, 1, "a"), Ok(1));
    let batch = vec![bench.submit(unknown, 1, "b"), bench.submit(known, 1, "c")];
    bench.machine.begin(batch);
    let effects = bench.decide_provided();
    let expected = [
        "nack SERVICE_UNAVAILABLE",
        "persist 2 recheck[1]",
        "ack 2 g0",
    ];
    assert_eq!(names(&bench, &effects), expected);
}

#[test]
fn memberships_of_a_large_group_are_asked_once_per_author() {
    let mut bench = Bench::new();
    let asked = |members: &[u64], found: &[u64]| {
        let members: Vec<_> = members.iter().map(|m| user(*m)).collect();
        Members::asked(&members, found.iter().map(|m| Standing::plain(user(*m))))
    };
    bench.store(group(1), Facts::open(asked(&[1, 2], &[1])));
    let batch = vec![
        bench.submit(group(1), 2, "a"),
        bench.submit(group(1), 1, "a"),
    ];
    bench.machine.begin(batch.clone());
    let needs = bench.machine.needs();
    assert_eq!(needs.len(), 1);
    assert_eq!(
        (needs[0].with_recent, &*needs[0].senders),
        (true, &[user(1), user(2)][..])
    );
    let effects = bench.run(batch);
    let expected = [
        "nack NOT_CONVERSATION_MEMBER",
        "persist 1 recheck[1] members",
        "fanout 1",
        "ack 1 g0",
    ];
    let mut shown = names(&bench, &effects);
    shown.sort();
    let mut expected = expected.map(String::from);
    expected.sort();
    assert_eq!(shown, expected);

    bench.store(group(1), Facts::open(asked(&[3], &[3])));
    bench.machine.begin([
        bench.submit(group(1), 1, "b"),
        bench.submit(group(1), 3, "b"),
    ]);
    let needs = bench.machine.needs();
    assert_eq!(
        (needs[0].with_recent, &*needs[0].senders),
        (false, &[user(3)][..])
    );
    assert_eq!(bench.send(group(1), 3, "b"), Ok(2));
    bench.machine.begin([bench.submit(group(1), 1, "c")]);
    assert!(
        bench.machine.needs().is_empty(),
        "the first answer is still remembered"
    );
}

#[test]
fn refused_forms_and_poison_are_answered_in_order() {
    let mut bench = Bench::new();
    let gateway = bench.live[0];
    let refused = Record::Refused {
        gateway,
        error: ErrorCode::MessageEmpty.into(),
    };
    let effects = bench.run(vec![
        refused,
        Record::Poison {
            reason: "not protobuf",
        },
    ]);
    assert_eq!(
        names(&bench, &effects),
        ["nack MESSAGE_EMPTY", "dead not protobuf"]
    );
}

#[test]
fn when_ids_fail_nothing_is_kept() {
    let mut bench = Bench::new();
    let g = bench.store_group(1, &[1]);
    assert_eq!(bench.send(g, 1, "a"), Ok(1));
    bench
        .machine
        .begin([bench.submit(g, 1, "b"), bench.submit(g, 1, "c")]);
    let mut left = 1;
    let ids = || {
        left -= 1;
        if left == 0 {
            gochat_core::ids::MessageId::new(5).ok_or("")
        } else {
            Err("clock")
        }
    };
    let live = Live {
        gateways: &bench.live,
        is_current: true,
    };
    let failed = bench
        .machine
        .decide(NOW, &bench.lookups, live, ids, &mut bench.effects);
    assert_eq!(failed, Err("clock"));
    assert!(bench.effects.list.is_empty());
    assert_eq!(bench.send(g, 1, "c"), Ok(2));
}

#[test]
fn unsaved_conversations_are_never_evicted_and_fill_the_room_in_the_end() {
    let mut bench = Bench::with(Limits {
        conversations: 3,
        ..Limits::default()
    });
    for n in 1..=4 {
        bench.store_group(n, &[1]);
    }
    for n in 1..=3 {
        assert_eq!(bench.send(group(n), 1, "a"), Ok(1));
    }
    assert_eq!(
        bench.send(group(4), 1, "a"),
        Err(ErrorCode::ServiceUnavailable)
    );
    let batch = vec![bench.submit(group(2), 1, "b")];
    bench.decide(batch);
    let mark = bench.machine.committed();
    bench.machine.saved(mark - 1);
    assert_eq!(
        bench.send(group(4), 1, "a"),
        Ok(1),
        "one that is saved makes room"
    );
    assert_eq!(bench.machine.conversations(), 3);
    assert_eq!(
        bench.send(group(2), 1, "c"),
        Ok(3),
        "the one that isn't saved was kept"
    );
}

#[test]
fn ids_of_conversations_that_do_not_exist_take_no_room() {
    let mut bench = Bench::new();
    for n in 0..50 {
        assert_eq!(
            bench.send(group(n), 1, "a"),
            Err(ErrorCode::ConversationNotFound)
        );
    }
    assert_eq!(bench.machine.conversations(), 0);
}

#[test]
fn memory_beyond_twice_its_limit_refuses_new_messages_but_not_repeats() {
    let mut bench = Bench::with(Limits {
        memory: 2_000,
        ..Limits::default()
    });
    let g = bench.store_group(1, &[1]);
    let mut accepted = 0;
    while bench.send(g, 1, &accepted.to_string()).is_ok() {
        accepted += 1;
        assert!(accepted < 1000, "memory must be bounded");
    }
    assert_eq!(bench.send(g, 1, "x"), Err(ErrorCode::ServiceUnavailable));
    assert_eq!(bench.send(g, 1, "0"), Ok(1));
}

#[test]
fn a_removal_nobody_announced_is_noticed_within_the_time_facts_are_believed() {
    let mut bench = Bench::new();
    let g = bench.store_group(1, &[1, 2]);
    assert_eq!(bench.send(g, 2, "a"), Ok(1));
    bench.store_group(1, &[1]);
    bench.now += 59_999;
    assert_eq!(bench.send(g, 2, "b"), Ok(2), "nobody knows yet");
    bench.now += 1;
    let record = bench.submit(g, 1, "c");
    bench.machine.tick(bench.now);
    bench.machine.begin([record.clone()]);
    let needs = bench.machine.needs();
    assert!(needs[0].refresh && !needs[0].with_recent);
    bench.decide_provided();
    bench.machine.committed();
    assert_eq!(bench.send(g, 2, "d"), Err(ErrorCode::NotConversationMember));
    assert_eq!(
        bench.send(g, 1, "e"),
        Ok(4),
        "without an answer old facts went on"
    );
}

#[test]
fn a_new_conversation_is_not_asked_for_twice() {
    let mut bench = Bench::new();
    let g = bench.store_group(1, &[1]);
    assert_eq!(bench.send(g, 1, "a"), Ok(1));
    let record = bench.submit(g, 1, "b");
    bench.machine.tick(bench.now);
    bench.machine.begin([record]);
    assert!(bench.machine.needs().is_empty());
}

/// Members 1 and 2, admin 4.
fn slow_group(bench: &mut Bench, n: u64) {
    let admin = Standing {
        privileged: true,
        ..Standing::plain(user(4))
    };
    let members = [Standing::plain(user(1)), Standing::plain(user(2)), admin];
    let facts = Facts {
        slow_mode: 10_000,
        ..Facts::open(Members::all(members))
    };
    bench.store(group(n), facts);
}

#[test]
fn in_slow_mode_plain_members_wait_and_repeats_cost_nothing() {
    let mut bench = Bench::new();
    slow_group(&mut bench, 1);
    slow_group(&mut bench, 2);
    assert_eq!(bench.send(group(1), 1, "a"), Ok(1));
    assert_eq!(bench.send(group(1), 1, "b"), Err(ErrorCode::SlowMode));
    assert_eq!(bench.send(group(1), 1, "a"), Ok(1), "a repeat");
    assert_eq!(bench.send(group(1), 2, "a"), Ok(2), "everybody has a turn");
    assert_eq!(bench.send(group(2), 1, "a"), Ok(1), "in every group");
    assert_eq!(bench.send(group(1), 4, "a"), Ok(3), "admins are exempt");
    assert_eq!(bench.send(group(1), 4, "b"), Ok(4));
    bench.now += 9_999;
    assert_eq!(bench.send(group(1), 1, "b"), Err(ErrorCode::SlowMode));
    bench.now += 1;
    assert_eq!(bench.send(group(1), 1, "b"), Ok(5), "the same id, later");
}

#[test]
fn an_aborted_batch_takes_nobodys_turn_and_a_new_owner_knows_who_had_one() {
    let mut bench = Bench::new();
    slow_group(&mut bench, 1);
    let record = bench.submit(group(1), 1, "a");
    bench.decide(vec![record]);
    bench.machine.aborted();
    let record = bench.submit(group(1), 1, "b");
    let effects = bench.run(vec![record]);
    let Some(Effect::Persist { message, .. }) = effects.first() else {
        panic!("{effects:?}");
    };
    let recorded = Recorded {
        key: ClientKey::new(user(1), "b"),
        message_id: message.message_id,
        seq: message.seq,
        rev: message.rev,
        at: message.at,
    };
    bench.machine = PartitionMachine::new(Limits::default());
    bench.machine.recover([TailRecord {
        conversation: group(1),
        recorded,
        changed: None,
    }]);
    assert_eq!(bench.send(group(1), 1, "c"), Err(ErrorCode::SlowMode));
    assert_eq!(bench.send(group(1), 2, "c"), Ok(2));
}
