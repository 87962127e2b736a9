//! Instances come and go.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use gochat_core::error::ErrorCode;
use gochat_infra::embedded::coord::MemoryCoord;
use gochat_infra::port::coord::{Lease, Registry};
use gochat_infra::rpc::{Channel, ChannelConfig, ServerConfig, direct, discovered, with_retry};
use tokio::sync::watch;

use crate::server::{Server, ask, config, soon, until, who};

async fn registered(coord: &MemoryCoord, servers: &[&Server]) -> Vec<Lease> {
    let mut leases = Vec::new();
    for server in servers {
        let lease = coord
            .register(server.instance(), Duration::from_secs(30))
            .await;
        leases.push(lease.unwrap());
    }
    leases
}

async fn channel(coord: &MemoryCoord, config: ChannelConfig) -> Channel {
    discovered(coord.watch("im-test").await.unwrap(), config).unwrap()
}

/// Calls until all of these have answered.
async fn all_answer(channel: &Channel, names: &[&str]) {
    let mut missing: BTreeSet<&str> = names.iter().copied().collect();
    let calling = async {
        while !missing.is_empty() {
            match who(channel).await {
                Ok(name) => drop(missing.remove(&*name)),
                Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        }
    };
    soon("every instance gets calls", calling).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_one_of_two_fails_no_idempotent_call() {
    let coord = MemoryCoord::new();
    let (mut a, b) = (Server::start("a"), Server::start("b"));
    let _leases = registered(&coord, &[&a, &b]).await;
    let channel = channel(&coord, config()).await;
    all_answer(&channel, &["a", "b"]).await;

    // Many at a time: the calls on their way to the killed one all fail at once, and must open no breaker.
    let load = (0..32).map(|_| {
        let channel = channel.clone();
        tokio::spawn(async move {
            for _ in 0..300 {
                with_retry(3, || who(&channel)).await.unwrap();
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
    });
    let load: Vec<_> = load.collect();
    tokio::time::sleep(Duration::from_millis(100)).await;
    a.kill();
    for calls in load {
        soon("the calls", calls).await.unwrap();
    }
    // Nobody told the registry: the connection alone says that it is gone.
    for _ in 0..50 {
        assert_eq!(who(&channel).await.unwrap(), "b");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_stops_in_order_fails_no_call_at_all() {
    let coord = MemoryCoord::new();
    let (a, b) = (Server::start("a"), Server::start("b"));
    let mut leases = registered(&coord, &[&a, &b]).await;
    let channel = channel(&coord, config()).await;
    all_answer(&channel, &["a", "b"]).await;
    let (over, running) = watch::channel(true);
    let load: Vec<_> = (0..8)
        .map(|_| {
            let (channel, running) = (channel.clone(), running.clone());
            tokio::spawn(async move {
                let mut calls = 0;
                while *running.borrow() {
                    // Once each, as calls with effects are made.
                    who(&channel).await.unwrap();
                    calls += 1;
                }
                calls
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(100)).await;
    leases.remove(0).release().await;
    soon("a stops", a.stop()).await;
    over.send_replace(false);
    for calls in load {
        assert!(soon("the calls", calls).await.unwrap() > 0);
    }
}

#[tokio::test]
async fn a_new_instance_is_used_soon() {
    let coord = MemoryCoord::new();
    let a = Server::start("a");
    let _a = registered(&coord, &[&a]).await;
    let channel = channel(&coord, config()).await;
    all_answer(&channel, &["a"]).await;
    let b = Server::start("b");
    let began = Instant::now();
    let _b = registered(&coord, &[&b]).await;
    all_answer(&channel, &["a", "b"]).await;
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn the_last_state_serves_on_when_the_registry_is_gone() {
    let a = Server::start("a");
    let (registry, watched) = watch::channel([a.instance()].into());
    let channel = discovered(watched, config()).unwrap();
    drop(registry);
    assert_eq!(who(&channel).await.unwrap(), "a");
}

#[tokio::test]
async fn without_instances_a_call_fails_at_once_or_goes_to_the_fallback() {
    let coord = MemoryCoord::new();
    // Both waits are far above the bound: a call that sat through one of them would be late.
    let patient = ChannelConfig {
        deadline_ms: 60_000,
        wait_ms: 60_000,
        ..config()
    };
    let began = Instant::now();
    let nobody = channel(&coord, patient).await;
    let error = who(&nobody).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::ServiceUnavailable);
    assert!(began.elapsed() < Duration::from_secs(10));

    let f = Server::start("f");
    let fallback = ChannelConfig {
        fallback: vec![f.addr.to_string()],
        ..config()
    };
    let channel = channel(&coord, fallback).await;
    assert_eq!(who(&channel).await.unwrap(), "f");
    let a = Server::start("a");
    let _lease = registered(&coord, &[&a]).await;
    until("the registry counts", || async {
        who(&channel).await.unwrap() == "a"
    })
    .await;
}

#[tokio::test]
async fn a_service_that_is_down_refuses_at_once_and_is_found_again() {
    let mut a = Server::start("a");
    let channel = direct(&a.addr.to_string(), config()).unwrap();
    assert_eq!(who(&channel).await.unwrap(), "a");
    a.kill();
    until("it is noticed", || async { who(&channel).await.is_err() }).await;
    let began = Instant::now();
    for _ in 0..100 {
        assert!(who(&channel).await.unwrap_err().is_retryable());
    }
    assert!(began.elapsed() < Duration::from_secs(10));
    let began = Instant::now();
    let _again = a.restart();
    until("it is found again", || async {
        who(&channel).await.is_ok()
    })
    .await;
    // No breaker stands in the way: nobody was asked in vain.
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn an_instance_that_keeps_failing_is_left_alone_and_tried_again() {
    let coord = MemoryCoord::new();
    let (a, b) = (Server::start("a"), Server::start("b"));
    let _leases = registered(&coord, &[&a, &b]).await;
    let channel = channel(&coord, config()).await;
    all_answer(&channel, &["a", "b"]).await;
    a.mood.failing.store(true, Ordering::SeqCst);
    let mut failures = 0;
    for _ in 0..200 {
        failures += u32::from(who(&channel).await.is_err());
    }
    // Five open it; each trial after its pause may add one.
    assert!((5..20).contains(&failures), "{failures} of 200");
    a.mood.failing.store(false, Ordering::SeqCst);
    all_answer(&channel, &["a"]).await;
}

#[tokio::test]
async fn an_instance_that_hangs_is_left_alone() {
    let coord = MemoryCoord::new();
    let (a, b) = (Server::start("a"), Server::start("b"));
    let _leases = registered(&coord, &[&a, &b]).await;
    // Left alone for longer than the calls take, so that only few of them are trials.
    let hurried = ChannelConfig {
        deadline_ms: 1_000,
        eject_ms: 10_000,
        ..config()
    };
    let channel = channel(&coord, hurried).await;
    all_answer(&channel, &["a", "b"]).await;
    a.mood.hanging.store(true, Ordering::SeqCst);
    let mut late = 0;
    for _ in 0..100 {
        if let Err(error) = who(&channel).await {
            assert_eq!(error.code, ErrorCode::Timeout);
            late += 1;
        }
    }
    // One each time it is given another chance.
    assert!(late <= 8, "{late} of 100 calls ran into the deadline");
}

#[tokio::test]
async fn health_decides_who_gets_calls() {
    let coord = MemoryCoord::new();
    let (ready, readiness) = watch::channel(false);
    let a = Server::start("a");
    let b = Server::start_with("b", ServerConfig::default(), |s| s.ready(readiness));
    let _leases = registered(&coord, &[&a, &b]).await;
    let channel = channel(&coord, config()).await;
    for _ in 0..50 {
        assert_eq!(who(&channel).await.unwrap(), "a", "b is not ready");
    }
    ready.send_replace(true);
    all_answer(&channel, &["a", "b"]).await;
    ready.send_replace(false);
    until("b is left alone", || async {
        for _ in 0..20 {
            if who(&channel).await.unwrap() == "b" {
                return false;
            }
        }
        true
    })
    .await;
}

#[tokio::test]
async fn a_call_carries_its_deadline_and_its_trace() {
    let a = Server::start("a");
    let channel = direct(&a.addr.to_string(), config()).unwrap();
    let traced = gochat_infra::rpc::trace::scope("t-7".into(), ask(&channel));
    let answer = traced.await.unwrap();
    assert_eq!(answer.offline_user_ids, ["t-7", "5000m"]);
    let answer = ask(&channel).await.unwrap();
    assert_eq!(answer.offline_user_ids[0].len(), 32, "a new trace");
}
