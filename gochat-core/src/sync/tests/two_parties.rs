use proptest::prelude::*;

use super::world::{Network, World, user};
use crate::ids::ConversationId;
use crate::sync::{Outgoing, State};

fn outgoing(from: usize, n: usize, conversation_id: ConversationId) -> Outgoing {
    Outgoing {
        client_msg_id: format!("{from}-{n}"),
        conversation_id,
        message_type: 1,
        content: format!("number {n} of {from}"),
        extra: None,
        resend: false,
    }
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

fn check(world: &World, clients: usize, messages: usize) {
    let total: usize = world.log.values().map(Vec::len).sum();
    assert_eq!(total, messages, "every message once");
    for client in &world.clients {
        assert_eq!(client.session.state(), State::Ready);
        assert_eq!((client.session.unacknowledged(), client.refused), (0, 0));
        for (conversation, log) in &world.log {
            let mut seen = client.timeline[conversation].clone();
            for message in &mut seen {
                // Pushes carry no id in a field of their own; everything else must be equal.
                message.sender_name = None;
                message.created_at = 1;
            }
            assert_eq!(&seen, log, "the same timeline for everyone");
        }
    }
    let acknowledged: usize = world.clients.iter().map(|c| c.sent.len()).sum();
    assert_eq!(acknowledged, messages);
    for log in world.log.values() {
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
    #![proptest_config(ProptestConfig::with_cases(96))]
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
