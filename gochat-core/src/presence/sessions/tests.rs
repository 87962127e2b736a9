use proptest::prelude::*;

use super::*;

fn session(conn_id: ConnId, device: &str, now: UnixMillis) -> Session {
    Session {
        gateway: "gateway-1".into(),
        conn_id,
        device: (!device.is_empty()).then(|| device.into()),
        client_info: "".into(),
        since: now,
        last_seen: now,
    }
}

fn ids(sessions: &[Session]) -> Vec<ConnId> {
    sessions.iter().map(|s| s.conn_id).collect()
}

#[test]
fn the_first_session_is_the_online_edge_and_the_last_the_offline_edge() {
    let mut user = Sessions::default();
    assert_eq!(
        user.register(1, session(1, "", 1), 5).unwrap().edge,
        Some(Edge::Online)
    );
    assert_eq!(user.register(2, session(2, "", 2), 5).unwrap().edge, None);
    assert_eq!(user.unregister("gateway-1", 1), (true, None));
    assert_eq!(user.unregister("gateway-1", 2), (true, Some(Edge::Offline)));
    assert_eq!(user.unregister("gateway-1", 2), (false, None));
}

#[test]
fn a_device_replaces_its_own_older_connection() {
    let mut user = Sessions::default();
    user.register(1, session(1, "phone", 1), 5).unwrap();
    user.register(2, session(2, "laptop", 2), 5).unwrap();
    let outcome = user.register(3, session(3, "phone", 3), 5).unwrap();
    assert_eq!((ids(&outcome.evicted), outcome.edge), (vec![1], None));
    assert_eq!(ids(user.live()), [2, 3]);
}

#[test]
fn beyond_the_limit_the_oldest_goes() {
    let mut user = Sessions::default();
    for n in 1..=5 {
        assert!(
            user.register(n, session(n, "", n), 5)
                .unwrap()
                .evicted
                .is_empty()
        );
    }
    assert_eq!(
        ids(&user.register(6, session(6, "", 6), 5).unwrap().evicted),
        [1]
    );
    assert_eq!(ids(user.live()), [2, 3, 4, 5, 6]);
}

#[test]
fn a_late_goodbye_of_a_replaced_socket_does_nothing() {
    let mut user = Sessions::default();
    user.register(1, session(1, "phone", 1), 5).unwrap();
    user.register(2, session(2, "phone", 2), 5).unwrap();
    assert_eq!(user.unregister("gateway-1", 1), (false, None));
    assert_eq!(user.unregister("gateway-2", 2), (false, None));
    assert!(user.is_online());
}

#[test]
fn registering_the_same_socket_again_changes_nothing() {
    let mut user = Sessions::default();
    for now in 0..20 {
        let outcome = user.register(now, session(7, "", now), 5).unwrap();
        assert!(outcome.evicted.is_empty());
    }
    assert_eq!(ids(user.live()), [7]);
}

#[test]
fn sessions_without_a_heartbeat_expire() {
    let mut user = Sessions::default();
    user.register(0, session(1, "", 0), 5).unwrap();
    user.register(0, session(2, "", 0), 5).unwrap();
    assert!(user.heartbeat(TTL_MS, "gateway-1", 2));
    assert_eq!(user.expire(TTL_MS + 1), None);
    assert_eq!(ids(user.live()), [2]);
    assert_eq!(user.expire(2 * TTL_MS + 1), Some(Edge::Offline));
    assert!(!user.heartbeat(2 * TTL_MS + 1, "gateway-1", 2));
}

#[test]
fn a_storm_of_replacements_is_refused_for_a_minute() {
    let mut user = Sessions::default();
    user.register(0, session(0, "", 0), 1).unwrap();
    for n in 1..=5 {
        user.register(n, session(n, "", n), 1).unwrap();
    }
    let refusal = user.register(6, session(6, "", 6), 1).unwrap_err();
    assert_eq!(refusal.code, ErrorCode::RateLimited);
    assert_eq!(ids(user.live()), [5], "a refusal evicts nobody");
    assert!(
        user.register(6 + REFUSAL_MS - 1, session(7, "", 0), 1)
            .is_err()
    );
    let later = 6 + REFUSAL_MS;
    assert!(user.register(later, session(8, "", later), 1).is_ok());
}

#[test]
fn slow_replacements_are_no_storm() {
    let mut user = Sessions::default();
    for n in 0..50 {
        let now = n * 15_000;
        user.register(now, session(n, "phone", now), 5).unwrap();
    }
}

#[test]
fn a_user_is_forgotten_when_nothing_matters_any_more() {
    let mut user = Sessions::default();
    user.register(0, session(1, "phone", 0), 5).unwrap();
    user.register(10, session(2, "phone", 10), 5).unwrap();
    user.unregister("gateway-1", 2);
    assert!(!user.is_forgettable(10));
    assert!(user.is_forgettable(10 + REPLACEMENTS_WINDOW_MS));
}

proptest! {
    #[test]
    fn limits_and_edges_hold_for_any_history(
        steps in prop::collection::vec((0u8..4, 0u64..8, 0u8..4, 0u64..40_000), 1..80),
        limit in 1usize..4,
    ) {
        let mut user = Sessions::default();
        let (mut now, mut told_online) = (0u64, false);
        for (what, conn, device, gap) in steps {
            now += gap;
            let device = ["", "a", "b", "c"][usize::from(device)];
            let edge = match what {
                0 | 1 => {
                    // Expiry inside a registration is an edge the caller sees as "still online".
                    if user.expire(now).is_some() { told_online = false; }
                    user.register(now, session(conn, device, now), limit).ok().and_then(|r| r.edge)
                }
                2 => user.unregister("gateway-1", conn).1,
                _ => user.expire(now),
            };
            match edge {
                Some(Edge::Online) => { prop_assert!(!told_online); told_online = true; }
                Some(Edge::Offline) => { prop_assert!(told_online); told_online = false; }
                None => {}
            }
            prop_assert_eq!(user.is_online(), told_online);
            prop_assert!(user.live().len() <= limit);
            let mut devices: Vec<_> = user.live().iter().filter_map(|s| s.device.clone()).collect();
            let count = devices.len();
            devices.sort_unstable();
            devices.dedup();
            prop_assert_eq!(devices.len(), count, "one connection per device");
            prop_assert!(user.replacements.len() <= REPLACEMENTS_MAX);
        }
    }
}

#[test]
fn a_forgotten_session_comes_back_only_where_there_is_room() {
    let mut sessions = Sessions::default();
    let of = |conn_id, device: Option<&str>| Session {
        gateway: "gw-1".into(),
        conn_id,
        device: device.map(Into::into),
        client_info: "".into(),
        since: conn_id,
        last_seen: 1_000,
    };
    let first = sessions.restore(1_000, of(2, None), 2);
    assert_eq!((first.evicted.len(), first.edge), (0, Some(Edge::Online)));
    sessions.restore(1_000, of(1, Some("phone")), 2);
    let order: Vec<_> = sessions.live().iter().map(|s| s.conn_id).collect();
    assert_eq!(order, [1, 2], "the oldest is first again");
    let third = sessions.restore(1_000, of(3, None), 2);
    assert_eq!(third.evicted, [of(3, None)]);
    let same_device = sessions.restore(1_000, of(4, Some("phone")), 5);
    assert_eq!(same_device.evicted, [of(4, Some("phone"))]);
    assert_eq!(sessions.live().len(), 2);
}
