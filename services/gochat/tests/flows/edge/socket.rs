//! The socket itself: handshake, ping, errors, sizes, heartbeat.

use fastwebsockets::{Frame, Payload};
use serde_json::json;

use crate::kit::{Server, Socket, now};

#[tokio::test]
async fn without_a_valid_token_there_is_no_upgrade() {
    let server = Server::shared().await;
    let base = server.http().base().to_owned();
    for query in ["", "token=", "token=nonsense"] {
        assert_eq!(Socket::open(&base, query).await.err(), Some(401), "{query}");
    }
}

#[tokio::test]
async fn the_token_may_come_in_the_header() {
    let server = Server::shared().await;
    let user = server.user().await;
    let bearer = format!("Bearer {}", user.token);
    let mut socket = Socket::open_with(server.http().base(), "", Some(&bearer))
        .await
        .ok()
        .unwrap();
    socket.flush().await;
}

#[tokio::test]
async fn a_ping_is_answered_with_the_servers_time() {
    let server = Server::shared().await;
    let mut socket = server.user().await.connect().await;
    socket.send_text(r#"{"type":"ping"}"#).await;
    let pong = socket.expect_frame("pong").await;
    assert!(
        (pong["timestamp"].as_i64().unwrap() - now()).abs() < 60,
        "{pong}"
    );
}

#[tokio::test]
async fn what_can_not_be_understood_is_an_error_and_the_socket_stays() {
    let server = Server::shared().await;
    let mut socket = server.user().await.connect().await;
    for text in [
        "hello",
        "{}",
        "[1]",
        r#"{"type":"dance"}"#,
        r#"{"type":"send-message"}"#,
        r#"{"type":"mark-read","data":{}}"#,
    ] {
        socket.send_text(text).await;
        let error = socket.expect_frame("error").await;
        assert_eq!(error["data"]["code"], "INVALID_MESSAGE", "{text}: {error}");
        assert!(error["timestamp"].is_i64());
        assert!(!error["data"]["message"].as_str().unwrap().is_empty());
    }
    socket.flush().await;
}

#[tokio::test]
async fn a_message_beyond_one_mebibyte_is_an_error_and_the_end() {
    let server = Server::shared().await;
    let user = server.user().await;
    let mut socket = user.connect().await;
    let huge = format!(r#"{{"type":"ping","data":"{}"}}"#, "x".repeat(1 << 20));
    socket.send_text(&huge).await;
    assert_eq!(socket.expect("error").await["code"], "MESSAGE_TOO_LARGE");
    assert_eq!(socket.closed().await, 1009);
}

#[tokio::test]
async fn fragments_count_together() {
    let server = Server::shared().await;
    let user = server.user().await;
    let mut socket = user.connect().await;
    let piece = vec![b'x'; 300 << 10];
    let frame = |first: bool, last: bool| {
        let opcode = if first {
            fastwebsockets::OpCode::Text
        } else {
            fastwebsockets::OpCode::Continuation
        };
        Frame::new(last, opcode, None, Payload::Owned(piece.clone()))
    };
    for i in 0..5 {
        socket.send_raw(frame(i == 0, i == 4)).await;
    }
    assert_eq!(socket.closed().await, 1009);
}

#[tokio::test]
async fn a_fragmented_message_is_put_together() {
    let server = Server::shared().await;
    let mut socket = server.user().await.connect().await;
    let part = |text: &'static str, opcode, last| {
        Frame::new(last, opcode, None, Payload::Owned(text.as_bytes().to_vec()))
    };
    socket
        .send_raw(part(r#"{"type":"#, fastwebsockets::OpCode::Text, false))
        .await;
    socket
        .send_raw(part(
            r#""ping"}"#,
            fastwebsockets::OpCode::Continuation,
            true,
        ))
        .await;
    socket.expect("pong").await;
}

#[tokio::test]
async fn a_goodbye_is_answered() {
    let server = Server::shared().await;
    let mut socket = server.user().await.connect().await;
    socket.send_raw(Frame::close(1000, b"")).await;
    assert_eq!(socket.closed().await, 1000);
}

#[tokio::test]
async fn a_client_that_falls_silent_is_closed_with_4003_and_one_that_answers_pings_is_not() {
    let settings = [
        "gateway.websocket.ping_interval_s=1",
        "gateway.websocket.dead_after_s=6",
    ];
    let Some(server) = Server::with(&settings).await else {
        return;
    };
    let user = server.user().await;
    let mut lively = user.connect().await;
    let mut silent = user.connect().await;
    silent.fall_silent();
    assert_eq!(silent.closed().await, 4003);
    lively.flush().await;
}

#[tokio::test]
async fn a_message_without_a_client_id_gets_one() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    let mut socket = a.connect().await;
    socket
        .send(
            "send-message",
            json!({"conversationId": chat, "content": "hi", "messageType": 1}),
        )
        .await;
    let ack = socket.expect("message-ack").await;
    assert!(!ack["client_msg_id"].as_str().unwrap().is_empty());
    assert_eq!(ack["seqId"], 1);
}
