//! Edits and recalls: every client ends with the state of every message that the server has.

use proptest::prelude::*;

use super::two_parties::{holds_the_truth, outgoing, seeds};
use super::world::{Network, World, user};
use crate::ids::{ConversationId, SeqId};
use crate::sync::{Options, State};

const GOOD: Network = Network {
    lose: 0,
    double: 0,
    cut: 0,
    refuse: 0,
    delay: 5,
};

fn places() -> [ConversationId; 2] {
    let chat = ConversationId::single(user(0), user(1)).unwrap();
    [ConversationId::World, chat]
}

/// Everybody talks, edits and takes back, and comes and goes, while the network does its worst.
fn talk(options: Options, acts: u64, network: Network, seed: u64) -> World {
    let mut world = World::with(options, 3, network, seed);
    for n in 0..acts {
        let from = world.random(3) as usize;
        let place = places()[world.random(2) as usize];
        let length = world.logs.get(&place).map_or(0, |log| log.next());
        match world.random(20) {
            0..8 => {
                let mut message = outgoing(from, n as usize, place);
                let quotes = world.random(3) == 0;
                // Often of a message that was sent or changed a moment ago.
                let reach = if world.random(3) == 0 { length } else { 4 };
                let seq = length.saturating_sub(world.random(reach.max(1)));
                let answered = world.message(place, seq).filter(|_| quotes);
                message.refers.reply_to = answered.map(|m| m.id);
                if world.random(5) == 0 {
                    message = message.mention([user(9), user(0)]);
                }
                message.refers.mention_all = world.random(9) == 0;
                world.send(from, message);
            }
            8..17 => {
                // Mostly one of the last messages, now and then any.
                let reach = if world.random(4) == 0 { length } else { 4 };
                let seq = length.saturating_sub(world.random(reach.max(1)));
                let recall = world.random(5) == 0;
                world.change(place, seq, recall, from);
            }
            17 => world.set_away(from, true),
            18 => {
                let keeps = world.random(3) > 0;
                world.restart(from, keeps);
            }
            _ => (0..3).for_each(|n| world.set_away(n, false)),
        }
        let pause = 40 * world.random(7);
        world.run_for(pause);
    }
    (0..3).for_each(|n| world.set_away(n, false));
    // What is lost may stay unknown until the next connection; what is only late may not.
    match network.lose + network.cut {
        0 => world.quieten(),
        _ => world.calm_down(),
    }
    world
}

fn check(world: &World) {
    for (n, client) in world.clients.iter().enumerate() {
        assert_eq!(client.session.state(), State::Ready);
        assert_eq!(
            (client.session.unacknowledged(), client.session.gaps()),
            (0, 0)
        );
        holds_the_truth(world, n, 1);
    }
}

fn everything(page_limit: u32) -> Options {
    Options {
        initial_history: u64::MAX,
        page_limit,
        ..Options::default()
    }
}

#[test]
fn a_change_reaches_everybody_and_is_told_once() {
    let world = talk(everything(100), 60, GOOD, 7);
    check(&world);
    let pages: usize = world.clients.iter().map(|c| c.pages).sum();
    assert!(pages > 0);
}

#[test]
fn a_client_that_was_away_pays_one_page_per_hundred_changed_messages() {
    let mut world = World::with(everything(100), 2, GOOD, 3);
    let place = ConversationId::World;
    for n in 0..400 {
        world.send(0, outgoing(0, n, place));
        world.run_for(20);
    }
    world.run_for(1000);
    holds_the_truth(&world, 1, 1);
    world.set_away(1, true);
    // 1,000 changes of 250 messages, some of them new, and one that nobody touched since.
    for n in 0..1000 {
        if n % 20 == 0 {
            world.send(0, outgoing(0, 400 + n, place));
        }
        let seq = 200 + n as SeqId % 250;
        world.change(place, seq, n % 50 == 7, 0);
        world.run_for(20);
    }
    let before = world.clients[1].pages;
    world.set_away(1, false);
    world.run_for(60_000);
    holds_the_truth(&world, 1, 1);
    let pages = world.clients[1].pages - before;
    assert!(pages <= 3, "{pages} pages for 250 messages");
}

#[test]
fn a_client_that_was_away_for_more_than_fits_aside_ends_the_same() {
    let mut world = World::with(everything(100), 2, GOOD, 3);
    let place = ConversationId::World;
    world.send(0, outgoing(0, 0, place));
    world.run_for(2000);
    world.set_away(1, true);
    for n in 1..3000 {
        world.send(0, outgoing(0, n, place));
        world.run_for(20);
    }
    // The first of the new messages are changed last: what comes before them in the order of `rev`
    // lies beyond a gap.
    for seq in [1, 2, 3, 1500] {
        world.change(place, seq, seq == 3, 0);
    }
    world.run_for(1000);
    let before = world.clients[1].pages;
    world.set_away(1, false);
    world.run_for(60_000);
    holds_the_truth(&world, 1, 1);
    let pages = world.clients[1].pages - before;
    assert!(pages <= 60, "{pages} pages for 3,000 messages");
}

