//! How messages of groups and of the world chat reach their members.

use gochat_core::fanout::Budget;
use gochat_core::ids::ConversationId;
use gochat_core::step::*;

use crate::rules::names;
use crate::support::*;

#[test]
fn a_large_group_is_deferred_and_its_author_served_at_once() {
    let mut bench = Bench::with(Limits {
        fanout: Budget {
            members: 2,
            ..Budget::default()
        },
        ..Limits::default()
    });
    let g = bench.store_group(1, &[1, 2, 3]);
    bench.online(1, &[0, 2]);
    bench.online(2, &[0]);
    let effects = bench.run(vec![bench.submit(g, 1, "a")]);
    let expected = [
        "persist 1 recheck[] reached[1] members",
        "deliver+ack g0 [1]",
        "deliver g2 [1]",
        "fanout 1",
    ];
    assert_eq!(names(&bench, &effects), expected);
}

#[test]
fn members_of_a_group_that_fits_the_budget_are_listed_for_every_live_gateway() {
    let mut bench = Bench::with(Limits {
        fanout: Budget {
            members_from: 1,
            ids: 12,
            ..Budget::default()
        },
        ..Limits::default()
    });
    let (fits, small, large) = (
        bench.store_group(1, &[4, 3, 2, 1]),
        bench.store_group(2, &[1, 2]),
        bench.store_group(3, &[1, 2, 3, 4, 5]),
    );
    bench.online(1, &[0]);
    let batch = vec![bench.submit(fits, 1, "a"), bench.submit(fits, 2, "b")];
    let effects = bench.decide(batch);
    let mut users = vec![];
    bench.machine.recipients(3, &mut users);
    assert_eq!(users, [], "nobody is looked up");
    bench.machine.committed();
    let list = |seq| {
        [
            format!("persist {seq} recheck[] members"),
            "list+ack g0 [1,2,3,4]".to_owned(),
            "list g1 [1,2,3,4]".to_owned(),
            "list g2 [1,2,3,4]".to_owned(),
        ]
    };
    assert_eq!(names(&bench, &effects), [list(1), list(2)].concat());
    for (outside, expected) in [(small, "deliver+ack g0 [1]"), (large, "deliver+ack g0 [1]")] {
        let effects = bench.run(vec![bench.submit(outside, 1, "a")]);
        assert!(names(&bench, &effects).contains(&expected.to_owned()));
    }
}

#[test]
fn with_an_old_list_of_gateways_members_are_looked_up_once_the_row_is_written() {
    let mut bench = Bench::new();
    let members: Vec<u64> = (1..=48).collect();
    let g = bench.store_group(1, &members);
    bench.lookups.presence_down = true;
    let effects = bench.run(vec![bench.submit(g, 1, "a")]);
    assert_eq!(
        names(&bench, &effects)[0],
        "persist 1 recheck[] members unknown"
    );
}

#[test]
fn an_author_whose_gateway_is_not_listed_yet_gets_the_ack_apart() {
    let mut bench = Bench::new();
    let members: Vec<u64> = (1..=48).collect();
    let g = bench.store_group(1, &members);
    let record = bench.submit(g, 1, "a");
    bench.live.remove(0);
    let effects = bench.run(vec![record]);
    let names = names(&bench, &effects);
    assert_eq!(names.last().map(String::as_str), Some("ack 1 g0"));
    assert!(names[1].starts_with("list g1 "));
}

#[test]
fn who_was_removed_is_in_no_list_of_a_batch_that_knows_it() {
    let mut bench = Bench::new();
    let members: Vec<u64> = (1..=49).collect();
    let g = bench.store_group(1, &members);
    bench.run(vec![bench.submit(g, 1, "a")]);
    bench.store_group(1, &members[..48]);
    // The control record is behind the message in the batch: both are judged by what it announces.
    let batch = vec![bench.submit(g, 1, "b"), Record::FactsChanged(g)];
    let effects = bench.run(batch);
    let lists = effects.iter().filter_map(|effect| match effect {
        Effect::ToMembers { members, .. } => Some(bench.effects.users(members)),
        _ => None,
    });
    let lists: Vec<_> = lists.collect();
    assert_eq!(lists.len(), 3);
    assert!(lists.iter().all(|list| !list.contains(&user(49))));
}

#[test]
fn only_authors_are_looked_up_in_a_large_group() {
    let mut bench = Bench::with(Limits {
        fanout: Budget {
            members: 2,
            ..Budget::default()
        },
        ..Limits::default()
    });
    let large = bench.store_group(1, &[1, 2, 3]);
    let small = bench.store_group(2, &[4, 5]);
    let batch = vec![bench.submit(large, 1, "a"), bench.submit(small, 4, "b")];
    bench.decide(batch);
    let mut users = vec![];
    bench.machine.recipients(3, &mut users);
    users.sort();
    assert_eq!(users, [1, 4, 5].map(user));
}

#[test]
fn the_world_chat_is_broadcast_to_every_live_gateway() {
    let mut bench = Bench::new();
    bench.store(ConversationId::World, Facts::open(Members::Implicit));
    let effects = bench.run(vec![bench.submit(ConversationId::World, 1, "a")]);
    let expected = [
        "persist 1 recheck[]",
        "broadcast+ack g0",
        "broadcast g1",
        "broadcast g2",
    ];
    assert_eq!(names(&bench, &effects), expected);
    bench.live.remove(0);
    let gone = Record::Submit(Submission {
        conversation: ConversationId::World,
        key: gochat_core::sequence::ClientKey::new(user(1), "b"),
        change: None,
        refers: None,
        only_repeat: None,
        gateway: gateways(1)[0],
        resend: false,
        bytes: 20,
        long: false,
    });
    let effects = bench.run(vec![gone]);
    let expected = [
        "persist 2 recheck[]",
        "broadcast g1",
        "broadcast g2",
        "ack 2 g0",
    ];
    assert_eq!(names(&bench, &effects), expected);
}
