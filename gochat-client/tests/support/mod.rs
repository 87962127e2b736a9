//! A small server that speaks just enough of the contract, with faults on demand.

#![expect(
    clippy::unwrap_used,
    reason = "a support that fails is a test that fails"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use gochat_core::session::frame::{
    ChangedMessage, ClientFrame, MessageAck, MessageChanged, NewMessage, Quote, Sender, encode,
};
use gochat_core::session::wire::{Decoder, Item, Limits, Message, close, encode_text};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// What the server knows, and which faults are planned.
#[derive(Default)]
pub(crate) struct Model {
    /// (sender, client id, content) in order; the index is the seq minus one.
    pub(crate) log: Vec<(u64, String, String)>,
    /// Which message each `rev` is about; the index is the rev minus one.
    revs: Vec<u64>,
    /// Which message each message answers, by number.
    answers: BTreeMap<u64, u64>,
    /// Messages that were asked to be passed on.
    pub(crate) forwards: Vec<Value>,
    /// Requests for changes.
    pub(crate) catch_ups: usize,
    /// Tokens handed out; the number behind the last dash is the user.
    pub(crate) tokens: BTreeSet<String>,
    issued: u64,
    users: u64,
    pub(crate) refreshes: usize,
    pub(crate) handshakes: usize,
    /// So many acknowledgements are swallowed and their connection cut.
    pub(crate) swallow_acks: usize,
    /// Pushes are swallowed.
    pub(crate) swallow_pushes: bool,
    /// Rows are late: history is empty.
    pub(crate) hide_rows: bool,
    sockets: Vec<(u64, mpsc::UnboundedSender<Out>)>,
}

#[derive(Clone)]
pub(crate) enum Out {
    Frame(Vec<u8>),
    Close(u16),
}

#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) url: String,
    model: Arc<Mutex<Model>>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = Self {
            url,
            model: Arc::default(),
        };
        let serving = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serving.clone().serve(stream));
            }
        });
        server
    }

    pub(crate) fn model(&self) -> MutexGuard<'_, Model> {
        self.model.lock().unwrap()
    }

    /// Sends a close frame to every connection and forgets it.
    pub(crate) fn close_all(&self, code: u16) {
        for (_, socket) in self.model().sockets.drain(..) {
            let _ = socket.send(Out::Close(code));
        }
    }

    /// A message of somebody else.
    pub(crate) fn say(&self, content: &str) {
        let mut model = self.model();
        let seq = model.append(999, "", content);
        model.push(seq, None);
    }

    /// Somebody else edits a message.
    pub(crate) fn edit(&self, seq: u64, content: &str) {
        let mut model = self.model();
        model.log[seq as usize - 1].2 = content.to_owned();
        model.revs.push(seq);
        model.push_edit(seq);
    }

    async fn serve(self, mut stream: TcpStream) {
        let mut bytes = Vec::new();
        loop {
            let Some((head, body)) = read_request(&mut stream, &mut bytes).await else {
                return;
            };
            let line: Vec<&str> = head.lines().next().unwrap_or("").split(' ').collect();
            let token = head
                .lines()
                .find_map(|l| {
                    l.to_lowercase()
                        .starts_with("authorization: bearer ")
                        .then(|| l[22..].trim())
                })
                .unwrap_or("")
                .to_owned();
            let user = self.model().user_of(&token);
            if line[1].starts_with("/ws") {
                return self.websocket(stream, user).await;
            }
            let (status, answer) = self.model().answer(line[0], line[1], &body, user);
            let answer = answer.to_string();
            let text = format!(
                "HTTP/1.1 {status} X\r\ncontent-length: {}\r\ncontent-type: application/json\r\n\r\n{answer}",
                answer.len()
            );
            if stream.write_all(text.as_bytes()).await.is_err() {
                return;
            }
        }
    }

    async fn websocket(self, mut stream: TcpStream, user: Option<u64>) {
        self.model().handshakes += 1;
        let Some(user) = user else {
            let refusal = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n";
            let _ = stream.write_all(refusal).await;
            return;
        };
        let accept = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n";
        let (mut read, write) = stream.into_split();
        let (sender, receiver) = mpsc::unbounded_channel();
        sender.send(Out::Frame(accept.to_vec())).unwrap();
        self.model().sockets.push((user, sender.clone()));
        tokio::spawn(write_out(write, receiver));
        let (mut decoder, mut left) = (Decoder::new(), Vec::new());
        loop {
            let decoded = decoder.decode(&Limits::default(), &mut left).unwrap();
            let consumed = decoded.consumed;
            match decoded.item {
                Item::Message(Message::Text(text)) => self.handle(&text, user, &sender),
                Item::Message(_) => {}
                Item::Incomplete { .. } => {
                    left.drain(..consumed);
                    if !matches!(read.read_buf(&mut left).await, Ok(1..)) {
                        return;
                    }
                    continue;
                }
            }
            left.drain(..consumed);
        }
    }

    fn handle(&self, text: &str, user: u64, socket: &mpsc::UnboundedSender<Out>) {
        let Ok(ClientFrame::SendMessage(send)) = ClientFrame::parse(text) else {
            return;
        };
        let id = send.client_msg_id.unwrap();
        let mut model = self.model();
        let known = model
            .log
            .iter()
            .position(|(u, i, _)| (*u, &**i) == (user, &*id));
        let seq = match known {
            Some(at) => at as u64 + 1,
            None => {
                let seq = model.append(user, &id, &send.content);
                let answered = send.refers.and_then(|refers| refers.reply_to);
                if let Some(answered) = answered {
                    model.answers.insert(seq, answered.get() - 1000);
                }
                model.push(seq, Some(user));
                seq
            }
        };
        if model.swallow_acks > 0 {
            model.swallow_acks -= 1;
            let _ = socket.send(Out::Close(1001));
            return;
        }
        let ack = MessageAck {
            client_msg_id: id.clone(),
            message_id: (1000 + seq).to_string().into(),
            conversation_id: "world".into(),
            seq_id: seq,
            rev: model.first_rev(seq),
            status: "success".into(),
            created_at: 7,
            ..MessageAck::default()
        };
        let _ = socket.send(frame(|out| encode(&ack, 7, out)));
    }
}

