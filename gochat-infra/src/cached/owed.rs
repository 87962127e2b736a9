//! Deletions that the cache did not take: they are repeated until it does, and copies under these
//! keys are not believed before.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hashbrown::HashMap;
use parking_lot::Mutex;

use crate::port::cache::Cache;
use crate::rpc::Backoff;

/// Maximum number of keys that are remembered; beyond it the one that has waited longest is dropped
/// and counted.
const MAX: usize = 200_000;
/// Keys per attempt.
const AT_ONCE: usize = 1_000;
/// Pauses between attempts.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// Keys whose copies must go.
pub(super) struct Owed {
    cache: Arc<dyn Cache>,
    keys: Mutex<Keys>,
    /// Number of keys, so that reads need no lock while there are none.
    count: AtomicUsize,
    max: usize,
}

#[derive(Default)]
struct Keys {
    /// Each with the moment at which its latest deletion failed.
    since: HashMap<String, u64>,
    now: u64,
    is_retrying: bool,
}

impl Owed {
    pub(super) fn new(cache: Arc<dyn Cache>) -> Arc<Self> {
        Self::with_room(cache, MAX)
    }

    fn with_room(cache: Arc<dyn Cache>, max: usize) -> Arc<Self> {
        Arc::new(Self {
            cache,
            keys: Mutex::default(),
            count: AtomicUsize::new(0),
            max,
        })
    }

    /// Whether a copy under this key may be older than a change that was committed.
    pub(super) fn holds(&self, key: &str) -> bool {
        self.count.load(Ordering::Acquire) > 0 && self.keys.lock().since.contains_key(key)
    }

    /// The moment before an attempt to delete.
    pub(super) fn moment(&self) -> u64 {
        self.keys.lock().now
    }

    /// A deletion of these keys failed: it is repeated in the background.
    pub(super) fn add(self: &Arc<Self>, keys: &[String]) {
        let mut held = self.keys.lock();
        held.now += 1;
        let now = held.now;
        for key in keys {
            if held.since.len() >= self.max && !held.since.contains_key(key) {
                drop_oldest(&mut held.since);
            }
            held.since.insert(key.clone(), now);
        }
        self.note(&held);
        if !std::mem::replace(&mut held.is_retrying, true) {
            tokio::spawn(self.clone().retry());
        }
    }

    /// These keys were deleted by an attempt that began at `moment`. One whose deletion failed
    /// since then stays.
    pub(super) fn settle<'a>(&self, keys: impl IntoIterator<Item = &'a String>, moment: u64) {
        if self.count.load(Ordering::Acquire) == 0 {
            return;
        }
        let mut held = self.keys.lock();
        for key in keys {
            if held.since.get(key).is_some_and(|since| *since <= moment) {
                held.since.remove(key);
            }
        }
        self.note(&held);
    }

    fn note(&self, held: &Keys) {
        let count = held.since.len();
        self.count.store(count, Ordering::Release);
        metrics::gauge!("gochat_cache_deletions_owed").set(count as f64);
    }

    /// The next keys to delete; `None` ends the task.
    fn next(&self) -> Option<(Vec<String>, u64)> {
        let mut held = self.keys.lock();
        held.is_retrying = !held.since.is_empty();
        let keys: Vec<String> = held.since.keys().take(AT_ONCE).cloned().collect();
        (!keys.is_empty()).then_some((keys, held.now))
    }

    async fn retry(self: Arc<Self>) {
        let mut backoff = Backoff::new(FIRST_PAUSE, MAX_PAUSE);
        while let Some((keys, moment)) = self.next() {
            match self.cache.delete_many(&keys).await {
                Ok(()) => {
                    self.settle(&keys, moment);
                    backoff.reset();
                }
                Err(_) => tokio::time::sleep(backoff.next_delay()).await,
            }
        }
    }
}

fn drop_oldest(since: &mut HashMap<String, u64>) {
    let oldest = since.iter().min_by_key(|(_, since)| **since);
    if let Some(key) = oldest.map(|(key, _)| key.clone()) {
        since.remove(&key);
        metrics::counter!("gochat_cache_deletions_dropped_total").increment(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::cache::{Entry, FillToken, Lookup};
    use gochat_core::error::{ErrorCode, Result};
    use parking_lot::Mutex as Lock;
    use std::sync::atomic::AtomicBool;

    /// A cache that may be away, and what was deleted in it.
    #[derive(Default)]
    struct Shelf {
        is_away: AtomicBool,
        deleted: Lock<Vec<String>>,
    }

    #[async_trait::async_trait]
    impl Cache for Shelf {
        async fn get_many(&self, keys: &[String]) -> Result<Vec<Lookup>> {
            Ok(keys.iter().map(|_| Lookup::Miss(FillToken(1))).collect())
        }

        async fn set(&self, _: Entry) -> Result<()> {
            Ok(())
        }

        async fn fill_many(&self, _: Vec<(Entry, FillToken)>) -> Result<()> {
            Ok(())
        }

        async fn delete_many(&self, keys: &[String]) -> Result<()> {
            if self.is_away.load(Ordering::Relaxed) {
                return Err(ErrorCode::ServiceUnavailable.into());
            }
            self.deleted.lock().extend(keys.iter().cloned());
            Ok(())
        }
    }

    fn keys(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_deletion_is_repeated_until_the_cache_takes_it() {
        let shelf = Arc::new(Shelf::default());
        shelf.is_away.store(true, Ordering::Relaxed);
        let owed = Owed::new(shelf.clone());
        owed.add(&keys(&["a", "b"]));
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(owed.holds("a") && owed.holds("b") && !owed.holds("c"));
        shelf.is_away.store(false, Ordering::Relaxed);
        tokio::time::sleep(MAX_PAUSE * 2).await;
        assert!(!owed.holds("a") && !owed.holds("b"));
        let mut deleted = shelf.deleted.lock().clone();
        deleted.sort_unstable();
        assert_eq!(deleted, keys(&["a", "b"]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_deletion_that_failed_meanwhile_is_still_owed() {
        let shelf = Arc::new(Shelf::default());
        shelf.is_away.store(true, Ordering::Relaxed);
        let owed = Owed::new(shelf);
        owed.add(&keys(&["a"]));
        let moment = owed.moment();
        owed.add(&keys(&["b"]));
        owed.settle(&keys(&["a", "b"]), moment);
        assert!(!owed.holds("a") && owed.holds("b"));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_owed_is_bounded() {
        let shelf = Arc::new(Shelf::default());
        shelf.is_away.store(true, Ordering::Relaxed);
        let owed = Owed::with_room(shelf, 2);
        for name in ["a", "b", "c", "c"] {
            owed.add(&keys(&[name]));
        }
        assert!(!owed.holds("a") && owed.holds("b") && owed.holds("c"));
    }
}
