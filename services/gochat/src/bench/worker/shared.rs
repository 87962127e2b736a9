//! What the tasks of a worker share; all of them run on one thread.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::time::{SystemTime, UNIX_EPOCH};

use gochat_core::session::frame::{AccessToken, ClientFrame};
use tokio::task::AbortHandle;

use super::super::frames::{self, Mark};
use super::super::plan::{Done, Plan, Word};
use super::super::procfs;
use super::super::stats::{Counts, Latency};
use super::say;
use super::writer::Writer;

/// Microseconds of Unix time: one clock for all processes of this machine.
pub(in crate::bench) fn now_micros() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// A connection that stands.
pub(super) struct Open {
    /// Index in the plan.
    pub(super) index: usize,
    pub(super) writer: Writer,
    pub(super) reader: AbortHandle,
}

/// The sending side of a lane.
pub(super) struct Sender {
    pub(super) writer: Writer,
    pub(super) composer: Composer,
}

pub(super) struct Shared {
    pub(super) plan: Plan,
    /// Those of the plan, renewed in time.
    pub(super) tokens: RefCell<Vec<String>>,
    pub(super) next_connection: Cell<usize>,
    pub(super) open: RefCell<Vec<Open>>,
    pub(super) senders: RefCell<Vec<Sender>>,
    /// Conversation of the run → lane of this worker.
    lane_of: HashMap<u32, usize>,
    pub(super) counts: RefCell<Counts>,
    pub(super) ack: RefCell<Latency>,
    pub(super) delivery: RefCell<Latency>,
    pub(super) measured: Cell<(u64, u64)>,
    pub(super) measure_from: Cell<u64>,
    pub(super) measure_to: Cell<u64>,
    /// (connection, conversation, seq) that later numbers overtook.
    pub(super) missing: RefCell<HashSet<(usize, u32, u64)>>,
    /// Newest acknowledged seq per conversation.
    acked_seq: RefCell<HashMap<u32, u64>>,
    reached: RefCell<HashMap<u64, usize>>,
    pub(super) bytes: Cell<u64>,
    pub(super) buffer: RefCell<Vec<u8>>,
    frame: RefCell<Vec<u8>>,
    pub(super) paced: std::sync::Arc<super::pacer::Tally>,
}

impl Shared {
    pub(super) fn new(mut plan: Plan) -> Self {
        let tokens = RefCell::new(std::mem::take(&mut plan.tokens));
        let lanes = plan.lanes.iter().enumerate();
        Self {
            lane_of: lanes.map(|(at, lane)| (lane.index, at)).collect(),
            next_connection: Cell::new(0),
            open: RefCell::default(),
            senders: RefCell::default(),
            counts: RefCell::default(),
            ack: RefCell::new(Latency::new()),
            delivery: RefCell::new(Latency::new()),
            measured: Cell::default(),
            measure_from: Cell::new(0),
            measure_to: Cell::new(u64::MAX),
            missing: RefCell::default(),
            acked_seq: RefCell::default(),
            reached: RefCell::default(),
            bytes: Cell::default(),
            buffer: RefCell::new(vec![0; 64 << 10]),
            frame: RefCell::default(),
            paced: std::sync::Arc::default(),
            tokens,
            plan,
        }
    }

    /// Makes a sender for every lane, once all connections stand.
    pub(super) fn arm(&self) {
        let open = self.open.borrow();
        let by_index: HashMap<usize, &Writer> = open.iter().map(|o| (o.index, &o.writer)).collect();
        let senders = self.plan.lanes.iter().filter_map(|lane| {
            let writer = (*by_index.get(&lane.connection)?).clone();
            let composer = Composer::new(
                self.plan.run,
                lane.index,
                &lane.conversation,
                self.plan.size,
            );
            Some(Sender { writer, composer })
        });
        *self.senders.borrow_mut() = senders.collect();
    }

    /// Takes newer tokens, and gives them to the connections of their users.
    pub(super) fn renew(&self, renewed: Vec<(u32, String)>) {
        let frames: HashMap<u32, Vec<u8>> = renewed
            .iter()
            .map(|(at, token)| (*at, authenticate(token)))
            .collect();
        for open in self.open.borrow().iter() {
            if let Some(frame) = frames.get(&self.plan.connections[open.index].token) {
                open.writer.write(frame);
                open.writer.flush();
            }
        }
        let mut tokens = self.tokens.borrow_mut();
        for (at, token) in renewed {
            if let Some(known) = tokens.get_mut(at as usize) {
                *known = token;
            }
        }
    }

