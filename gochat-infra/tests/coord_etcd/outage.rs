//! Etcd dies, comes back, and forgets: watched states stay, instances come back, changes are seen.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gochat_infra::port::coord::{ConfigCenter, Instance, InstanceIds, Instances, Locks, Registry};
use tokio::sync::watch;

use crate::proxy::Proxy;
use crate::server::{OwnEtcd, config, connect, soon, until};

/// Etcd doesn't do less.
const SHORT: Duration = Duration::from_secs(2);
const TTL: Duration = Duration::from_secs(30);

fn instance(id: &str) -> Instance {
    Instance {
        id: id.to_owned(),
        name: "im-test".to_owned(),
        address: "localhost".to_owned(),
        port: 9001,
        metadata: BTreeMap::new(),
    }
}

/// Whether a watched service was ever seen without instances.
fn ever_empty(mut watched: watch::Receiver<Instances>) -> Arc<AtomicBool> {
    let seen = Arc::new(AtomicBool::new(false));
    let flag = seen.clone();
    tokio::spawn(async move {
        while watched.changed().await.is_ok() {
            if watched.borrow_and_update().is_empty() {
                flag.store(true, Ordering::SeqCst);
            }
        }
    });
    seen
}

#[tokio::test]
async fn nothing_is_lost_when_etcd_is_killed_and_restarted() {
    let mut etcd = OwnEtcd::start().await;
    let coord = connect(config(&etcd.url())).await;
    let entry = coord.register(instance("a"), TTL).await.unwrap();
    let lock = coord.try_acquire("l", TTL).await.unwrap();
    let id = InstanceIds::acquire(&coord, "svc", TTL).await.unwrap();
    coord.set("/config/a", "1").await.unwrap();
    let mut settings = ConfigCenter::watch(&coord, "/config/").await.unwrap();
    let instances = Registry::watch(&coord, "im-test").await.unwrap();
    let empty = ever_empty(instances.clone());

    etcd.kill();
    let down = coord.set("/config/a", "2").await.unwrap_err();
    assert!(down.is_retryable(), "{down}");
    assert_eq!(settings.borrow().len(), 1, "the last state stays");
    assert_eq!(instances.borrow().len(), 1);

    etcd.revive().await;
    until("etcd takes writes", || async {
        coord.set("/config/b", "3").await.is_ok()
    })
    .await;
    soon(
        "the watch goes on",
        settings.wait_for(|s| s.contains_key("/config/b")),
    )
    .await
    .unwrap();
    assert!(!entry.is_lost() && !lock.is_lost() && !id.lease.is_lost());
    assert!(coord.try_acquire("l", TTL).await.is_err());
    assert!(coord.acquire_exact("svc", id.id, TTL).await.is_err());
    assert_eq!(coord.discover("im-test").await.unwrap().len(), 1);
    assert!(!empty.load(Ordering::SeqCst));
}

#[tokio::test]
async fn changes_made_while_the_line_was_cut_are_seen_even_after_a_compaction() {
    let etcd = OwnEtcd::start().await;
    let proxy = Proxy::to(etcd.port()).await;
    let away = config(&proxy.url());
    let mut home = away.clone();
    home.endpoints = vec![etcd.url()];
    let (away, home) = (connect(away).await, connect(home).await);
    home.set("/config/gone", "1").await.unwrap();
    let mut settings = ConfigCenter::watch(&away, "/config/").await.unwrap();
    let stays = home.register(instance("stays"), TTL).await.unwrap();
    let leaves = home.register(instance("leaves"), TTL).await.unwrap();
    let mut instances = Registry::watch(&away, "im-test").await.unwrap();
    assert_eq!(instances.borrow().len(), 2);

    proxy.cut();
    home.set("/config/new", "1").await.unwrap();
    home.delete("/config/gone").await.unwrap();
    leaves.release().await;
    let at = home.set("/config/new", "2").await.unwrap();
    let mut raw = etcd.raw().client().await;
    raw.compact(i64::try_from(at).unwrap(), None).await.unwrap();
    assert!(
        settings.borrow().contains_key("/config/gone"),
        "it can't know yet"
    );

    proxy.mend();
    let seen = |s: &gochat_infra::port::coord::ConfigState| {
        s.keys().eq(["/config/new"]) && s["/config/new"].value == "2"
    };
    soon("the present is seen", settings.wait_for(seen))
        .await
        .unwrap();
    soon("who left is seen", instances.wait_for(|all| all.len() == 1))
        .await
        .unwrap();
    home.set("/config/later", "3").await.unwrap();
    soon("the watch goes on", settings.wait_for(|s| s.len() == 2))
        .await
        .unwrap();
    stays.release().await;
}

