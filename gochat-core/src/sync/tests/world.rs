//! A tiny server, a bad network and a clock that only the test moves.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{Error, ErrorCode};
use crate::ids::{ConversationId, MessageId, UserId};
use crate::session::frame::{
    ClientFrame, ErrorFrame, MessageAck, NewMessage, SendMessage, Sender, encode,
};
use crate::sync::{
    Action, ClientSession, ConnectFailure, Event, Listed, ListedConversation, Message, Millis,
    Options, Outgoing,
};

pub(super) fn user(n: usize) -> UserId {
    UserId::new(n as u64 + 1).unwrap()
}

pub(super) fn alice() -> UserId {
    user(0)
}

/// How bad the network is; chances in thousandths.
#[derive(Debug, Clone, Copy)]
pub(super) struct Network {
    pub(super) lose: u64,
    pub(super) double: u64,
    pub(super) cut: u64,
    pub(super) refuse: u64,
    /// Longest delay of a frame or row, in milliseconds; unequal delays reorder.
    pub(super) delay: u64,
}

const CALM: Network = Network {
    lose: 0,
    double: 0,
    cut: 0,
    refuse: 0,
    delay: 10,
};

#[derive(Debug, Clone)]
enum Happening {
    Wake,
    Connected,
    ToServer(u64, String),
    ToClient(u64, String),
    Cut(u64),
    List {
        ticket: u64,
    },
    Fetch {
        conversation: ConversationId,
        after_seq: u64,
        limit: u32,
    },
    Persist(ConversationId),
}

/// A client machine and everything it told its user.
pub(super) struct Client {
    pub(super) session: ClientSession,
    pub(super) timeline: BTreeMap<ConversationId, Vec<Message>>,
    pub(super) sent: BTreeSet<String>,
    pub(super) refused: usize,
    connection: Option<u64>,
}

pub(super) struct World {
    pub(super) now: Millis,
    pub(super) clients: Vec<Client>,
    /// What the sequencer decided; the truth.
    pub(super) log: BTreeMap<ConversationId, Vec<Message>>,
    /// How much of it is in the database.
    rows: BTreeMap<ConversationId, usize>,
    seen: BTreeMap<(UserId, ConversationId, String), u64>,
    network: Network,
    random: u64,
    counter: u64,
    agenda: BTreeMap<(Millis, u64), (usize, Happening)>,
}

impl World {
    pub(super) fn new(clients: usize, network: Network, seed: u64) -> Self {
        let options = Options {
            initial_history: u64::MAX,
            ..Options::default()
        };
        let client = |n| Client {
            session: ClientSession::new(options, seed ^ n as u64),
            timeline: BTreeMap::new(),
            sent: BTreeSet::new(),
            refused: 0,
            connection: None,
        };
        let mut world = Self {
            now: 0,
            clients: (0..clients).map(client).collect(),
            log: BTreeMap::new(),
            rows: BTreeMap::new(),
            seen: BTreeMap::new(),
            network,
            random: seed,
            counter: 0,
            agenda: BTreeMap::new(),
        };
        (0..clients).for_each(|n| world.drive(n));
        world
    }

    pub(super) fn send(&mut self, from: usize, message: Outgoing) {
        let now = self.now;
        self.clients[from].session.send(message, now).unwrap();
        self.drive(from);
    }

    pub(super) fn run_for(&mut self, time: Millis) {
        let end = self.now + time;
        while let Some((&(at, n), _)) = self.agenda.first_key_value().filter(|(k, _)| k.0 <= end) {
            self.now = at;
            if let Some((client, what)) = self.agenda.remove(&(at, n)) {
                self.happen(client, what);
            }
        }
        self.now = end;
    }

    /// The network becomes good, every connection is made anew, and all that waits gets done.
    pub(super) fn calm_down(&mut self) {
        self.network = CALM;
        self.run_for(120_000);
        for n in 0..self.clients.len() {
            if let Some(connection) = self.clients[n].connection {
                self.happen(n, Happening::Cut(connection));
            }
        }
        self.run_for(120_000);
    }

    fn chance(&mut self, thousandths: u64) -> bool {
        self.below(1000) < thousandths
    }

