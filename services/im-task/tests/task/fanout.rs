//! Facts about the fan-out of large groups.

use std::collections::BTreeMap;

use gochat_infra::topics::{FANOUT, PERSIST, TASK_FANOUT_GROUP, TASK_PERSIST_GROUP, dead_letters};
use gochat_proto::common::v1::ConversationType::Group;
use gochat_proto::mq::v1::{DownstreamMessage, FanoutTask};

use crate::harness::eventually;
use crate::world::{World, message, sorted};

const MEMBERS: usize = 25;

/// A group of which every third member is offline; ids of all, the author first.
async fn group(world: &World) -> (String, Vec<String>) {
    let mut members = Vec::new();
    for i in 0..MEMBERS {
        members.push(world.user(&format!("member_{i}")).await);
    }
    for (i, member) in members.iter().enumerate().filter(|(i, _)| i % 3 != 0) {
        world
            .online(member, if i % 3 == 1 { "g1" } else { "g2" })
            .await;
    }
    let id = world.conversation(Group, &members).await;
    (id, members)
}

fn task(group: &str, author: &str, seq: i64) -> FanoutTask {
    let persisted = message(group, author, seq);
    let body = DownstreamMessage {
        message_id: persisted.message_id,
        conversation_id: group.into(),
        sender_id: author.into(),
        seq_id: seq,
        content: persisted.content,
        timestamp: persisted.timestamp,
        ..Default::default()
    };
    FanoutTask {
        conversation_id: group.into(),
        message_id: persisted.message_id,
        seq_id: seq,
        batch_size: 10,
        message: Some(body),
        ..Default::default()
    }
}

/// How often each member was a target of each message.
async fn targets(world: &World) -> BTreeMap<(i64, String), usize> {
    let mut counts = BTreeMap::new();
    for gateway in ["g1", "g2"] {
        for (seq, users) in world.downstream(gateway).await {
            for user in users {
                *counts.entry((seq, user)).or_default() += 1;
            }
        }
    }
    counts
}

fn expected(
    members: &[String],
    seqs: std::ops::RangeInclusive<i64>,
    times: usize,
) -> BTreeMap<(i64, String), usize> {
    let connected = |i: &usize| !i.is_multiple_of(3);
    let users: Vec<&String> = (0..MEMBERS)
        .filter(connected)
        .map(|i| &members[i])
        .collect();
    seqs.flat_map(|seq| {
        users
            .iter()
            .map(move |user| ((seq, (*user).clone()), times))
    })
    .collect()
}

#[tokio::test]
async fn every_connected_member_gets_the_message_once_page_by_page_and_the_author_is_left_out() {
    let world = World::new().await;
    let (group, members) = group(&world).await;
    let author = &members[1];
    world
        .produce(PERSIST, &group, &message(&group, author, 1))
        .await;
    world
        .produce(FANOUT, &group, &task(&group, author, 1))
        .await;
    world.done(TASK_FANOUT_GROUP, &[FANOUT]).await;
    world.done(TASK_PERSIST_GROUP, &[PERSIST]).await;
    // The author once, too: by the database writer, because the session is younger than the message.
    assert_eq!(targets(&world).await, expected(&members, 1..=1, 1));
    assert_eq!(
        world.records(FANOUT).await.len(),
        3,
        "one task and two more pages"
    );
    let pages = world.downstream("g1").await;
    assert!(pages.len() >= 2 && pages.iter().all(|(_, users)| users.len() <= 10));
}

#[tokio::test]
async fn messages_of_a_group_reach_each_member_in_order() {
    let mut world = World::quiet().await;
    let (group, members) = group(&world).await;
    for seq in 1..=8 {
        world
            .produce(PERSIST, &group, &message(&group, &members[0], seq))
            .await;
        world
            .produce(FANOUT, &group, &task(&group, &members[0], seq))
            .await;
    }
    world.config.fanout.tasks = 3;
    world.start().await;
    world.done(TASK_FANOUT_GROUP, &[FANOUT]).await;
    assert_eq!(targets(&world).await, expected(&members, 1..=8, 1));
    let records = world.downstream("g1").await;
    for member in members.iter().skip(1).step_by(3) {
        let seqs: Vec<i64> = records
            .iter()
            .filter(|(_, users)| users.contains(member))
            .map(|(seq, _)| *seq)
            .collect();
        assert_eq!(seqs, (1..=8).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_message_whose_row_is_late_is_delivered_without_it_and_once_more_with_it() {
    let mut world = World::quiet().await;
    world.config.fanout.row_wait_ms = 20;
    world.cut.off("BatchSaveMessages");
    let (group, members) = group(&world).await;
    world.start().await;
    world
        .produce(PERSIST, &group, &message(&group, &members[0], 1))
        .await;
    world
        .produce(FANOUT, &group, &task(&group, &members[0], 1))
        .await;
    let early = expected(&members, 1..=1, 1);
    eventually("the early delivery", || async {
        (targets(&world).await == early).then_some(())
    })
    .await;
    world.cut.heal();
    world.done(TASK_PERSIST_GROUP, &[PERSIST]).await;
    world.done(TASK_FANOUT_GROUP, &[FANOUT]).await;
    assert_eq!(targets(&world).await, expected(&members, 1..=1, 2));
}

#[tokio::test]
async fn a_restart_between_pages_goes_on_with_the_next_page() {
    let mut world = World::quiet().await;
    // One task, one page per step.
    world.config.fanout.workers = 1;
    let (group, members) = group(&world).await;
    world
        .produce(PERSIST, &group, &message(&group, &members[0], 1))
        .await;
    world.start().await;
    world.done(TASK_PERSIST_GROUP, &[PERSIST]).await;
    world
        .produce(FANOUT, &group, &task(&group, &members[0], 1))
        .await;
    eventually("the first page", || async {
        (!targets(&world).await.is_empty()).then_some(())
    })
    .await;
    world.cut.off("GetConversationMembers");
    world.stop().await;
    let served = targets(&world).await;
    world.cut.heal();
    world.start().await;
    world.done(TASK_FANOUT_GROUP, &[FANOUT]).await;
    assert_eq!(
        targets(&world).await,
        expected(&members, 1..=1, 1),
        "{} were served before",
        served.len()
    );
}

#[tokio::test]
async fn a_failed_lookup_is_tried_again_and_a_dissolved_group_ends_the_task() {
    let mut world = World::quiet().await;
    let (group, members) = group(&world).await;
    world.cut.off("GetUsersOnlineStatus");
    world.start().await;
    world
        .produce(PERSIST, &group, &message(&group, &members[0], 1))
        .await;
    world
        .produce(FANOUT, &group, &task(&group, &members[0], 1))
        .await;
    world
        .produce(FANOUT, "g_12345", &task("g_12345", &members[0], 1))
        .await;
    world.raw(FANOUT, &group, vec![0xff; 3]).await;
    world.ready(false).await;
    assert!(targets(&world).await.is_empty());
    world.cut.heal();
    world.done(TASK_FANOUT_GROUP, &[FANOUT]).await;
    assert_eq!(targets(&world).await, expected(&members, 1..=1, 1));
    assert_eq!(
        world.records(&dead_letters(TASK_FANOUT_GROUP)).await.len(),
        1
    );
    assert!(sorted(members).len() == MEMBERS);
}
