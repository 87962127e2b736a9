//! A WebSocket that keeps every frame it got until a test asks for it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use fastwebsockets::{FragmentCollectorRead, Frame, OpCode, Payload, WebSocketWrite};
use http_body_util::Empty;
use hyper::upgrade::Upgraded;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::io::WriteHalf;
use tokio::net::TcpStream;
use tokio::sync::{Mutex, mpsc};
use tokio::time::Instant;

use super::PATIENCE;

type Writer = Arc<Mutex<WebSocketWrite<WriteHalf<TokioIo<Upgraded>>>>>;

/// What arrived.
#[derive(Debug, Clone)]
enum Arrived {
    Frame(Value),
    Closed(u16),
}

/// An open socket. Answers pings by itself unless told to be silent.
pub struct Socket {
    write: Writer,
    silent: Arc<AtomicBool>,
    arrivals: mpsc::UnboundedReceiver<Arrived>,
    kept: VecDeque<Value>,
    closed: Option<u16>,
    reader: tokio::task::AbortHandle,
}

impl Socket {
    /// Connects; `Err` holds the status of a refused handshake.
    pub async fn open(base: &str, query: &str) -> Result<Self, u16> {
        Self::open_with(base, query, None).await
    }

    /// Connects with an `Authorization` header.
    pub async fn open_with(
        base: &str,
        query: &str,
        authorization: Option<&str>,
    ) -> Result<Self, u16> {
        let host = base.trim_start_matches("http://");
        let stream = TcpStream::connect(host).await.expect("the server listens");
        stream.set_nodelay(true).expect("nodelay");
        let mut request = hyper::Request::builder()
            .uri(format!("{base}/ws?{query}"))
            .header("host", host)
            .header("upgrade", "websocket")
            .header("connection", "upgrade")
            .header(
                "sec-websocket-key",
                fastwebsockets::handshake::generate_key(),
            )
            .header("sec-websocket-version", "13");
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        let request = request
            .body(Empty::<Bytes>::new())
            .expect("a valid request");
        let (mut socket, _) =
            match fastwebsockets::handshake::client(&TokioExecutor::new(), request, stream).await {
                Ok(done) => done,
                Err(fastwebsockets::WebSocketError::InvalidStatusCode(status)) => {
                    return Err(status);
                }
                Err(e) => panic!("handshake: {e}"),
            };
        socket.set_auto_close(false);
        socket.set_auto_pong(false);
        let (read, write) = socket.split(tokio::io::split);
        let write = Arc::new(Mutex::new(write));
        let silent = Arc::new(AtomicBool::new(false));
        let (tx, arrivals) = mpsc::unbounded_channel();
        let reader = tokio::spawn(read_all(
            FragmentCollectorRead::new(read),
            write.clone(),
            silent.clone(),
            tx,
        ));
        let reader = reader.abort_handle();
        Ok(Self {
            write,
            silent,
            arrivals,
            kept: VecDeque::new(),
            closed: None,
            reader,
        })
    }

    /// Answers no ping any more.
    pub fn fall_silent(&self) {
        self.silent.store(true, Ordering::Relaxed);
    }

    /// Sends a frame.
    pub async fn send(&mut self, kind: &str, data: Value) {
        self.send_text(&json!({"type": kind, "data": data}).to_string())
            .await;
    }

    /// Sends any text.
    pub async fn send_text(&mut self, text: &str) {
        self.send_raw(Frame::text(Payload::Owned(text.as_bytes().to_vec())))
            .await;
    }

    /// Sends any frame.
    pub async fn send_raw(&mut self, frame: Frame<'_>) {
        // The server may have closed already; what it said is in the arrivals.
        let _ = self.write.lock().await.write_frame(frame).await;
    }

    /// Says goodbye and waits for the server's.
    pub async fn close(mut self) {
        self.send_raw(Frame::close(1000, b"")).await;
        let _ = self.closed().await;
    }

    /// Sends a chat message.
    pub async fn say(&mut self, conversation: &str, text: &str, client_msg_id: &str) {
        let data = json!({
            "conversationId": conversation, "content": text, "messageType": 1, "client_msg_id": client_msg_id
        });
        self.send("send-message", data).await;
    }

    /// Sends a chat message and waits for its ack.
    pub async fn say_acked(
        &mut self,
        conversation: &str,
        text: &str,
        client_msg_id: &str,
    ) -> Value {
        self.say(conversation, text, client_msg_id).await;
        self.acked(client_msg_id).await
    }

    /// Waits for the ack of a message.
    pub async fn acked(&mut self, client_msg_id: &str) -> Value {
        self.expect_where("message-ack", |d| d["client_msg_id"] == client_msg_id)
            .await
    }

    /// Sends a chat message and waits for its refusal: the code.
    pub async fn say_refused(
        &mut self,
        conversation: &str,
        text: &str,
        client_msg_id: &str,
    ) -> String {
        self.say(conversation, text, client_msg_id).await;
        let error = self
            .expect_where("error", |d| d["details"]["client_msg_id"] == client_msg_id)
            .await;
        super::text(&error["code"])
    }

    /// The message with this text.
    pub async fn hears(&mut self, text: &str) -> Value {
        self.expect_where("new-message", |d| d["content"] == text)
            .await
    }

    /// `data` of the next frame of this type; others are kept.
    pub async fn expect(&mut self, kind: &str) -> Value {
        self.expect_where(kind, |_| true).await
    }

