//! What every [`PresenceStore`] must do.

use std::sync::Arc;

use gochat_core::error::{ErrorCode, Result};
use gochat_core::ids::{ConnId, UnixMillis, UserId};
use gochat_core::presence::{Edge, Registered, Session, TTL_MS};

use crate::port::presence::{Online, PresenceStore, Removed, SessionRef, Status};

type Subject = Arc<dyn PresenceStore>;

const NOW: UnixMillis = 1_700_000_000_000;

fn user(n: u64) -> UserId {
    UserId::new(n).expect("small")
}

fn names<const N: usize>(names: [&str; N]) -> [Box<str>; N] {
    names.map(Into::into)
}

fn online(n: u64, gateway: &str, conn_id: ConnId, at: UnixMillis) -> Online {
    let session = Session {
        gateway: gateway.into(),
        conn_id,
        device: None,
        client_info: format!("client {conn_id}").into(),
        since: at,
        last_seen: at,
    };
    Online {
        user: user(n),
        session,
        limit: 2,
        again: false,
    }
}

fn session(n: u64, gateway: &str, conn_id: ConnId) -> SessionRef {
    SessionRef {
        user: user(n),
        gateway: gateway.into(),
        conn_id: Some(conn_id),
    }
}

async fn set(store: &Subject, at: UnixMillis, entry: Online) -> Result<Registered> {
    let mut answers = store
        .set_online(at, vec![entry])
        .await
        .expect("store answers");
    answers.pop().expect("one answer per entry")
}

async fn status(store: &Subject, at: UnixMillis, n: u64) -> Status {
    let mut found = store.statuses(at, &[user(n)]).await.expect("store answers");
    found.pop().expect("one answer per user")
}

async fn off(store: &Subject, target: SessionRef) -> Removed {
    store
        .set_offline(NOW, vec![target])
        .await
        .expect("store answers")[0]
}

/// The life of a session.
pub async fn a_user_is_online_from_the_first_session_to_the_last(store: Subject) {
    assert!(!status(&store, NOW, 1).await.is_online());
    let first = set(&store, NOW, online(1, "gw-1", 11, NOW)).await.unwrap();
    assert_eq!(first.edge, Some(Edge::Online));
    let second = set(&store, NOW, online(1, "gw-2", 12, NOW + 1))
        .await
        .unwrap();
    assert_eq!(second.edge, None);
    let both = status(&store, NOW, 1).await;
    assert_eq!(both.gateways, names(["gw-2", "gw-1"]));
    assert_eq!(&*both.client_info, "client 12");

    let Removed {
        removed,
        still_online,
    } = off(&store, session(1, "gw-2", 12)).await;
    assert!(removed && still_online);
    let Removed {
        removed,
        still_online,
    } = off(&store, session(1, "gw-1", 11)).await;
    assert!(removed && !still_online);
    let gone = status(&store, NOW, 1).await;
    assert!(!gone.is_online());
    assert_eq!(
        gone.last_seen,
        Some(NOW),
        "when they were last seen is remembered"
    );
}

/// Compare-and-delete.
pub async fn a_late_goodbye_of_another_socket_does_nothing(store: Subject) {
    set(&store, NOW, online(1, "gw-1", 12, NOW)).await.unwrap();
    for stranger in [
        session(1, "gw-1", 11),
        session(1, "gw-2", 12),
        session(2, "gw-1", 12),
    ] {
        assert!(!off(&store, stranger).await.removed);
    }
    assert!(status(&store, NOW, 1).await.is_online());
}

/// The limit.
pub async fn the_oldest_session_makes_room_beyond_the_limit(store: Subject) {
    for conn in 1..=2 {
        set(&store, NOW, online(1, "gw-1", conn, NOW + conn))
            .await
            .unwrap();
    }
    let third = set(&store, NOW, online(1, "gw-1", 3, NOW + 3))
        .await
        .unwrap();
    let evicted: Vec<_> = third.evicted.iter().map(|s| s.conn_id).collect();
    assert_eq!(evicted, [1]);
    let repeated = set(&store, NOW, online(1, "gw-1", 3, NOW + 3))
        .await
        .unwrap();
    assert_eq!(
        repeated.evicted,
        [],
        "repeating a registration evicts nobody"
    );
}

/// The guard of the rule reaches the caller.
pub async fn connections_that_replace_each_other_too_fast_are_refused(store: Subject) {
    let mut refusal = None;
    for conn in 1..100 {
        if let Err(error) = set(&store, NOW, online(1, "gw-1", conn, NOW)).await {
            refusal = Some(error.code);
            break;
        }
    }
    assert_eq!(refusal, Some(ErrorCode::RateLimited));
    let other = set(&store, NOW, online(2, "gw-1", 500, NOW)).await;
    assert!(other.is_ok(), "only this user is refused");
}

