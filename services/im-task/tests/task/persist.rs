//! Facts about writing messages.

use std::time::Duration;

use gochat_infra::port::mq::{Mq, TopicPartition};
use gochat_infra::topics::{FANOUT, PERSIST, TASK_FANOUT_GROUP, TASK_PERSIST_GROUP, dead_letters};
use gochat_proto::common::v1::ConversationType::{Group, Single};
use gochat_proto::im::repo::v1::SaveMessageRequest;
use gochat_proto::im::repo::v1::message_service_client::MessageServiceClient;
use gochat_proto::mq::v1::PersistenceMessage;
use prost::Message as _;

use crate::harness::eventually;
use crate::world::{World, message};

fn texts(range: std::ops::RangeInclusive<i64>) -> Vec<String> {
    range.map(|seq| format!("message {seq}")).collect()
}

#[tokio::test]
async fn a_persisted_message_is_in_history_when_its_offset_is_committed() {
    let world = World::new().await;
    let [a, b] = world.people(["ada", "bob"]).await;
    let chat = world.conversation(Single, &[a.clone(), b]).await;
    for seq in 1..=30 {
        world
            .produce(PERSIST, &chat, &message(&chat, &a, seq))
            .await;
    }
    world.done(TASK_PERSIST_GROUP, &[PERSIST]).await;
    assert_eq!(world.history(&chat).await, texts(1..=30));
}

#[tokio::test]
async fn while_the_repository_is_away_nothing_is_committed_and_nothing_is_lost() {
    let mut world = World::quiet().await;
    let [a, b] = world.people(["ada", "bob"]).await;
    let chat = world.conversation(Single, &[a.clone(), b]).await;
    world.cut.off("BatchSaveMessages");
    world.start().await;
    let mut tp = TopicPartition::new(PERSIST, 0);
    for seq in 1..=5 {
        tp = world
            .produce(PERSIST, &chat, &message(&chat, &a, seq))
            .await;
    }
    world.ready(false).await;
    assert_eq!(
        world.log.committed(TASK_PERSIST_GROUP, &tp).await.unwrap(),
        None
    );
    world.cut.heal();
    world.done(TASK_PERSIST_GROUP, &[PERSIST]).await;
    assert_eq!(world.history(&chat).await, texts(1..=5));
    assert!(
        world
            .records(&dead_letters(TASK_PERSIST_GROUP))
            .await
            .is_empty()
    );
    world.ready(true).await;
}

#[tokio::test]
async fn records_the_sequencer_never_wrote_go_to_the_dead_letters_and_hold_nobody_up() {
    let mut world = World::quiet().await;
    let [a, b] = world.people(["ada", "bob"]).await;
    let chat = world.conversation(Single, &[a.clone(), b]).await;
    let tp = world.produce(PERSIST, &chat, &message(&chat, &a, 1)).await;
    world.raw(PERSIST, &chat, vec![0xff; 9]).await;
    let mut nonsense = message(&chat, &a, 2);
    nonsense.conversation_id = "no conversation".into();
    world.produce(PERSIST, &chat, &nonsense).await;
    world.produce(PERSIST, &chat, &message(&chat, &a, 2)).await;
    world.start().await;
    world.done(TASK_PERSIST_GROUP, &[PERSIST]).await;
    assert_eq!(world.history(&chat).await, texts(1..=2));
    let dead = world.records(&dead_letters(TASK_PERSIST_GROUP)).await;
    assert_eq!(dead.len(), 2);
    let mut offsets: Vec<String> = Vec::new();
    for letter in &dead {
        let header = |name: &str| {
            String::from_utf8(letter.record.headers.find(name).expect("is there").to_vec()).unwrap()
        };
        assert_eq!(header("X-DLQ-Topic"), PERSIST);
        assert_eq!(header("X-DLQ-Partition"), tp.partition.to_string());
        assert!(!header("X-DLQ-Error").is_empty() && !header("X-DLQ-Time").is_empty());
        assert_eq!(letter.record.key, chat);
        offsets.push(header("X-DLQ-Offset"));
    }
    offsets.sort();
    assert_eq!(offsets, ["1", "2"]);
}

/// A chat of two people on each of two partitions.
async fn two_partitions(world: &World) -> [(String, String, TopicPartition); 2] {
    let people = world.people(["ada", "bob", "cleo", "dan", "eve"]).await;
    let mut found: Vec<(String, String, TopicPartition)> = Vec::new();
    // Ten chats: all of them on one of four partitions happens once in 260,000 runs.
    for (n, one) in people.iter().enumerate() {
        for other in &people[n + 1..] {
            let chat = world
                .conversation(Single, &[one.clone(), other.clone()])
                .await;
            let tp = world.produce(PERSIST, &chat, &message(&chat, one, 1)).await;
            if found.iter().all(|(_, _, taken)| *taken != tp) {
                found.push((chat, one.clone(), tp));
            }
        }
    }
    found.truncate(2);
    found.try_into().expect("ten chats on four partitions")
}

