//! `MessageService.SendMessage` through the whole way.

use std::time::Duration;

use gochat_core::error::ErrorCode;
use gochat_core::message::DraftLimits;
use gochat_proto::im::logic::v1::SendMessageRequest;
use im_logic::SendMessage as _;
use im_logic::send::{SendConfig, SendPath};
use tokio_util::sync::CancellationToken;

use crate::harness::World;

fn request(user: u64, conversation: &str, client_id: &str) -> SendMessageRequest {
    SendMessageRequest {
        user_id: user.to_string(),
        conversation_id: conversation.into(),
        content: "hello".into(),
        r#type: 1,
        client_msg_id: client_id.into(),
        ..Default::default()
    }
}

async fn open(world: &World, timeout: Duration) -> SendPath {
    let timeout_ms = timeout.as_millis() as u64;
    let config = SendConfig {
        timeout_ms,
        ..SendConfig::default()
    };
    let limits = DraftLimits::default();
    let (path, acks) = SendPath::open(&world.mq, "1", &config, limits)
        .await
        .unwrap();
    tokio::spawn(acks.run(CancellationToken::new()));
    path
}

#[tokio::test]
async fn a_call_is_answered_with_the_message_and_a_repeat_with_the_same() {
    let world = World::new().await;
    world.users([1, 2]).await;
    let chat = world.single(1, 2).await;
    let path = open(&world, Duration::from_secs(20)).await;
    let running = world.start();
    let first = path
        .send(request(1, &chat, "a"), None, "t")
        .await
        .unwrap()
        .message
        .unwrap();
    assert_eq!((first.seq_id, &*first.content), (1, "hello"));
    assert_eq!(first.sender.as_ref().unwrap().username, "user1");
    assert!(first.created_at > 0);
    let again = path
        .send(request(1, &chat, "a"), None, "t")
        .await
        .unwrap()
        .message
        .unwrap();
    assert_eq!(again, first);
    let (x, y) = tokio::join!(
        path.send(request(1, &chat, "b"), None, "t"),
        path.send(request(1, &chat, ""), None, "t"),
    );
    let mut seqs = [x, y].map(|answer| answer.unwrap().message.unwrap().seq_id);
    seqs.sort();
    assert_eq!(
        seqs,
        [2, 3],
        "one trace id may have several sends under way"
    );
    running.stop().await;
}

#[tokio::test]
async fn refusals_come_back_with_their_code() {
    let world = World::new().await;
    world.users([1, 2, 3]).await;
    let chat = world.single(1, 2).await;
    let path = open(&world, Duration::from_secs(20)).await;
    let running = world.start();
    let stranger = path
        .send(request(3, &chat, "a"), None, "")
        .await
        .unwrap_err();
    assert_eq!(stranger.code, ErrorCode::NotConversationMember);
    let system = SendMessageRequest {
        r#type: 4,
        ..request(1, &chat, "a")
    };
    let system = path.send(system, None, "").await.unwrap_err();
    assert_eq!(system.code, ErrorCode::UnsupportedMessageType);
    running.stop().await;
}

#[tokio::test]
async fn without_an_ack_in_time_the_outcome_is_said_to_be_unknown() {
    let world = World::new().await;
    world.users([1, 2]).await;
    let chat = world.single(1, 2).await;
    let path = open(&world, Duration::from_millis(50)).await;
    let late = path
        .send(request(1, &chat, "a"), None, "")
        .await
        .unwrap_err();
    assert_eq!(late.code, ErrorCode::Timeout);
    let path = open(&world, Duration::from_secs(20)).await;
    let running = world.start();
    let message = path
        .send(request(1, &chat, "a"), None, "")
        .await
        .unwrap()
        .message
        .unwrap();
    assert_eq!(message.seq_id, 1, "the repeat met the first one in the log");
    running.stop().await;
}