/// Entries of a batch are answered in order.
pub async fn a_batch_is_answered_entry_by_entry(store: Subject) {
    let batch = (1..=300).map(|n| online(n, "gw-1", n, NOW)).collect();
    let answers = store.set_online(NOW, batch).await.unwrap();
    assert!(
        answers
            .iter()
            .all(|a| a.as_ref().is_ok_and(|r| r.edge == Some(Edge::Online)))
    );
    let users: Vec<_> = [300, 301, 1].into_iter().map(user).collect();
    let found = store.statuses(NOW, &users).await.unwrap();
    let online: Vec<_> = found.iter().map(Status::is_online).collect();
    assert_eq!(online, [true, false, true]);
}

/// All sessions of a user on a gateway at once.
pub async fn a_session_without_connection_id_means_all_on_that_gateway(store: Subject) {
    set(&store, NOW, online(1, "gw-1", 1, NOW)).await.unwrap();
    set(&store, NOW, online(1, "gw-2", 2, NOW)).await.unwrap();
    let all = SessionRef {
        user: user(1),
        gateway: "gw-1".into(),
        conn_id: None,
    };
    assert_eq!(
        store.heartbeat(NOW, vec![all.clone()]).await.unwrap(),
        [true]
    );
    assert!(off(&store, all).await.still_online);
    assert_eq!(status(&store, NOW, 1).await.gateways, names(["gw-2"]));
}

/// Heartbeats keep sessions and tell unknown ones.
pub async fn a_heartbeat_keeps_a_session_and_tells_unknown_ones(store: Subject) {
    for conn in 1..=2 {
        set(&store, NOW, online(conn, "gw-1", conn, NOW))
            .await
            .unwrap();
    }
    let beats = vec![
        session(1, "gw-1", 1),
        session(1, "gw-1", 99),
        session(7, "gw-1", 7),
    ];
    let known = store.heartbeat(NOW + 1_000, beats).await.unwrap();
    assert_eq!(known, [true, false, false]);

    let gone = store.expire(NOW + 500, 100).await.unwrap();
    assert_eq!((gone.sessions, gone.users), (1, vec![user(2)]));
    assert!(
        store.expire(NOW + 500, 100).await.unwrap().users.is_empty(),
        "reported once"
    );
    assert!(status(&store, NOW, 1).await.is_online());
}

/// Reads don't wait for the clean-up.
pub async fn a_session_past_its_time_does_not_count(store: Subject) {
    set(&store, NOW, online(1, "gw-1", 1, NOW)).await.unwrap();
    assert!(status(&store, NOW + TTL_MS, 1).await.is_online());
    assert!(!status(&store, NOW + TTL_MS + 1, 1).await.is_online());
    let gone = store.expire(NOW + 1, 100).await.unwrap();
    assert_eq!(gone.users, [user(1)], "reading did not swallow the report");
}

/// Clean-up in portions.
pub async fn an_expiry_stops_at_its_limit(store: Subject) {
    let batch = (1..=50).map(|n| online(n, "gw-1", n, NOW)).collect();
    store.set_online(NOW, batch).await.unwrap();
    let (mut users, mut rounds) = (Vec::new(), 0);
    loop {
        let gone = store.expire(NOW + 1, 20).await.unwrap();
        assert!(gone.sessions <= 22, "about the limit");
        if gone.sessions == 0 {
            break;
        }
        users.extend(gone.users);
        rounds += 1;
    }
    users.sort();
    users.dedup();
    assert_eq!(users.len(), 50);
    assert!(rounds >= 3);
}

/// Broadcast targets and the death of a gateway.
pub async fn gateways_are_those_that_hold_sessions(store: Subject) {
    assert!(store.gateways().await.unwrap().is_empty());
    set(&store, NOW, online(1, "gw-1", 1, NOW)).await.unwrap();
    set(&store, NOW, online(1, "gw-2", 2, NOW)).await.unwrap();
    set(&store, NOW, online(2, "gw-1", 3, NOW)).await.unwrap();
    let mut gateways = store.gateways().await.unwrap();
    gateways.sort();
    assert_eq!(gateways, names(["gw-1", "gw-2"]));

    let gone = store.drop_gateway("gw-1", None).await.unwrap();
    assert_eq!((gone.sessions, gone.users), (2, vec![user(2)]));
    assert_eq!(store.gateways().await.unwrap(), names(["gw-2"]));
    off(&store, session(1, "gw-2", 2)).await;
    assert!(store.gateways().await.unwrap().is_empty());
}

