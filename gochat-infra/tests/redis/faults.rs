//! Redis dies, stalls, forgets.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use gochat_core::error::Result;
use gochat_core::ids::UserId;
use gochat_core::presence::Session;
use gochat_core::ratelimit::{Rule, RuleTable, rules};
use gochat_infra::cached::{Cached, Keep};
use gochat_infra::cluster::redis::{
    Redis, RedisCache, RedisConfig, RedisCounters, RedisLimiter, RedisOnce, RedisPresence,
};
use gochat_infra::port::cache::{Cache, Entry, FillToken, Lookup};
use gochat_infra::port::counter::{Claim, Counters, Once, RateLimiter};
use gochat_infra::port::presence::{Online, PresenceStore, SessionRef};

use super::server::{self, SOON, Server, until_up};

const NOW: u64 = 1_800_000_000_000;
const LIFE: Duration = Duration::from_secs(60);
/// The response timeout of a handle on a server of these tests, and what a busy machine adds.
const PATIENCE: Duration = Duration::from_secs(10);

fn online(n: u64) -> Online {
    let session = Session {
        gateway: "gw-1".into(),
        conn_id: n,
        device: None,
        client_info: "test".into(),
        since: NOW,
        last_seen: NOW,
    };
    Online {
        user: UserId::new(n).expect("small"),
        session,
        limit: 5,
        again: false,
    }
}

fn target(n: u64) -> SessionRef {
    SessionRef {
        user: UserId::new(n).expect("small"),
        gateway: "gw-1".into(),
        conn_id: Some(n),
    }
}

fn entry(key: &str, value: &'static str) -> Entry {
    Entry {
        key: key.to_owned(),
        value: Bytes::from_static(value.as_bytes()),
        ttl: LIFE,
    }
}

async fn miss(cache: &RedisCache, key: &str) -> FillToken {
    match cache.get(key).await.expect("it answers") {
        Lookup::Miss(token) => token,
        Lookup::Hit(_) => panic!("{key} should not be there"),
    }
}

/// A call that has to fail in time, in a way that says that trying again helps.
async fn fails_in_time<T: std::fmt::Debug>(call: impl Future<Output = Result<T>>) {
    let began = Instant::now();
    let error = call.await.expect_err("Redis is away");
    assert!(error.is_retryable(), "{error}");
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
}

async fn every_port_fails_in_time(redis: &Redis) {
    let cache = RedisCache::new(redis.clone());
    let presence = RedisPresence::new(redis.clone());
    let once = RedisOnce::new(redis.clone());
    let counters = RedisCounters::new(redis.clone());
    fails_in_time(redis.ping()).await;
    fails_in_time(cache.get_many(&["a".to_owned()])).await;
    fails_in_time(cache.delete("a")).await;
    fails_in_time(presence.set_online(NOW, vec![online(1)])).await;
    fails_in_time(presence.heartbeat(NOW, vec![target(1)])).await;
    fails_in_time(presence.statuses(NOW, &[online(1).user])).await;
    fails_in_time(presence.gateways()).await;
    fails_in_time(presence.drop_gateway("gw-1", None)).await;
    fails_in_time(once.claim("k", Bytes::new(), LIFE)).await;
    fails_in_time(counters.take("c", 0, 1)).await;
}

#[tokio::test]
async fn when_redis_is_killed_calls_fail_in_time_and_it_recovers_by_itself() {
    let mut server = Server::start().await;
    let redis = server.connect().await;
    let presence = RedisPresence::new(redis.clone());
    presence.set_online(NOW, vec![online(1)]).await.unwrap();

    server.kill();
    every_port_fails_in_time(&redis).await;
    assert!(!redis.is_up());

    server.start_again();
    until_up(&redis).await;
    redis.ping().await.unwrap();
    assert_eq!(
        presence.heartbeat(NOW, vec![target(1)]).await.unwrap(),
        [false],
        "the gateway learns that it has to register again"
    );
    presence.set_online(NOW, vec![online(1)]).await.unwrap();
}

#[tokio::test]
async fn a_server_that_is_not_there_yet_is_waited_for() {
    let mut server = Server::start().await;
    server.kill();
    let config = RedisConfig {
        connect_timeout_ms: 1_000,
        reconnect_max_ms: 100,
        ..RedisConfig::from_url(server.url())
    };
    let redis = Redis::connect(config).await.expect("no reason to fail");
    fails_in_time(redis.ping()).await;
    server.start_again();
    until_up(&redis).await;
    redis.ping().await.unwrap();
}