#[tokio::test]
async fn an_acknowledged_message_at_a_taken_place_stops_its_partition_only() {
    let mut world = World::quiet().await;
    let [(stuck, author, tp), (free, other, _)] = two_partitions(&world).await;
    // Another message holds the place of the second one.
    let usurper = SaveMessageRequest {
        message_id: "4711".into(),
        conversation_id: stuck.clone(),
        sender_id: author.clone(),
        message_type: 1,
        content: "usurper".into(),
        seq_id: 2,
        ..Default::default()
    };
    let mut messages = MessageServiceClient::new(world.repo.clone());
    messages.save_message(usurper).await.unwrap();
    for seq in 2..=4 {
        world
            .produce(PERSIST, &stuck, &message(&stuck, &author, seq))
            .await;
    }
    world.start().await;
    for seq in 2..=20 {
        world
            .produce(PERSIST, &free, &message(&free, &other, seq))
            .await;
    }
    eventually("the other partition goes on", || async {
        (world.history(&free).await.len() == 20).then_some(())
    })
    .await;
    let committed = eventually("the records before it are done", || async {
        let committed = world.log.committed(TASK_PERSIST_GROUP, &tp).await.unwrap();
        let read = world.log.read(&tp, committed.unwrap_or(0), 100).await;
        let first = PersistenceMessage::decode(read.unwrap()[0].record.value.clone()).unwrap();
        (first.seq_id == 2 && first.conversation_id == stuck).then_some(committed)
    })
    .await;
    assert!(committed.is_some());
    let dead = world.records(&dead_letters(TASK_PERSIST_GROUP)).await;
    assert!(dead.is_empty(), "an acknowledged message is no dead letter");
    world.stop().await;
    let still = world.log.committed(TASK_PERSIST_GROUP, &tp).await.unwrap();
    assert_eq!(still, committed, "nothing was passed");
}

#[tokio::test]
async fn a_partition_that_stood_still_goes_on_by_itself_and_nothing_is_missing() {
    let mut world = World::quiet().await;
    let [(chat, author, tp), (free, other, _)] = two_partitions(&world).await;
    // What an older im-repo does with a message it doesn't understand.
    world.cut.refuse("BatchSaveMessages");
    world.config.persist.batch = 20;
    world.start().await;
    for seq in 2..=95 {
        world
            .produce(PERSIST, &chat, &message(&chat, &author, seq))
            .await;
    }
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert_eq!(
        world.log.committed(TASK_PERSIST_GROUP, &tp).await.unwrap(),
        None
    );
    world.cut.heal();
    world
        .produce(PERSIST, &free, &message(&free, &other, 2))
        .await;
    world.done(TASK_PERSIST_GROUP, &[PERSIST]).await;
    assert_eq!(world.history(&chat).await, texts(1..=95));
    assert_eq!(world.history(&free).await, texts(1..=2));
    let dead = world.records(&dead_letters(TASK_PERSIST_GROUP)).await;
    assert!(dead.is_empty());
}

#[tokio::test]
async fn an_id_made_twice_costs_no_message() {
    let world = World::new().await;
    let [a, b] = world.people(["ada", "bob"]).await;
    let chat = world.conversation(Single, &[a.clone(), b]).await;
    let mut twin = message(&chat, &a, 2);
    twin.message_id = message(&chat, &a, 1).message_id;
    for sent in [message(&chat, &a, 1), twin, message(&chat, &a, 3)] {
        world.produce(PERSIST, &chat, &sent).await;
    }
    world.done(TASK_PERSIST_GROUP, &[PERSIST]).await;
    assert_eq!(world.history(&chat).await, texts(1..=3));
}

#[tokio::test]
async fn who_came_online_meanwhile_is_pushed_once_the_row_is_written() {
    let world = World::new().await;
    let [a, b, c] = world.people(["ada", "bob", "cleo"]).await;
    let chat = world.conversation(Single, &[a.clone(), b.clone()]).await;
    world.online(&b, "g2").await;
    let mut sent = message(&chat, &a, 1);
    sent.recheck_user_ids = vec![b.clone(), c];
    world.produce(PERSIST, &chat, &sent).await;
    world.done(TASK_PERSIST_GROUP, &[PERSIST]).await;
    assert_eq!(world.history(&chat).await, texts(1..=1));
    assert_eq!(world.downstream("g2").await, [(1, vec![b])]);
    assert!(world.downstream("g1").await.is_empty());
}

