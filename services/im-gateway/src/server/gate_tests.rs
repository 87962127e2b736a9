use super::*;

fn place() -> Place {
    Place::Own(Permit::for_test())
}

fn peer(last: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, last])
}

fn gate(max: usize, max_per_address: usize) -> Arc<Gate> {
    let limits = WaitingLimits {
        max,
        max_per_address,
    };
    Gate::new(limits, Some((Addresses::new(2), Accounts::new(1))))
}

fn waits(gate: &Gate) -> usize {
    let waiting = gate.waiting.lock();
    let counted: usize = waiting.counts.values().sum();
    assert_eq!(counted, waiting.by_address.len());
    waiting.by_age.len()
}

#[tokio::test]
async fn the_stranger_who_waits_longest_makes_room() {
    let gate = gate(2, 9);
    let first = gate.enter(peer(1), place(), false);
    let _second = gate.enter(peer(2), place(), false);
    let _third = gate.enter(peer(3), place(), false);
    first.shed().await;
    assert_eq!(waits(&gate), 2);
}

#[tokio::test]
async fn an_address_with_too_many_pushes_out_its_own() {
    let gate = gate(100, 3);
    let other = gate.enter(peer(1), place(), false);
    let first = gate.enter(peer(2), place(), false);
    let _more: Vec<_> = (0..50)
        .map(|_| gate.enter(peer(2), place(), false))
        .collect();
    first.shed().await;
    assert_eq!(waits(&gate), 4);
    let turn = other.turn.load(Ordering::Relaxed);
    assert!(gate.waiting.lock().by_age.contains_key(&turn));
}

#[test]
fn who_is_served_or_known_is_not_shed() {
    let gate = gate(1, 9);
    let first = gate.enter(peer(1), place(), false);
    first.stop_waiting();
    first.set_known(UserId::new(7).unwrap()).unwrap();
    first.wait();
    for i in 2..12 {
        gate.enter(peer(i), place(), false);
    }
    let waiting = gate.waiting.lock();
    assert!(!waiting.by_age.values().any(|v| Arc::ptr_eq(v, &first)));
    assert_eq!(waiting.by_age.len(), 1);
}

#[test]
fn addresses_and_accounts_have_their_number_of_connections() {
    let gate = gate(9, 9);
    let visitors: Vec<_> = (0..3)
        .map(|_| gate.enter(peer(1), place(), false))
        .collect();
    let taken: Vec<_> = visitors.iter().map(|v| v.take_address()).collect();
    assert_eq!(taken, [true, true, false]);
    let user = UserId::new(7).unwrap();
    assert!(visitors[0].set_known(user).is_ok());
    assert!(visitors[0].set_known(user).is_ok(), "counted once");
    let refusal = visitors[1].set_known(user).unwrap_err();
    assert_eq!(refusal.code, ErrorCode::RateLimited);
    visitors.iter().for_each(|v| v.stop_waiting());
    drop(visitors);
    assert!(gate.enter(peer(1), place(), false).set_known(user).is_ok());
}

#[test]
fn a_socket_keeps_its_place_and_gives_it_back() {
    let gate = gate(9, 9);
    let visitor = gate.enter(peer(1), place(), false);
    assert!(visitor.take_address());
    let permit = visitor.take_permit(peer(1)).unwrap().unwrap();
    visitor.stop_waiting();
    drop(visitor);
    let next = gate.enter(peer(1), place(), false);
    assert!(next.take_address());
    assert!(!gate.enter(peer(1), place(), false).take_address());
    drop(permit);
    assert!(gate.enter(peer(1), place(), false).take_address());
}

#[test]
fn what_a_proxy_names_is_what_is_counted() {
    let gate = gate(1, 1);
    let named = |last| {
        let proxied = gate.enter(peer(1), place(), true);
        assert!(proxied.take_address());
        proxied.take_permit(peer(last))
    };
    let held = [named(7), named(7)];
    assert!(held.iter().all(Result::is_ok));
    assert!(named(7).is_err());
    assert!(named(8).is_ok());
    assert_eq!(waits(&gate), 0, "a proxy's connections are not strangers'");
}
