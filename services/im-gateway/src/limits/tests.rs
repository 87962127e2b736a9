//! The buckets of one process.

use super::*;

#[test]
fn strangers_do_not_grow_memory() {
    let limits = Limits::new(Rates {
        max_buckets: 160,
        ..Rates::default()
    });
    for i in 0..10_000u32 {
        let address = IpAddr::from(i.to_be_bytes());
        let _ = limits.admit_at(address, Door::Login, u64::from(i));
        let _ = limits.admit_address(address, false);
        let _ = limits.admit_connection(address);
    }
    for held in [
        limits.login.held(),
        limits.http.held(),
        limits.connect.held(),
    ] {
        assert!(held <= 160, "{held}");
    }
}

#[test]
fn other_rates_hold_at_once() {
    let limits = Limits::new(Rates::default());
    let address = IpAddr::from([10, 0, 0, 1]);
    let ask = || limits.admit_at(address, Door::Register, 1_000).is_ok();
    assert_eq!((0..10).filter(|_| ask()).count(), 3);
    limits.set_rates(Rates {
        register: Rule::new(1.0, 8.0),
        ..Rates::default()
    });
    assert_eq!((0..10).filter(|_| ask()).count(), 5);
}

#[test]
fn one_customer_of_ipv6_is_one_address() {
    let a: IpAddr = "2001:db8:1:2:3::1".parse().unwrap();
    let b: IpAddr = "2001:db8:1:2:ffff::9".parse().unwrap();
    assert_eq!(network_of(a), network_of(b));
    let mapped: IpAddr = "::ffff:10.0.0.1".parse().unwrap();
    assert_eq!(network_of(mapped), "10.0.0.1".parse::<IpAddr>().unwrap());
}

#[test]
fn the_world_chat_has_a_rate_of_its_own() {
    let limits = Limits::new(Rates::default());
    let user = UserId::new(1).unwrap();
    let world = (0..30).filter(|_| {
        limits
            .admit_send(user, ConversationId::World, 1_000)
            .is_ok()
    });
    assert_eq!(world.count(), 10);
    let other = UserId::new(2).unwrap();
    let single = ConversationId::single(user, other).unwrap();
    assert_eq!(
        (0..40)
            .filter(|_| limits.admit_send(other, single, 1_000).is_ok())
            .count(),
        30
    );
}

#[test]
fn strangers_leave_room_for_those_who_sign_in_and_those_for_who_are_signed_in() {
    let limits = Limits::new(Rates {
        instance: Rule::new(0.001, 100.0),
        login: Rule::new(1_000.0, 1_000.0),
        ..Rates::default()
    });
    let strangers = (0..1_000).filter(|_| limits.admit_stranger().is_ok());
    assert_eq!(strangers.count(), 25);
    let address = IpAddr::from([10, 0, 0, 1]);
    let signing_in = (0..1_000).filter(|_| {
        limits
            .admit_at(address, Door::Login, clock::now_ms())
            .is_ok()
    });
    assert_eq!(signing_in.count(), 25, "up to half");
    let signed_in = (0..1_000).filter(|_| limits.admit_signed_in().is_ok());
    assert_eq!(signed_in.count(), 50);
}

#[test]
fn guesses_cost_more_than_requests() {
    let limits = Limits::new(Rates {
        http: Rule::new(0.001, 100.0),
        ..Rates::default()
    });
    let (guesser, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
    let guesses = (0..1_000).filter(|_| {
        let admitted = limits.admit_address(guesser, true).is_ok();
        if admitted {
            limits.charge_guess(guesser);
        }
        admitted
    });
    assert_eq!(guesses.count(), 10);
    assert!(limits.admit_address(other, true).is_ok());
}

#[test]
fn an_account_has_a_rate_of_its_own_whatever_its_addresses() {
    let limits = Limits::new(Rates {
        account: Rule::new(0.001, 5.0),
        ..Rates::default()
    });
    let of = |user| {
        let user = UserId::new(user).unwrap();
        (0..9)
            .filter(|_| limits.admit_account(user).is_ok())
            .count()
    };
    assert_eq!([of(1), of(1), of(2)], [5, 0, 5]);
}