async fn write_out(mut write: OwnedWriteHalf, mut receiver: mpsc::UnboundedReceiver<Out>) {
    while let Some(out) = receiver.recv().await {
        match out {
            Out::Frame(bytes) => {
                let _ = write.write_all(&bytes).await;
            }
            Out::Close(code) => {
                let _ = write.write_all(close(code, "").as_bytes()).await;
                return;
            }
        }
    }
}

async fn read_request(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<(String, Value)> {
    loop {
        if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
            let length = head
                .lines()
                .find_map(|l| {
                    l.to_lowercase()
                        .strip_prefix("content-length: ")
                        .map(str::to_owned)
                })
                .map_or(0, |n| n.trim().parse().unwrap());
            if bytes.len() >= end + 4 + length {
                let body = serde_json::from_slice(&bytes[end + 4..end + 4 + length]);
                bytes.drain(..end + 4 + length);
                return Some((head, body.unwrap_or(Value::Null)));
            }
        }
        if stream.read_buf(bytes).await.ok()? == 0 {
            return None;
        }
    }
}

fn frame(write: impl FnOnce(&mut Vec<u8>)) -> Out {
    let (mut json, mut out) = (Vec::new(), Vec::new());
    write(&mut json);
    encode_text(&json, &mut out);
    Out::Frame(out)
}

impl Model {
    fn append(&mut self, sender: u64, id: &str, content: &str) -> u64 {
        self.log.push((sender, id.to_owned(), content.to_owned()));
        self.revs.push(self.log.len() as u64);
        self.log.len() as u64
    }

    fn first_rev(&self, seq: u64) -> u64 {
        1 + self.revs.iter().position(|s| *s == seq).unwrap() as u64
    }

    fn last_rev(&self, seq: u64) -> u64 {
        1 + self.revs.iter().rposition(|s| *s == seq).unwrap() as u64
    }

    fn push_edit(&self, seq: u64) {
        if self.swallow_pushes {
            return;
        }
        let id = (1000 + seq).to_string();
        let edit = MessageChanged {
            conversation_id: "world".into(),
            message_id: id.as_str().into(),
            seq_id: seq,
            rev: self.last_rev(seq),
            kind: "edited".into(),
            operator_id: "999".into(),
            message: ChangedMessage {
                id: id.as_str().into(),
                content: Some(self.log[seq as usize - 1].2.as_str().into()),
                edit_count: 1,
                ..ChangedMessage::default()
            },
            ..MessageChanged::default()
        };
        let out = frame(|out| encode(&edit, 7, out));
        for (_, socket) in &self.sockets {
            let _ = socket.send(out.clone());
        }
    }

    fn row(&self, seq: u64) -> Value {
        let (sender, id, content) = &self.log[seq as usize - 1];
        let edits = self.revs.iter().filter(|s| **s == seq).count() - 1;
        let mut row = json!({
            "id": (1000 + seq).to_string(), "conversationId": "world", "seqId": seq,
            "senderId": sender.to_string(), "messageType": 1, "content": content,
            "clientMsgId": id, "createdAt": 7, "rev": self.last_rev(seq), "editCount": edits,
        });
        if let Some(answered) = self.answers.get(&seq) {
            let (author, _, content) = &self.log[*answered as usize - 1];
            let is_edited = self.revs.iter().filter(|s| *s == answered).count() > 1;
            row["replyTo"] = json!({
                "messageId": (1000 + answered).to_string(), "seqId": answered,
                "senderId": author.to_string(), "messageType": 1, "excerpt": content,
                "state": if is_edited { "edited" } else { "normal" },
            });
        }
        row
    }

