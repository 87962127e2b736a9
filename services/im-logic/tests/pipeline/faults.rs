//! What happens when something is away or wrong.

use gochat_infra::port::mq::OutRecord;
use gochat_infra::topics;
use gochat_proto::mq::v1::UpstreamMessage;

use crate::harness::{FACTS, PATIENCE, PRESENCE, USERS, World};

#[tokio::test]
async fn a_short_outage_of_the_facts_holds_messages_back_and_refuses_none() {
    let world = World::new().await;
    world.users([1, 2]).await;
    let chat = world.single(1, 2).await;
    let mut gateway = world.gateway("gateway-1").await;
    world.break_calls(FACTS);
    let running = world.start();
    world
        .produce(&[world.message(&chat, 1, "a"), world.message(&chat, 1, "b")])
        .await;
    let failures = async {
        while world.failed_calls() < 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, failures)
        .await
        .expect("calls fail");
    world.break_calls(0);
    assert_eq!(gateway.answer().await, Ok(1));
    assert_eq!(gateway.answer().await, Ok(2));
    running.stop().await;
}

#[tokio::test]
async fn in_a_long_outage_known_conversations_go_on_and_unknown_ones_are_refused_retryably() {
    let mut world = World::new().await;
    world.config.facts_grace_ms = 0;
    world.config.workers = 1;
    world.users([1, 2, 3]).await;
    let (known, unknown) = (world.single(1, 2).await, world.single(1, 3).await);
    let mut gateway = world.gateway("gateway-1").await;
    let running = world.start();
    world.produce(&[world.message(&known, 1, "a")]).await;
    assert_eq!(gateway.answer().await, Ok(1));

    world.break_calls(FACTS | PRESENCE | USERS);
    world.produce(&[world.message(&unknown, 1, "b")]).await;
    let refusal = gateway.next().await.error.unwrap();
    assert_eq!(
        (&*refusal.code, refusal.retryable),
        ("SERVICE_UNAVAILABLE", true)
    );
    world.produce(&[world.message(&known, 1, "c")]).await;
    assert_eq!(gateway.answer().await, Ok(2));

    world.break_calls(0);
    // The same client id again, as a client would, until the service is back.
    let served = async {
        loop {
            world.produce(&[world.message(&unknown, 1, "b")]).await;
            if let Ok(seq) = gateway.answer().await {
                break seq;
            }
        }
    };
    let seq = tokio::time::timeout(PATIENCE, served).await;
    assert_eq!(seq.expect("the service is back"), 1);
    running.stop().await;
}

#[tokio::test]
async fn without_presence_a_message_goes_to_every_gateway_and_is_looked_up_again() {
    let world = World::new().await;
    world.users([1, 2]).await;
    let chat = world.single(1, 2).await;
    let (mut one, mut two) = (
        world.gateway("gateway-1").await,
        world.gateway("gateway-2").await,
    );
    world.online(1, "gateway-1").await;
    world.online(2, "gateway-2").await;
    world.break_calls(PRESENCE);
    let running = world.start();
    world.produce(&[world.message(&chat, 1, "a")]).await;
    for gateway in [&mut one, &mut two] {
        assert_eq!(gateway.next().await.target_user_ids, ["1", "2"]);
    }
    assert_eq!(world.persisted().await[0].recheck_user_ids, ["1", "2"]);
    running.stop().await;
}

#[tokio::test]
async fn poison_goes_to_the_dead_letters_and_its_neighbours_go_on() {
    let world = World::new().await;
    world.users([1, 2]).await;
    let chat = world.single(1, 2).await;
    let mut gateway = world.gateway("gateway-1").await;
    let running = world.start();
    let nobody = UpstreamMessage {
        user_id: "nobody".into(),
        ..world.message(&chat, 1, "x")
    };
    world.produce(&[world.message(&chat, 1, "a"), nobody]).await;
    let garbage = OutRecord::new(topics::UPSTREAM, chat.clone(), b"\xff\xff".to_vec());
    world.mq.producer().send(vec![garbage]).await.unwrap();
    world.produce(&[world.message(&chat, 1, "b")]).await;
    assert_eq!(gateway.answer().await, Ok(1));
    assert_eq!(gateway.answer().await, Ok(2));
    let dead = topics::dead_letters(topics::LOGIC_UPSTREAM_GROUP);
    assert_eq!(world.values(&dead).await.len(), 2);
    running.stop().await;
}

#[tokio::test]
async fn each_refusal_reaches_its_sender_with_its_code() {
    let world = World::new().await;
    world.users([1, 2, 3]).await;
    let chat = world.single(1, 2).await;
    let mut gateway = world.gateway("gateway-1").await;
    let running = world.start();
    let message = || world.message(&chat, 1, "a");
    let refused = [
        (
            UpstreamMessage {
                content: " ".into(),
                ..message()
            },
            "MESSAGE_EMPTY",
        ),
        (
            UpstreamMessage {
                message_type: 4,
                ..message()
            },
            "UNSUPPORTED_MESSAGE_TYPE",
        ),
        (
            UpstreamMessage {
                content: "x".repeat(5_001),
                ..message()
            },
            "MESSAGE_TOO_LARGE",
        ),
        (
            UpstreamMessage {
                user_id: "3".into(),
                ..message()
            },
            "NOT_CONVERSATION_MEMBER",
        ),
        (
            UpstreamMessage {
                conversation_id: "g_404".into(),
                ..message()
            },
            "CONVERSATION_NOT_FOUND",
        ),
        (
            UpstreamMessage {
                conversation_id: "s_2_1".into(),
                ..message()
            },
            "CONVERSATION_NOT_FOUND",
        ),
        (
            UpstreamMessage {
                user_id: "99".into(),
                conversation_id: "world".into(),
                ..message()
            },
            "USER_NOT_FOUND",
        ),
    ];
    for (message, code) in refused {
        world.produce(&[message]).await;
        assert_eq!(gateway.answer().await, Err(code.into()));
    }
    assert!(world.persisted().await.is_empty());
    running.stop().await;
}

#[tokio::test]
async fn a_gateway_that_is_gone_holds_nobody_up() {
    let world = World::new().await;
    world.users([1, 2]).await;
    let chat = world.single(1, 2).await;
    let mut gateway = world.gateway("gateway-1").await;
    world.online(2, "gateway-gone").await;
    let running = world.start();
    world.produce(&[world.message(&chat, 1, "a")]).await;
    assert_eq!(gateway.answer().await, Ok(1));
    running.stop().await;
}
