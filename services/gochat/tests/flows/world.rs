//! The world chat: everybody is in it.
//!
//! Other tests write there too, so texts and client ids are made unique and numbers are compared, not counted.

use crate::kit::{Server, fresh_name};

#[tokio::test]
async fn everybody_who_is_connected_hears_the_world() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let guest = server.guest().await;
    let mut author = a.connect_device("phone").await;
    let mut others = [
        a.connect_device("laptop").await,
        b.connect().await,
        guest.connect().await,
    ];
    let text = fresh_name();
    let ack = author.say_acked("world", &text, &text).await;
    for socket in &mut others {
        let heard = socket.hears(&text).await;
        assert_eq!(
            (&heard["id"], &heard["seqId"]),
            (&ack["messageId"], &ack["seqId"])
        );
        assert_eq!(heard["conversationId"], "world");
    }
    let own = author.drain("new-message").await;
    assert!(
        own.iter().all(|m| m["content"] != text),
        "the sending connection got its ack"
    );
}

#[tokio::test]
async fn the_world_counts_without_a_gap() {
    let Some(server) = Server::with(&[]).await else {
        return;
    };
    let [a, b] = server.users().await;
    let mut watcher = b.connect().await;
    let (mut one, mut two) = (a.connect().await, b.connect().await);
    for i in 0..20 {
        one.say("world", &format!("one {i}"), &format!("one-{i}"))
            .await;
        two.say("world", &format!("two {i}"), &format!("two-{i}"))
            .await;
    }
    for seq in 1..=40 {
        assert_eq!(watcher.expect("new-message").await["seqId"], seq);
    }
    assert_eq!(a.history_of("world", 40).await.len(), 40);
}

#[tokio::test]
async fn a_replay_in_the_world_is_one_message() {
    let server = Server::shared().await;
    let user = server.user().await;
    let text = fresh_name();
    let mut socket = user.connect().await;
    let first = socket.say_acked("world", &text, &text).await;
    let again = user.say_as("world", &text, &text).await.data();
    assert_eq!(
        (&again["id"], &again["seqId"]),
        (&first["messageId"], &first["seqId"])
    );
}

#[tokio::test]
async fn the_world_can_be_read_and_read_up_to() {
    let Some(server) = Server::with(&[]).await else {
        return;
    };
    let [a, b] = server.users().await;
    for i in 0..3 {
        a.say("world", &format!("news {i}")).await.data();
    }
    b.history_of("world", 3).await;
    let left = b
        .put("/conversations/world/read", serde_json::json!({"seqId": 2}))
        .await
        .data_with(200);
    assert_eq!(left["unreadCount"], 1);
    b.unread_becomes("world", 1).await;
}

#[tokio::test]
async fn nobody_lists_or_changes_the_members_of_the_world() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let add = a
        .post(
            "/conversations/world/members",
            serde_json::json!({"members": [b.id]}),
        )
        .await;
    assert!([400, 403].contains(&add.status), "{}", add.body);
    let leave = a
        .delete(&format!("/conversations/world/members/{}", a.id))
        .await;
    assert!([400, 403].contains(&leave.status), "{}", leave.body);
}
