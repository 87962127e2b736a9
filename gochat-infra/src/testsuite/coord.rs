//! What every coordination adapter must do.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gochat_core::error::ErrorCode;
use tokio::sync::watch;

use crate::port::coord::{ConfigCenter, Instance, InstanceIds, Locks, Registry};

const TTL: Duration = Duration::from_secs(30);
const PATIENCE: Duration = Duration::from_secs(60);

/// All four ports of one adapter, and the means to break it.
#[derive(Clone)]
pub struct Subject {
    /// The registry.
    pub registry: Arc<dyn Registry>,
    /// The settings.
    pub config: Arc<dyn ConfigCenter>,
    /// The locks.
    pub locks: Arc<dyn Locks>,
    /// The instance ids.
    pub ids: Arc<dyn InstanceIds>,
    /// Ends all leases as the server does when it hears nothing any more.
    pub lose_leases: Arc<dyn Fn() + Send + Sync>,
}

fn instance(id: &str) -> Instance {
    Instance {
        id: id.to_owned(),
        name: "im-test".to_owned(),
        address: "localhost".to_owned(),
        port: 9001,
        metadata: BTreeMap::new(),
    }
}

/// Waits until a watched state satisfies `wanted`.
async fn until<T>(watched: &mut watch::Receiver<T>, wanted: impl FnMut(&T) -> bool) {
    tokio::time::timeout(PATIENCE, watched.wait_for(wanted))
        .await
        .expect("the state comes")
        .expect("the store lives");
}

/// Discovery.
pub async fn an_instance_is_found_until_its_lease_ends(subject: Subject) {
    let registry = subject.registry;
    let mut watched = registry.watch("im-test").await.unwrap();
    assert!(watched.borrow().is_empty());

    let b = registry.register(instance("b"), TTL).await.unwrap();
    let a = registry.register(instance("a"), TTL).await.unwrap();
    let found = registry.discover("im-test").await.unwrap();
    assert_eq!(&found[..], [instance("a"), instance("b")]);
    assert!(registry.discover("im-other").await.unwrap().is_empty());
    until(&mut watched, |state| state.len() == 2).await;

    a.release().await;
    assert_eq!(
        &registry.discover("im-test").await.unwrap()[..],
        [instance("b")]
    );
    drop(b);
    until(&mut watched, |state| state.is_empty()).await;
}

/// Half an instance is refused.
pub async fn an_incomplete_instance_is_refused(subject: Subject) {
    for bad in [
        Instance {
            id: String::new(),
            ..instance("x")
        },
        Instance {
            name: String::new(),
            ..instance("x")
        },
        Instance {
            address: String::new(),
            ..instance("x")
        },
        Instance {
            port: 0,
            ..instance("x")
        },
    ] {
        let refusal = subject.registry.register(bad, TTL).await.unwrap_err();
        assert_eq!(refusal.code, ErrorCode::InvalidParams);
    }
}

/// A restart under the same id.
pub async fn a_second_registration_replaces_the_first(subject: Subject) {
    let first = subject.registry.register(instance("a"), TTL).await.unwrap();
    let moved = Instance {
        port: 9002,
        ..instance("a")
    };
    let second = subject.registry.register(moved.clone(), TTL).await.unwrap();
    tokio::time::timeout(PATIENCE, first.lost())
        .await
        .expect("the first is told");
    drop(first);
    let found = subject.registry.discover("im-test").await.unwrap();
    assert_eq!(
        &found[..],
        [moved],
        "the end of the first does not remove the second"
    );
    drop(second);
}

/// Values, versions, prefixes.
pub async fn settings_are_stored_exactly_under_their_keys(subject: Subject) {
    let config = subject.config;
    assert_eq!(config.get("/config/dev/a/log").await.unwrap(), None);
    let first = config.set("/config/dev/a/log", "{}").await.unwrap();
    let second = config.set("/config/dev/a/log", "not json").await.unwrap();
    assert!(second > first);
    let stored = config.get("/config/dev/a/log").await.unwrap().unwrap();
    assert_eq!(
        (stored.value.as_str(), stored.version),
        ("not json", second)
    );

    config.set("/config/dev/ab", "1").await.unwrap();
    let below = config.list("/config/dev/a/").await.unwrap();
    assert_eq!(below.keys().collect::<Vec<_>>(), ["/config/dev/a/log"]);
    assert!(config.delete("/config/dev/a/log").await.unwrap());
    assert!(!config.delete("/config/dev/a/log").await.unwrap());
}

