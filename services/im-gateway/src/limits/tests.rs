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
        let _ = limits.admit_http(address, Door::Login, u64::from(i));
    }
    assert!(limits.http.held() <= 160);
}

#[test]
fn other_rates_hold_at_once() {
    let limits = Limits::new(Rates::default());
    let address = IpAddr::from([10, 0, 0, 1]);
    let ask = || limits.admit_http(address, Door::Register, 1_000).is_ok();
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