#[tokio::test]
async fn a_copy_that_could_not_be_deleted_is_not_served_and_goes_when_the_server_is_back() {
    let server = Server::start().await;
    let redis = server.connect_hasty().await;
    let cached = Cached::new(Arc::new(RedisCache::new(redis.clone())));
    let other = Cached::new(Arc::new(RedisCache::new(server.connect().await)));
    let keep = Keep {
        present: LIFE,
        absent: LIFE,
    };
    let read = async |cached: &Cached, row: &'static str| {
        let load = || async { Ok(Some(Bytes::from_static(row.as_bytes()))) };
        let answer = cached.get_or_load("row", keep, load).await;
        answer.expect("the row is there").value.expect("present")
    };
    assert_eq!(read(&cached, "old").await, "old");
    assert_eq!(read(&other, "new").await, "old");

    server.pause().await;
    // Until the connection is given up: from then on deletions are not even sent.
    while redis.is_up() {
        fails_in_time(redis.ping()).await;
    }
    fails_in_time(cached.forget(&["row".to_owned()])).await;
    assert_eq!(read(&cached, "new").await, "new");
    server.resume();
    until_up(&redis).await;
    let deadline = Instant::now() + SOON;
    while read(&other, "new").await != "new" {
        assert!(Instant::now() < deadline, "the old copy stays");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(read(&cached, "new").await, "new");
}

#[tokio::test]
async fn a_stalled_server_is_cut_off_by_the_timeout() {
    let server = Server::start().await;
    let redis = server.connect_hasty().await;
    server.pause().await;
    let began = Instant::now();
    for _ in 0..50 {
        fails_in_time(redis.ping()).await;
    }
    // The first calls wait in vain; then the server is known to be away, and calls don't wait.
    assert!(began.elapsed() < 3 * PATIENCE, "{:?}", began.elapsed());
    assert!(!redis.is_up());
    server.resume();
    until_up(&redis).await;
    redis.ping().await.unwrap();
}

#[tokio::test]
async fn what_is_pending_when_redis_dies_ends() {
    let mut server = Server::start().await;
    let redis = server.connect_hasty().await;
    server.pause().await;
    let call = tokio::spawn({
        let redis = redis.clone();
        async move { redis.ping().await }
    });
    tokio::task::yield_now().await;
    server.kill();
    let answer = tokio::time::timeout(PATIENCE, call).await.expect("in time");
    assert!(answer.unwrap().unwrap_err().is_retryable());
}

#[tokio::test]
async fn after_a_flush_gateways_are_told_to_register_again() {
    let server = Server::start().await;
    let presence = RedisPresence::new(server.connect().await);
    let all = || (1..=300).map(online).collect::<Vec<_>>();
    let beats = || (1..=300).map(target).collect::<Vec<_>>();
    presence.set_online(NOW, all()).await.unwrap();
    let known = presence.heartbeat(NOW, beats()).await.unwrap();
    assert!(known.iter().all(|known| *known));
    let position = presence.arrivals("", 10).await.unwrap().next;

    server.command(&["FLUSHALL"]).await;
    let known = presence.heartbeat(NOW, beats()).await.unwrap();
    assert_eq!(known, [false; 300]);
    assert!(presence.gateways().await.unwrap().is_empty());

    presence.set_online(NOW, all()).await.unwrap();
    let known = presence.heartbeat(NOW, beats()).await.unwrap();
    assert!(known.iter().all(|known| *known));
    let arrivals = presence.arrivals(&position, 1_000).await.unwrap();
    assert!(arrivals.gap, "the log before the flush is gone");
    assert_eq!(arrivals.list.len(), 300);
}

#[tokio::test]
async fn a_fill_from_before_a_flush_stores_nothing() {
    let server = Server::start().await;
    let cache = RedisCache::new(server.connect().await);
    let old = miss(&cache, "k").await;
    // The change that a reader is not allowed to see the old side of.
    cache.delete("k").await.unwrap();
    server.command(&["FLUSHALL"]).await;
    // Even with a token standing for the key, and after any number of deletions, the old one is worthless.
    for _ in 0..100 {
        let fresh = miss(&cache, "k").await;
        assert_ne!(fresh, old);
        cache
            .fill_many(vec![(entry("k", "old"), old)])
            .await
            .unwrap();
        miss(&cache, "k").await;
        cache.delete("k").await.unwrap();
    }
}

#[tokio::test]
async fn readers_that_miss_together_share_a_token_until_a_deletion() {
    let cache = RedisCache::new(server::shared().await);
    let (first, second) = (miss(&cache, "k").await, miss(&cache, "k").await);
    assert_eq!(first, second);
    cache.delete("k").await.unwrap();
    let third = miss(&cache, "k").await;
    assert_ne!(third, first);
    cache
        .fill_many(vec![(entry("k", "old"), second)])
        .await
        .unwrap();
    miss(&cache, "k").await;
    cache
        .fill_many(vec![(entry("k", "new"), third)])
        .await
        .unwrap();
    assert_eq!(cache.get("k").await.unwrap().hit(), Some("new".into()));
}