/// Compare and set.
pub async fn a_stale_version_is_a_conflict(subject: Subject) {
    let config = subject.config;
    let created = config.compare_and_set("/k", "1", 0).await.unwrap();
    let refusal = config.compare_and_set("/k", "2", 0).await.unwrap_err();
    assert_eq!(refusal.code, ErrorCode::VersionConflict);
    let changed = config.compare_and_set("/k", "2", created).await.unwrap();
    assert!(config.compare_and_set("/k", "3", created).await.is_err());
    config.delete("/k").await.unwrap();
    assert!(
        config.compare_and_set("/k", "3", changed).await.is_err(),
        "it is gone"
    );
    let again = config.compare_and_set("/k", "3", 0).await.unwrap();
    assert!(again > changed, "versions are not used again");
}

/// Hot reload.
pub async fn a_watch_sees_the_present_and_every_later_state(subject: Subject) {
    let config = subject.config;
    config.set("/w/a", "1").await.unwrap();
    let mut watched = config.watch("/w/").await.unwrap();
    assert_eq!(watched.borrow().len(), 1);
    config.set("/other", "1").await.unwrap();
    config.set("/w/b", "2").await.unwrap();
    until(&mut watched, |state| state.contains_key("/w/b")).await;
    config.delete("/w/a").await.unwrap();
    until(&mut watched, |state| state.keys().eq(["/w/b"])).await;
}

/// Mutual exclusion.
pub async fn a_lock_has_one_holder(subject: Subject) {
    let locks = subject.locks;
    let held = locks.try_acquire("l", TTL).await.unwrap();
    let refusal = locks.try_acquire("l", TTL).await.unwrap_err();
    assert_eq!(refusal.code, ErrorCode::VersionConflict);
    let free = locks.try_acquire("other", TTL).await.unwrap();
    let waiter = {
        let locks = locks.clone();
        tokio::spawn(async move { locks.acquire("l", TTL).await })
    };
    held.release().await;
    let next = tokio::time::timeout(PATIENCE, waiter)
        .await
        .expect("its turn")
        .unwrap()
        .unwrap();
    assert!(locks.try_acquire("l", TTL).await.is_err());
    drop((next, free));
    tokio::time::timeout(PATIENCE, locks.acquire("l", TTL))
        .await
        .expect("free")
        .unwrap();
}

/// Numbers for instances.
pub async fn ids_are_unique_small_and_used_again(subject: Subject) {
    let ids = subject.ids;
    let first = ids.acquire("svc", TTL).await.unwrap();
    let second = ids.acquire("svc", TTL).await.unwrap();
    let other = ids.acquire("other", TTL).await.unwrap();
    assert_eq!((first.id, second.id, other.id), (1, 2, 1));
    first.lease.release().await;
    let again = ids.acquire("svc", TTL).await.unwrap();
    assert_eq!(again.id, 1);

    let refusal = ids.acquire_exact("svc", 2, TTL).await.unwrap_err();
    assert_eq!(refusal.code, ErrorCode::VersionConflict);
    assert_eq!(ids.acquire_exact("svc", 9, TTL).await.unwrap().id, 9);
    for bad in [0, 1024] {
        let refusal = ids.acquire_exact("svc", bad, TTL).await.unwrap_err();
        assert_eq!(refusal.code, ErrorCode::InvalidParams);
    }
}

/// No silent second holder.
pub async fn a_lost_lease_is_signalled_and_its_number_is_free(subject: Subject) {
    let held = subject.ids.acquire("svc", TTL).await.unwrap();
    let lock = subject.locks.try_acquire("l", TTL).await.unwrap();
    assert!(!held.lease.is_lost());
    (subject.lose_leases)();
    tokio::time::timeout(PATIENCE, held.lease.lost())
        .await
        .expect("signalled");
    tokio::time::timeout(PATIENCE, lock.lost())
        .await
        .expect("signalled");

    let again = subject
        .ids
        .acquire_exact("svc", held.id, TTL)
        .await
        .unwrap();
    drop(held);
    let refusal = subject.ids.acquire_exact("svc", again.id, TTL).await;
    assert!(
        refusal.is_err(),
        "the end of the lost lease does not free the new one"
    );
}

/// Runs all facts on `$make`, an async expression that builds a [`Subject`].
#[macro_export]
macro_rules! coord_suite {
    ($make:expr) => {
        $crate::__facts!(
            $make,
            $crate::testsuite::coord,
            [
                an_instance_is_found_until_its_lease_ends,
                an_incomplete_instance_is_refused,
                a_second_registration_replaces_the_first,
                settings_are_stored_exactly_under_their_keys,
                a_stale_version_is_a_conflict,
                a_watch_sees_the_present_and_every_later_state,
                a_lock_has_one_holder,
                ids_are_unique_small_and_used_again,
                a_lost_lease_is_signalled_and_its_number_is_free,
            ]
        );
    };
}
