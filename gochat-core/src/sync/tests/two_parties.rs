use proptest::prelude::*;

use super::server::Log;
use super::world::{Network, World, user};
use crate::ids::{ConversationId, SeqId};
use crate::sync::{Outgoing, State};

pub(super) fn outgoing(from: usize, n: usize, conversation_id: ConversationId) -> Outgoing {
    let content = format!("number {n} of {from}");
    Outgoing::text(format!("{from}-{n}"), conversation_id, content)
}

/// Everybody talks in two conversations while the network does its worst; then it calms down.
fn talk(clients: usize, messages: usize, network: Network, seed: u64) -> World {
    let places = [
        ConversationId::World,
        ConversationId::single(user(0), user(1)).unwrap(),
    ];
    let mut world = World::new(clients, network, seed);
    for n in 0..messages {
        let from = n % clients;
        world.send(from, outgoing(from, n, places[n / clients % 2]));
        world.run_for(40 * (n as u64 % 7));
    }
    world.calm_down();
    world
}

/// The client holds every message from the given number on, as it is; one that was recalled before
/// it was told may be missing where a server without changes leaves it out.
pub(super) fn holds_the_truth(world: &World, n: usize, from: SeqId) {
    let client = &world.clients[n];
    for (place, log) in &world.logs {
        let mut truth = log.truth();
        truth.retain(|m| m.seq_id >= from);
        let mut told = client.timeline.get(place).cloned().unwrap_or_default();
        for message in &mut told {
            message.sender_name = None;
            message.created_at = 1;
        }
        if world.is_old {
            truth.iter_mut().for_each(|m| m.rev = 0);
        }
        // The push of a recall doesn't say when the message was edited, if it ever was.
        let recalled = told.iter_mut().chain(&mut truth).filter(|m| m.deleted);
        recalled.for_each(|m| m.edited_at = None);
        assert_eq!(told, truth, "what client {n} holds of {place}");
        let complete = client.session.complete_rev(*place);
        assert_eq!(complete.is_none(), world.is_old || log.next() == 1);
    }
}

/// Number of runs of a simulation; `GOCHAT_SIM_SEEDS` asks for more or fewer.
pub(super) fn seeds(default: u32) -> ProptestConfig {
    let wished = std::env::var("GOCHAT_SIM_SEEDS").ok();
    let wished = wished.and_then(|text| text.parse().ok());
    ProptestConfig::with_cases(wished.unwrap_or(default))
}

fn check(world: &World, clients: usize, messages: usize) {
    let total: usize = world.logs.values().map(|log| log.truth().len()).sum();
    assert_eq!(total, messages, "every message once");
    for client in &world.clients {
        assert_eq!(client.session.state(), State::Ready);
        assert_eq!((client.session.unacknowledged(), client.refused), (0, 0));
        assert_eq!(client.session.gaps(), 0);
    }
    for n in 0..clients {
        holds_the_truth(world, n, 1);
    }
    let acknowledged: usize = world.clients.iter().map(|c| c.sent.len()).sum();
    assert_eq!(acknowledged, messages);
    for log in world.logs.values().map(Log::truth) {
        for from in 0..clients {
            let numbers: Vec<usize> = log
                .iter()
                .filter(|m| m.sender_id == user(from))
                .map(|m| m.client_msg_id.rsplit('-').next().unwrap().parse().unwrap())
                .collect();
            assert!(numbers.is_sorted(), "in the order of sending: {numbers:?}");
        }
    }
}

#[test]
fn on_a_good_network_everything_arrives_within_moments() {
    let network = Network {
        lose: 0,
        double: 0,
        cut: 0,
        refuse: 0,
        delay: 5,
    };
    let world = talk(2, 20, network, 1);
    check(&world, 2, 20);
}

#[test]
fn half_of_all_frames_lost_is_repaired() {
    let network = Network {
        lose: 500,
        double: 0,
        cut: 0,
        refuse: 0,
        delay: 50,
    };
    let world = talk(3, 40, network, 2);
    check(&world, 3, 40);
}

proptest! {
    #![proptest_config(seeds(96))]
    #[test]
    fn any_network_ends_in_the_same_complete_timeline_for_everyone(
        seed: u64,
        lose in 0..400u64,
        double in 0..300u64,
        cut in 0..60u64,
        refuse in 0..300u64,
        delay in 1..800u64,
    ) {
        let world = talk(3, 30, Network { lose, double, cut, refuse, delay }, seed);
        check(&world, 3, 30);
    }
}