    /// `data` of the next frame of this type that fits; others are kept.
    pub async fn expect_where(&mut self, kind: &str, fits: impl Fn(&Value) -> bool) -> Value {
        match self.find_within(kind, &fits, PATIENCE).await {
            Some(data) => data,
            None => panic!(
                "no `{kind}` frame arrived; closed: {:?}; kept: {:?}",
                self.closed, self.kept
            ),
        }
    }

    /// `data` of the next `count` frames of this type, or of fewer when no more come: what arrived
    /// tells more about a failure than what didn't.
    pub async fn take(&mut self, kind: &str, count: usize) -> Vec<Value> {
        let mut taken = Vec::with_capacity(count);
        while taken.len() < count
            && let Some(data) = self.find_within(kind, &|_| true, PATIENCE).await
        {
            taken.push(data);
        }
        taken
    }

    /// `data` of a fitting frame, if one arrives within `wait`.
    pub async fn find_within(
        &mut self,
        kind: &str,
        fits: &impl Fn(&Value) -> bool,
        wait: Duration,
    ) -> Option<Value> {
        let deadline = Instant::now() + wait;
        loop {
            let place = self
                .kept
                .iter()
                .position(|f| f["type"] == kind && fits(&f["data"]));
            if let Some(place) = place {
                return self.kept.remove(place).map(|f| f["data"].clone());
            }
            if !self.take_one(deadline).await {
                return None;
            }
        }
    }

    /// Whole frame of the next of this type: with its `timestamp`.
    pub async fn expect_frame(&mut self, kind: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(place) = self.kept.iter().position(|f| f["type"] == kind) {
                return self.kept.remove(place).expect("found above");
            }
            assert!(
                self.take_one(deadline).await,
                "no `{kind}` frame arrived; kept: {:?}",
                self.kept
            );
        }
    }

    /// Everything of this type that has arrived: a ping is sent and answered first, so that whatever the
    /// server had queued for this socket before is here.
    pub async fn drain(&mut self, kind: &str) -> Vec<Value> {
        self.flush().await;
        let (wanted, kept) = self.kept.drain(..).partition(|f: &Value| f["type"] == kind);
        self.kept = kept;
        VecDeque::into_iter(wanted)
            .map(|f| f["data"].clone())
            .collect()
    }

    /// Waits until the server answered everything that was sent on this socket.
    pub async fn flush(&mut self) {
        self.send("ping", Value::Null).await;
        self.expect("pong").await;
    }

    /// Everything of this type that arrives until `deadline`, or until the socket is closed.
    pub async fn gather(&mut self, kind: &str, deadline: Instant) -> Vec<Value> {
        while self.take_one(deadline).await {}
        let (wanted, kept) = self.kept.drain(..).partition(|f: &Value| f["type"] == kind);
        self.kept = kept;
        VecDeque::into_iter(wanted)
            .map(|f| f["data"].clone())
            .collect()
    }

    /// Whether the server closed it, looked at for so long.
    pub async fn is_closed(&mut self, wait: Duration) -> bool {
        let deadline = Instant::now() + wait;
        while self.closed.is_none() && self.take_one(deadline).await {}
        self.closed.is_some()
    }

    /// Waits for the close and returns its code.
    pub async fn closed(&mut self) -> u16 {
        self.closed_within(PATIENCE).await
    }

    /// Waits so long for the close and returns its code.
    pub async fn closed_within(&mut self, wait: Duration) -> u16 {
        let deadline = Instant::now() + wait;
        while self.closed.is_none() {
            assert!(
                self.take_one(deadline).await || self.closed.is_some(),
                "the socket stayed open"
            );
        }
        self.closed.expect("the loop ended")
    }

    /// Takes one arrival in; false when there is none before the deadline, or no more will come.
    async fn take_one(&mut self, deadline: Instant) -> bool {
        match tokio::time::timeout_at(deadline, self.arrivals.recv()).await {
            Ok(Some(Arrived::Frame(frame))) => self.kept.push_back(frame),
            Ok(Some(Arrived::Closed(code))) => self.closed = Some(code),
            Ok(None) | Err(_) => return false,
        }
        true
    }
}

impl Drop for Socket {
    /// Vanishes without a goodbye, as clients do.
    fn drop(&mut self) {
        self.reader.abort();
    }
}

async fn read_all(
    mut read: FragmentCollectorRead<tokio::io::ReadHalf<TokioIo<Upgraded>>>,
    write: Writer,
    silent: Arc<AtomicBool>,
    tx: mpsc::UnboundedSender<Arrived>,
) {
    loop {
        let frame = read
            .read_frame::<_, std::io::Error>(&mut |_| async { Ok(()) })
            .await;
        let arrived = match frame {
            Ok(f) if f.opcode == OpCode::Text => {
                Arrived::Frame(serde_json::from_slice(&f.payload).expect("frames are JSON"))
            }
            Ok(f) if f.opcode == OpCode::Close => Arrived::Closed(close_code(&f.payload)),
            Ok(f) if f.opcode == OpCode::Ping => {
                if !silent.load(Ordering::Relaxed) {
                    let pong = Frame::pong(Payload::Owned(f.payload.to_vec()));
                    let _ = write.lock().await.write_frame(pong).await;
                }
                continue;
            }
            Ok(_) => continue,
            Err(_) => Arrived::Closed(1006),
        };
        let last = matches!(arrived, Arrived::Closed(_));
        if tx.send(arrived).is_err() || last {
            return;
        }
    }
}

fn close_code(payload: &[u8]) -> u16 {
    payload
        .get(..2)
        .map_or(1005, |b| u16::from_be_bytes([b[0], b[1]]))
}
