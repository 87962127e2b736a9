//! Other spellings the contract accepts.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::kit::{Server, User, list};

#[tokio::test]
async fn api_v1_is_the_same_as_api() {
    let server = Server::shared().await;
    let user = server.user().await;
    let old = user.get("/api/v1/users/profile").await.data_with(200);
    assert_eq!(old, user.get("/api/users/profile").await.data());
}

#[tokio::test]
async fn the_page_size_has_four_names() {
    let server = Server::shared().await;
    let [owner, a] = server.users().await;
    let group = owner.group("sizes", &[&a]).await;
    for name in ["size", "pageSize", "page_size", "limit"] {
        let data = owner
            .get(&format!("/conversations/{group}/members?{name}=1"))
            .await
            .data();
        assert_eq!(list(&data["members"]).len(), 1, "{name}");
    }
}

#[tokio::test]
async fn members_have_four_names_and_a_target_means_a_single_chat() {
    let server = Server::shared().await;
    let [user, peer] = server.users().await;
    for name in ["members", "memberIds", "member_ids", "user_ids"] {
        let data = user
            .post(
                "/conversations",
                json!({"type": 2, "name": name, name: [peer.id]}),
            )
            .await
            .data();
        assert_eq!(data["memberCount"], 2, "{name}");
    }
    let single = user
        .post("/conversations", json!({"targetUserId": peer.id}))
        .await
        .data_with(201);
    assert_eq!(single["type"], 1);
}

async fn send(user: &User, chat: &str, headers: &[(&str, &str)], body: Value) -> Value {
    let bearer = format!("Bearer {}", user.token);
    let mut all = vec![("authorization", bearer.as_str())];
    all.extend_from_slice(headers);
    let path = format!("/api/conversations/{chat}/messages");
    user.http
        .raw("POST", &path, &all, Bytes::from(body.to_string()))
        .await
        .data_with(201)
}

#[tokio::test]
async fn a_client_id_has_three_names_and_a_header() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    let first = a.say_as(&chat, "once", "same-id").await.data();
    assert_eq!(first["clientMsgId"], "same-id");
    for name in ["client_msg_id", "clientMsgId", "tempMessageId"] {
        let body = json!({"messageType": 1, "content": "once", name: "same-id"});
        assert_eq!(
            send(&a, &chat, &[], body).await["id"],
            first["id"],
            "{name}"
        );
    }
    let body = json!({"messageType": 1, "content": "once"});
    let again = send(&a, &chat, &[("x-idempotency-key", "same-id")], body).await;
    assert_eq!(again["id"], first["id"]);
}

#[tokio::test]
async fn a_message_type_may_be_a_name() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    for (name, number) in [
        ("text", 1),
        ("image", 2),
        ("file", 3),
        ("voice", 5),
        ("video", 6),
    ] {
        let message = send(&a, &chat, &[], json!({"messageType": name, "content": "x"})).await;
        assert_eq!(message["messageType"], number, "{name}");
    }
}

#[tokio::test]
async fn socket_frames_have_snake_case_aliases() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    let mut socket = a.connect().await;
    for (i, name) in ["client_msg_id", "clientMsgId", "tempMessageId"]
        .into_iter()
        .enumerate()
    {
        let id = format!("alias-{i}");
        let data =
            json!({"conversation_id": chat, "message_type": "text", "content": "hi", name: id});
        socket.send("send-message", data).await;
        let ack = socket.acked(&id).await;
        assert_eq!(ack["clientMsgId"], id);
    }
    let mut reader = b.connect().await;
    reader
        .send("mark-read", json!({"conversation_id": chat, "seq_id": 3}))
        .await;
    b.unread_becomes(&chat, 0).await;
}

#[tokio::test]
async fn a_frame_may_carry_fields_nobody_knows() {
    let server = Server::shared().await;
    let user = server.user().await;
    let mut socket = user.connect().await;
    socket
        .send_text(r#"{"type":"ping","message_id":"m-1","timestamp":17,"mood":"good"}"#)
        .await;
    socket.expect("pong").await;
}
