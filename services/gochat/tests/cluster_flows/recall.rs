//! Recalled messages disappear on every screen.

use crate::kit::text;
use crate::rig::Cluster;

#[tokio::test]
async fn a_recall_in_the_world_is_seen_at_once_on_every_gateway() {
    let cluster = Cluster::new().await;
    let (a, b, c) = (
        cluster.user("gateway-1").await,
        cluster.user("gateway-1").await,
        cluster.user("gateway-2").await,
    );
    let mut author = a.connect().await;
    let mut readers = [b.connect().await, c.connect().await];
    let ack = author.say_acked("world", "a slip", "c1").await;
    for reader in &mut readers {
        reader.hears("a slip").await;
    }
    let id = text(&ack["messageId"]);
    let path = format!("/conversations/world/messages/{id}");
    a.delete(&path).await.data();
    for socket in readers.iter_mut().chain([&mut author]) {
        let seen = socket.expect("message-recalled").await;
        assert_eq!(seen["conversationId"], "world");
        assert_eq!(
            (&seen["messageId"], &seen["seqId"]),
            (&ack["messageId"], &ack["seqId"])
        );
    }
}

#[tokio::test]
async fn who_connects_right_after_a_recall_does_not_keep_what_was_recalled() {
    let cluster = Cluster::new().await;
    let (a, b) = (
        cluster.user("gateway-1").await,
        cluster.user("gateway-2").await,
    );
    let mut author = a.connect().await;
    let mut witness = b.connect().await;
    let ack = author.say_acked("world", "a slip", "c1").await;
    let path = format!("/conversations/world/messages/{}", text(&ack["messageId"]));
    a.delete(&path).await.data();
    witness.expect("message-recalled").await;
    let mut late = b.connect().await;
    // Its gateway hands over what was just sent, and then what became of it.
    late.hears("a slip").await;
    late.expect("message-recalled").await;
}
