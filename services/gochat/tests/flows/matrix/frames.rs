//! The handshake and the frames.

use gochat_core::message::ChangeKind;
use gochat_core::session::frame::ClientFrame;
use serde_json::{Value, json};

use super::cast::{ACTORS, BAD, Cast, Stage};
use crate::kit::{PATIENCE, Socket, User};

/// What a frame does, per actor: `ack`, `pong`, `moves` (the read pointer), `relayed`, `nothing`, or an error code.
#[rustfmt::skip]
const FRAMES: &[(&str, [&str; 6])] = &[
    //                guest                      stranger                   member     muted           admin      owner
    ("send-message", ["NOT_CONVERSATION_MEMBER", "NOT_CONVERSATION_MEMBER", "ack",     "MEMBER_MUTED", "ack",     "ack"]),
    // Of a message of the owner.
    ("edit-message",   ["NOT_CONVERSATION_MEMBER", "NOT_CONVERSATION_MEMBER", "NOT_THE_AUTHOR",          "MEMBER_MUTED",            "NOT_THE_AUTHOR", "ack"]),
    ("recall-message", ["NOT_CONVERSATION_MEMBER", "NOT_CONVERSATION_MEMBER", "INSUFFICIENT_PERMISSION", "INSUFFICIENT_PERMISSION", "ack",            "ack"]),
    ("react",          ["NOT_CONVERSATION_MEMBER", "NOT_CONVERSATION_MEMBER", "ack",                     "MEMBER_MUTED",            "ack",            "ack"]),
    ("pin-message",    ["NOT_CONVERSATION_MEMBER", "NOT_CONVERSATION_MEMBER", "INSUFFICIENT_PERMISSION", "MEMBER_MUTED",            "ack",            "ack"]),
    ("unpin-message",  ["NOT_CONVERSATION_MEMBER", "NOT_CONVERSATION_MEMBER", "INSUFFICIENT_PERMISSION", "MEMBER_MUTED",            "ack",            "ack"]),
    ("mark-read",    ["NOT_CONVERSATION_MEMBER", "NOT_CONVERSATION_MEMBER", "moves",   "moves",        "moves",   "moves"]),
    ("typing",       ["nothing",                 "nothing",                 "relayed", "relayed",      "relayed", "relayed"]),
    ("stop-typing",  ["nothing",                 "nothing",                 "relayed", "relayed",      "relayed", "relayed"]),
    // With a token of the connection's own session; sessions.rs in accounts shows the others.
    ("authenticate", ["extends",                 "extends",                 "extends", "extends",      "extends",  "extends"]),
    ("ping",         ["pong",                    "pong",                    "pong",    "pong",         "pong",    "pong"]),
];

