//! A plain client: sends, resends, leaves, comes back, and writes down what it is told.

mod changing;
mod deleting;

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use gochat_core::message::Refers;
use gochat_core::session::frame::{AccessToken, ClientFrame, SendMessage, ServerFrame};
use hyper::Method;
use rand::Rng as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use tokio::time::{interval, timeout};

use super::changes::{Own, Pen, Told};
use super::deletions::Known;
use super::load::{Control, Pace, Scene};
use super::observe::{Ack, Connection, Observed, Place, Row, Who};
use super::references::References;
use super::socket::Socket;
use crate::bench::Result;
use crate::bench::api::Account;

/// Time without an acknowledgement after which a message is sent again.
const RESEND: Duration = Duration::from_secs(5);
/// Messages without an answer after which a client says nothing new. A repeat must come while the server remembers its first
/// time (10,000 messages of the conversation): who piles up messages through a long outage repeats them too late.
pub(super) const BACKLOG: usize = 64;
/// HTTP requests under way of one client.
const ASKING: usize = 4;
/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

struct Client {
    who: Who,
    scene: Arc<Scene>,
    control: Arc<Control>,
    random: StdRng,
    places: Vec<Place>,
    observed: Observed,
    waiting: BTreeMap<String, Waiting>,
    made: u64,
    /// Highest number seen per conversation, to report as read.
    seen: BTreeMap<Place, u64>,
    /// HTTP requests under way: the socket is read meanwhile.
    asking: FuturesUnordered<Asking>,
    pace: Pace,
    pen: Pen,
}

type Asking = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// What an HTTP request led to.
enum Answer {
    Nothing,
    Sent {
        client_id: String,
        message_id: String,
        seq: u64,
        rev: u64,
    },
    Read(Place, u64),
    Changed {
        client_id: String,
        seq: u64,
        rev: u64,
    },
    /// A change was refused for good, with the code.
    NotChanged {
        client_id: String,
        code: String,
    },
    /// A page of changes.
    CaughtUp(Place, Value, Known),
    /// The deletion of a message for oneself was acknowledged, or refused with a code.
    Deleted(Place, u64, Option<String>),
    /// A conversation was cleared up to a place: the bound that holds now, or the code of a refusal.
    Cleared(Place, u64, Known, std::result::Result<u64, String>),
}

struct Waiting {
    place: Place,
    content: String,
    refers: Option<Box<Refers>>,
    sent: Instant,
}