#[test]
fn a_server_of_before_changes_is_followed_by_sequence_numbers_alone() {
    let network = Network {
        lose: 200,
        cut: 20,
        delay: 100,
        ..GOOD
    };
    let mut world = World::with(everything(7), 3, network, 5);
    world.is_old = true;
    for n in 0..40 {
        world.send(n % 3, outgoing(n % 3, n, places()[n % 2]));
        world.run_for(50);
    }
    world.calm_down();
    (0..3).for_each(|n| holds_the_truth(&world, n, 1));
}

proptest! {
    #![proptest_config(seeds(192))]
    #[test]
    fn any_network_ends_in_the_same_state_of_every_message_for_everybody(
        seed: u64,
        lose in 0..400u64,
        double in 0..300u64,
        cut in 0..60u64,
        refuse in 0..300u64,
        delay in 1..800u64,
        page_limit in 2..40u32,
    ) {
        let network = Network { lose, double, cut, refuse, delay };
        check(&talk(everything(page_limit), 90, network, seed));
    }

    #[test]
    fn what_is_only_late_or_refused_needs_no_new_connection(
        seed: u64,
        refuse in 0..300u64,
        delay in 1..800u64,
        page_limit in 2..40u32,
    ) {
        let network = Network { refuse, delay, double: 100, ..GOOD };
        check(&talk(everything(page_limit), 90, network, seed));
    }

    #[test]
    fn a_client_that_starts_late_holds_the_newest_messages_as_they_are(
        seed: u64,
        lose in 0..400u64,
        cut in 0..60u64,
        refuse in 0..300u64,
        delay in 1..800u64,
        initial_history in 0..12u64,
    ) {
        let network = Network { lose, double: 50, cut, refuse, delay };
        let options = Options { initial_history, page_limit: 5, ..Options::default() };
        let world = talk(options, 90, network, seed);
        for (n, client) in world.clients.iter().enumerate() {
            prop_assert_eq!(client.session.gaps(), 0);
            for (place, log) in &world.logs {
                let truth = log.truth();
                let told = client.timeline.get(place).cloned().unwrap_or_default();
                let from = truth.len() - told.len();
                for (told, truth) in told.iter().zip(&truth[from..]) {
                    let state = |m: &crate::sync::Message| {
                        (m.seq_id, m.rev, m.deleted, m.content.clone(), m.extra.clone(), m.edit_count)
                    };
                    prop_assert_eq!(state(told), state(truth), "what client {} holds", n);
                }
            }
        }
    }

    #[test]
    fn a_client_that_loads_history_while_it_changes_holds_the_truth(
        seed: u64,
        lose in 0..200u64,
        delay in 20..600u64,
        page_limit in 2..6u32,
    ) {
        let network = Network { lose, delay, ..GOOD };
        let mut world = World::with(everything(page_limit), 2, network, seed);
        let place = ConversationId::World;
        for n in 0..30 {
            if n < 25 {
                world.send(0, outgoing(0, n, place));
            }
            let pause = world.random(delay);
            world.run_for(pause);
        }
        for n in 0..60 {
            if n % 20 == 0 {
                world.restart(1, false);
            }
            if n % 15 == 0 {
                world.send(0, outgoing(0, 100 + n, place));
            }
            let length = world.logs.get(&place).map_or(0, |log| log.next());
            let (seq, recall) = (1 + world.random(length), world.random(10) == 0);
            world.change(place, seq, recall, 0);
            let pause = world.random(delay / 2);
            world.run_for(pause);
        }
        world.calm_down();
        holds_the_truth(&world, 1, 1);
    }

    #[test]
    fn edits_that_race_a_recall_end_in_one_state(seed: u64, delay in 1..400u64, lose in 0..300u64) {
        let network = Network { lose, delay, double: 100, ..GOOD };
        let mut world = World::with(everything(100), 3, network, seed);
        let place = ConversationId::World;
        world.send(0, outgoing(0, 0, place));
        while world.logs.is_empty() {
            world.run_for(5_000);
        }
        for n in 0..12 {
            let by = world.random(3) as usize;
            world.change(place, 1, n == 8, by);
            let pause = world.random(60);
            world.run_for(pause);
        }
        world.calm_down();
        check(&world);
        prop_assert!(world.logs[&place].truth()[0].deleted);
    }
}
