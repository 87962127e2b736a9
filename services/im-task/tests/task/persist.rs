//! Facts about writing messages.

use gochat_infra::port::mq::{Mq, TopicPartition};
use gochat_infra::topics::{PERSIST, TASK_PERSIST_GROUP, dead_letters};
use gochat_proto::common::v1::ConversationType::Single;

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
async fn records_that_can_never_be_written_go_to_the_dead_letters_and_hold_nobody_up() {
    let mut world = World::quiet().await;
    let [a, b] = world.people(["ada", "bob"]).await;
    let chat = world.conversation(Single, &[a.clone(), b]).await;
    let tp = world.produce(PERSIST, &chat, &message(&chat, &a, 1)).await;
    world.raw(PERSIST, &chat, vec![0xff; 9]).await;
    let mut usurper = message(&chat, &a, 1);
    usurper.message_id += 77;
    world.produce(PERSIST, &chat, &usurper).await;
    let mut nonsense = message(&chat, &a, 2);
    nonsense.conversation_id = "no conversation".into();
    world.produce(PERSIST, &chat, &nonsense).await;
    world.produce(PERSIST, &chat, &message(&chat, &a, 2)).await;
    world.start().await;
    world.done(TASK_PERSIST_GROUP, &[PERSIST]).await;
    assert_eq!(world.history(&chat).await, texts(1..=2));
    let dead = world.records(&dead_letters(TASK_PERSIST_GROUP)).await;
    assert_eq!(dead.len(), 3);
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
    assert_eq!(offsets, ["1", "2", "3"]);
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