    pub(super) fn disconnect(&self) {
        for open in self.open.borrow_mut().drain(..) {
            open.reader.abort();
        }
        self.senders.borrow_mut().clear();
        self.next_connection.set(0);
    }

    /// Whether anything is sent on its connections.
    pub(super) fn sends(&self) -> bool {
        !self.senders.borrow().is_empty()
    }

    pub(super) fn flush(&self) {
        for sender in self.senders.borrow().iter() {
            sender.writer.flush();
        }
    }

    /// Sends now on a lane.
    pub(super) fn send_one(&self, lane: usize) {
        let mut senders = self.senders.borrow_mut();
        let Some(sender) = senders.get_mut(lane) else {
            return;
        };
        let mut frame = self.frame.borrow_mut();
        frame.clear();
        sender.composer.compose(now_micros(), &mut frame);
        let mut counts = self.counts.borrow_mut();
        if sender.writer.write(&frame) {
            counts.sent += 1;
        } else {
            counts.shed += 1;
        }
    }

    /// Puts a window of messages on the way on every lane.
    pub(super) fn fill_windows(&self, end: u64) {
        self.measure_to.set(end);
        let lanes = self.senders.borrow().len();
        for lane in 0..lanes {
            (0..self.plan.window).for_each(|_| self.send_one(lane));
        }
    }

    pub(super) fn handle_ack(&self, frame: &[u8], now: u64) {
        let Some(mark) = self.own_mark(frame) else {
            return;
        };
        let acked = {
            let mut counts = self.counts.borrow_mut();
            counts.acked += 1;
            counts.acked
        };
        let every = self.plan.edit_every;
        if every > 0 && acked.is_multiple_of(every) {
            self.edit(&mark, frame);
        }
        if self.is_measured(&mark) {
            self.ack
                .borrow_mut()
                .record(now.saturating_sub(mark.intended));
            let (acked, delivered) = self.measured.get();
            self.measured.set((acked + 1, delivered));
        }
        let seq = frames::seq(frame).unwrap_or(0);
        let newest = self
            .acked_seq
            .borrow_mut()
            .insert(mark.conversation, seq)
            .unwrap_or(0);
        if seq <= newest {
            self.counts.borrow_mut().ack_disorder += 1;
        }
        if self.plan.rate == 0.0
            && self.plan.window > 0
            && now < self.measure_to.get()
            && let Some(&lane) = self.lane_of.get(&mark.conversation)
        {
            self.send_one(lane);
        }
    }

    /// Edits a message that was acknowledged now.
    fn edit(&self, mark: &Mark, ack: &[u8]) {
        let lane = self.lane_of.get(&mark.conversation);
        let mut senders = self.senders.borrow_mut();
        let (Some(sender), Some(message_id)) = (
            lane.and_then(|lane| senders.get_mut(*lane)),
            frames::message_id(ack),
        ) else {
            return;
        };
        let mut frame = self.frame.borrow_mut();
        frame.clear();
        sender.composer.edit(message_id, &mut frame);
        if sender.writer.write(&frame) {
            self.counts.borrow_mut().edits += 1;
        }
    }

    /// A message of this run came for the first time on a connection.
    pub(super) fn handle_delivery(&self, mark: &Mark, now: u64) {
        self.counts.borrow_mut().delivered += 1;
        if self.is_measured(mark) {
            self.delivery
                .borrow_mut()
                .record(now.saturating_sub(mark.intended));
            let (acked, delivered) = self.measured.get();
            self.measured.set((acked, delivered + 1));
        }
        if self.plan.one_conversation {
            let own_lanes = self.plan.lanes.len();
            let all = self.open.borrow().len().saturating_sub(own_lanes);
            let mut reached = self.reached.borrow_mut();
            let count = reached.entry(mark.number).or_default();
            *count += 1;
            if *count == all {
                reached.remove(&mark.number);
                say(&Word::Reached {
                    number: mark.number,
                });
            }
        }
    }

    pub(super) fn own_mark(&self, frame: &[u8]) -> Option<Mark> {
        Mark::find(frame).filter(|mark| mark.run == self.plan.run)
    }

    fn is_measured(&self, mark: &Mark) -> bool {
        (self.measure_from.get()..self.measure_to.get()).contains(&mark.intended)
    }

    pub(super) fn progress(&self) -> Word {
        let counts = self.counts.borrow();
        let sent = counts.sent + self.paced.sent();
        Word::Progress {
            sent,
            acked: counts.acked,
            delivered: counts.delivered,
        }
    }

