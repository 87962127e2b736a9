//! Claims that can't be confirmed: who stops, and when.

use std::time::Duration;

use gochat_infra::port::coord::{InstanceIds, Locks};

use crate::proxy::Proxy;
use crate::server::{OwnEtcd, config, connect, soon, until};

const SHORT: Duration = Duration::from_secs(3);
const LONG: Duration = Duration::from_secs(3_600);

#[tokio::test]
async fn a_holder_that_is_cut_off_stops_before_anybody_else_can_begin() {
    let etcd = OwnEtcd::start().await;
    let proxy = Proxy::to(etcd.port()).await;
    let away = config(&proxy.url());
    let mut home = away.clone();
    home.endpoints = vec![etcd.url()];
    let (away, home) = (connect(away).await, connect(home).await);
    let lock = away.try_acquire("l", SHORT).await.unwrap();
    let id = InstanceIds::acquire(&away, "svc", SHORT).await.unwrap();
    proxy.cut();

    soon("the lock is free", Locks::acquire(&home, "l", SHORT))
        .await
        .unwrap();
    assert!(lock.is_lost(), "two holders at a time");
    until("the id is free", || async {
        let taken = home.acquire_exact("svc", id.id, SHORT).await;
        assert!(
            taken.is_err() || id.lease.is_lost(),
            "two holders at a time"
        );
        taken.is_ok()
    })
    .await;
    proxy.mend();
    soon("it stays lost", lock.lost()).await;
}

#[tokio::test]
async fn a_short_cut_costs_nobody_a_claim() {
    let etcd = OwnEtcd::start().await;
    let proxy = Proxy::to(etcd.port()).await;
    let config = config(&proxy.url());
    let key = format!("{}/im-infra/allocators/svc/ids/1", config.namespace);
    let coord = connect(config).await;
    let id = InstanceIds::acquire(&coord, "svc", LONG).await.unwrap();
    proxy.cut();
    // An operator takes the lease away: etcd says it is gone, and nobody else has the number.
    let mut raw = etcd.raw().client().await;
    let lease = raw.get(key.as_str(), None).await.unwrap().kvs()[0].lease();
    raw.lease_revoke(lease).await.unwrap();
    assert!(!etcd.raw().has(&key).await);
    proxy.mend();
    until("the claim is made again", || async {
        etcd.raw().has(&key).await
    })
    .await;
    assert!(!id.lease.is_lost());
}

#[tokio::test]
async fn an_id_that_somebody_took_meanwhile_is_lost_at_once() {
    let etcd = OwnEtcd::start().await;
    let proxy = Proxy::to(etcd.port()).await;
    let away = config(&proxy.url());
    let mut home = away.clone();
    home.endpoints = vec![etcd.url()];
    let key = format!("{}/im-infra/allocators/svc/ids/1", home.namespace);
    let (away, home) = (connect(away).await, connect(home).await);
    let id = InstanceIds::acquire(&away, "svc", LONG).await.unwrap();
    proxy.cut();
    let mut raw = etcd.raw().client().await;
    raw.delete(key.as_str(), None).await.unwrap();
    let theirs = home.acquire_exact("svc", id.id, LONG).await.unwrap();
    proxy.mend();
    soon("the first is told", id.lease.lost()).await;
    drop(id);
    assert!(!theirs.lease.is_lost());
    assert!(
        etcd.raw().has(&key).await,
        "the end of the first frees nothing"
    );
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_no_claim_behind() {
    let etcd = OwnEtcd::start().await;
    let coord = connect(config(&etcd.url())).await;
    let held = coord.try_acquire("l", LONG).await.unwrap();
    {
        let waiting = Locks::acquire(&coord, "l", LONG);
        let cut = tokio::time::timeout(Duration::from_millis(50), waiting).await;
        assert!(cut.is_err());
        let claiming = InstanceIds::acquire(&coord, "svc", LONG);
        // Somewhere between the first request and the last answer.
        let _ = tokio::time::timeout(Duration::from_millis(2), claiming).await;
    }
    held.release().await;
    soon("the lock is free", Locks::acquire(&coord, "l", LONG))
        .await
        .unwrap();
    until("the id is free", || async {
        let taken = coord.acquire_exact("svc", 1, LONG).await;
        taken.is_ok()
    })
    .await;
}

#[tokio::test]
async fn giving_back_while_etcd_is_away_does_not_hold_up_a_shutdown() {
    let mut etcd = OwnEtcd::start().await;
    let coord = connect(config(&etcd.url())).await;
    let id = InstanceIds::acquire(&coord, "svc", LONG).await.unwrap();
    etcd.kill();
    let began = std::time::Instant::now();
    id.lease.release().await;
    assert!(began.elapsed() < Duration::from_secs(20));
}
