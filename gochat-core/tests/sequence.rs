//! The idempotency window against a model that remembers everything.
#![allow(
    clippy::unwrap_used,
    reason = "a test that can't go on should stop here"
)]

use std::collections::HashMap;

use gochat_core::ids::{MessageId, UserId};
use gochat_core::sequence::{
    Admitted, Assigned, ClientKey, ConversationLog, Head, Recorded, SinceSent, WINDOW_MESSAGES,
    WINDOW_MS,
};
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Step {
    Send(u16),
    Change(u16),
    Burst(u16),
    Commit,
    Rollback,
    Wait(u64),
    Rebuild,
    /// What became of one of the newest messages.
    Ask(u16),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..200u16).prop_map(Step::Send),
        4 => (0..200u16).prop_map(Step::Change),
        1 => (0..6000u16).prop_map(Step::Burst),
        3 => Just(Step::Commit),
        1 => Just(Step::Rollback),
        1 => (0..WINDOW_MS).prop_map(Step::Wait),
        1 => Just(Step::Rebuild),
        6 => (0..60u16).prop_map(Step::Ask),
        2 => (0..2_000u16).prop_map(Step::Ask),
    ]
}

/// Every message and change ever appended; the window is computed from its definition.
#[derive(Default)]
struct Model {
    messages: Vec<(u32, Assigned)>,
    by_client: HashMap<u32, Vec<Assigned>>,
}

impl Model {
    fn find(&self, client: u32, now: u64) -> Option<Assigned> {
        let head = self.messages.len() as u64;
        let newest = *self.by_client.get(&client)?.last()?;
        let live = head - newest.rev < WINDOW_MESSAGES && now.saturating_sub(newest.at) < WINDOW_MS;
        live.then_some(newest)
    }

    fn push(&mut self, client: u32, assigned: Assigned) {
        self.messages.push((client, assigned));
        self.by_client.entry(client).or_default().push(assigned);
    }

    fn truncate(&mut self, len: usize) {
        for (client, _) in self.messages.drain(len..) {
            self.by_client.get_mut(&client).unwrap().pop();
        }
    }

    /// The message at a position.
    fn sent(&self, seq: u64) -> Assigned {
        let of = |(client, one): &&(u32, Assigned)| !is_change(*client) && one.seq == seq;
        self.messages.iter().find(of).unwrap().1
    }

    fn head(&self) -> Head {
        let changes = self
            .messages
            .iter()
            .filter(|(client, _)| is_change(*client));
        let rev = self.messages.len() as u64;
        Head {
            seq: rev - changes.count() as u64,
            rev,
        }
    }
}

/// Clients from here on make changes.
const CHANGES: u32 = 1 << 31;

fn is_change(client: u32) -> bool {
    client >= CHANGES
}

/// A message and a change with one client id are told apart.
fn key(client: u32) -> ClientKey {
    let id = format!("client-{}", client % CHANGES);
    let author = UserId::new(7).unwrap();
    match is_change(client) {
        true => ClientKey::of_change(author, &id),
        false => ClientKey::new(author, &id),
    }
}

fn recorded((client, a): &(u32, Assigned)) -> Recorded {
    Recorded {
        key: key(*client),
        message_id: a.message_id,
        seq: a.seq,
        rev: a.rev,
        at: a.at,
    }
}

struct Run {
    log: ConversationLog,
    model: Model,
    committed: usize,
    now: u64,
    fresh: u32,
}

impl Run {
    fn send(&mut self, client: u32) {
        let id = MessageId::new(self.model.messages.len() as u64 + 1).unwrap();
        match (
            self.log.admit(key(client), self.now, || id),
            self.model.find(client, self.now),
        ) {
            (Admitted::Replay(got), Some(first)) => assert_eq!(got, first),
            (Admitted::New(got), None) => {
                let Head { seq, rev } = self.model.head();
                assert_eq!((got.seq, got.rev), (seq + 1, rev + 1));
                self.model.push(client, got);
            }
            (got, expected) => panic!("{got:?}, expected {expected:?}"),
        }
    }