    fn push(&self, seq: u64, except: Option<u64>) {
        if self.swallow_pushes {
            return;
        }
        let (sender, id, content) = &self.log[seq as usize - 1];
        // What the quoted message says isn't in the database yet.
        let quote = self.answers.get(&seq).map(|answered| Quote {
            message_id: (1000 + answered).to_string().into(),
            seq_id: *answered,
            sender_id: self.log[*answered as usize - 1].0.to_string().into(),
            state: "normal".into(),
            ..Quote::default()
        });
        let message = NewMessage {
            reply_to: quote,
            id: (1000 + seq).to_string().into(),
            conversation_id: "world".into(),
            sender: Sender {
                id: sender.to_string().into(),
                ..Sender::default()
            },
            content: content.as_str().into(),
            message_type: 1,
            seq_id: seq,
            rev: self.first_rev(seq),
            client_msg_id: id.as_str().into(),
            created_at: 7,
            ..NewMessage::default()
        };
        let out = frame(|out| encode(&message, 7, out));
        for (_, socket) in self
            .sockets
            .iter()
            .filter(|(user, _)| Some(*user) != except)
        {
            let _ = socket.send(out.clone());
        }
    }

    fn user_of(&self, token: &str) -> Option<u64> {
        let known = self.tokens.contains(token);
        known.then(|| token.rsplit('-').next().unwrap().parse().unwrap())
    }

    fn issue(&mut self, user: u64) -> Value {
        self.issued += 1;
        let access = format!("access-{}-{user}", self.issued);
        self.tokens.insert(access.clone());
        json!({
            "accessToken": access, "refreshToken": format!("refresh-{user}"), "expiresIn": 1,
            "user": { "id": user.to_string(), "username": format!("user{user}"), "isGuest": true, "createdAt": 1 },
        })
    }

    fn answer(
        &mut self,
        method: &str,
        path: &str,
        body: &Value,
        user: Option<u64>,
    ) -> (u16, Value) {
        let ok = |data: Value| {
            (
                200,
                json!({ "success": true, "message": "ok", "data": data }),
            )
        };
        let refuse = |status, code: &str| {
            (
                status,
                json!({ "success": false, "message": "no", "code": code }),
            )
        };
        match (method, path) {
            ("POST", "/api/auth/guest") => {
                self.users += 1;
                let user = self.users;
                ok(self.issue(user))
            }
            ("POST", "/api/auth/login") if body["password"] == "right" => ok(self.issue(50)),
            ("POST", "/api/auth/login") => refuse(401, "AUTH_INVALID_CREDENTIALS"),
            ("POST", "/api/auth/refresh") => {
                self.refreshes += 1;
                let refresh = body["refreshToken"].as_str().unwrap();
                let user = refresh.rsplit('-').next().unwrap().parse().unwrap();
                ok(self.issue(user))
            }
            _ if user.is_none() => refuse(401, "TOKEN_EXPIRED"),
            ("POST", "/api/conversations/world/messages") => {
                let id = body["client_msg_id"].as_str().unwrap();
                let content = body["content"].as_str().unwrap_or("passed on");
                let seq = self.append(user.unwrap(), id, content);
                if let Some(answered) = body["replyTo"].as_str() {
                    let answered: u64 = answered.parse().unwrap();
                    self.answers.insert(seq, answered - 1000);
                }
                let mut row = self.row(seq);
                for name in ["mentions", "mentionAll"] {
                    if !body[name].is_null() {
                        row[name] = body[name].clone();
                    }
                }
                if !body["forwardedFrom"].is_null() {
                    self.forwards.push(body.clone());
                    row["forwardedFrom"] = json!({
                        "messageId": body["forwardedFrom"]["messageId"],
                        "senderId": "999", "senderName": "ann",
                    });
                }
                ok(row)
            }
            ("GET", path) if path.starts_with("/api/conversations?") => ok(json!({
                "conversations": [{ "id": "world", "type": 3, "memberCount": 2, "updatedAt": 1,
                    "lastSeqId": self.log.len(), "lastRev": self.revs.len(), "unreadCount": 2, "unreadMentions": 1 }],
                "hasMore": false,
            })),
            ("GET", path) if path.starts_with("/api/conversations/world/messages") => {
                let after = path.split("after_seq=").nth(1).unwrap();
                let after: usize = after.split('&').next().unwrap().parse().unwrap();
                let rows = if self.hide_rows { 0 } else { self.log.len() };
                let rows = (after..rows).map(|at| self.row(at as u64 + 1));
                ok(json!({ "messages": rows.collect::<Vec<_>>(), "hasMore": false }))
            }
            ("GET", path) if path.starts_with("/api/conversations/world/changes") => {
                self.catch_ups += 1;
                let after = path.split("after_rev=").nth(1).unwrap();
                let after: u64 = after.split('&').next().unwrap().parse().unwrap();
                let head = if self.hide_rows {
                    after
                } else {
                    self.revs.len() as u64
                };
                let mut changed: Vec<u64> = (1..=self.log.len() as u64).collect();
                changed.retain(|seq| (after + 1..=head).contains(&self.last_rev(*seq)));
                changed.sort_by_key(|seq| self.last_rev(*seq));
                let rows: Vec<Value> = changed.iter().map(|seq| self.row(*seq)).collect();
                ok(json!({
                    "messages": rows, "completeTo": head, "headRev": self.revs.len(), "hasMore": false,
                }))
            }
            _ => refuse(404, "NOT_FOUND"),
        }
    }
}
