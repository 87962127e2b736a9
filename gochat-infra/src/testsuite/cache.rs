//! What every [`Cache`] must do, and [`Cached`] above it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use gochat_core::error::{Error, ErrorCode};
use tokio::sync::Semaphore;

use crate::cached::{Cached, Keep};
use crate::port::cache::{Cache, Entry, FillToken, Lookup};

type Subject = Arc<dyn Cache>;

const LONG: Duration = Duration::from_secs(60);
const KEEP: Keep = Keep {
    present: LONG,
    absent: LONG,
};

fn entry(key: &str, value: &'static str, ttl: Duration) -> Entry {
    Entry {
        key: key.to_owned(),
        value: Bytes::from_static(value.as_bytes()),
        ttl,
    }
}

async fn miss(cache: &Subject, key: &str) -> FillToken {
    match cache.get(key).await.expect("cache answers") {
        Lookup::Miss(token) => token,
        Lookup::Hit(_) => panic!("{key} should not be there"),
    }
}

async fn value(cache: &Subject, key: &str) -> Option<Bytes> {
    cache.get(key).await.expect("cache answers").hit()
}

/// Storing, reading in batches, deleting.
pub async fn what_was_set_is_found_until_it_is_deleted(cache: Subject) {
    cache.set(entry("a", "1", LONG)).await.unwrap();
    cache.set(entry("b", "2", LONG)).await.unwrap();
    cache.set(entry("b", "3", LONG)).await.unwrap();
    let keys = ["b", "none", "a"].map(String::from);
    let found = cache.get_many(&keys).await.unwrap();
    let values: Vec<_> = found.into_iter().map(Lookup::hit).collect();
    assert_eq!(values, [Some("3".into()), None, Some("1".into())]);

    cache.delete_many(&keys).await.unwrap();
    assert_eq!(value(&cache, "a").await, None);
    assert_eq!(value(&cache, "b").await, None);
}

