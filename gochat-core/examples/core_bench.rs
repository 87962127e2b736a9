//! Measures the hot paths of core and prints one line of JSON per figure.
//!
//! `cargo run --release -p gochat-core --example core_bench`
#![allow(
    clippy::disallowed_methods,
    reason = "a benchmark measures time; core itself never asks"
)]

use std::hint::black_box;
use std::time::Instant;

use gochat_core::audience::Roster;
use gochat_core::fanout::{GatewayIx, GatewayTable, Planner, Presence, PresenceMap};
use gochat_core::ids::{ConversationId, MessageId, UserId};
use gochat_core::sequence::{Admitted, ClientKey, ConversationLog};
use gochat_core::step::{
    Effects, Facts, Limits, Live, Loaded, Members, PartitionMachine, Record, Sender, Submission,
    View,
};

const NOW: u64 = 1_700_000_000_000;

fn main() {
    sequence("sequence, one hot conversation", 1);
    sequence("sequence, 1,000 conversations", 1_000);
    plan(10_000);
    step("step, single chats, batches of 256", 256, 1_000);
    step("step, single chats, batches of 4,096", 4_096, 1_000);
}

fn user(n: u64) -> UserId {
    UserId::new(n).unwrap_or_default()
}

fn report(what: &str, count: u64, start: Instant) {
    let nanos = start.elapsed().as_nanos() as f64;
    let (each, rate) = (nanos / count as f64, count as f64 * 1e9 / nanos);
    println!(r#"{{"bench":"{what}","n":{count},"ns_each":{each:.1},"per_second":{rate:.0}}}"#);
}

/// Keys are made from 36-byte client ids inside the loop; every tenth message is a resend.
fn sequence(what: &str, conversations: usize) {
    let mut logs = vec![ConversationLog::default(); conversations];
    let ids: Vec<String> = (0..100_000)
        .map(|n| format!("0192f0c4-7e3a-7b1c-9d2e-{n:012x}"))
        .collect();
    let rounds: u64 = 5_000_000;
    let start = Instant::now();
    for n in 0..rounds {
        let turn =
            n as usize - usize::from(n % 10 == 9 && n as usize >= conversations) * conversations;
        let log = &mut logs[turn % conversations];
        let key = ClientKey::new(user(n / 100_000), &ids[turn % ids.len()]);
        let admitted = log.admit(key, NOW, || MessageId::new(n).unwrap_or_default());
        if matches!(black_box(admitted), Admitted::New(_)) && n % 64 == 0 {
            log.commit(NOW);
        }
    }
    report(what, rounds, start);
}

fn plan(members: u64) {
    let mut table = GatewayTable::default();
    let gateways: Vec<GatewayIx> = (0..20).map(|n| table.intern(&n.to_string())).collect();
    let mut presence = PresenceMap::default();
    let ids: Vec<UserId> = (0..members).map(|n| user(n * 4_194_304 + 17)).collect();
    for (n, id) in ids.iter().enumerate() {
        presence.insert(*id, (n % 3 != 0).then(|| gateways[n % gateways.len()]));
    }
    let audience = Roster::loaded(ids).everyone();
    let mut planner = Planner::default();
    let rounds = 2_000;
    let start = Instant::now();
    for _ in 0..rounds {
        black_box(planner.direct(black_box(&audience), &presence, &gateways));
    }
    report(&format!("plan of {members} members"), rounds, start);
}

struct Everybody(GatewayIx);

impl Presence for Everybody {
    fn gateways_of(&self, _: UserId) -> Option<&[GatewayIx]> {
        Some(std::slice::from_ref(&self.0))
    }
}

impl View for Everybody {
    fn sender(&self, _: UserId) -> Sender {
        Sender::Known {
            guest: false,
            active: true,
        }
    }
}

/// The whole machine, key hashing included.
fn step(what: &str, batch: u64, rounds: u64) {
    let gateway = GatewayTable::default().intern("gateway-1");
    let mut machine = PartitionMachine::new(Limits::default());
    let (mut effects, mut next) = (Effects::default(), 0);
    let start = Instant::now();
    for _ in 0..rounds {
        machine.begin((0..batch).map(|n| {
            let sender = user(n % 1_000 * 2 + 1);
            let conversation = ConversationId::single(sender, user(n % 1_000 * 2 + 2));
            Record::Submit(Submission {
                conversation: conversation.unwrap_or(ConversationId::World),
                key: ClientKey::new(sender, &format!("{next}-{n}")),
                change: None,
                refers: None,
                only_repeat: None,
                gateway,
                resend: false,
                bytes: 20,
                long: false,
            })
        }));
        for need in machine.needs() {
            let facts = Some(Facts::open(Members::Implicit));
            machine.provide(
                need.conversation,
                Loaded {
                    facts,
                    ..Loaded::default()
                },
            );
        }
        let ids = || {
            next += 1;
            MessageId::new(next).ok_or(())
        };
        let live = Live {
            gateways: &[gateway],
            is_current: true,
        };
        let decided = machine.decide(NOW, &Everybody(gateway), live, ids, &mut effects);
        assert!(black_box(decided).is_ok());
        let mark = machine.committed();
        machine.saved(mark);
    }
    report(what, batch * rounds, start);
}
