//! A tiny server, a bad network and a clock that only the test moves.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{Error, ErrorCode};
use crate::ids::{ConversationId, MessageId, Rev, SeqId, UserId};
use crate::message::{ChangeKind, QuoteState};
use crate::session::frame;
use crate::session::frame::{
    ChangeAck, ChangedMessage, ClientFrame, ErrorFrame, MessageAck, MessageChanged,
    MessageRecalled, NewMessage, ReactionCount, SendMessage, Sender, ServerPayload, encode,
};
use crate::sync::{
    Action, Changed, ChangesPage, ClientSession, ConnectFailure, Event, HistoryPage, Listed,
    ListedConversation, Message, Millis, Options, Outgoing, Quote, Reaction,
};

use super::server::{Logs, shows};

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
    Connected(u64),
    ToServer(u64, String),
    ToClient(u64, String),
    Cut(u64),
    List {
        start: u64,
        ticket: u64,
    },
    /// A request arrives; what it reads then travels back.
    Fetch(u64, Action),
    Answer(u64, Answer),
    Persist(ConversationId),
}

#[derive(Debug, Clone)]
enum Answer {
    History(ConversationId, SeqId, HistoryPage),
    Changes(ConversationId, Rev, ChangesPage),
    Failed(ConversationId),
}

/// A client machine and everything it told its user.
pub(super) struct Client {
    pub(super) session: ClientSession,
    /// Messages as they were told, with the changes that were told since.
    pub(super) timeline: BTreeMap<ConversationId, Vec<Message>>,
    /// Pages that were asked for.
    pub(super) pages: usize,
    /// Which start of the application this is: answers to requests of an earlier one go nowhere.
    start: u64,
    /// It can't connect.
    pub(super) away: bool,
    /// The `rev` of the last change that was told.
    changed: BTreeMap<ConversationId, Rev>,
    /// What an application keeps on disk: the messages and how far they go.
    kept: BTreeMap<ConversationId, Kept>,
    /// It took up what it had kept; a message of that may be told once more as it is.
    resumed: bool,
    pub(super) sent: BTreeSet<String>,
    pub(super) refused: usize,
    connection: Option<u64>,
}

#[derive(Clone)]
struct Kept {
    messages: Vec<Message>,
    complete_to: SeqId,
    complete_rev: Rev,
}

pub(super) struct World {
    pub(super) now: Millis,
    pub(super) clients: Vec<Client>,
    /// What the sequencer decided; the truth.
    pub(super) logs: Logs,
    /// The server is one of before changes.
    pub(super) is_old: bool,
    seen: BTreeMap<(UserId, ConversationId, String), u64>,
    network: Network,
    random: u64,
    counter: u64,
    agenda: BTreeMap<(Millis, u64), (usize, Happening)>,
    options: Options,
}

impl World {
    pub(super) fn new(clients: usize, network: Network, seed: u64) -> Self {
        let options = Options {
            initial_history: u64::MAX,
            ..Options::default()
        };
        Self::with(options, clients, network, seed)
    }

    pub(super) fn with(options: Options, clients: usize, network: Network, seed: u64) -> Self {
        let client = |n| Client {
            session: ClientSession::new(options, seed ^ n as u64),
            timeline: BTreeMap::new(),
            pages: 0,
            start: 0,
            away: false,
            changed: BTreeMap::new(),
            kept: BTreeMap::new(),
            resumed: false,
            sent: BTreeSet::new(),
            refused: 0,
            connection: None,
        };
        let mut world = Self {
            now: 0,
            clients: (0..clients).map(client).collect(),
            logs: Logs::new(),
            is_old: false,
            seen: BTreeMap::new(),
            network,
            random: seed,
            counter: 0,
            agenda: BTreeMap::new(),
            options,
        };
        (0..clients).for_each(|n| world.drive(n));
        world
    }

    pub(super) fn send(&mut self, from: usize, message: Outgoing) {
        let now = self.now;
        self.clients[from].session.send(message, now).unwrap();
        self.drive(from);
    }