/// A group whose members were listed for gateway g1: who came to another gateway gets it there.
#[tokio::test]
async fn members_who_came_to_a_gateway_that_was_not_served_are_pushed() {
    let world = World::new().await;
    let [ann, bob, carl, eve] = world.people(["ann", "bob", "carl", "eve"]).await;
    let members = [ann.clone(), bob.clone(), carl.clone()];
    let group = world.conversation(Group, &members).await;
    for (user, gateway) in [(&bob, "g1"), (&carl, "g2"), (&eve, "g2")] {
        world.online(user, gateway).await;
    }
    let listed = |seq, at_s| PersistenceMessage {
        to_members: true,
        gateway_ids: vec!["g1".into()],
        timestamp: at_s,
        ..message(&group, &ann, seq)
    };
    // The first reading of arrivals knows nothing of before it: members are paged.
    let now_s = i64::try_from(gochat_infra::ids::now_ms() / 1_000).unwrap();
    world.produce(PERSIST, &group, &listed(1, now_s)).await;
    world.done(TASK_PERSIST_GROUP, &[PERSIST]).await;
    world.done(TASK_FANOUT_GROUP, &[FANOUT]).await;
    assert_eq!(world.downstream("g2").await, [(1, vec![carl.clone()])]);
    assert_eq!(world.downstream("g1").await, [(1, vec![bob.clone()])]);
    // From a moment on that the reading covers, arrivals are enough. Eve came, too, and is no
    // member; who came to g1 is served there.
    tokio::time::sleep(Duration::from_secs(5)).await;
    for (user, gateway) in [(&bob, "g1"), (&carl, "g2"), (&eve, "g2")] {
        world.online(user, gateway).await;
    }
    let now_s = i64::try_from(gochat_infra::ids::now_ms() / 1_000).unwrap();
    world.produce(PERSIST, &group, &listed(2, now_s)).await;
    world.done(TASK_PERSIST_GROUP, &[PERSIST]).await;
    world.done(TASK_FANOUT_GROUP, &[FANOUT]).await;
    assert_eq!(
        world.downstream("g2").await,
        [(1, vec![carl.clone()]), (2, vec![carl])]
    );
    assert_eq!(world.downstream("g1").await.len(), 1);
    // An old row: gateways have forgotten the message.
    world.produce(PERSIST, &group, &listed(3, now_s - 60)).await;
    world.done(TASK_PERSIST_GROUP, &[PERSIST]).await;
    world.done(TASK_FANOUT_GROUP, &[FANOUT]).await;
    assert!(world.downstream("g1").await.contains(&(3, vec![bob])));
}

#[tokio::test]
async fn rows_are_written_while_presence_is_away_and_recipients_are_looked_up_later() {
    let mut world = World::quiet().await;
    let [a, b] = world.people(["ada", "bob"]).await;
    let chat = world.conversation(Single, &[a.clone(), b.clone()]).await;
    world.online(&b, "g1").await;
    world.cut.off("GetUsersOnlineStatus");
    world.start().await;
    let mut sent = message(&chat, &a, 1);
    sent.recheck_user_ids = vec![b.clone()];
    world.produce(PERSIST, &chat, &sent).await;
    world.done(TASK_PERSIST_GROUP, &[PERSIST]).await;
    assert_eq!(world.history(&chat).await, texts(1..=1));
    assert!(world.downstream("g1").await.is_empty());
    world.cut.heal();
    let pushed = eventually("the push", || async {
        let all = world.downstream("g1").await;
        (!all.is_empty()).then_some(all)
    });
    assert_eq!(pushed.await, [(1, vec![b])]);
}

#[tokio::test]
async fn several_workers_and_a_restart_in_between_write_everything_once() {
    let mut world = World::quiet().await;
    world.config.persist.workers = 2;
    world.config.persist.batch = 7;
    world.config.persist.linger_ms = 1;
    let [a, b, c] = world.people(["ada", "bob", "cleo"]).await;
    let chats = [
        world.conversation(Single, &[a.clone(), b.clone()]).await,
        world.conversation(Single, &[b.clone(), c.clone()]).await,
        world.conversation(Single, &[a.clone(), c]).await,
    ];
    for round in 0..3 {
        world.start().await;
        for seq in round * 20 + 1..=round * 20 + 20 {
            for chat in &chats {
                world.produce(PERSIST, chat, &message(chat, &a, seq)).await;
            }
        }
        world.stop().await;
    }
    world.start().await;
    world.done(TASK_PERSIST_GROUP, &[PERSIST]).await;
    for chat in &chats {
        assert_eq!(world.history(chat).await, texts(1..=60));
    }
}