/// A gateway that comes back under its name.
pub async fn dropping_a_gateway_can_spare_its_newer_run(store: Subject) {
    for (n, conn) in [(1, 100), (2, 200), (3, 300)] {
        set(&store, NOW, online(n, "gw-1", conn, NOW))
            .await
            .unwrap();
    }
    let gone = store.drop_gateway("gw-1", Some(200)).await.unwrap();
    assert_eq!((gone.sessions, gone.users), (1, vec![user(1)]));
    assert!(status(&store, NOW, 2).await.is_online());
    assert!(status(&store, NOW, 3).await.is_online());
}

/// What a gateway registers again after presence forgot it.
pub async fn a_session_registered_again_evicts_nobody(store: Subject) {
    let again = |conn, at| Online {
        again: true,
        ..online(1, "gw-1", conn, at)
    };
    let first = set(&store, NOW, again(1, NOW)).await.unwrap();
    assert_eq!((first.evicted, first.edge), (vec![], Some(Edge::Online)));
    set(&store, NOW, online(1, "gw-2", 2, NOW)).await.unwrap();
    let known = set(&store, NOW, again(1, NOW)).await.unwrap();
    assert_eq!(known.evicted, [], "it is there already");
    let late = set(&store, NOW, again(3, NOW - 1)).await.unwrap();
    let evicted: Vec<_> = late.evicted.iter().map(|s| s.conn_id).collect();
    assert_eq!(
        evicted,
        [3],
        "all places are taken: it is the one that goes"
    );
    let mut gateways = status(&store, NOW, 1).await.gateways;
    gateways.sort();
    assert_eq!(gateways, names(["gw-1", "gw-2"]));
}

/// The log of arrivals.
pub async fn registrations_are_listed_in_order_after_a_position(store: Subject) {
    set(&store, NOW, online(1, "gw-1", 1, NOW)).await.unwrap();
    let start = store.arrivals("", 10).await.unwrap();
    assert!(start.list.is_empty() && start.gap, "the end of the log");
    let nothing = store.arrivals(&start.next, 10).await.unwrap();
    assert!(nothing.list.is_empty() && !nothing.gap);

    for (n, gateway) in [(2, "gw-1"), (3, "gw-2"), (2, "gw-2")] {
        let entry = online(n, gateway, n * 10, NOW + n);
        set(&store, NOW + n, entry).await.unwrap();
    }
    let seen = |arrivals: &crate::port::presence::Arrivals| -> Vec<_> {
        let list = arrivals.list.iter();
        list.map(|a| (a.user.get(), a.gateway.to_string(), a.at))
            .collect()
    };
    let two = store.arrivals(&nothing.next, 2).await.unwrap();
    let expected = [(2, "gw-1".into(), NOW + 2), (3, "gw-2".into(), NOW + 3)];
    assert_eq!((seen(&two).as_slice(), two.gap), (&expected[..], false));
    let rest = store.arrivals(&two.next, 2).await.unwrap();
    let expected = [(2, "gw-2".into(), NOW + 2)];
    assert_eq!((seen(&rest).as_slice(), rest.gap), (&expected[..], false));
    let strange = store.arrivals("1-strange/position", 10).await.unwrap();
    assert!(strange.gap, "a position of another log");
}

/// Two logins at once.
pub async fn racing_registrations_keep_the_limit_and_one_edge(store: Subject) {
    let tasks: Vec<_> = (1..=6)
        .map(|conn| {
            let store = store.clone();
            tokio::spawn(async move { set(&store, NOW, online(1, "gw-1", conn, NOW)).await })
        })
        .collect();
    let (mut edges, mut registered, mut evicted) = (0, 0, 0);
    for task in tasks {
        if let Ok(outcome) = task.await.expect("no panic") {
            registered += 1;
            edges += usize::from(outcome.edge.is_some());
            evicted += outcome.evicted.len();
        }
    }
    assert_eq!(edges, 1, "the user came online once");
    assert_eq!(registered - evicted, 2, "two sessions are left");
}

/// Runs all facts on `$make`, an async expression that builds an `Arc<dyn PresenceStore>`.
#[macro_export]
macro_rules! presence_suite {
    ($make:expr) => {
        $crate::__facts!(
            $make,
            $crate::testsuite::presence,
            [
                a_user_is_online_from_the_first_session_to_the_last,
                a_late_goodbye_of_another_socket_does_nothing,
                the_oldest_session_makes_room_beyond_the_limit,
                connections_that_replace_each_other_too_fast_are_refused,
                a_batch_is_answered_entry_by_entry,
                a_session_without_connection_id_means_all_on_that_gateway,
                a_heartbeat_keeps_a_session_and_tells_unknown_ones,
                a_session_past_its_time_does_not_count,
                an_expiry_stops_at_its_limit,
                gateways_are_those_that_hold_sessions,
                dropping_a_gateway_can_spare_its_newer_run,
                a_session_registered_again_evicts_nobody,
                registrations_are_listed_in_order_after_a_position,
                racing_registrations_keep_the_limit_and_one_edge,
            ]
        );
    };
}
