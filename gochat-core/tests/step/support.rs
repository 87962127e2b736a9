//! A machine with everything around it, in a few lines per test.

use std::collections::HashMap;

use gochat_core::error::ErrorCode;
use gochat_core::fanout::{GatewayIx, GatewayTable, Presence};
use gochat_core::ids::{ConversationId, MessageId, SeqId, UnixMillis, UserId};
use gochat_core::sequence::ClientKey;
use gochat_core::step::*;

pub(crate) const NOW: UnixMillis = 1_700_000_000_000;

pub(crate) fn user(n: u64) -> UserId {
    UserId::new(n).unwrap()
}

pub(crate) fn group(n: u64) -> ConversationId {
    format!("g_{n}").parse().unwrap()
}

pub(crate) fn gateways(n: usize) -> Vec<GatewayIx> {
    let mut table = GatewayTable::default();
    (0..n)
        .map(|i| table.intern(&format!("gateway-{i}")))
        .collect()
}

/// What the worker would have looked up.
#[derive(Default)]
pub(crate) struct Lookups {
    pub(crate) presence: HashMap<UserId, Vec<GatewayIx>>,
    pub(crate) senders: HashMap<UserId, Sender>,
    pub(crate) presence_down: bool,
}

impl Presence for Lookups {
    fn gateways_of(&self, user: UserId) -> Option<&[GatewayIx]> {
        let known = self.presence.get(&user).map_or(&[][..], Vec::as_slice);
        (!self.presence_down).then_some(known)
    }
}

impl View for Lookups {
    fn sender(&self, user: UserId) -> Sender {
        let usual = Sender::Known {
            guest: false,
            active: true,
        };
        self.senders.get(&user).copied().unwrap_or(usual)
    }
}

/// A machine, its lookups, and stored facts it may load.
pub(crate) struct Bench {
    pub(crate) machine: PartitionMachine,
    pub(crate) lookups: Lookups,
    pub(crate) stored: HashMap<ConversationId, Loaded>,
    pub(crate) live: Vec<GatewayIx>,
    pub(crate) effects: Effects,
    pub(crate) now: UnixMillis,
    next_id: u64,
    /// Client ids of wishes so far.
    pub(crate) wishes: u64,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(Limits::default())
    }

    pub(crate) fn with(limits: Limits) -> Self {
        Self {
            machine: PartitionMachine::new(limits),
            lookups: Lookups::default(),
            stored: HashMap::new(),
            live: gateways(3),
            effects: Effects::default(),
            now: NOW,
            next_id: 1000,
            wishes: 0,
        }
    }

    pub(crate) fn store(&mut self, conversation: ConversationId, facts: Facts) {
        let loaded = Loaded {
            facts: Some(facts),
            ..Loaded::default()
        };
        self.stored.insert(conversation, loaded);
    }

    pub(crate) fn store_group(&mut self, n: u64, members: &[u64]) -> ConversationId {
        let members = Members::all(members.iter().map(|m| Standing::plain(user(*m))));
        self.store(group(n), Facts::open(members));
        group(n)
    }

    pub(crate) fn online(&mut self, who: u64, on: &[usize]) {
        let on = on.iter().map(|ix| self.live[*ix]).collect();
        self.lookups.presence.insert(user(who), on);
    }

    /// From user `sender` through gateway 0.
    pub(crate) fn submit(
        &self,
        conversation: ConversationId,
        sender: u64,
        client_id: &str,
    ) -> Record {
        let key = ClientKey::new(user(sender), client_id);
        Record::Submit(Submission {
            conversation,
            key,
            change: None,
            refers: None,
            only_repeat: None,
            gateway: self.live[0],
            resend: false,
            bytes: 20,
            long: false,
        })
    }

    /// The same, marked as a repetition.
    pub(crate) fn resend(
        &self,
        conversation: ConversationId,
        sender: u64,
        client_id: &str,
    ) -> Record {
        match self.submit(conversation, sender, client_id) {
            Record::Submit(submission) => Record::Submit(Submission {
                resend: true,
                ..submission
            }),
            other => other,
        }
    }

    /// A batch up to and with `decide`; what isn't stored is answered as absent.
    pub(crate) fn decide(&mut self, records: Vec<Record>) -> Vec<Effect> {
        self.machine.tick(self.now);
        self.machine.begin(records);
        for need in self.machine.needs() {
            let stored = self.stored.get(&need.conversation).cloned();
            let loaded = stored.unwrap_or_default();
            self.machine.provide(need.conversation, loaded);
        }
        self.decide_provided()
    }

    pub(crate) fn decide_provided(&mut self) -> Vec<Effect> {
        let ids = || {
            self.next_id += 1;
            MessageId::new(self.next_id).ok_or(())
        };
        let live = Live {
            gateways: &self.live,
            is_current: !self.lookups.presence_down,
        };
        self.machine
            .decide(self.now, &self.lookups, live, ids, &mut self.effects)
            .unwrap();
        self.effects.list.clone()
    }

    pub(crate) fn run(&mut self, records: Vec<Record>) -> Vec<Effect> {
        let effects = self.decide(records);
        self.machine.committed();
        effects
    }

    /// Sends one message and tells how it went.
    pub(crate) fn send(
        &mut self,
        conversation: ConversationId,
        sender: u64,
        client_id: &str,
    ) -> Result<SeqId, ErrorCode> {
        let record = self.submit(conversation, sender, client_id);
        self.run(vec![record])
            .iter()
            .find_map(outcome)
            .expect("every message is answered")
    }
}

/// The answer an effect gives to its sender, if it gives one.
pub(crate) fn outcome(effect: &Effect) -> Option<Result<SeqId, ErrorCode>> {
    match effect {
        Effect::Persist { message, .. } | Effect::Ack { message, .. } => Some(Ok(message.seq)),
        Effect::Nack { error, .. } => Some(Err(error.code)),
        _ => None,
    }
}
