//! Signals reach every device, wherever it is.

use gochat_proto::im::gateway::v1::PushToUsersRequest;
use gochat_proto::im::gateway::v1::pusher_service_client::PusherServiceClient;
use serde_json::json;

use crate::kit::{Socket, User};
use crate::rig::Cluster;

/// A user with a device on each gateway.
async fn on_both(cluster: &Cluster, user: &User) -> [Socket; 2] {
    [
        cluster.at("gateway-1", user).connect().await,
        cluster.at("gateway-2", user).connect().await,
    ]
}

#[tokio::test]
async fn typing_is_seen_on_every_device_of_the_others() {
    let cluster = Cluster::new().await;
    let (a, b) = (
        cluster.user("gateway-1").await,
        cluster.user("gateway-2").await,
    );
    let chat = a.chat_with(&b).await;
    let mut author = a.connect().await;
    let mut readers = on_both(&cluster, &b).await;
    author.send("typing", json!({"conversationId": chat})).await;
    for reader in &mut readers {
        let seen = reader.expect("typing-indicator").await;
        assert_eq!(
            (&seen["userId"], &seen["isTyping"]),
            (&json!(a.id), &json!(true))
        );
    }
}

#[tokio::test]
async fn a_read_mark_is_heard_on_every_device_of_author_and_reader() {
    let cluster = Cluster::new().await;
    let (a, b) = (
        cluster.user("gateway-1").await,
        cluster.user("gateway-2").await,
    );
    let chat = a.chat_with(&b).await;
    let mut authors = on_both(&cluster, &a).await;
    let mut readers = on_both(&cluster, &b).await;
    authors[0].say_acked(&chat, "read me", "c1").await;
    readers[1].hears("read me").await;
    let mark = json!({"conversationId": chat, "seqId": 1});
    readers[1].send("mark-read", mark).await;
    for socket in authors.iter_mut().chain(&mut readers[..1]) {
        let told = socket.expect("message-read").await;
        assert_eq!((&told["userId"], &told["seqId"]), (&json!(b.id), &json!(1)));
    }
}

#[tokio::test]
async fn a_call_to_one_gateway_reaches_the_other_ones_once_and_is_not_passed_on_from_there() {
    let cluster = Cluster::new().await;
    let b = cluster.user("gateway-1").await;
    let stranger = cluster.user("gateway-1").await;
    let mut sockets = on_both(&cluster, &b).await;
    let request = |forwarded| PushToUsersRequest {
        target_user_ids: vec![b.id.clone(), stranger.id.clone()],
        signal_type: "typing".into(),
        payload:
            json!({"conversationId": "s_1_2", "userId": "1", "username": "x", "isTyping": true})
                .to_string()
                .into_bytes()
                .into(),
        forwarded,
        ..Default::default()
    };
    let mut pusher = PusherServiceClient::new(cluster.channel("gateway-1"));
    let told = pusher
        .push_to_users(request(false))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(told.delivered_user_ids, [&*b.id]);
    assert_eq!(told.offline_user_ids, [&*stranger.id]);
    assert!(told.failed.is_empty());
    for socket in &mut sockets {
        socket.expect("typing-indicator").await;
        assert!(socket.drain("typing-indicator").await.is_empty(), "once");
    }
    pusher.push_to_users(request(true)).await.unwrap();
    sockets[0].expect("typing-indicator").await;
    assert!(sockets[1].drain("typing-indicator").await.is_empty());
}