    /// A message as it is.
    pub(super) fn message(&self, place: ConversationId, seq: SeqId) -> Option<Message> {
        let mut truth = self.logs.get(&place)?.truth().into_iter();
        truth.find(|m| m.seq_id == seq)
    }

    /// Somebody edits a message or takes it back, if that is possible. `by` made it over a socket.
    pub(super) fn change(&mut self, place: ConversationId, seq: SeqId, recall: bool, by: usize) {
        let Some(mut message) = self.message(place, seq) else {
            return;
        };
        if message.deleted {
            return;
        }
        let kind = match (recall, self.below(10)) {
            (true, _) => ChangeKind::Recall,
            (_, 0..6) => ChangeKind::Edit,
            (_, 6..9) => ChangeKind::React,
            _ if message.pinned => ChangeKind::Unpin,
            _ => ChangeKind::Pin,
        };
        let emoji = ["a", "b", "c"][self.below(3) as usize];
        if recall {
            (message.deleted, message.content, message.extra) = (true, String::new(), None);
            (message.reactions, message.pinned) = (Vec::new(), false);
            (message.mentions, message.mention_all) = (Vec::new(), false);
            message.reply_to = None;
        } else if kind == ChangeKind::React {
            let found = message.reactions.iter_mut().find(|r| r.emoji == emoji);
            match found {
                Some(reaction) if reaction.count > 2 => {
                    message.reactions.retain(|r| r.emoji != emoji);
                }
                Some(reaction) => reaction.count += 1,
                None => message.reactions.push(Reaction {
                    emoji: emoji.to_owned(),
                    count: 1,
                    mine: false,
                }),
            }
        } else if kind != ChangeKind::Edit {
            message.pinned = !message.pinned;
        } else {
            message.edit_count += 1;
            message.edited_at = Some(message.edit_count.into());
            message.content = format!("edit {} of {seq}", message.edit_count);
            let extra = format!("{{\"edit\":{}}}", message.edit_count);
            message.extra = (message.edit_count % 2 == 0).then_some(extra);
        }
        let message = self.logs.entry(place).or_default().push(message);
        self.persist(place);
        self.tell_change(&message, kind, by);
    }

    /// The client can't connect, or can again.
    pub(super) fn set_away(&mut self, n: usize, away: bool) {
        self.clients[n].away = away;
        if let Some(connection) = self.clients[n].connection.filter(|_| away) {
            self.happen(n, Happening::Cut(connection));
        }
    }

    /// The application starts again, with what it kept or with nothing. Unless a message waits.
    pub(super) fn restart(&mut self, n: usize, keeps: bool) {
        if self.clients[n].session.unacknowledged() > 0 {
            return;
        }
        let mut session = ClientSession::new(self.options, self.now ^ n as u64);
        let client = &mut self.clients[n];
        client.kept.retain(|_, _| keeps);
        client.resumed = keeps;
        for (place, kept) in &client.kept {
            session.resume(*place, kept.complete_to, kept.complete_rev);
        }
        let kept = client.kept.iter();
        client.timeline = kept
            .clone()
            .map(|(p, k)| (*p, k.messages.clone()))
            .collect();
        client.changed = kept.map(|(p, k)| (*p, k.complete_rev)).collect();
        (client.session, client.connection) = (session, None);
        client.start += 1;
        self.drive(n);
    }

    pub(super) fn random(&mut self, n: u64) -> u64 {
        self.below(n)
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
        self.quieten();
        for n in 0..self.clients.len() {
            if let Some(connection) = self.clients[n].connection {
                self.happen(n, Happening::Cut(connection));
            }
        }
        self.run_for(120_000);
    }

