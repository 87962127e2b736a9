//! Typing indicators.

use serde_json::{Value, json};

use crate::kit::{Server, Socket};

async fn typing(socket: &mut Socket, kind: &str, conversation: &str) {
    socket
        .send(kind, json!({"conversationId": conversation}))
        .await;
}

fn shows(on: bool) -> impl Fn(&Value) -> bool {
    move |d| d["isTyping"] == on
}

#[tokio::test]
async fn the_others_see_somebody_typing_and_stopping() {
    let server = Server::shared().await;
    let [a, b, c] = server.users().await;
    let group = a.group("typing", &[&b, &c]).await;
    let (mut author, mut of_b, mut of_c) =
        (a.connect().await, b.connect().await, c.connect().await);
    typing(&mut author, "typing", &group).await;
    for socket in [&mut of_b, &mut of_c] {
        let frame = socket.expect_where("typing-indicator", shows(true)).await;
        assert_eq!(
            (&frame["conversationId"], &frame["userId"]),
            (&json!(group), &json!(a.id))
        );
        assert_eq!(frame["username"], a.name);
    }
    typing(&mut author, "stop-typing", &group).await;
    for socket in [&mut of_b, &mut of_c] {
        socket.expect_where("typing-indicator", shows(false)).await;
    }
    assert!(author.drain("typing-indicator").await.is_empty());
}

#[tokio::test]
async fn typing_ends_by_itself() {
    let Some(server) = Server::with(&["gateway.presence.typing_expiry_ms=700"]).await else {
        return;
    };
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    let (mut author, mut reader) = (a.connect().await, b.connect().await);
    typing(&mut author, "typing", &chat).await;
    reader.expect_where("typing-indicator", shows(true)).await;
    reader.expect_where("typing-indicator", shows(false)).await;
}

#[tokio::test]
async fn typing_is_relayed_at_most_once_per_interval() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    let (mut author, mut reader) = (a.connect().await, b.connect().await);
    for _ in 0..10 {
        typing(&mut author, "typing", &chat).await;
    }
    typing(&mut author, "stop-typing", &chat).await;
    reader.expect_where("typing-indicator", shows(false)).await;
    let on = reader
        .drain("typing-indicator")
        .await
        .into_iter()
        .filter(shows(true))
        .count();
    assert_eq!(on, 1);
}

#[tokio::test]
async fn typing_and_stopping_in_turn_is_relayed_once_per_interval() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    let (mut author, mut reader) = (a.connect().await, b.connect().await);
    for n in 0..100 {
        let kind = ["typing", "stop-typing"][n % 2];
        typing(&mut author, kind, &chat).await;
    }
    // The last word is told at the end of the interval, and nothing in between.
    reader.expect_where("typing-indicator", shows(true)).await;
    reader.expect_where("typing-indicator", shows(false)).await;
    assert!(reader.drain("typing-indicator").await.is_empty());
}

#[tokio::test]
async fn a_stranger_s_typing_is_seen_by_nobody() {
    let server = Server::shared().await;
    let [a, b, stranger] = server.users().await;
    let chat = a.chat_with(&b).await;
    let (mut author, mut reader, mut outside) = (
        a.connect().await,
        b.connect().await,
        stranger.connect().await,
    );
    typing(&mut outside, "typing", &chat).await;
    outside.flush().await;
    typing(&mut author, "typing", &chat).await;
    let first = reader.expect("typing-indicator").await;
    assert_eq!(first["userId"], a.id);
    assert!(reader.drain("typing-indicator").await.is_empty());
}

#[tokio::test]
async fn nobody_types_in_the_world_chat() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    let (mut author, mut reader) = (a.connect().await, b.connect().await);
    typing(&mut author, "typing", "world").await;
    typing(&mut author, "typing", &chat).await;
    assert_eq!(
        reader.expect("typing-indicator").await["conversationId"],
        chat
    );
}

#[tokio::test]
async fn typing_leaves_no_trace_in_history() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    let (mut author, mut reader) = (a.connect().await, b.connect().await);
    typing(&mut author, "typing", &chat).await;
    reader.expect("typing-indicator").await;
    assert_eq!(author.say_acked(&chat, "typed", "c1").await["seqId"], 1);
    assert_eq!(b.history_of(&chat, 1).await.len(), 1);
}