/// Runs until the load ends and everything is acknowledged.
pub(super) async fn run(
    who: Who,
    scene: Arc<Scene>,
    control: Arc<Control>,
    pace: Pace,
    random: StdRng,
) -> Result<Observed> {
    let places = scene.places_of(who);
    let mut client = Client {
        who,
        scene,
        control,
        random,
        places,
        observed: Observed::default(),
        waiting: BTreeMap::new(),
        made: 0,
        seen: BTreeMap::new(),
        asking: FuturesUnordered::new(),
        pace,
        pen: Pen::default(),
    };
    while !client.is_done() {
        client.one_connection().await;
        let pause = client.random.random_range(1..200);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    while let Some(answer) = client.asking.next().await {
        client.take(answer);
    }
    client.control.writing.fetch_sub(1, Ordering::Relaxed);
    let unknown = client.waiting.keys().cloned().collect();
    client.observed.unknown = unknown;
    client.observed.changes.unknown = client.pen.waiting.keys().cloned().collect();
    Ok(client.observed)
}

impl Client {
    fn is_done(&self) -> bool {
        let quiet = self.control.quiet.load(Ordering::Relaxed);
        let answered = self.waiting.is_empty() && self.pen.waiting.is_empty();
        self.control.stop.load(Ordering::Relaxed) || (quiet && answered)
    }

    /// Connects, talks for a while, and leaves without a word.
    async fn one_connection(&mut self) {
        let account = self.scene.users[self.who].clone();
        let device = format!("check-{}", self.random.random_range(0..3));
        let scene = self.scene.clone();
        let gate = scene.gate(self.random.random_range(0..scene.gates.len()));
        let mut token = account.token();
        let opening = Socket::open(&gate.server, &token, &device);
        let Ok(Ok(mut socket)) = timeout(PATIENCE, opening).await else {
            return;
        };
        let mut seen = Connection {
            who: self.who,
            ..Connection::default()
        };
        // Every third client stays; the others come and go.
        let stays = self.who.is_multiple_of(3);
        let life = if stays {
            600_000
        } else {
            self.random.random_range(200..6000)
        };
        let opened = Instant::now();
        let leave = opened + Duration::from_millis(life);
        let mut tick = interval(Duration::from_secs_f64(1.0 / self.pace.rate.max(0.1)));
        if self.resend_all(&mut socket).await.is_ok() {
            while !self.is_done() && Instant::now() < leave {
                let going = tokio::select! {
                    text = socket.next() => text.map(|text| {
                        if opened.elapsed() >= self.pace.settling {
                            seen.settled.get_or_insert(seen.order.len());
                        }
                        self.handle(&text, &mut seen);
                    }),
                    Some(answer) = self.asking.next() => {
                        self.take(answer);
                        Ok(())
                    }
                    _ = tick.tick() => match renewed(&account, &mut socket, &mut token).await {
                        Ok(()) => self.act(&mut socket).await,
                        gone => gone,
                    },
                };
                if going.is_err() {
                    break;
                }
            }
        }
        self.observed.connections.push(seen);
    }

    /// One thing a person might do: say something, say it again, read.
    async fn act(&mut self, socket: &mut Socket) -> std::io::Result<()> {
        let overdue = self.waiting.iter().find(|(_, w)| w.sent.elapsed() > RESEND);
        if let Some(id) = overdue.map(|(id, _)| id.clone()) {
            return self.resend(&id, socket).await;
        }
        if let Some(id) = self.pen.overdue(RESEND) {
            return self.send_change(&id, true, socket).await;
        }
        let waiting = self.waiting.len() + self.pen.waiting.len();
        if self.control.quiet.load(Ordering::Relaxed) || waiting >= BACKLOG {
            return Ok(());
        }
        if self.random.random_bool(self.pace.changes) {
            return self.change(socket).await;
        }
        match self.random.random_range(0..20) {
            0 => self.read_something(),
            2 => self.catch_up(),
            3 => self.delete_something(),
            1 => {
                // A repetition nobody asked for: the server must recognise it.
                if let Some(id) = self.waiting.keys().next().cloned() {
                    self.resend(&id, socket).await?;
                }
            }
            _ => return self.say(socket).await,
        }
        Ok(())
    }

    async fn say(&mut self, socket: &mut Socket) -> std::io::Result<()> {
        self.made += 1;
        let place = self.places[self.random.random_range(0..self.places.len())];
        let id = format!("{:x}-{}-{}", self.scene.run, self.who, self.made);
        let content = format!("{} says number {} ü \"quoted\"", self.who, self.made);
        self.observed.sent.insert(id.clone(), content.clone());
        let refers = self.refer(place);
        if let Some(refers) = &refers {
            let wished = References::wished(Some(refers));
            self.observed.references.insert(id.clone(), wished);
        }
        let waiting = Waiting {
            place,
            content,
            refers: refers.map(Box::new),
            sent: Instant::now(),
        };
        let frame = self.frame(&id, &waiting, false);
        self.waiting.insert(id, waiting);
        socket.send(&frame).await
    }

    /// Answers a message that it knows of, or names members of a group, now and then.
    fn refer(&mut self, place: Place) -> Option<Refers> {
        let drawn = self.random.random_range(0..usize::MAX);
        let answered = match self.random.random_bool(0.2) {
            true => self.pen.choose_any(drawn, |known| known.place == place),
            false => None,
        };
        let reply_to = answered.and_then(|known| known.message_id.parse().ok());
        let (id, members) = &self.scene.places[place];
        let names = id.starts_with("g_") && self.random.random_bool(0.1);
        let named = members.iter().filter(|_| names);
        let ids = named.filter(|_| self.random.random_bool(0.4));
        let mentions = ids.filter_map(|who| self.scene.users[*who].id.parse().ok());
        // What is empty or too much refers to nothing.
        Refers::check(reply_to, mentions.collect(), false).ok()?
    }

    fn frame(&self, id: &str, waiting: &Waiting, resend: bool) -> Vec<u8> {
        let mut out = Vec::new();
        // Ids of the scene came from the server.
        if let Ok(conversation_id) = self.scene.places[waiting.place].0.parse() {
            ClientFrame::SendMessage(SendMessage {
                conversation_id,
                content: waiting.content.as_str().into(),
                message_type: 1,
                client_msg_id: Some(id.into()),
                extra: None,
                resend,
                refers: waiting.refers.clone(),
                forward: None,
            })
            .encode(&mut out);
        }
        out
    }

    async fn resend_all(&mut self, socket: &mut Socket) -> std::io::Result<()> {
        let ids: Vec<String> = self.waiting.keys().cloned().collect();
        for id in ids {
            self.resend(&id, socket).await?;
        }
        Ok(())
    }

    /// The same message again, mostly by the socket, sometimes by HTTP.
    async fn resend(&mut self, id: &str, socket: &mut Socket) -> std::io::Result<()> {
        let by_http = self.random.random_range(0..4) == 0 && self.asking.len() < ASKING;
        self.observed.resent += 1;
        let Some(waiting) = self.waiting.get_mut(id) else {
            return Ok(());
        };
        waiting.sent = Instant::now();
        let (place, content) = (waiting.place, waiting.content.clone());
        if !by_http {
            let frame = self.frame(id, &self.waiting[id], true);
            return socket.send(&frame).await;
        }
        let path = format!("/conversations/{}/messages", self.scene.places[place].0);
        let mut body =
            json!({ "messageType": 1, "content": content, "client_msg_id": id, "resend": true });
        if let Some(refers) = waiting.refers.as_deref() {
            body["replyTo"] = json!(refers.reply_to.map(|id| id.to_string()));
            let ids = refers.mentions.iter().map(ToString::to_string);
            body["mentions"] = ids.collect();
        }
        let client_id = id.to_owned();
        self.ask(Method::POST, path, body, move |status, answer| {
            let message = &answer["data"];
            match (status, message["id"].as_str()) {
                (201, Some(message_id)) => Answer::Sent {
                    client_id,
                    message_id: message_id.to_owned(),
                    seq: message["seqId"].as_u64().unwrap_or(0),
                    rev: 0,
                },
                _ => Answer::Nothing,
            }
        });
        Ok(())
    }

    fn read_something(&mut self) {
        let place = self.places[self.random.random_range(0..self.places.len())];
        let seq = self.seen.get(&place).copied();
        let Some(seq) = seq.filter(|_| self.asking.len() < ASKING) else {
            return;
        };
        let path = format!("/conversations/{}/read", self.scene.places[place].0);
        let body = json!({ "seqId": seq });
        self.ask(Method::PUT, path, body, move |status, answer| {
            // While rows are on their way the pointer stays behind what was asked, and the answer
            // says where it stands.
            match (status, answer["data"]["lastReadSeqId"].as_u64()) {
                (200, Some(seq)) => Answer::Read(place, seq),
                _ => Answer::Nothing,
            }
        });
    }

    /// Asks any gateway by HTTP; what came of it is taken while the socket is read.
    fn ask(
        &mut self,
        method: Method,
        path: String,
        body: Value,
        read: impl FnOnce(u16, Value) -> Answer + Send + 'static,
    ) {
        self.ask_with(method, path, Some(body), read);
    }

    fn ask_with(
        &mut self,
        method: Method,
        path: String,
        body: Option<Value>,
        read: impl FnOnce(u16, Value) -> Answer + Send + 'static,
    ) {
        let token = self.scene.users[self.who].token();
        let gate = self.random.random_range(0..self.scene.gates.len());
        let api = self.scene.gate(gate).api.clone();
        self.asking.push(Box::pin(async move {
            let asking = api.once(method, &path, &token, body.as_ref());
            match timeout(PATIENCE, asking).await {
                Ok(Ok((status, answer))) => read(status, answer),
                _ => Answer::Nothing,
            }
        }));
    }

    fn take(&mut self, answer: Answer) {
        match answer {
            Answer::Nothing => {}
            Answer::Sent {
                client_id,
                message_id,
                seq,
                rev,
            } => self.acknowledge(&client_id, message_id, seq, rev),
            Answer::Changed {
                client_id,
                seq,
                rev,
            } => self.acknowledge_change(&client_id, seq, rev),
            Answer::NotChanged { client_id, code } => self.refuse_change(client_id, code),
            Answer::CaughtUp(place, page, known) => {
                self.observed.changes.pages += 1;
                if let Some(deletions) = self.observed.deletions.get_mut(&(self.who, place)) {
                    deletions.shown(&page, known);
                }
                let replica = self.observed.replicas.entry((self.who, place));
                replica.or_default().catch_up(&page);
            }
            Answer::Deleted(place, seq, refused) => {
                self.deletions(place).answer(seq, refused);
            }
            Answer::Cleared(place, up_to, known, outcome) => {
                let deletions = self.deletions(place);
                match outcome {
                    Ok(bound) => deletions.clear(up_to, bound, known),
                    Err(code) => deletions.refuse_clear(up_to, code),
                }
            }
            Answer::Read(place, seq) => {
                let read = self.observed.read.entry((self.who, place)).or_default();
                *read = seq.max(*read);
            }
        }
    }

    fn handle(&mut self, text: &str, seen: &mut Connection) {
        match ServerFrame::parse(text) {
            Ok((ServerFrame::MessageAck(ack), _)) => {
                let (id, seq, rev) = (ack.message_id.into_owned(), ack.seq_id, ack.rev);
                self.acknowledge(&ack.client_msg_id, id, seq, rev);
            }
            Ok((ServerFrame::ChangeAck(ack), _)) => {
                self.acknowledge_change(&ack.client_msg_id, ack.seq_id, ack.rev);
            }
            Ok((ServerFrame::ErrorFrame(error), _)) => self.refused(&error),
            Ok((ServerFrame::MessageChanged(changed), _)) => {
                let Some(&place) = self.scene.place_of.get(&*changed.conversation_id) else {
                    return;
                };
                let told = Told {
                    seq: changed.seq_id,
                    rev: changed.rev,
                    message_id: changed.message_id.into_owned(),
                    kind: changed.kind.into_owned(),
                    content: changed.message.content.unwrap_or_default().into_owned(),
                    reactions: changed
                        .message
                        .reactions
                        .into_iter()
                        .flatten()
                        .map(|r| (r.emoji.into_owned(), u64::from(r.count)))
                        .collect(),
                };
                self.hold_change(place, &told);
                seen.changes.push((place, told));
            }
            Ok((ServerFrame::NewMessage(message), _)) => {
                let Some(&place) = self.scene.place_of.get(&*message.conversation_id) else {
                    return;
                };
                if !self.scene.places[place].1.contains(&self.who) {
                    seen.strangers.push(message.conversation_id.into_owned());
                    return;
                }
                if *message.sender.id != *self.scene.users[self.who].id {
                    self.control.note_message(self.who, place);
                }
                let newest = self.seen.entry(place).or_default();
                *newest = message.seq_id.max(*newest);
                let (seq, rev) = (message.seq_id, message.rev);
                self.hold(place, seq, rev, &message.content);
                self.pen.note_other(Own {
                    place,
                    message_id: message.id.to_string(),
                    seq,
                    at: Instant::now(),
                });
                seen.order.push((place, seq));
                let row = Row {
                    seq,
                    rev,
                    deleted: false,
                    edits: 0,
                    reactions: Default::default(),
                    pinned: false,
                    hidden: false,
                    message_id: message.id.into_owned(),
                    sender: message.sender.id.into_owned(),
                    client_id: message.client_msg_id.into_owned(),
                    content: message.content.into_owned(),
                    references: References {
                        answered: message
                            .reply_to
                            .map(|quote| quote.message_id.into_owned())
                            .unwrap_or_default(),
                        mentions: message.mentions.iter().map(ToString::to_string).collect(),
                    },
                    quote: None,
                };
                seen.pushes.push((place, row));
            }
            _ => {}
        }
    }

    fn acknowledge(&mut self, id: &str, message_id: String, seq: u64, rev: u64) {
        // A second acknowledgement must repeat the first: it is written down all the same.
        let place = match self.waiting.remove(id) {
            Some(waiting) => {
                self.control.acknowledged.fetch_add(1, Ordering::Relaxed);
                let place = waiting.place;
                if rev > 0 {
                    self.hold(place, seq, rev, &waiting.content);
                }
                self.pen.note(Own {
                    place,
                    message_id: message_id.clone(),
                    seq,
                    at: Instant::now(),
                });
                place
            }
            None => match self
                .observed
                .acks
                .iter()
                .rev()
                .find(|ack| ack.client_id == id)
            {
                Some(first) => first.place,
                None => return,
            },
        };
        let client_id = id.to_owned();
        self.observed.acks.push(Ack {
            place,
            client_id,
            message_id,
            seq,
        });
    }
}

/// Gives the socket the newer token of its user, if there is one.
async fn renewed(
    account: &Account,
    socket: &mut Socket,
    token: &mut String,
) -> std::io::Result<()> {
    let newest = account.token();
    if *token == newest {
        return Ok(());
    }
    let mut frame = Vec::new();
    ClientFrame::Authenticate(AccessToken(newest.as_str().into())).encode(&mut frame);
    *token = newest;
    socket.send(&frame).await
}