    /// The network becomes good, and what waits gets done.
    pub(super) fn quieten(&mut self) {
        self.network = CALM;
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
            // Here and there one comes when what it tells is long written and read.
            let late = if self.chance(50) { 12 } else { 1 };
            let delay = 1 + self.below(self.network.delay * late);
            self.schedule(client, delay, what.clone());
        }
    }

    fn happen(&mut self, n: usize, what: Happening) {
        let now = self.now;
        match what {
            Happening::Wake => {}
            Happening::Connected(start) if self.clients[n].start == start => {
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
            Happening::List { start, ticket } if self.clients[n].start == start => {
                self.list(n, ticket);
            }
            Happening::Fetch(start, action) => {
                let answer = self.read(&action);
                let delay = 1 + self.below(self.network.delay);
                self.schedule(n, delay, Happening::Answer(start, answer));
                return;
            }
            Happening::Answer(start, answer) if self.clients[n].start == start => {
                let session = &mut self.clients[n].session;
                match answer {
                    Answer::History(place, after, page) => {
                        session.handle_fetched(place, after, page, now);
                    }
                    Answer::Changes(place, after, page) => {
                        session.handle_changes(place, after, page, now);
                    }
                    Answer::Failed(place) => session.handle_fetch_failed(place, false, now),
                }
            }
            Happening::Persist(conversation) => {
                self.logs.entry(conversation).or_default().stored += 1;
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
                Action::Connect if self.clients[n].away || self.chance(self.network.refuse) => {
                    let failure = ConnectFailure::Unavailable;
                    self.clients[n]
                        .session
                        .handle_connect_failed(failure, self.now);
                }
                Action::Connect => {
                    let start = self.clients[n].start;
                    self.schedule(n, 5, Happening::Connected(start));
                }
                Action::Disconnect => self.clients[n].connection = None,
                Action::Send(text) => {
                    if let Some(connection) = self.clients[n].connection {
                        self.transmit(n, Happening::ToServer(connection, text));
                    }
                }
                Action::ListConversations { ticket, .. } => {
                    let delay = 1 + self.below(self.network.delay);
                    let start = self.clients[n].start;
                    self.schedule(n, delay, Happening::List { start, ticket });
                }
                fetch @ (Action::FetchMessages { .. } | Action::FetchChanges { .. }) => {
                    self.clients[n].pages += 1;
                    let delay = 1 + self.below(self.network.delay);
                    let start = self.clients[n].start;
                    self.schedule(n, delay, Happening::Fetch(start, fetch));
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
            Event::Message(mut message) => {
                let told = client.timeline.entry(message.conversation_id).or_default();
                let last = told.last().map_or(0, |m| m.seq_id);
                assert!(message.seq_id > last, "{} after {last}", message.seq_id);
                // What an earlier session told only the application knows.
                if let Some(quote) = message.reply_to.as_mut().filter(|_| client.resumed)
                    && let Some(held) = told.iter().find(|m| m.seq_id == quote.seq_id)
                {
                    *quote = Quote::of(held);
                }
                told.push(message);
            }
            Event::MessageChanged {
                conversation_id,
                message_id,
                change,
            } => {
                let last = client.changed.insert(conversation_id, change.rev);
                assert!(last < Some(change.rev), "{change:?} after {last:?}");
                let told = client.timeline.entry(conversation_id).or_default();
                let is_news = apply(told, message_id, &change);
                assert!(is_news || client.resumed, "{change:?} is no news");
            }
            Event::Progress {
                conversation_id,
                complete_to,
                complete_rev,
            } => {
                let told = client.timeline.entry(conversation_id).or_default();
                let kept = Kept {
                    messages: told.clone(),
                    complete_to,
                    complete_rev,
                };
                let before = client.kept.insert(conversation_id, kept);
                let before = before.map_or(0, |kept| kept.complete_rev);
                assert!(before < complete_rev, "{before} before {complete_rev}");
            }
            Event::Sent {
                message, seq_id, ..
            } => {
                let truth = self.logs[&message.conversation_id].sent(seq_id);
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
        let message = self.logs[&conversation].sent(seq).clone();
        let rev = if self.is_old { 0 } else { message.rev };
        let mut out = Vec::new();
        encode(
            &MessageAck {
                client_msg_id: message.client_msg_id.as_str().into(),
                message_id: message.id.to_string().into(),
                conversation_id: conversation.to_string().into(),
                seq_id: seq,
                rev,
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
        let log = self.logs.entry(send.conversation_id).or_default();
        let seq = log.truth().len() as u64 + 1;
        let refers = send.refers.as_deref().cloned().unwrap_or_default();
        let answered = |records: usize| {
            let answered = refers.reply_to?;
            let mut rows = log.rows(records).into_iter();
            rows.find(|m| m.id == answered).map(|m| Quote::of(&m))
        };
        let reply_to = answered(log.next() as usize - 1);
        // A push shows what the database has of the quoted message.
        let pushed = answered(log.stored);
        let bare = reply_to.clone().map(|quote| Quote {
            message_type: None,
            excerpt: None,
            state: QuoteState::Normal,
            ..quote
        });
        let quote = pushed.or(bare);
        let is_member = |id: &UserId| (0..self.clients.len()).any(|n| user(n) == *id);
        let message = log.push(Message {
            seq_id: seq,
            message_type: send.message_type,
            content: send.content.to_string(),
            client_msg_id: send.client_msg_id.as_deref().unwrap_or_default().to_owned(),
            created_at: 1,
            reply_to,
            mentions: refers.mentions.into_iter().filter(is_member).collect(),
            mention_all: refers.mention_all,
            ..Message::new(send.conversation_id, id, user(n))
        });
        self.persist(send.conversation_id);
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
            rev: if self.is_old { 0 } else { message.rev },
            client_msg_id: send.client_msg_id.clone().unwrap_or_default(),
            created_at: 1,
            reply_to: quote.as_ref().map(|quote| frame::Quote {
                message_id: quote.message_id.to_string().into(),
                seq_id: quote.seq_id,
                sender_id: quote.sender_id.to_string().into(),
                message_type: quote.message_type,
                excerpt: quote.excerpt.as_deref().map(Into::into),
                state: quote.state.as_str().into(),
            }),
            mentions: message
                .mentions
                .iter()
                .map(|id| id.to_string().into())
                .collect(),
            mention_all: message.mention_all,
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
        let mut conversations = Vec::new();
        let logs: Vec<ConversationId> = self.logs.keys().copied().collect();
        for id in logs {
            let records = self.replica(id, (0, 0));
            let rows = self.logs[&id].rows(records);
            let Some(last) = rows.last() else { continue };
            conversations.push(ListedConversation {
                id,
                last_seq: last.seq_id,
                last_recalled: last.deleted,
                last_rev: if self.is_old { 0 } else { records as Rev },
                cleared_up_to: 0,
            });
        }
        let listed = Listed {
            conversations,
            ..Listed::default()
        };
        self.clients[n]
            .session
            .handle_listed(ticket, listed, self.now);
    }

    /// The next record is written later, in its turn.
    fn persist(&mut self, place: ConversationId) {
        let delay = self.below(self.network.delay * 3);
        self.schedule(0, delay, Happening::Persist(place));
    }

    /// How many records the database shows a reader who was told of some. On a bad network it may
    /// be one that is behind the others.
    fn replica(&mut self, place: ConversationId, at_least: (SeqId, Rev)) -> usize {
        let stored = self.logs[&place].stored;
        let older = self.below(stored as u64 + 1) as usize;
        let lags = self.network.delay > CALM.delay && self.chance(300);
        // It may be so far behind that it has to say so.
        let may_be_behind = self.chance(100);
        match lags && (may_be_behind || shows(&self.logs[&place], older, at_least)) {
            true => older,
            false => stored,
        }
    }

    fn read(&mut self, action: &Action) -> Answer {
        let (&Action::FetchMessages {
            conversation_id: place,
            ..
        }
        | &Action::FetchChanges {
            conversation_id: place,
            ..
        }) = action
        else {
            unreachable!("{action:?} reads nothing")
        };
        if self.chance(self.network.refuse) || !self.logs.contains_key(&place) {
            return Answer::Failed(place);
        }
        match *action {
            Action::FetchMessages {
                after_seq,
                limit,
                at_least,
                at_least_rev,
                ..
            } => {
                let told = (at_least, at_least_rev);
                let records = self.replica(place, told);
                let mut page = self.logs[&place].history(records, after_seq, limit as usize, told);
                if self.is_old {
                    page.messages.iter_mut().for_each(|m| m.rev = 0);
                }
                Answer::History(place, after_seq, page)
            }
            Action::FetchChanges {
                after_rev,
                limit,
                at_least,
                ..
            } => {
                assert!(!self.is_old, "it has no changes");
                let records = self.replica(place, (0, at_least));
                let page = self.logs[&place].changes(records, after_rev, limit as usize);
                Answer::Changes(place, after_rev, page)
            }
            _ => unreachable!(),
        }
    }

    /// Pushes a change. Now and then it says less than it could, as in groups that hide earlier
    /// messages and from servers with more kinds of changes.
    fn tell_change(&mut self, message: &Message, kind: ChangeKind, by: usize) {
        let (place, id) = (message.conversation_id.to_string(), message.id.to_string());
        let (recall, is_edit) = (kind == ChangeKind::Recall, kind == ChangeKind::Edit);
        let unknown = self.chance(100);
        let withheld = is_edit && self.chance(100);
        let is_pin = matches!(kind, ChangeKind::Pin | ChangeKind::Unpin);
        let count = |r: &Reaction| ReactionCount {
            emoji: r.emoji.clone().into(),
            count: r.count,
        };
        let frame = MessageChanged {
            conversation_id: place.as_str().into(),
            message_id: id.as_str().into(),
            seq_id: message.seq_id,
            rev: message.rev,
            kind: if unknown { "turned" } else { kind.name() }.into(),
            operator_id: user(by).to_string().into(),
            message: ChangedMessage {
                id: id.as_str().into(),
                content: (!withheld && !unknown && (is_edit || recall))
                    .then(|| message.content.as_str().into()),
                extra: message.extra.as_deref().filter(|_| is_edit).map(Into::into),
                deleted: recall,
                edited_at: message.edited_at.filter(|_| is_edit),
                edit_count: message.edit_count,
                reactions: (kind == ChangeKind::React && !unknown)
                    .then(|| message.reactions.iter().map(count).collect()),
                pinned: (is_pin && !unknown).then_some(message.pinned),
                ..ChangedMessage::default()
            },
            ..MessageChanged::default()
        };
        let recalled = MessageRecalled {
            conversation_id: place.as_str().into(),
            message_id: id.as_str().into(),
            seq_id: message.seq_id,
            rev: message.rev,
            ..MessageRecalled::default()
        };
        let ack = ChangeAck {
            client_msg_id: "c".into(),
            conversation_id: place.as_str().into(),
            message_id: id.as_str().into(),
            seq_id: message.seq_id,
            rev: message.rev,
        };
        for n in 0..self.clients.len() {
            match n == by {
                true => self.push(n, text_of(&ack)),
                false => self.push(n, text_of(&frame)),
            }
            if n != by && recall {
                self.push(n, text_of(&recalled));
            }
        }
    }
}

fn text_of<T: ServerPayload>(payload: &T) -> Vec<u8> {
    let mut out = Vec::new();
    encode(payload, 1, &mut out);
    out
}

/// What an application does with a change. It must be about a message that was told, or about one
/// from before the first. Whether it was news.
fn apply(told: &mut [Message], id: MessageId, change: &Changed) -> bool {
    let Some(message) = told.iter_mut().find(|m| m.seq_id == change.seq_id) else {
        let first = told.first().map_or(u64::MAX, |m| m.seq_id);
        assert!(change.seq_id < first, "{change:?} before its message");
        for message in told {
            message.apply_to_quote(change);
        }
        return true;
    };
    assert_eq!(message.id, id);
    let is_news = message.apply(change);
    for message in told {
        message.apply_to_quote(change);
    }
    is_news
}