    pub(super) fn done(&self, lag: Option<Latency>) -> Done {
        let mut counts = self.counts.borrow().clone();
        counts.sent += self.paced.sent();
        counts.shed += self.paced.shed();
        counts.gaps = self.missing.borrow().len() as u64;
        let (acked_measured, delivered_measured) = self.measured.get();
        Done {
            counts,
            ack: self.ack.borrow().export(),
            delivery: self.delivery.borrow().export(),
            lag: lag.map(|l| l.export()).unwrap_or_default(),
            acked_measured,
            delivered_measured,
            cpu: procfs::own_cpu(),
            bytes: self.bytes.get(),
        }
    }
}

/// The frame that gives a newer token to a connection.
fn authenticate(token: &str) -> Vec<u8> {
    let (mut json, mut frame) = (Vec::new(), Vec::new());
    ClientFrame::Authenticate(AccessToken(token.into())).encode(&mut json);
    frames::push(1, &json, &mut frame);
    frame
}

/// Writes the messages of one lane.
pub(super) struct Composer {
    mark: Mark,
    conversation: String,
    head: Vec<u8>,
    padding: usize,
    json: Vec<u8>,
}

impl Composer {
    fn new(run: u64, index: u32, conversation: &str, size: usize) -> Self {
        let head = format!(
            r#"{{"type":"send-message","data":{{"conversationId":"{conversation}","messageType":1,"client_msg_id":""#
        );
        let mark = Mark {
            run,
            conversation: index,
            number: 0,
            intended: 0,
        };
        Self {
            mark,
            conversation: conversation.to_owned(),
            head: head.into_bytes(),
            padding: size,
            json: Vec::new(),
        }
    }

    /// Appends the frame of the lane's next message.
    pub(super) fn compose(&mut self, intended: u64, out: &mut Vec<u8>) {
        self.mark.intended = intended;
        let json = &mut self.json;
        json.clear();
        json.extend_from_slice(&self.head);
        self.mark.write(json);
        json.extend_from_slice(br#"","content":""#);
        let start = json.len();
        self.mark.write(json);
        json.resize((start + self.padding).max(json.len()), b'x');
        json.extend_from_slice(br#""}}"#);
        frames::push(1, json, out);
        self.mark.number += 1;
    }

    /// Appends the frame that edits a message of the lane. Its client id is the message's id behind a
    /// letter: no mark, so that nobody takes it for a message of the run.
    fn edit(&mut self, message_id: &str, out: &mut Vec<u8>) {
        let json = &mut self.json;
        json.clear();
        json.extend_from_slice(br#"{"type":"edit-message","data":{"conversationId":""#);
        json.extend_from_slice(self.conversation.as_bytes());
        json.extend_from_slice(br#"","messageId":""#);
        json.extend_from_slice(message_id.as_bytes());
        json.extend_from_slice(br#"","client_msg_id":"e"#);
        json.extend_from_slice(message_id.as_bytes());
        json.extend_from_slice(br#"","content":""#);
        json.resize(json.len() + self.padding.max(1), b'y');
        json.extend_from_slice(br#""}}"#);
        frames::push(1, json, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn composed_messages_are_what_the_contract_asks_for() {
        let mut composer = Composer::new(u64::MAX >> 20, u32::MAX, "world", 200);
        for number in 0..2 {
            let mut frame = Vec::new();
            composer.compose(1_700_000_000_000_000, &mut frame);
            let (_, payload) = frame.split_at(frame.len() - composer.json.len());
            let text = std::str::from_utf8(payload).unwrap();
            let Ok(ClientFrame::SendMessage(message)) = ClientFrame::parse(text) else {
                panic!("{text}")
            };
            assert_eq!(message.content.len(), 200);
            let id = message.client_msg_id.unwrap();
            assert!(id.len() <= 64, "{} bytes", id.len());
            assert_eq!(Mark::find(id.as_bytes()).unwrap().number, number);
        }
        let mut frame = Vec::new();
        composer.edit("17", &mut frame);
        let (_, payload) = frame.split_at(frame.len() - composer.json.len());
        let text = std::str::from_utf8(payload).unwrap();
        let Ok(ClientFrame::Change(change)) = ClientFrame::parse(text) else {
            panic!("{text}")
        };
        assert_eq!((change.message_id.get(), change.content.len()), (17, 200));
        assert_eq!(Mark::find(payload), None);
    }
}
