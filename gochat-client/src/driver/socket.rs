//! The WebSocket: a handshake, a reader task, a writer task. The connection under it comes from the
//! connector that HTTP uses too.
//!
//! Reading a frame can't be interrupted without losing bytes, so the reader owns its half and
//! is never cancelled in the middle of a `select`.

use bytes::Bytes;
use fastwebsockets::{
    Frame, OpCode, Payload, Role, WebSocket, WebSocketError, WebSocketRead, WebSocketWrite,
};
use http::header::{
    AUTHORIZATION, CONNECTION, HOST, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE, USER_AGENT,
};
use http::{Request, StatusCode};
use http_body_util::Empty;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::Report;
use crate::address::push_escaped;
use crate::http::{Http, bearer, refusal_of};
use crate::net::failure;
use crate::{Error, ErrorKind, Refusal, Result};

/// Frames that may wait for the socket; the session has at most this many messages on their way.
const WRITES: usize = 2048;
/// Longest message the server may send, and the most parts it may come in.
const MAX_MESSAGE: usize = 4 << 20;
const MAX_FRAGMENTS: usize = 1024;

type Io = TokioIo<Upgraded>;

/// The writing end of a connection. Dropping it drops the connection.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(super) id: u64,
    writes: mpsc::Sender<Write>,
    reader: AbortHandle,
}

#[derive(Debug)]
struct Write {
    opcode: OpCode,
    payload: Vec<u8>,
}

impl Socket {
    /// Queues a text message; false when the connection is stuck or gone.
    pub(super) fn send(&self, text: String) -> bool {
        let write = Write {
            opcode: OpCode::Text,
            payload: text.into_bytes(),
        };
        self.writes.try_send(write).is_ok()
    }

    /// Says goodbye; the writer ends after it.
    pub(super) async fn close(self: Box<Self>) {
        let payload = 1000u16.to_be_bytes().to_vec();
        // A connection that is gone needs no goodbye.
        let _ = self.writes.try_send(Write {
            opcode: OpCode::Close,
            payload,
        });
        let wait = tokio::time::timeout(std::time::Duration::from_secs(1), self.writes.closed());
        let _ = wait.await;
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// Connects and starts the two tasks.
pub(super) async fn open(
    http: &Http,
    token: &str,
    device: &str,
    id: u64,
    report_to: mpsc::Sender<Report>,
) -> Result<Socket> {
    let opening = tokio::time::timeout(http.timeout, handshake(http, token, device));
    let io = opening
        .await
        .map_err(|_| Error::from(ErrorKind::Timeout))??;
    let mut socket = WebSocket::after_handshake(io, Role::Client);
    socket.set_max_message_size(MAX_MESSAGE);
    let (read, write) = socket.split(tokio::io::split);
    let (writes, queue) = mpsc::channel(WRITES);
    tokio::spawn(write_all(write, queue));
    let reader = tokio::spawn(read_all(read, id, writes.clone(), report_to)).abort_handle();
    Ok(Socket { id, writes, reader })
}

async fn handshake(http: &Http, token: &str, device: &str) -> Result<Io> {
    let bad = |error: http::Error| Error::with_source(ErrorKind::BadAnswer, error);
    let mut path = http.endpoint.socket_path();
    path.push_str("?device=");
    push_escaped(&mut path, device);
    // The token travels in a header: query strings end up in logs.
    let request = Request::get(path)
        .header(HOST, &http.endpoint.authority)
        .header(UPGRADE, "websocket")
        .header(CONNECTION, "upgrade")
        .header(SEC_WEBSOCKET_KEY, fastwebsockets::handshake::generate_key())
        .header(SEC_WEBSOCKET_VERSION, "13")
        .header(USER_AGENT, http.user_agent.clone())
        .header(AUTHORIZATION, bearer(token)?)
        .body(Empty::<Bytes>::new())
        .map_err(bad)?;
    let to = http::Uri::try_from(http.endpoint.base()).map_err(|error| bad(error.into()))?;
    let stream = http.connector.connect(to).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream)
        .await
        .map_err(failure)?;
    tokio::spawn(connection.with_upgrades());
    let response = sender.send_request(request).await.map_err(failure)?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        let status = response.status().as_u16();
        let sentence = format!("The server answered {status} to the WebSocket handshake.");
        return Err(Refusal::new(refusal_of(status), sentence).into());
    }
    let upgraded = hyper::upgrade::on(response).await;
    Ok(TokioIo::new(upgraded.map_err(failure)?))
}

async fn write_all(mut socket: WebSocketWrite<WriteHalf<Io>>, mut queue: mpsc::Receiver<Write>) {
    while let Some(write) = queue.recv().await {
        let last = write.opcode == OpCode::Close;
        let frame = Frame::new(true, write.opcode, None, Payload::Owned(write.payload));
        let mut written = socket.write_frame(frame).await;
        // TLS may hold the end of a frame back until it is told that no more follows.
        if written.is_ok() && (last || queue.is_empty()) {
            written = socket.flush().await;
        }
        // A failure to write shows up at the reader too, which reports it.
        if written.is_err() || last {
            return;
        }
    }
}

async fn read_all(
    mut socket: WebSocketRead<ReadHalf<Io>>,
    id: u64,
    writes: mpsc::Sender<Write>,
    report_to: mpsc::Sender<Report>,
) {
    let mut message = Assembly::default();
    let code = loop {
        let mut answer = |frame: Frame<'_>| {
            let write = Write {
                opcode: frame.opcode,
                payload: frame.payload.to_vec(),
            };
            let writes = writes.clone();
            async move { writes.send(write).await }
        };
        let report = match socket.read_frame(&mut answer).await {
            Ok(frame) => match frame.opcode {
                OpCode::Close => break close_code(&frame.payload),
                OpCode::Text | OpCode::Binary | OpCode::Continuation => match message.push(frame) {
                    Ok(Some(text)) => Report::Text { socket: id, text },
                    Ok(None) => Report::Alive { socket: id },
                    Err(TooLong) => break None,
                },
                OpCode::Ping | OpCode::Pong => Report::Alive { socket: id },
            },
            Err(error) => {
                if !matches!(error, WebSocketError::UnexpectedEOF) {
                    tracing::debug!(%error, "the connection broke");
                }
                break None;
            }
        };
        if report_to.send(report).await.is_err() {
            return;
        }
    };
    let _ = report_to.send(Report::Gone { socket: id, code }).await;
}

fn close_code(payload: &[u8]) -> Option<u16> {
    payload.first_chunk().map(|code| u16::from_be_bytes(*code))
}

/// A message in parts; GoChat sends none, a proxy may.
#[derive(Default)]
struct Assembly {
    bytes: Vec<u8>,
    fragments: usize,
}

struct TooLong;

impl Assembly {
    /// Gives the text once it is complete. What isn't text is dropped.
    fn push(&mut self, frame: Frame<'_>) -> Result<Option<String>, TooLong> {
        self.fragments += 1;
        if self.bytes.len() + frame.payload.len() > MAX_MESSAGE || self.fragments > MAX_FRAGMENTS {
            return Err(TooLong);
        }
        self.bytes.extend_from_slice(&frame.payload);
        if !frame.fin {
            return Ok(None);
        }
        self.fragments = 0;
        Ok(String::from_utf8(std::mem::take(&mut self.bytes)).ok())
    }
}