#[tokio::test]
async fn an_entry_whose_lease_ran_out_during_a_cut_comes_back_and_is_not_lost() {
    let etcd = OwnEtcd::start().await;
    let proxy = Proxy::to(etcd.port()).await;
    let config = config(&proxy.url());
    let key = format!("{}/services/im-test/a", config.namespace);
    let coord = connect(config).await;
    let entry = coord.register(instance("a"), SHORT).await.unwrap();
    let raw = etcd.raw();
    assert!(raw.has(&key).await);

    proxy.cut();
    until("the lease runs out", || async { !raw.has(&key).await }).await;
    assert!(!entry.is_lost(), "it may only be replaced");
    proxy.mend();
    until("the entry is back", || async { raw.has(&key).await }).await;
    assert!(!entry.is_lost());
    entry.release().await;
    assert!(!raw.has(&key).await, "given back under its new lease");
}

#[tokio::test]
async fn etcd_may_be_away_for_longer_than_the_ttl() {
    let mut etcd = OwnEtcd::start().await;
    let coord = connect(config(&etcd.url())).await;
    let entry = coord.register(instance("a"), SHORT).await.unwrap();
    let instances = Registry::watch(&coord, "im-test").await.unwrap();
    let empty = ever_empty(instances.clone());
    etcd.kill();
    // The TTL has to go by: nothing else can be waited for.
    tokio::time::sleep(SHORT * 2).await;
    assert_eq!(instances.borrow().len(), 1);
    etcd.revive().await;
    until("it is found", || async {
        coord
            .discover("im-test")
            .await
            .is_ok_and(|found| found.len() == 1)
    })
    .await;
    assert!(!entry.is_lost() && !empty.load(Ordering::SeqCst));
}

#[tokio::test]
async fn when_etcd_forgets_everything_claims_are_made_again_and_callers_notice_nothing() {
    let mut etcd = OwnEtcd::start().await;
    let config = config(&etcd.url());
    let coord = connect(config.clone()).await;
    let entry = coord.register(instance("a"), TTL).await.unwrap();
    let id = InstanceIds::acquire(&coord, "svc", Duration::from_secs(3_600))
        .await
        .unwrap();
    let lock = coord.try_acquire("l", TTL).await.unwrap();
    coord.set("/config/a", "1").await.unwrap();
    let mut settings = ConfigCenter::watch(&coord, "/config/").await.unwrap();
    let empty = ever_empty(Registry::watch(&coord, "im-test").await.unwrap());

    etcd.kill();
    etcd.wipe();
    etcd.revive().await;
    soon("settings are gone", settings.wait_for(|s| s.is_empty()))
        .await
        .unwrap();
    for key in [
        "/services/im-test/a",
        "/im-infra/allocators/svc/ids/1",
        "/locks/l",
    ] {
        let key = format!("{}{key}", config.namespace);
        until(&key, || async { etcd.raw().has(&key).await }).await;
    }
    assert!(!entry.is_lost() && !id.lease.is_lost() && !lock.is_lost());
    let other = connect(config).await;
    assert_eq!(
        InstanceIds::acquire(&other, "svc", TTL).await.unwrap().id,
        2
    );
    assert!(other.try_acquire("l", TTL).await.is_err());
    assert!(
        !empty.load(Ordering::SeqCst),
        "traffic had somewhere to go all the time"
    );
}
