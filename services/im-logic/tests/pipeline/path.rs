//! A message's way when everything works, and across restarts.

use gochat_infra::topics;
use gochat_proto::mq::v1::{DownstreamKind, UpstreamMessage};
use im_logic::Announcer;

use crate::harness::World;

#[tokio::test]
async fn a_message_is_numbered_persisted_pushed_and_acked() {
    let world = World::new().await;
    world.users([1, 2]).await;
    let chat = world.single(1, 2).await;
    let (mut one, mut two) = (
        world.gateway("gateway-1").await,
        world.gateway("gateway-2").await,
    );
    world.online(2, "gateway-2").await;
    let running = world.start();
    world
        .produce(&[world.message(&chat, 1, "a"), world.message(&chat, 1, "b")])
        .await;

    for (seq, id) in [(1, "a"), (2, "b")] {
        let pushed = two.next().await;
        assert_eq!(
            (pushed.seq_id, &*pushed.content),
            (seq, &*format!("content of {id}"))
        );
        assert_eq!(pushed.target_user_ids, ["2"]);
        assert_eq!(pushed.sender_info.as_ref().unwrap().username, "user1");
        assert_eq!((pushed.origin, pushed.conversation_type), (None, 1));

        let ack = one.next().await;
        assert_eq!(ack.kind(), DownstreamKind::Ack);
        assert_eq!((ack.seq_id, ack.message_id), (seq, pushed.message_id));
        assert_eq!(ack.client_msg_id, id);
        let origin = ack.origin.unwrap();
        assert_eq!(
            (origin.conn_id, &*origin.trace_id),
            (1, &*format!("trace-{id}"))
        );
    }
    let rows = world.persisted().await;
    assert_eq!(
        rows.iter().map(|row| row.seq_id).collect::<Vec<_>>(),
        [1, 2]
    );
    assert_eq!(rows[0].recheck_user_ids, ["1"], "the author has no session");
    running.stop().await;
}

#[tokio::test]
async fn a_new_owner_continues_from_persist_and_database_and_knows_the_repeats() {
    let world = World::new().await;
    world.users([1, 2]).await;
    let chat = world.single(1, 2).await;
    let mut gateway = world.gateway("gateway-1").await;
    let mut first = Vec::new();
    for (round, id) in ["a", "b", "c", "d"].into_iter().enumerate() {
        let running = world.start();
        world.produce(&[world.message(&chat, 1, id)]).await;
        let ack = gateway.next().await;
        assert_eq!(ack.seq_id, round as i64 + 1);
        first.push((id, ack.seq_id, ack.message_id));
        for (id, seq, message_id) in &first {
            world.produce(&[world.message(&chat, 1, id)]).await;
            let again = gateway.next().await;
            assert_eq!((again.seq_id, again.message_id), (*seq, *message_id));
        }
        match round {
            0 => running.kill().await,
            _ => running.stop().await,
        }
        if round == 1 {
            world.save_all().await;
        }
    }
    assert_eq!(world.persisted().await.len(), 4);
}

#[tokio::test]
async fn numbers_have_no_gap_over_many_conversations_and_both_workers() {
    let world = World::new().await;
    world.users(1..=5).await;
    let mut chats = Vec::new();
    for n in 1..=20 {
        chats.push(world.group(n, &[1, 2, 3, 4, 5]).await);
    }
    let mut gateway = world.gateway("gateway-1").await;
    let running = world.start();
    let mut messages = Vec::new();
    for n in 0..400u64 {
        let chat = &chats[n as usize % chats.len()];
        messages.push(world.message(chat, n % 5 + 1, &n.to_string()));
    }
    for part in messages.chunks(30) {
        world.produce(part).await;
    }
    for _ in 0..400 {
        gateway.answer().await.unwrap();
    }
    let mut heads = std::collections::HashMap::new();
    for row in world.persisted().await {
        let head = heads.entry(row.conversation_id).or_insert(0);
        assert_eq!(row.seq_id, *head + 1);
        *head = row.seq_id;
    }
    assert!(heads.len() == 20 && heads.values().all(|head| *head == 20));
    running.stop().await;
}

#[tokio::test]
async fn who_was_removed_is_refused_once_the_change_was_announced() {
    let world = World::new().await;
    world.users([1, 2]).await;
    let group = world.group(1, &[1, 2]).await;
    let mut gateway = world.gateway("gateway-1").await;
    let running = world.start();
    world.produce(&[world.message(&group, 2, "a")]).await;
    assert_eq!(gateway.answer().await, Ok(1));

    let announcer = Announcer::new(world.mq.clone(), std::time::Duration::from_secs(10));
    world.remove_member(&group, 2).await;
    announcer.announce(group.parse().unwrap()).await.unwrap();
    world
        .produce(&[world.message(&group, 2, "b"), world.message(&group, 2, "a")])
        .await;
    assert_eq!(
        gateway.answer().await,
        Err("NOT_CONVERSATION_MEMBER".into())
    );
    assert_eq!(
        gateway.answer().await,
        Ok(1),
        "a repeat still learns what became of it"
    );

    world.add_member(&group, 2).await;
    announcer.announce(group.parse().unwrap()).await.unwrap();
    world.produce(&[world.message(&group, 2, "c")]).await;
    assert_eq!(gateway.answer().await, Ok(2));
    running.stop().await;
}