    fn below(&mut self, n: u64) -> u64 {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.random >> 33) % n.max(1)
    }

    fn schedule(&mut self, client: usize, delay: Millis, what: Happening) {
        self.counter += 1;
        self.agenda
            .insert((self.now + delay, self.counter), (client, what));
    }

    /// Puts something on the network, with its faults.
    fn transmit(&mut self, client: usize, what: Happening) {
        if let (true, Some(connection)) = (
            self.chance(self.network.cut),
            self.clients[client].connection,
        ) {
            self.schedule(client, 0, Happening::Cut(connection));
        }
        if self.chance(self.network.lose) {
            return;
        }
        let copies = 1 + u64::from(self.chance(self.network.double));
        for _ in 0..copies {
            let delay = 1 + self.below(self.network.delay);
            self.schedule(client, delay, what.clone());
        }
    }

    fn happen(&mut self, n: usize, what: Happening) {
        let now = self.now;
        match what {
            Happening::Wake => {}
            Happening::Connected => {
                self.counter += 1;
                self.clients[n].connection = Some(self.counter);
                self.clients[n].session.handle_connected(now);
            }
            Happening::ToServer(connection, text) if self.is_open(n, connection) => {
                self.serve(n, &text);
            }
            Happening::ToClient(connection, text) if self.is_open(n, connection) => {
                self.clients[n].session.handle_text(&text, now);
            }
            Happening::Cut(connection) if self.is_open(n, connection) => {
                self.clients[n].connection = None;
                self.clients[n].session.handle_disconnected(None, now);
            }
            Happening::List { ticket } => self.list(n, ticket),
            Happening::Fetch {
                conversation,
                after_seq,
                limit,
            } => {
                self.fetch(n, conversation, after_seq, limit as usize);
            }
            Happening::Persist(conversation) => {
                *self.rows.entry(conversation).or_default() += 1;
                return;
            }
            _ => return,
        }
        self.drive(n);
    }

    fn is_open(&self, n: usize, connection: u64) -> bool {
        self.clients[n].connection == Some(connection)
    }

    /// Does what the machine asks for and notes what it tells.
    fn drive(&mut self, n: usize) {
        while let Some(action) = self.clients[n].session.poll_action(self.now) {
            match action {
                Action::Authenticate { .. } => {
                    self.clients[n].session.handle_authenticated(user(n));
                }
                // The world's tokens don't end.
                Action::RenewToken => {}
                Action::Connect if self.chance(self.network.refuse) => {
                    let failure = ConnectFailure::Unavailable;
                    self.clients[n]
                        .session
                        .handle_connect_failed(failure, self.now);
                }
                Action::Connect => self.schedule(n, 5, Happening::Connected),
                Action::Disconnect => self.clients[n].connection = None,
                Action::Send(text) => {
                    if let Some(connection) = self.clients[n].connection {
                        self.transmit(n, Happening::ToServer(connection, text));
                    }
                }
                Action::ListConversations { ticket, .. } => {
                    let delay = 1 + self.below(self.network.delay);
                    self.schedule(n, delay, Happening::List { ticket });
                }
                Action::FetchMessages {
                    conversation_id: conversation,
                    after_seq,
                    limit,
                    ..
                } => {
                    let delay = 1 + self.below(self.network.delay);
                    self.schedule(
                        n,
                        delay,
                        Happening::Fetch {
                            conversation,
                            after_seq,
                            limit,
                        },
                    );
                }
            }
        }
        while let Some(event) = self.clients[n].session.poll_event() {
            self.note(n, event);
        }
        if let Some(at) = self.clients[n].session.poll_timeout() {
            assert!(
                at > self.now,
                "it would wake up for nothing, and again, and again"
            );
            self.schedule(n, at - self.now, Happening::Wake);
        }
    }

    fn note(&mut self, n: usize, event: Event) {
        let client = &mut self.clients[n];
        match event {
            Event::Message(message) => {
                client
                    .timeline
                    .entry(message.conversation_id)
                    .or_default()
                    .push(message);
            }
            Event::Sent {
                message, seq_id, ..
            } => {
                let truth = &self.log[&message.conversation_id][seq_id as usize - 1];
                assert_eq!(truth.client_msg_id, message.client_msg_id);
                assert!(client.sent.insert(message.client_msg_id), "settled twice");
            }
            Event::Refused { .. } => client.refused += 1,
            _ => {}
        }
    }

    fn serve(&mut self, n: usize, text: &str) {
        let Ok(ClientFrame::SendMessage(send)) = ClientFrame::parse(text) else {
            return;
        };
        if self.chance(self.network.refuse) {
            let error = Error::from(ErrorCode::ServiceUnavailable);
            let mut out = Vec::new();
            encode(
                &ErrorFrame::new(&error, send.client_msg_id.as_deref()),
                1,
                &mut out,
            );
            self.push(n, out);
            return;
        }
        let conversation = send.conversation_id;
        let id = send.client_msg_id.clone().unwrap_or_default().into_owned();
        let key = (user(n), conversation, id);
        let seq = match self.seen.get(&key) {
            Some(&seq) => seq,
            None => {
                let seq = self.accept(n, &send);
                self.seen.insert(key, seq);
                seq
            }
        };
        let message = self.log[&conversation][seq as usize - 1].clone();
        let mut out = Vec::new();
        encode(
            &MessageAck {
                client_msg_id: message.client_msg_id.as_str().into(),
                message_id: message.id.to_string().into(),
                conversation_id: conversation.to_string().into(),
                seq_id: seq,
                status: "success".into(),
                ..MessageAck::default()
            },
            1,
            &mut out,
        );
        self.push(n, out);
    }

    /// Sequences a message, writes its row later and pushes it to everyone connected.
    fn accept(&mut self, n: usize, send: &SendMessage<'_>) -> u64 {
        self.counter += 1;
        let id = MessageId::new(self.counter).unwrap();
        let log = self.log.entry(send.conversation_id).or_default();
        let seq = log.len() as u64 + 1;
        log.push(Message {
            id,
            conversation_id: send.conversation_id,
            seq_id: seq,
            sender_id: user(n),
            sender_name: None,
            message_type: send.message_type,
            content: send.content.to_string(),
            client_msg_id: send.client_msg_id.as_deref().unwrap_or_default().to_owned(),
            extra: None,
            created_at: 1,
            deleted: false,
        });
        let delay = self.below(self.network.delay * 3);
        self.schedule(n, delay, Happening::Persist(send.conversation_id));
        let mut out = Vec::new();
        let frame = NewMessage {
            id: id.to_string().into(),
            conversation_id: send.conversation_id.to_string().into(),
            sender: Sender {
                id: user(n).to_string().into(),
                ..Sender::default()
            },
            content: send.content.clone(),
            message_type: send.message_type,
            seq_id: seq,
            client_msg_id: send.client_msg_id.clone().unwrap_or_default(),
            created_at: 1,
            ..NewMessage::default()
        };
        encode(&frame, 1, &mut out);
        for other in (0..self.clients.len()).filter(|&other| other != n) {
            self.push(other, out.clone());
        }
        seq
    }

    fn push(&mut self, n: usize, frame: Vec<u8>) {
        let text = String::from_utf8(frame).unwrap();
        if let Some(connection) = self.clients[n].connection {
            self.transmit(n, Happening::ToClient(connection, text));
        }
    }

    fn list(&mut self, n: usize, ticket: u64) {
        if self.chance(self.network.refuse) {
            self.clients[n].session.handle_list_failed(ticket, self.now);
            return;
        }
        let conversations = self.rows.iter().map(|(&id, &rows)| ListedConversation {
            id,
            last_seq: rows as u64,
            last_recalled: false,
        });
        let listed = Listed {
            conversations: conversations.collect(),
            ..Listed::default()
        };
        self.clients[n]
            .session
            .handle_listed(ticket, listed, self.now);
    }

    fn fetch(&mut self, n: usize, conversation: ConversationId, after_seq: u64, limit: usize) {
        let session = &mut self.clients[n].session;
        if self.random % 1000 < self.network.refuse {
            session.handle_fetch_failed(conversation, false, self.now);
            return;
        }
        let rows = self.rows.get(&conversation).copied().unwrap_or(0);
        let log = self.log.get(&conversation).map_or(&[][..], Vec::as_slice);
        let page = log[..rows]
            .iter()
            .skip(after_seq as usize)
            .take(limit)
            .cloned()
            .collect();
        session.handle_fetched(conversation, after_seq, page, self.now);
    }
}