    /// Changes a message that may be older than the window.
    fn change(&mut self, client: u32) {
        let head = self.model.head();
        let known = self.log.find(&key(client), self.now);
        assert_eq!(known, self.model.find(client, self.now));
        if known.is_none() && head.seq > 0 {
            let seq = 1 + u64::from(client) % head.seq;
            let id = self.model.sent(seq).message_id;
            let got = self.log.append_change(key(client), id, seq, self.now);
            assert_eq!((got.message_id, got.seq, got.rev), (id, seq, head.rev + 1));
            self.model.push(client, got);
        }
    }

    fn apply(&mut self, step: &Step) {
        match *step {
            Step::Send(client) => self.send(client.into()),
            Step::Change(client) => self.change(CHANGES + u32::from(client)),
            Step::Burst(n) => {
                for _ in 0..n {
                    self.fresh += 1;
                    self.send(1_000_000 + self.fresh);
                }
            }
            Step::Commit => {
                self.log.commit(self.now);
                self.committed = self.model.messages.len();
                assert!(self.log.remembered() as u64 <= WINDOW_MESSAGES);
            }
            Step::Rollback => {
                self.log.rollback();
                self.model.truncate(self.committed);
            }
            Step::Wait(ms) => self.now += ms,
            Step::Rebuild => self.rebuild(),
            Step::Ask(back) => self.ask(back.into()),
        }
        assert_eq!(self.log.head(), self.model.head());
    }

    /// Everything since a message was sent is told, or nothing at all.
    fn ask(&self, back: u64) {
        let head = self.model.head();
        let Some(seq) = head.seq.checked_sub(back).filter(|seq| *seq > 0) else {
            return;
        };
        let (sent, author) = (self.model.sent(seq), UserId::new(7).unwrap());
        let later = &self.model.messages[sent.rev as usize..];
        let is_changed = later
            .iter()
            .any(|(_, one)| one.message_id == sent.message_id);
        let expected = |is_changed_by| SinceSent {
            author,
            sent,
            is_system: false,
            is_changed,
            is_changed_by,
        };
        let ask = |log: &ConversationLog, by| log.since_sent(sent.message_id, by);
        let staged = self.model.messages.len() - self.committed;
        let is_near = later.len() < 1_024 + staged;
        match ask(&self.log, author) {
            Some(found) => assert_eq!((found, is_near), (expected(is_changed), true)),
            None => assert!(!is_near || self.log.known_from(self.now) > sent.rev),
        }
        let reader = ask(&self.log, UserId::new(8).unwrap());
        assert!(reader.is_none_or(|found| found == expected(false)));
        if !is_near {
            return;
        }
        // A log that lacks one of those since then doesn't tell.
        let since = &self.model.messages[sent.rev as usize - 1..];
        let tells = |missing: Option<usize>| {
            let all = since.iter().enumerate();
            let all = all.filter(|(at, _)| Some(*at) != missing);
            let mut log = ConversationLog::default();
            log.recover(head, all.map(|(_, one)| recorded(one)));
            ask(&log, author).is_some()
        };
        assert!(tells(None) || since.len() > 1_024);
        assert!(!tells(Some(0)));
        assert!(since.len() == 1 || !tells(Some(since.len() - 1)));
    }

    /// A new owner unites the database (all but the newest) with the tail, which overlaps.
    fn rebuild(&mut self) {
        self.model.truncate(self.committed);
        let all: Vec<_> = self.model.messages.iter().map(recorded).collect();
        let (third, half) = (all.len() / 3, all.len() / 2);
        self.log = ConversationLog::default();
        let (tail, stored) = (&all[third..], &all[..half]);
        self.log.recover(Head::default(), tail.iter().copied());
        let head = Head {
            seq: stored.iter().map(|one| one.seq).max().unwrap_or(0),
            rev: half as u64,
        };
        self.log.recover(head, stored.iter().rev().copied());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_window_is_the_smaller_of_count_and_age_through_every_history(
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut run = Run {
            log: ConversationLog::default(),
            model: Model::default(),
            committed: 0,
            now: 1_700_000_000_123,
            fresh: 0,
        };
        for step in &steps {
            run.apply(step);
        }
    }
}
