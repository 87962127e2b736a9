//! Who may not send, and where to.

use crate::kit::{Server, fresh_name};

#[tokio::test]
async fn a_stranger_neither_writes_nor_reads_a_single_chat() {
    let server = Server::shared().await;
    let [a, b, stranger] = server.users().await;
    let chat = a.chat_with(&b).await;
    a.say(&chat, "between us").await.data();
    stranger
        .say(&chat, "me too")
        .await
        .refused(403, "NOT_CONVERSATION_MEMBER");
    let mut socket = stranger.connect().await;
    assert_eq!(
        socket.say_refused(&chat, "me too", "c1").await,
        "NOT_CONVERSATION_MEMBER"
    );
    for path in ["messages", "members"] {
        let reply = stranger.get(&format!("/conversations/{chat}/{path}")).await;
        reply.refused(403, "NOT_CONVERSATION_MEMBER");
    }
    let detail = stranger.get(&format!("/conversations/{chat}")).await;
    assert!([403, 404].contains(&detail.status), "{}", detail.body);
    assert!(stranger.listed(&chat).await.is_none());
    assert_eq!(b.history_of(&chat, 1).await.len(), 1);
}

#[tokio::test]
async fn a_conversation_that_does_not_exist_is_not_found() {
    let server = Server::shared().await;
    let user = server.user().await;
    let mut socket = user.connect().await;
    for (i, id) in ["g_1234567890123", "s_1_2"].into_iter().enumerate() {
        let reply = user.say(id, "hello?").await;
        assert!([403, 404].contains(&reply.status), "{id}: {}", reply.body);
        let code = socket.say_refused(id, "hello?", &format!("c{i}")).await;
        assert!(
            ["CONVERSATION_NOT_FOUND", "NOT_CONVERSATION_MEMBER"].contains(&code.as_str()),
            "{id}: {code}"
        );
    }
    user.say("g_1234567890123", "hello?")
        .await
        .refused(404, "CONVERSATION_NOT_FOUND");
    user.get("/conversations/g_1234567890123/messages")
        .await
        .refused(404, "CONVERSATION_NOT_FOUND");
}

#[tokio::test]
async fn an_id_of_no_known_form_is_refused() {
    let server = Server::shared().await;
    let user = server.user().await;
    for id in ["nonsense", "g_", "g_x", "s_2_1", "s_1", "world2"] {
        let reply = user.get(&format!("/conversations/{id}")).await;
        assert!(
            [400, 404].contains(&reply.status),
            "{id}: {} {}",
            reply.status,
            reply.body
        );
    }
}

#[tokio::test]
async fn two_users_who_never_opened_a_chat_have_none() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let mut ids = [&a.id, &b.id].map(|id| id.parse::<u64>().unwrap());
    ids.sort_unstable();
    let id = format!("s_{}_{}", ids[0], ids[1]);
    a.get(&format!("/conversations/{id}/messages"))
        .await
        .refused(404, "CONVERSATION_NOT_FOUND");
    a.say(&id, "hello?")
        .await
        .refused(404, "CONVERSATION_NOT_FOUND");
}

#[tokio::test]
async fn a_conversation_with_oneself_with_nobody_or_with_a_ghost_is_refused() {
    let server = Server::shared().await;
    let [a, b, c] = server.users().await;
    let post = |body: serde_json::Value| a.post("/conversations", body);
    use serde_json::json;
    post(json!({"type": 1, "members": [a.id]}))
        .await
        .refused(400, "INVALID_PARAMS");
    post(json!({"type": 1, "members": []}))
        .await
        .refused(400, "INVALID_PARAMS");
    post(json!({"type": 1, "members": [b.id, c.id]}))
        .await
        .refused(400, "INVALID_PARAMS");
    post(json!({"type": 1, "members": ["1234567890"]}))
        .await
        .refused(404, "USER_NOT_FOUND");
    post(json!({"type": 1, "members": [fresh_name()]}))
        .await
        .refused(400, "INVALID_PARAMS");
    post(json!({"type": 3, "members": []}))
        .await
        .refused(400, "INVALID_PARAMS");
    post(json!({"type": 2, "members": [b.id]}))
        .await
        .refused(400, "INVALID_CONVERSATION_NAME");
}
