//! A plain client: sends, resends, leaves, comes back, and writes down what it is told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use gochat_core::session::frame::{ClientFrame, SendMessage, ServerFrame};
use hyper::Method;
use rand::Rng as _;
use rand::rngs::StdRng;
use serde_json::json;
use tokio::time::{interval, timeout};

use super::load::{Control, Scene};
use super::observe::{Ack, Connection, Observed, Place, Row, Who};
use super::socket::Socket;
use crate::bench::Result;

/// Time without an acknowledgement after which a message is sent again.
/// Time after opening in which messages from before may be pushed late. Gateways let late ones through for two seconds;
/// the rest is for a machine so busy that frames wait that long in sockets (with 3 s a run beside a full test suite failed).
const SETTLING: Duration = Duration::from_secs(8);
const RESEND: Duration = Duration::from_secs(5);
/// Messages without an answer after which a client says nothing new. A repeat must come while the server remembers its first
/// time (10,000 messages of the conversation): who piles up messages through a long outage repeats them too late.
pub(super) const BACKLOG: usize = 64;
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
}

struct Waiting {
    place: Place,
    content: String,
    sent: Instant,
}

/// Runs until the load ends and everything is acknowledged.
pub(super) async fn run(
    who: Who,
    scene: Arc<Scene>,
    control: Arc<Control>,
    rate: f64,
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
    };
    while !client.is_done() {
        client.one_connection(rate).await;
        let pause = client.random.random_range(1..200);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    client.control.writing.fetch_sub(1, Ordering::Relaxed);
    let unknown = client.waiting.keys().cloned().collect();
    client.observed.unknown = unknown;
    Ok(client.observed)
}

impl Client {
    fn is_done(&self) -> bool {
        let quiet = self.control.quiet.load(Ordering::Relaxed);
        self.control.stop.load(Ordering::Relaxed) || (quiet && self.waiting.is_empty())
    }

    /// Connects, talks for a while, and leaves without a word.
    async fn one_connection(&mut self, rate: f64) {
        let account = self.scene.users[self.who].clone();
        let device = format!("check-{}", self.random.random_range(0..3));
        let scene = self.scene.clone();
        let gate = scene.gate(self.random.random_range(0..scene.gates.len()));
        let opening = Socket::open(&gate.server, &account.token, &device);
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
        let mut tick = interval(Duration::from_secs_f64(1.0 / rate.max(0.1)));
        if self.resend_all(&mut socket).await.is_ok() {
            while !self.is_done() && Instant::now() < leave {
                let going = tokio::select! {
                    text = socket.next() => text.map(|text| {
                        if opened.elapsed() >= SETTLING {
                            seen.settled.get_or_insert(seen.pushes.len());
                        }
                        self.handle(&text, &mut seen);
                    }),
                    _ = tick.tick() => self.act(&mut socket).await,
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
        if self.control.quiet.load(Ordering::Relaxed) || self.waiting.len() >= BACKLOG {
            return Ok(());
        }
        match self.random.random_range(0..20) {
            0 => self.read_something().await,
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
        let waiting = Waiting {
            place,
            content,
            sent: Instant::now(),
        };
        let frame = self.frame(&id, &waiting, false);
        self.waiting.insert(id, waiting);
        socket.send(&frame).await
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
        let by_http = self.random.random_range(0..4) == 0;
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
        let body =
            json!({ "messageType": 1, "content": content, "client_msg_id": id, "resend": true });
        let token = &self.scene.users[self.who].token;
        let gate = self.random.random_range(0..self.scene.gates.len());
        let api = &self.scene.gate(gate).api;
        let asking = api.once(Method::POST, &path, token, Some(&body));
        if let Ok(Ok((201, answer))) = timeout(PATIENCE, asking).await {
            let message = &answer["data"];
            let message_id = message["id"].as_str().unwrap_or_default().to_owned();
            self.acknowledge(id, message_id, message["seqId"].as_u64().unwrap_or(0));
        }
        Ok(())
    }

    async fn read_something(&mut self) {
        let place = self.places[self.random.random_range(0..self.places.len())];
        let Some(&seq) = self.seen.get(&place) else {
            return;
        };
        let path = format!("/conversations/{}/read", self.scene.places[place].0);
        let token = &self.scene.users[self.who].token;
        let body = json!({ "seqId": seq });
        let gate = self.random.random_range(0..self.scene.gates.len());
        let api = &self.scene.gate(gate).api;
        let asking = api.once(Method::PUT, &path, token, Some(&body));
        if let Ok(Ok((200, _))) = timeout(PATIENCE, asking).await {
            let read = self.observed.read.entry((self.who, place)).or_default();
            *read = seq.max(*read);
        }
    }

    fn handle(&mut self, text: &str, seen: &mut Connection) {
        match ServerFrame::parse(text) {
            Ok((ServerFrame::MessageAck(ack), _)) => {
                self.acknowledge(&ack.client_msg_id, ack.message_id.into_owned(), ack.seq_id);
            }
            Ok((ServerFrame::NewMessage(message), _)) => {
                let Some(&place) = self.scene.place_of.get(&*message.conversation_id) else {
                    return;
                };
                if !self.scene.places[place].1.contains(&self.who) {
                    seen.strangers.push(message.conversation_id.into_owned());
                    return;
                }
                let newest = self.seen.entry(place).or_default();
                *newest = message.seq_id.max(*newest);
                let row = Row {
                    seq: message.seq_id,
                    message_id: message.id.into_owned(),
                    sender: message.sender.id.into_owned(),
                    client_id: message.client_msg_id.into_owned(),
                    content: message.content.into_owned(),
                };
                seen.pushes.push((place, row));
            }
            _ => {}
        }
    }

    fn acknowledge(&mut self, id: &str, message_id: String, seq: u64) {
        // A second acknowledgement must repeat the first: it is written down all the same.
        let place = match self.waiting.remove(id) {
            Some(waiting) => {
                self.control.acknowledged.fetch_add(1, Ordering::Relaxed);
                waiting.place
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