/// The row of a frame. A new kind of frame does not compile until it is named here.
fn row_of(frame: &ClientFrame<'_>) -> &'static str {
    match frame {
        ClientFrame::SendMessage(_) => "send-message",
        ClientFrame::Change(change) => match change.kind {
            ChangeKind::Edit => "edit-message",
            ChangeKind::Recall => "recall-message",
            ChangeKind::React | ChangeKind::Unreact => "react",
            ChangeKind::Pin => "pin-message",
            ChangeKind::Unpin => "unpin-message",
        },
        ClientFrame::MarkRead { .. } => "mark-read",
        ClientFrame::Typing(_) => "typing",
        ClientFrame::StopTyping(_) => "stop-typing",
        ClientFrame::Authenticate(_) => "authenticate",
        ClientFrame::Ping => "ping",
    }
}

#[test]
fn every_frame_of_a_client_has_a_row() {
    let data = r#"{"conversationId":"world","seqId":1,"messageId":"1","content":"x","emoji":"👍","messageType":1,"token":"x"}"#;
    for (kind, _) in FRAMES {
        let text = format!(r#"{{"type":"{kind}","data":{data}}}"#);
        assert_eq!(row_of(&ClientFrame::parse(&text).unwrap()), *kind);
    }
}

#[tokio::test]
async fn a_socket_opens_for_good_tokens_only() {
    let Some(cast) = Cast::gather().await else {
        return;
    };
    let base = cast.server.http().base().to_owned();
    for (i, header) in cast.bad.iter().enumerate() {
        let by_header = Socket::open_with(&base, "", header.as_deref()).await.err();
        assert_eq!(by_header, Some(401), "{} in the header", BAD[i]);
        let token = header
            .as_deref()
            .and_then(|h| h.strip_prefix("Bearer "))
            .unwrap_or_default();
        let by_query = Socket::open(&base, &format!("token={token}")).await.err();
        assert_eq!(by_query, Some(401), "{} in the query", BAD[i]);
    }
    for actor in &cast.actors {
        actor.connect().await.flush().await;
    }
}

#[tokio::test]
async fn every_frame_does_for_every_caller_what_the_table_says() {
    let Some(cast) = Cast::gather().await else {
        return;
    };
    let mut wrong = Vec::new();
    for (kind, cells) in FRAMES {
        for (i, expected) in cells.iter().enumerate() {
            let stage = cast.stage().await;
            let outcome = outcome(&cast, &stage, kind, &cast.actors[i], expected).await;
            if outcome != *expected {
                wrong.push(format!(
                    "{kind} as {}: {outcome}, the table says {expected}",
                    ACTORS[i]
                ));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} cells differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

async fn outcome(cast: &Cast, stage: &Stage, kind: &str, actor: &User, expected: &str) -> String {
    let mut socket = actor.connect().await;
    let group = &stage.group;
    match kind {
        "ping" => {
            socket.flush().await;
            "pong".to_owned()
        }
        "authenticate" => {
            socket.send(kind, json!({"token": actor.token})).await;
            first_of(&mut socket, async || false, "authenticated", "extends").await
        }
        "send-message" => {
            socket.say(group, "hi", "c1").await;
            first_of(&mut socket, async || false, "message-ack", "ack").await
        }
        "edit-message" | "recall-message" | "react" | "pin-message" | "unpin-message" => {
            let wish = json!({
                "conversationId": group, "messageId": stage.message, "content": "x", "emoji": "👍", "client_msg_id": "c1",
            });
            socket.send(kind, wish).await;
            first_of(&mut socket, async || false, "change-ack", "ack").await
        }
        "mark-read" => {
            socket
                .send(kind, json!({"conversationId": group, "seqId": 1}))
                .await;
            let moved = async || {
                let detail = actor.get(&format!("/conversations/{group}")).await;
                detail.body["data"]["lastReadSeqId"] == 1
            };
            first_of(&mut socket, moved, "-", "moves").await
        }
        _ => typing(cast, stage, kind, &mut socket, actor, expected).await,
    }
}

/// Waits for a frame, an event or an error, whatever comes first.
async fn first_of(
    socket: &mut Socket,
    mut event: impl AsyncFnMut() -> bool,
    frame: &str,
    name: &str,
) -> String {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let step = std::time::Duration::from_millis(20);
    while tokio::time::Instant::now() < deadline {
        if let Some(error) = socket.find_within("error", &|_| true, step).await {
            return crate::kit::text(&error["code"]);
        }
        if socket.find_within(frame, &|_| true, step).await.is_some() || event().await {
            return name.to_owned();
        }
    }
    "no answer".to_owned()
}

async fn typing(
    cast: &Cast,
    stage: &Stage,
    kind: &str,
    socket: &mut Socket,
    actor: &User,
    expected: &str,
) -> String {
    let wanted = kind == "typing";
    let by = |user: &User| {
        let (id, group) = (user.id.clone(), stage.group.clone());
        move |d: &Value| {
            d["userId"] == id && d["conversationId"] == group && d["isTyping"] == wanted
        }
    };
    let mut watcher = cast.target.connect().await;
    let place = json!({"conversationId": stage.group});
    socket.send("typing", place.clone()).await;
    socket.send(kind, place.clone()).await;
    if expected == "relayed" {
        let seen = watcher
            .find_within("typing-indicator", &by(actor), PATIENCE)
            .await;
        return if seen.is_some() { "relayed" } else { "nothing" }.to_owned();
    }
    // Somebody who may be seen types afterwards.
    socket.flush().await;
    let mut fence = cast.owner().connect().await;
    fence.send("typing", place.clone()).await;
    fence.send(kind, place).await;
    watcher
        .expect_where("typing-indicator", by(cast.owner()))
        .await;
    let seen = watcher
        .drain("typing-indicator")
        .await
        .iter()
        .any(|d| d["userId"] == actor.id);
    if seen { "relayed" } else { "nothing" }.to_owned()
}
