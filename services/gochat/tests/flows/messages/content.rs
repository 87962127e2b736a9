//! What a message may be.

use serde_json::{Value, json};

use crate::kit::{Reply, Server, User};

async fn send(user: &User, chat: &str, body: Value) -> Reply {
    user.post(&format!("/conversations/{chat}/messages"), body)
        .await
}

#[tokio::test]
async fn content_has_up_to_5000_characters_not_bytes() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    let longest = "😀".repeat(5000);
    a.say(&chat, &longest).await.data_with(201);
    a.say(&chat, &format!("{longest}x"))
        .await
        .refused(400, "MESSAGE_TOO_LARGE");
    let mut socket = a.connect().await;
    assert_eq!(
        socket.say_refused(&chat, &"x".repeat(5001), "c1").await,
        "MESSAGE_TOO_LARGE"
    );
    assert_eq!(socket.say_acked(&chat, &longest, "c2").await["seqId"], 2);
    assert_eq!(b.history_of(&chat, 2).await[1]["content"], longest);
}

#[tokio::test]
async fn an_empty_message_is_refused() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    a.say(&chat, "").await.refused(400, "MESSAGE_EMPTY");
    a.say(&chat, "  \n").await.refused(400, "MESSAGE_EMPTY");
    let mut socket = a.connect().await;
    assert_eq!(socket.say_refused(&chat, "", "c1").await, "MESSAGE_EMPTY");
}

#[tokio::test]
async fn clients_send_no_system_messages_and_no_unknown_types() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    for kind in [json!(4), json!("system"), json!(0), json!(7), json!(-1)] {
        let reply = send(&a, &chat, json!({"messageType": kind, "content": "x"})).await;
        reply.refused(400, "UNSUPPORTED_MESSAGE_TYPE");
    }
    let mut socket = a.connect().await;
    socket.send("send-message", json!({"conversationId": chat, "content": "x", "messageType": 4, "client_msg_id": "c1"})).await;
    assert_eq!(
        socket.expect("error").await["code"],
        "UNSUPPORTED_MESSAGE_TYPE"
    );
}

#[tokio::test]
async fn a_client_id_has_up_to_64_characters() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    a.say_as(&chat, "x", &"i".repeat(64)).await.data();
    a.say_as(&chat, "x", &"i".repeat(65))
        .await
        .refused(400, "INVALID_PARAMS");
}

#[tokio::test]
async fn extra_is_json_text_and_comes_back_as_it_was() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    let extra = "{ \"width\": 3 }";
    send(
        &a,
        &chat,
        json!({"messageType": 2, "content": "picture", "extra": extra}),
    )
    .await
    .data();
    assert_eq!(b.history_of(&chat, 1).await[0]["extra"], extra);
    let broken = json!({"messageType": 2, "content": "picture", "extra": "{"});
    send(&a, &chat, broken).await.refused(400, "INVALID_PARAMS");
}

#[tokio::test]
async fn missing_fields_are_refused() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    send(&a, &chat, json!({"messageType": 1}))
        .await
        .refused(400, "INVALID_PARAMS");
    send(&a, &chat, json!({"messageType": 1, "content": 5}))
        .await
        .refused(400, "INVALID_PARAMS");
}

#[tokio::test]
async fn any_text_survives() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    let odd = "\"quotes\" \\ back\\slash \u{0}\u{1f} \u{2028} émoji 👩‍👩‍👧‍👦 ''; DROP TABLE messages; -- \r\n\t end";
    let mut socket = b.connect().await;
    a.say(&chat, odd).await.data();
    assert_eq!(socket.hears(odd).await["content"], odd);
    assert_eq!(b.history_of(&chat, 1).await[0]["content"], odd);
}
