//! Random histories: Redis answers like core.
//!
//! The in-process adapter is core with a lock around it, so it is the model.

use gochat_core::ids::{ConnId, UserId};
use gochat_core::presence::{Session, TTL_MS};
use gochat_infra::cluster::redis::RedisPresence;
use gochat_infra::embedded::presence::MemoryPresence;
use gochat_infra::port::presence::{Gone, Online, PresenceStore, SessionRef};
use proptest::prelude::*;

use super::server;

/// Whole seconds: when somebody was last online is kept to the second.
const SECOND: u64 = 1_000;
const START: u64 = 1_800_000_000_000;

#[derive(Debug, Clone)]
enum Step {
    Online(Vec<(u64, u8, ConnId, Option<u8>, usize, bool)>),
    Offline(Vec<(u64, u8, Option<ConnId>)>),
    Beat(Vec<(u64, u8, Option<ConnId>)>),
    Expire,
    Drop(u8, Option<ConnId>),
    Wait(u64),
}

fn users() -> impl Strategy<Value = u64> {
    1u64..4
}

fn target() -> impl Strategy<Value = (u64, u8, Option<ConnId>)> {
    (users(), 0u8..3, prop::option::weighted(0.8, 1u64..7))
}

fn step() -> impl Strategy<Value = Step> {
    let device = prop::option::of(0u8..2);
    let online = (
        users(),
        0u8..3,
        1u64..7,
        device,
        1usize..4,
        prop::bool::weighted(0.2),
    );
    prop_oneof![
        5 => prop::collection::vec(online, 1..4).prop_map(Step::Online),
        3 => prop::collection::vec(target(), 1..4).prop_map(Step::Offline),
        3 => prop::collection::vec(target(), 1..4).prop_map(Step::Beat),
        1 => Just(Step::Expire),
        1 => (0u8..3, prop::option::of(1u64..7)).prop_map(|(gateway, before)| Step::Drop(gateway, before)),
        3 => prop_oneof![0u64..20, 20u64..200, Just(TTL_MS / SECOND)].prop_map(Step::Wait),
    ]
}

fn gateway(n: u8) -> Box<str> {
    // A name with the separator of the stored fields in it.
    format!("gw:{n}").into()
}

fn entry(now: u64, of: &(u64, u8, ConnId, Option<u8>, usize, bool)) -> Online {
    let (user, on, conn_id, device, limit, again) = *of;
    let session = Session {
        gateway: gateway(on),
        conn_id,
        device: device.map(|n| format!("device {n}").into()),
        client_info: format!("client {conn_id}").into(),
        since: now - conn_id,
        last_seen: now,
    };
    Online {
        user: UserId::new(user).expect("small"),
        session,
        limit,
        again,
    }
}

fn session((user, on, conn_id): (u64, u8, Option<ConnId>)) -> SessionRef {
    SessionRef {
        user: UserId::new(user).expect("small"),
        gateway: gateway(on),
        conn_id,
    }
}

fn sorted(mut gone: Gone) -> Gone {
    gone.users.sort_unstable();
    gone
}

/// Does one step; the outcome in words, to be compared.
async fn act(store: &dyn PresenceStore, now: u64, step: &Step) -> String {
    match step {
        Step::Online(batch) => {
            let batch = batch.iter().map(|of| entry(now, of)).collect();
            format!("{:?}", store.set_online(now, batch).await)
        }
        Step::Offline(batch) => {
            let batch = batch.iter().copied().map(session).collect();
            format!("{:?}", store.set_offline(now, batch).await)
        }
        Step::Beat(batch) => {
            let batch = batch.iter().copied().map(session).collect();
            format!("{:?}", store.heartbeat(now, batch).await)
        }
        Step::Expire => {
            let gone = store.expire(now - TTL_MS, 1_000).await;
            format!("{:?}", gone.map(sorted))
        }
        Step::Drop(on, before) => {
            let gone = store.drop_gateway(&gateway(*on), *before).await;
            format!("{:?}", gone.map(sorted))
        }
        Step::Wait(_) => String::new(),
    }
}

/// What can be seen of a store.
async fn view(store: &dyn PresenceStore, now: u64) -> String {
    let all: Vec<_> = (1..4).filter_map(UserId::new).collect();
    let statuses = store.statuses(now, &all).await;
    let mut gateways = store.gateways().await.expect("it answers");
    gateways.sort_unstable();
    format!("{statuses:#?} {gateways:?}")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn redis_answers_like_core_on_random_histories(steps in prop::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (redis, memory) = (RedisPresence::new(server::shared().await), MemoryPresence::new());
            let log = (redis.arrivals("", 1).await.unwrap().next, memory.arrivals("", 1).await.unwrap().next);
            let mut now = START;
            for step in &steps {
                if let Step::Wait(seconds) = step {
                    now += seconds * SECOND;
                }
                prop_assert_eq!(act(&redis, now, step).await, act(&memory, now, step).await, "{:?}", step);
                prop_assert_eq!(view(&redis, now).await, view(&memory, now).await, "after {:?}", step);
            }
            let came = memory.arrivals(&log.1, 1_000).await.unwrap().list;
            if !log.0.is_empty() {
                prop_assert_eq!(redis.arrivals(&log.0, 1_000).await.unwrap().list, came);
            }
            Ok(())
        })?;
    }
}