#[tokio::test]
async fn the_world_chat_goes_to_every_gateway_that_holds_sessions() {
    let world = World::new().await;
    world.users([1, 2]).await;
    let (mut one, mut two) = (
        world.gateway("gateway-1").await,
        world.gateway("gateway-2").await,
    );
    world.online(1, "gateway-1").await;
    world.online(2, "gateway-2").await;
    let running = world.start();
    world.produce(&[world.message("world", 1, "a")]).await;
    let (here, there) = (one.next().await, two.next().await);
    assert!(here.broadcast && there.broadcast);
    assert!(here.origin.is_some() && there.origin.is_none());
    assert_eq!(here.message_id, there.message_id);
    running.stop().await;
}

#[tokio::test]
async fn a_large_group_becomes_a_task_and_its_author_is_served_at_once() {
    let mut world = World::new().await;
    world.config.direct_max = 2;
    world.users([1, 2, 3]).await;
    let group = world.group(1, &[1, 2, 3]).await;
    let mut gateway = world.gateway("gateway-1").await;
    world.online(1, "gateway-1").await;
    world.online(2, "gateway-1").await;
    let running = world.start();
    world.produce(&[world.message(&group, 1, "a")]).await;
    let record = gateway.next().await;
    assert_eq!(record.target_user_ids, ["1"]);
    assert!(record.origin.is_some());
    assert_eq!(world.values(topics::FANOUT).await.len(), 1);
    running.stop().await;
}

#[tokio::test]
async fn a_group_that_fits_the_budget_goes_to_every_gateway_as_a_list_of_members() {
    let mut world = World::new().await;
    world.config.fanout_members_from = 1;
    world.users([1, 2, 3]).await;
    let group = world.group(1, &[1, 2, 3]).await;
    let mut here = world.gateway("gateway-1").await;
    let mut there = world.gateway("gateway-2").await;
    world.online(1, "gateway-1").await;
    world.online(9, "gateway-2").await;
    let running = world.start();
    world.produce(&[world.message(&group, 1, "a")]).await;
    let (here, there) = (here.next().await, there.next().await);
    assert_eq!(here.member_ids, [1, 2, 3]);
    assert_eq!(there.member_ids, [1, 2, 3]);
    assert!(here.target_user_ids.is_empty() && here.origin.is_some());
    assert!(there.origin.is_none());
    let persisted = world.persisted().await;
    let row = &persisted[0];
    assert!(row.to_members && !row.presence_unknown);
    assert!(row.recheck_user_ids.is_empty() && row.reached_user_ids.is_empty());
    assert_eq!(row.gateway_ids, ["gateway-1", "gateway-2"]);
    running.stop().await;
}

#[tokio::test]
async fn a_changed_threshold_holds_from_the_next_batch() {
    let world = World::new().await;
    world.users([1, 2, 3]).await;
    let group = world.group(1, &[1, 2, 3]).await;
    let mut gateway = world.gateway("gateway-1").await;
    for user in [1, 2] {
        world.online(user, "gateway-1").await;
    }
    let threshold = world.config.direct_max_live.clone();
    let running = world.start();
    world.produce(&[world.message(&group, 1, "a")]).await;
    assert_eq!(gateway.next().await.target_user_ids.len(), 2, "direct");
    threshold.set(2);
    world.produce(&[world.message(&group, 1, "b")]).await;
    let deferred = gateway.next().await;
    assert_eq!((deferred.target_user_ids.len(), deferred.seq_id), (1, 2));
    assert_eq!(world.values(topics::FANOUT).await.len(), 1);
    threshold.set(500);
    world.produce(&[world.message(&group, 1, "c")]).await;
    let direct = gateway.next().await;
    assert_eq!((direct.target_user_ids.len(), direct.seq_id), (2, 3));
    running.stop().await;
}

/// The window holds the newest 10,000 messages. What is older is found in the database, if the author says that it may be
/// a repeat; while the database may not hold it yet, the author has to wait.
#[tokio::test]
async fn a_marked_repeat_from_before_the_window_is_the_same_message() {
    let world = World::new().await;
    world.users([1, 2]).await;
    let chat = world.single(1, 2).await;
    let mut gateway = world.gateway("gateway-1").await;
    let running = world.start();
    let first = world.message(&chat, 1, "first");
    world.produce(std::slice::from_ref(&first)).await;
    let ack = gateway.next().await;
    let others: Vec<_> = (0..10_000)
        .map(|n| world.message(&chat, 2, &n.to_string()))
        .collect();
    for others in others.chunks(500) {
        world.produce(others).await;
        for _ in others {
            gateway.answer().await.expect("it is in the world");
        }
    }

    let marked = |message: &UpstreamMessage| UpstreamMessage {
        resend: true,
        ..message.clone()
    };
    world.produce(&[marked(&first)]).await;
    assert_eq!(
        gateway.answer().await,
        Err("SERVICE_UNAVAILABLE".to_owned()),
        "nobody knows yet"
    );
    world.save_all().await;
    world.produce(&[marked(&first)]).await;
    let again = gateway.next().await;
    assert_eq!(
        (again.seq_id, again.message_id),
        (ack.seq_id, ack.message_id)
    );
    let unknown = marked(&world.message(&chat, 1, "never-sent"));
    world.produce(&[unknown]).await;
    assert_eq!(gateway.answer().await, Ok(10_002));
    assert_eq!(world.persisted().await.len(), 10_002);
    running.stop().await;
}