#[tokio::test]
async fn scripts_that_redis_forgot_are_loaded_again() {
    let server = Server::start().await;
    let redis = server.connect().await;
    let presence = RedisPresence::new(redis.clone());
    let cache = RedisCache::new(redis);
    server.command(&["SCRIPT", "FLUSH", "SYNC"]).await;
    let batch = (1..=50).map(online).collect();
    let answers = presence.set_online(NOW, batch).await.unwrap();
    assert!(
        answers
            .iter()
            .all(|a| a.as_ref().is_ok_and(|r| r.edge.is_some()))
    );
    server.command(&["SCRIPT", "FLUSH", "SYNC"]).await;
    miss(&cache, "k").await;
}

#[tokio::test]
async fn a_server_that_became_a_replica_is_left() {
    let server = Server::start().await;
    let redis = server.connect().await;
    let cache = RedisCache::new(redis.clone());
    server.command(&["REPLICAOF", "127.0.0.1", "1"]).await;
    assert!(cache.set(entry("k", "v")).await.is_err());
    assert!(!redis.is_up());
    server.command(&["REPLICAOF", "NO", "ONE"]).await;
    until_up(&redis).await;
    cache.set(entry("k", "v")).await.unwrap();
}

#[tokio::test]
async fn a_full_server_refuses_claims_and_forgets_none() {
    let server = Server::start().await;
    let once = RedisOnce::new(server.connect().await);
    once.claim("k", "note".into(), LIFE).await.unwrap();
    server.command(&["CONFIG", "SET", "maxmemory", "1"]).await;
    let refusal = once.claim("other", "note".into(), LIFE).await.unwrap_err();
    assert!(refusal.is_retryable());
    assert_eq!(
        once.look("k").await.unwrap(),
        Some(Claim::Pending("note".into()))
    );
}

#[tokio::test]
async fn while_redis_is_away_limits_are_local_and_auth_denies() {
    let mut server = Server::start().await;
    let mut table = RuleTable::default();
    table.set("auth_login", Rule::new(1.0, 100.0)).unwrap();
    let redis = server.connect().await;
    let limiter = RedisLimiter::new(redis.clone(), "test", table.clone(), 1_000);
    let reset = rules::PASSWORD_RESET;
    assert!(limiter.allow("ip:1", "auth_login").await.is_allowed());
    assert!(limiter.allow("ip:1", reset).await.is_allowed());
    assert!(!limiter.allow("ip:1", reset).await.is_allowed());

    server.kill();
    assert!(!limiter.allow("ip:1", "auth_login").await.is_allowed());
    assert!(
        limiter.allow("ip:1", reset).await.is_allowed(),
        "a fresh local bucket"
    );
    assert!(!limiter.allow("ip:1", reset).await.is_allowed());
    assert!(!limiter.allow("ip:1", "no_such_rule").await.is_allowed());
    let numbers = Rule::new(0.001, 1.0);
    let by_numbers = |rule| limiter.allow_by("ip:1", rule, numbers);
    assert!(by_numbers("login").await.is_allowed());
    assert!(!by_numbers("login").await.is_allowed());
    assert!(!by_numbers("auth_other").await.is_allowed());
    table.set(reset, Rule::new(0.001, 2.0)).unwrap();
    limiter.set_rules(table);
    let began = Instant::now();
    assert!(limiter.allow("ip:2", reset).await.is_allowed());
    assert!(
        limiter.allow("ip:2", reset).await.is_allowed(),
        "the new rule"
    );
    assert!(!limiter.allow("ip:2", reset).await.is_allowed());
    assert!(began.elapsed() < PATIENCE);

    server.start_again();
    until_up(&redis).await;
    let shared = async { while !limiter.allow("ip:1", "auth_login").await.is_allowed() {} };
    tokio::time::timeout(SOON, shared)
        .await
        .expect("it is asked again");
}

#[tokio::test]
async fn instances_share_a_bucket() {
    let redis = server::shared().await;
    let limiter = || RedisLimiter::new(redis.clone(), "test", RuleTable::default(), 10);
    let (a, b) = (limiter(), limiter());
    assert!(a.allow("ip:1", rules::PASSWORD_RESET).await.is_allowed());
    assert!(!b.allow("ip:1", rules::PASSWORD_RESET).await.is_allowed());
    let numbers = Rule::new(0.001, 2.0);
    for (limiter, allowed) in [(&a, true), (&b, true), (&a, false), (&b, false)] {
        let verdict = limiter.allow_by("ip:1", "login", numbers).await;
        assert_eq!(verdict.is_allowed(), allowed);
    }
}