/// Lifetimes.
pub async fn an_entry_disappears_when_its_time_is_over(cache: Subject) {
    cache
        .set(entry("short", "1", Duration::from_millis(30)))
        .await
        .unwrap();
    cache.set(entry("long", "1", LONG)).await.unwrap();
    tokio::time::timeout(LONG, async {
        while value(&cache, "short").await.is_some() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the entry runs out");
    assert!(value(&cache, "long").await.is_some());
}

/// The token of a miss lets its holder fill.
pub async fn a_miss_can_be_filled(cache: Subject) {
    let token = miss(&cache, "k").await;
    cache
        .fill_many(vec![(entry("k", "1", LONG), token)])
        .await
        .unwrap();
    assert_eq!(value(&cache, "k").await, Some("1".into()));
}

/// The race of cache-aside: read old, commit, delete, fill with old.
pub async fn a_fill_that_a_deletion_overtook_stores_nothing(cache: Subject) {
    let token = miss(&cache, "k").await;
    cache.delete("k").await.unwrap();
    cache
        .fill_many(vec![(entry("k", "old", LONG), token)])
        .await
        .unwrap();
    let fresh = miss(&cache, "k").await;
    cache
        .fill_many(vec![(entry("k", "new", LONG), fresh)])
        .await
        .unwrap();
    assert_eq!(value(&cache, "k").await, Some("new".into()));
}

/// Single flight.
pub async fn callers_that_miss_together_share_one_load(cache: Subject) {
    let cached = Arc::new(Cached::new(cache));
    let loads = Arc::new(AtomicUsize::new(0));
    let gate = Arc::new(Semaphore::new(0));
    let callers: Vec<_> = (0..50)
        .map(|_| {
            let (cached, loads, gate) = (cached.clone(), loads.clone(), gate.clone());
            tokio::spawn(async move {
                let load = || async move {
                    loads.fetch_add(1, Ordering::SeqCst);
                    gate.acquire().await.expect("gate is open").forget();
                    Ok(Some(Bytes::from_static(b"v")))
                };
                cached.get_or_load("k", KEEP, load).await.unwrap().value
            })
        })
        .collect();
    while loads.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    gate.add_permits(50);
    for caller in callers {
        assert_eq!(caller.await.unwrap(), Some("v".into()));
    }
    // Callers that came after the landing may have read the cache, none loaded again.
    assert_eq!(loads.load(Ordering::SeqCst), 1);
}

/// Penetration.
pub async fn absence_is_remembered(cache: Subject) {
    let cached = Cached::new(cache);
    let first = cached
        .get_or_load("ghost", KEEP, || async { Ok(None) })
        .await
        .unwrap();
    assert_eq!((first.value, first.from_cache), (None, false));
    let loader = || async { panic!("the cache knows that there is nothing") };
    let second = cached.get_or_load("ghost", KEEP, loader).await.unwrap();
    assert_eq!((second.value, second.from_cache), (None, true));
}

/// A caller that goes away does not leave others hanging, nor an error behind.
pub async fn an_abandoned_or_failed_load_is_taken_up_by_the_next_caller(cache: Subject) {
    let cached = Cached::new(cache);
    {
        let stuck = cached.get_or_load("k", KEEP, std::future::pending);
        let mut stuck = std::pin::pin!(stuck);
        let once = std::future::poll_fn(|cx| {
            assert!(stuck.as_mut().poll(cx).is_pending());
            std::task::Poll::Ready(())
        });
        once.await;
    }
    let failing = || async { Err(Error::from(ErrorCode::ServiceUnavailable)) };
    assert!(cached.get_or_load("k", KEEP, failing).await.is_err());
    let working = || async { Ok(Some(Bytes::from_static(b"v"))) };
    let answer = cached.get_or_load("k", KEEP, working).await.unwrap();
    assert_eq!(answer.value, Some("v".into()));
}

/// Who comes after a change must not be given a load that began before it.
pub async fn a_load_that_began_before_a_change_is_not_shared_after_it(cache: Subject) {
    let cached = Cached::new(cache);
    let (release, wait) = tokio::sync::oneshot::channel::<()>();
    let (begin, begun) = tokio::sync::oneshot::channel::<()>();
    let old = cached.get_or_load("k", KEEP, || async {
        begin.send(()).expect("the change waits");
        wait.await.expect("released below");
        Ok(Some(Bytes::from_static(b"old")))
    });
    let change = async {
        begun.await.expect("the old load begins");
        cached.forget(&["k".to_owned()]).await.unwrap();
        let load = || async { Ok(Some(Bytes::from_static(b"new"))) };
        let fresh = cached.get_or_load("k", KEEP, load).await.unwrap();
        release.send(()).expect("the old load waits");
        fresh
    };
    let (_, fresh) = tokio::join!(old, change);
    assert_eq!(fresh.value, Some("new".into()));
    let later = cached
        .get_or_load("k", KEEP, || async { panic!("it is cached") })
        .await
        .unwrap();
    assert_eq!(later.value, Some("new".into()));
}

/// Batches load only what is missing, with one call.
pub async fn a_batch_loads_what_is_missing_at_once(cache: Subject) {
    let cached = Cached::new(cache);
    cached
        .get_or_load("b", KEEP, || async { Ok(Some("B".into())) })
        .await
        .unwrap();
    let keys = ["a", "b", "c"].map(String::from);
    let load = |missing: Vec<usize>| async move {
        assert_eq!(missing, [0, 2]);
        Ok(vec![Some("A".into()), None])
    };
    let answers = cached.get_or_load_many(&keys, KEEP, load).await.unwrap();
    let values: Vec<_> = answers.into_iter().map(|answer| answer.value).collect();
    assert_eq!(values, [Some("A".into()), Some("B".into()), None]);
    let again = |_| async { panic!("all three are cached") };
    let answers = cached.get_or_load_many(&keys, KEEP, again).await.unwrap();
    assert!(answers.iter().all(|answer| answer.from_cache));
}

/// Runs all facts on `$make`, an async expression that builds an `Arc<dyn Cache>`.
#[macro_export]
macro_rules! cache_suite {
    ($make:expr) => {
        $crate::__facts!(
            $make,
            $crate::testsuite::cache,
            [
                what_was_set_is_found_until_it_is_deleted,
                an_entry_disappears_when_its_time_is_over,
                a_miss_can_be_filled,
                a_fill_that_a_deletion_overtook_stores_nothing,
                callers_that_miss_together_share_one_load,
                absence_is_remembered,
                an_abandoned_or_failed_load_is_taken_up_by_the_next_caller,
                a_load_that_began_before_a_change_is_not_shared_after_it,
                a_batch_loads_what_is_missing_at_once,
            ]
        );
    };
}
