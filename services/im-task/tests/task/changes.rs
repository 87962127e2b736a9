//! Facts about writing changes of messages.

use gochat_infra::port::mq::Mq;
use gochat_infra::topics::{PERSIST, TASK_PERSIST_GROUP, dead_letters};
use gochat_proto::common::v1::ConversationType::{Group, Single};
use gochat_proto::im::repo::v1::message_service_client::MessageServiceClient;
use gochat_proto::im::repo::v1::{ListChangesRequest, RepoMessage};
use gochat_proto::mq::v1::ChangeKind::{Edit, Pin, React, Recall};
use gochat_proto::mq::v1::{DownstreamKind, PersistenceMessage, ReactionCount};

use crate::harness::eventually;
use crate::world::{World, change, message, sorted};

/// What is new or changed in a conversation, by rev.
async fn states(world: &World, conversation: &str) -> Vec<RepoMessage> {
    let request = ListChangesRequest {
        conversation_id: conversation.into(),
        limit: 200,
        ..Default::default()
    };
    let mut client = MessageServiceClient::new(world.repo.clone());
    let page = client.list_changes(request).await.unwrap().into_inner();
    page.messages
}

#[tokio::test]
async fn changes_are_written_with_the_messages_and_once() {
    let world = World::new().await;
    let [a, b] = world.people(["ada", "bob"]).await;
    let chat = world.conversation(Single, &[a.clone(), b]).await;
    let log = [
        message(&chat, &a, 1),
        message(&chat, &a, 2),
        change(Edit, &chat, &a, 1, 3),
        change(Recall, &chat, &a, 2, 4),
        change(Edit, &chat, &a, 1, 5),
    ];
    // The second time as after a commit that was lost.
    for record in log.iter().chain(&log[1..]) {
        world.produce(PERSIST, &chat, record).await;
    }
    world.done(TASK_PERSIST_GROUP, &[PERSIST]).await;
    let states = states(&world, &chat).await;
    let shown: Vec<_> = states
        .iter()
        .map(|m| (m.rev, m.seq_id, m.content.as_str(), m.edit_count))
        .collect();
    assert_eq!(shown, [(4, 2, "", 0), (5, 1, "edit 5", 3)]);
    assert!(states[0].deleted);
    assert_eq!(
        (states[1].edited_at, states[1].created_at),
        (1_700_000_060, 1_700_000_000)
    );
    let dead = world.records(&dead_letters(TASK_PERSIST_GROUP)).await;
    assert!(dead.is_empty());
}

#[tokio::test]
async fn a_change_whose_message_is_missing_stops_its_partition() {
    let mut world = World::quiet().await;
    let [a, b] = world.people(["ada", "bob"]).await;
    let chat = world.conversation(Single, &[a.clone(), b]).await;
    let lost = change(Edit, &chat, &a, 2, 2);
    let tp = world.produce(PERSIST, &chat, &message(&chat, &a, 1)).await;
    world.produce(PERSIST, &chat, &lost).await;
    world
        .produce(PERSIST, &chat, &change(Edit, &chat, &a, 1, 3))
        .await;
    world.start().await;
    eventually("the records before it are done", || async {
        let committed = world.log.committed(TASK_PERSIST_GROUP, &tp).await.unwrap();
        (committed == Some(1)).then_some(())
    })
    .await;
    let dead = world.records(&dead_letters(TASK_PERSIST_GROUP)).await;
    assert!(dead.is_empty(), "an acknowledged change is no dead letter");
    world.stop().await;
    let still = world.log.committed(TASK_PERSIST_GROUP, &tp).await.unwrap();
    assert_eq!(still, Some(1), "nothing was passed");
}

/// A message and a change of it carry one id; what is wrong with the change is not the message's.
#[tokio::test]
async fn a_change_the_sequencer_never_wrote_holds_its_message_not_up() {
    let mut world = World::quiet().await;
    let [a, b] = world.people(["ada", "bob"]).await;
    let chat = world.conversation(Single, &[a.clone(), b]).await;
    let numberless = PersistenceMessage {
        rev: 0,
        ..change(Edit, &chat, &a, 1, 2)
    };
    let log = [
        message(&chat, &a, 1),
        numberless,
        change(Edit, &chat, &a, 1, 2),
    ];
    for record in &log {
        world.produce(PERSIST, &chat, record).await;
    }
    world.start().await;
    world.done(TASK_PERSIST_GROUP, &[PERSIST]).await;
    let states = states(&world, &chat).await;
    assert_eq!((states.len(), states[0].rev), (1, 2));
    let dead = world.records(&dead_letters(TASK_PERSIST_GROUP)).await;
    assert_eq!(dead.len(), 1);
    let offset = dead[0].record.headers.find("X-DLQ-Offset");
    assert_eq!(offset.map(|offset| &offset[..]), Some(&b"1"[..]));
}

