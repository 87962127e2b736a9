//! Messages from clients: what each does. Nothing here waits: work that takes time is handed to
//! bounded queues, and a full queue is an answer.

use std::sync::Arc;

use bytes::Bytes;
use gochat_core::error::{Error, ErrorCode};
use gochat_core::message::ChangeKind;
use gochat_core::session::frame::{
    Authenticated, ClientFrame, Forward, FrameError, Pong, SendMessage,
};
use gochat_core::session::machine::CloseCode;
use gochat_core::session::wire::{self, Message, WireError};
use metrics::counter;

use super::conn::Conn;
use crate::clock;
use crate::frames;
use crate::metrics as names;
use crate::state::{self, Gw};
use crate::typing;
use crate::upstream::{self, Origin};

/// Handles one accepted message.
pub(super) fn handle(gw: &Gw, conn: &Arc<Conn>, message: Message<'_>) {
    match message {
        Message::Text(text) => match ClientFrame::parse(&text) {
            Ok(frame) => act(gw, conn, frame),
            Err(refusal) => answer(gw, conn, &refusal),
        },
        Message::Binary(_) => answer(gw, conn, &ErrorCode::InvalidMessage.into()),
        Message::Ping(payload) => {
            gw.send(
                conn,
                &Bytes::copy_from_slice(wire::pong(payload).as_bytes()),
            );
        }
        Message::Pong(_) | Message::Close(_) => {}
    }
}

fn act(gw: &Gw, conn: &Arc<Conn>, frame: ClientFrame<'_>) {
    let kind = match &frame {
        ClientFrame::SendMessage(_) => "send-message",
        ClientFrame::Change(change) => match change.kind {
            ChangeKind::Edit => "edit-message",
            ChangeKind::Recall => "recall-message",
            ChangeKind::React | ChangeKind::Unreact => "react",
            ChangeKind::Pin => "pin-message",
            ChangeKind::Unpin => "unpin-message",
        },
        ClientFrame::Ping => "ping",
        ClientFrame::MarkRead { .. } => "mark-read",
        ClientFrame::Typing(_) => "typing",
        ClientFrame::StopTyping(_) => "stop-typing",
        ClientFrame::Authenticate(_) => "authenticate",
    };
    counter!(names::WS_FRAMES, "type" => kind).increment(1);
    match frame {
        ClientFrame::SendMessage(message) => {
            let id = message.client_msg_id.as_deref().map(str::to_owned);
            if let Some(source) = message.forward {
                return pass_on(gw, conn, message, source, id);
            }
            let accepted = upstream::accept(gw, origin(conn), message, upstream::new_trace());
            refuse(gw, conn, accepted, id);
        }
        ClientFrame::Change(change) => {
            let id = change.client_msg_id.as_deref().map(str::to_owned);
            let accepted = upstream::accept_change(gw, origin(conn), change, upstream::new_trace());
            refuse(gw, conn, accepted, id);
        }
        ClientFrame::Ping => {
            gw.send(conn, &frames::frame(&Pong {}, clock::now_s()));
        }
        ClientFrame::MarkRead {
            conversation_id,
            seq_id,
        } => {
            state::mark_read(gw, conn, conversation_id, seq_id);
        }
        ClientFrame::Typing(conversation) => typing::note(gw, conn, conversation, true),
        ClientFrame::StopTyping(conversation) => typing::note(gw, conn, conversation, false),
        ClientFrame::Authenticate(token) => authenticate(gw, conn, &token.0),
    }
}

/// Passes a message on, once it was read where it stands: messages that are sent meanwhile may come
/// before it. The work is bounded by the rate of frames.
fn pass_on(
    gw: &Gw,
    conn: &Arc<Conn>,
    message: SendMessage<'_>,
    source: Forward,
    id: Option<String>,
) {
    let (gw, conn) = (gw.clone(), conn.clone());
    let message = SendMessage {
        content: "".into(),
        client_msg_id: id.clone().map(Into::into),
        extra: None,
        ..message
    };
    tokio::spawn(async move {
        let trace = upstream::new_trace();
        let passed = upstream::accept_forward(&gw, origin(&conn), message, source, trace).await;
        refuse(&gw, &conn, passed.map(drop), id);
    });
}

/// Lets the connection live as long as a newer token of its own session. A token that is refused
/// changes nothing. The work is bounded by the rate of frames.
fn authenticate(gw: &Gw, conn: &Arc<Conn>, token: &str) {
    let (gw, conn, token) = (gw.clone(), conn.clone(), token.to_owned());
    tokio::spawn(async move {
        let identity = gw.identify(&token).await.and_then(|identity| {
            gw.revocations.check(&identity)?;
            Ok(identity)
        });
        match identity {
            Ok(identity) if conn.extend(&identity) => {
                let expires_at = conn.expires_at();
                let told = frames::frame(&Authenticated { expires_at }, clock::now_s());
                gw.send(&conn, &told);
            }
            Ok(_) => answer(&gw, &conn, &ErrorCode::InvalidToken.into()),
            Err(error) => answer(&gw, &conn, &error.into()),
        }
    });
}

fn origin(conn: &Conn) -> Origin {
    Origin {
        user: conn.user(),
        conn_id: conn.id(),
    }
}

/// Tells the client of a message or change that was not accepted.
fn refuse(gw: &Gw, conn: &Arc<Conn>, accepted: Result<(), Error>, id: Option<String>) {
    if let Err(error) = accepted {
        let client_msg_id = id.filter(|id| !id.is_empty());
        let refusal = FrameError {
            error,
            client_msg_id,
        };
        answer(gw, conn, &refusal);
    }
}

/// Answers a message that came too fast. A refused send names its client id, so it has to be parsed.
pub(super) fn refuse_message(gw: &Gw, conn: &Arc<Conn>, message: &Message<'_>) {
    let Message::Text(text) = message else { return };
    let client_msg_id = match ClientFrame::parse(text) {
        Ok(ClientFrame::SendMessage(message)) => message.client_msg_id.map(|id| id.into_owned()),
        Ok(ClientFrame::Change(change)) => change.client_msg_id.map(|id| id.into_owned()),
        Ok(_) => None,
        Err(refusal) => refusal.client_msg_id,
    };
    answer(
        gw,
        conn,
        &FrameError {
            error: ErrorCode::RateLimited.into(),
            client_msg_id,
        },
    );
}

/// The bytes are not WebSocket, or beyond a limit: says so and closes.
pub(super) fn refuse_stream(gw: &Gw, conn: &Arc<Conn>, error: WireError) {
    let code = error.close_code();
    let last_words = (code == CloseCode::TooBig)
        .then(|| frames::error(&Error::from(ErrorCode::MessageTooLarge), None));
    gw.close_with(conn, code, last_words.as_ref(), "protocol");
    tracing::debug!(conn = conn.id(), user = %conn.user(), %error, "closing a connection");
}

fn answer(gw: &Gw, conn: &Arc<Conn>, refusal: &FrameError) {
    gw.send(
        conn,
        &frames::error(&refusal.error, refusal.client_msg_id.as_deref()),
    );
}
