//! Sending again under the same client id.

use crate::kit::{Server, text};

#[tokio::test]
async fn replaying_a_client_id_returns_the_first_ack() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    let mut socket = a.connect().await;
    let first = socket.say_acked(&chat, "once", "c1").await;
    let again = socket.say_acked(&chat, "once", "c1").await;
    for field in ["messageId", "seqId", "createdAt"] {
        assert_eq!(first[field], again[field], "{field}");
    }
    assert_eq!(socket.say_acked(&chat, "next", "c2").await["seqId"], 2);
}

#[tokio::test]
async fn a_replay_over_http_or_from_another_device_is_the_same_message() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    let (mut phone, mut laptop) = (
        a.connect_device("phone").await,
        a.connect_device("laptop").await,
    );
    let first = phone.say_acked(&chat, "once", "c1").await;
    let elsewhere = laptop.say_acked(&chat, "once", "c1").await;
    let by_http = a.say_as(&chat, "once", "c1").await.data_with(201);
    assert_eq!(
        (&elsewhere["messageId"], &elsewhere["seqId"]),
        (&first["messageId"], &first["seqId"])
    );
    assert_eq!(
        (&by_http["id"], &by_http["seqId"]),
        (&first["messageId"], &first["seqId"])
    );
}

#[tokio::test]
async fn a_replay_is_stored_and_pushed_once() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    let (mut author, mut reader) = (a.connect().await, b.connect().await);
    for _ in 0..5 {
        author.say(&chat, "once", "c1").await;
    }
    author.say_acked(&chat, "last", "c2").await;
    reader.hears("last").await;
    let heard = reader.drain("new-message").await;
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert_eq!(b.history_of(&chat, 2).await.len(), 2);
    let acks = author.drain("message-ack").await;
    assert_eq!(acks.len(), 5, "every attempt is answered: {acks:?}");
}

#[tokio::test]
async fn a_replay_with_another_text_is_answered_with_the_original() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    a.say_as(&chat, "the original", "c1").await.data();
    let replay = a.say_as(&chat, "something else", "c1").await.data_with(201);
    assert_eq!(replay["seqId"], 1);
    assert_eq!(replay["content"], "the original");
    let stored = b.history_of(&chat, 1).await;
    assert_eq!(
        (stored.len(), text(&stored[0]["content"])),
        (1, "the original".to_owned())
    );
}

#[tokio::test]
async fn a_client_id_is_the_author_s_own_and_the_conversation_s_own() {
    let server = Server::shared().await;
    let [a, b, c] = server.users().await;
    let (with_b, with_c) = (a.chat_with(&b).await, a.chat_with(&c).await);
    let first = a.say_as(&with_b, "mine", "same").await.data();
    let peers = b.say_as(&with_b, "mine too", "same").await.data();
    let other = a.say_as(&with_c, "elsewhere", "same").await.data();
    assert_eq!(
        (
            first["seqId"].as_i64(),
            peers["seqId"].as_i64(),
            other["seqId"].as_i64()
        ),
        (Some(1), Some(2), Some(1))
    );
}

#[tokio::test]
async fn a_refused_message_may_be_sent_again_under_its_id() {
    let server = Server::shared().await;
    let [a, b, c] = server.users().await;
    let group = b.group("later", &[&c]).await;
    a.say_as(&group, "let me in", "c1")
        .await
        .refused(403, "NOT_CONVERSATION_MEMBER");
    b.post(
        &format!("/conversations/{group}/members"),
        serde_json::json!({"members": [a.id]}),
    )
    .await
    .data();
    assert_eq!(a.say_as(&group, "let me in", "c1").await.data()["seqId"], 1);
}