#[tokio::test]
async fn who_came_online_meanwhile_is_pushed_the_change_and_so_is_the_author() {
    let world = World::new().await;
    let [admin, author, reader] = world.people(["ada", "bob", "cleo"]).await;
    let members = [admin.clone(), author.clone(), reader.clone()];
    let group = world.conversation(Group, &members).await;
    for user in &members {
        world.online(user, "g2").await;
    }
    world
        .produce(PERSIST, &group, &message(&group, &author, 1))
        .await;
    world.done(TASK_PERSIST_GROUP, &[PERSIST]).await;
    let before = world.bodies("g2").await.len();
    let recall = PersistenceMessage {
        author_id: author.clone(),
        content: String::new(),
        recheck_user_ids: vec![reader],
        ..change(Recall, &group, &admin, 1, 2)
    };
    world.produce(PERSIST, &group, &recall).await;
    world.done(TASK_PERSIST_GROUP, &[PERSIST]).await;
    let bodies = world.bodies("g2").await;
    let [told] = &bodies[before..] else {
        panic!("{} records", bodies.len() - before);
    };
    assert_eq!(
        sorted(told.target_user_ids.clone()),
        sorted(members.to_vec())
    );
    assert_eq!(told.kind, DownstreamKind::Change as i32);
    assert!(told.again && told.content.is_empty());
    assert_eq!((told.change, told.rev, told.seq_id), (Recall as i32, 2, 1));
    assert_eq!((&told.sender_id, &told.author_id), (&admin, &author));
    assert_eq!(
        (told.sent_at, told.timestamp, told.edit_count),
        (1_700_000_000, 1_700_000_060, 3)
    );
    assert_eq!(told.message_id, recall.message_id);
    // A message is no change, and has its number.
    let message = &bodies[before - 1];
    assert_eq!((message.kind, message.change, message.rev), (0, 0, 1));
}

/// What reactions and pins bring reaches the row, and who came online meanwhile.
#[tokio::test]
async fn reactions_and_pins_are_written_and_pushed_again() {
    let world = World::new().await;
    let [a, b] = world.people(["ada", "bob"]).await;
    let chat = world.conversation(Single, &[a.clone(), b.clone()]).await;
    world.online(&a, "g2").await;
    let thumb = ReactionCount {
        emoji: "👍".into(),
        count: 2,
    };
    let react = PersistenceMessage {
        content: "👍".into(),
        reactions: vec![thumb.clone()],
        recheck_user_ids: vec![a.clone()],
        ..change(React, &chat, &b, 1, 2)
    };
    let pin = PersistenceMessage {
        content: String::new(),
        reactions: vec![thumb.clone()],
        pinned: true,
        ..change(Pin, &chat, &b, 1, 3)
    };
    world.produce(PERSIST, &chat, &message(&chat, &a, 1)).await;
    for record in [&react, &pin] {
        world.produce(PERSIST, &chat, record).await;
    }
    world.done(TASK_PERSIST_GROUP, &[PERSIST]).await;
    let [state] = <[_; 1]>::try_from(states(&world, &chat).await).unwrap();
    assert_eq!((state.rev, state.content.as_str()), (3, "message 1"));
    let counts: Vec<_> = state
        .reactions
        .iter()
        .map(|r| (r.emoji.as_str(), r.count, r.mine))
        .collect();
    assert_eq!(counts, [("👍", 2, false)]);
    assert!(state.pinned && state.edit_count == 0);
    let bodies = world.bodies("g2").await;
    let told = bodies.iter().find(|body| body.rev == 2).unwrap();
    assert_eq!((told.change, told.content.as_str()), (React as i32, "👍"));
    assert_eq!(told.reactions, [thumb]);
    let dead = world.records(&dead_letters(TASK_PERSIST_GROUP)).await;
    assert!(dead.is_empty());
}
