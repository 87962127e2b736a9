//! Rate limits: a flood is refused in a defined way and hurts nobody else.

use serde_json::json;

use crate::kit::{PASSWORD, Server, fresh_name};

#[tokio::test]
async fn too_many_logins_from_one_address_are_refused() {
    let settings = [
        "gateway.rates.disabled=false",
        "gateway.rates.login.rate=0.001",
        "gateway.rates.login.capacity=3",
    ];
    let Some(server) = Server::with(&settings).await else {
        return;
    };
    let account = json!({"username": fresh_name(), "password": PASSWORD});
    for _ in 0..3 {
        let reply = server
            .call("POST", "/auth/login", Some(account.clone()))
            .await;
        reply.refused(401, "AUTH_INVALID_CREDENTIALS");
    }
    server
        .call("POST", "/auth/login", Some(account))
        .await
        .refused(429, "RATE_LIMITED");
    assert_eq!(server.call("GET", "/health", None).await.status, 200);
}

#[tokio::test]
async fn a_flood_of_messages_is_refused_and_the_accepted_ones_arrive_without_a_gap() {
    let settings = [
        "gateway.rates.disabled=false",
        "gateway.rates.send.rate=0.001",
        "gateway.rates.send.capacity=5",
    ];
    let Some(server) = Server::with(&settings).await else {
        return;
    };
    let [a, b] = [server.user().await, server.user().await];
    let chat = a.chat_with(&b).await;
    let mut socket = a.connect().await;
    for i in 0..8 {
        socket.say(&chat, "flood", &format!("f{i}")).await;
    }
    for i in 0..5 {
        assert_eq!(socket.acked(&format!("f{i}")).await["seqId"], i + 1);
    }
    for i in 5..8 {
        let id = format!("f{i}");
        let error = socket
            .expect_where("error", |e| e["details"]["client_msg_id"] == id)
            .await;
        assert_eq!(error["code"], "RATE_LIMITED");
        assert_eq!(error["details"]["retryable"], true);
    }
    a.say(&chat, "by HTTP").await.refused(429, "RATE_LIMITED");
    b.say(&chat, "somebody else may").await.data();
    assert_eq!(b.history_of(&chat, 6).await.len(), 6);
}

#[tokio::test]
async fn the_world_chat_takes_few_messages_of_one_user() {
    let settings = [
        "gateway.rates.disabled=false",
        "gateway.rates.world_send.rate=0.001",
        "gateway.rates.world_send.capacity=2",
    ];
    let Some(server) = Server::with(&settings).await else {
        return;
    };
    let user = server.user().await;
    user.say("world", "one").await.data();
    user.say("world", "two").await.data();
    user.say("world", "three")
        .await
        .refused(429, "RATE_LIMITED");
}

#[tokio::test]
async fn a_socket_that_keeps_flooding_is_closed_with_4008() {
    let settings = [
        "gateway.rates.disabled=false",
        "gateway.websocket.rate=1",
        "gateway.websocket.burst=3",
        "gateway.websocket.max_refused=5",
    ];
    let Some(server) = Server::with(&settings).await else {
        return;
    };
    let mut socket = server.user().await.connect().await;
    for _ in 0..30 {
        socket.send_text(r#"{"type":"ping"}"#).await;
    }
    assert_eq!(socket.expect("error").await["code"], "RATE_LIMITED");
    assert_eq!(socket.closed().await, 4008);
}
