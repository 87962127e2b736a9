//! Keeps time leased for ids, ahead of the clock.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use gochat_core::error::{Error, ErrorCode, Result};
use gochat_core::snowflake::{ClockState, Lease, LeaseRules};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::floor::FloorStore;
use super::{Clock, SnowflakeIds};
use crate::rpc::Backoff;

/// Ids further than this from the clock are alerted. A restart without an orderly end alone makes
/// one lease.
const ALERT_DRIFT_MS: u64 = 60_000;
/// How often a drift that goes on is logged again.
const REMIND: Duration = Duration::from_secs(600);

/// Renews the lease of a generator. [`LeaseKeeper::run`] ends when the last handle of the generator
/// is gone.
pub struct LeaseKeeper {
    ids: std::sync::Weak<SnowflakeIds>,
    store: Arc<dyn FloorStore>,
    wake: Arc<Notify>,
    rules: LeaseRules,
    reminded: Option<tokio::time::Instant>,
}

impl SnowflakeIds {
    /// A generator whose ids stay above the floor in `store`, and what keeps its lease: the caller
    /// spawns [`LeaseKeeper::run`]. A store that is away does not fail the start; ids wait for it
    /// if it is required.
    ///
    /// # Errors
    /// `INVALID_PARAMS` for numbers above 1023.
    pub async fn leased(
        instance: u16,
        lost: CancellationToken,
        store: Arc<dyn FloorStore>,
        clock: Clock,
        rules: LeaseRules,
    ) -> Result<(Arc<Self>, LeaseKeeper)> {
        let wake = Arc::new(Notify::new());
        let ids = Self::unleased(instance, lost, clock, rules, Some(wake.clone()))?;
        let ids = Arc::new(ids);
        let mut keeper = LeaseKeeper {
            ids: Arc::downgrade(&ids),
            store,
            wake,
            rules,
            reminded: None,
        };
        if let Err(error) = keeper.begin(&ids).await {
            tracing::error!(%error, "no time can be leased for ids yet");
        }
        Ok((ids, keeper))
    }

    /// Makes no more ids, and gives the unused rest of the lease back.
    pub async fn end(&self, store: &dyn FloorStore) {
        self.ended.store(true, Ordering::Release);
        let (from, unused) = {
            let mut ids = self.ids.lock();
            (ids.until(), ids.end())
        };
        if let Some(unused) = unused
            && let Err(error) = store.lower(from, unused).await
        {
            tracing::debug!(%error, "the rest of the lease was not given back");
        }
    }
}

impl LeaseKeeper {
    /// Renews the lease whenever half of it is used, until the generator is gone.
    pub async fn run(mut self) {
        let mut backoff = Backoff::default();
        let idle = Duration::from_millis(self.rules.step_ms / 4);
        loop {
            let Some(ids) = self.ids.upgrade().filter(|ids| !ids.has_ended()) else {
                return;
            };
            let renewed = self.renew(&ids).await;
            self.report(&ids);
            drop(ids);
            match renewed {
                Ok(()) => {
                    backoff.reset();
                    tokio::select! {
                        () = self.wake.notified() => {}
                        () = tokio::time::sleep(idle) => {}
                    }
                }
                Err(error) => {
                    metrics::counter!("gochat_id_lease_failures_total").increment(1);
                    tracing::warn!(%error, "the floor of ids can't be stored; trying again");
                    // Every id asks for the renewal: that must not hurry the next attempt.
                    tokio::time::sleep(backoff.next_delay()).await;
                }
            }
        }
    }

    /// Takes the first lease.
    async fn begin(&mut self, ids: &SnowflakeIds) -> Result<()> {
        let floor = match self.store.load().await {
            Ok(floor) => floor,
            Err(error) if self.store.is_required() => return Err(error),
            Err(error) => {
                tracing::warn!(%error, "the floor of ids is not known; the clock has to do");
                None
            }
        };
        let now = (ids.clock)();
        let Some(lease) = self.rules.first(floor, now) else {
            return Err(Error::new(
                ErrorCode::ServiceUnavailable,
                "The clock of this machine was never set: set it, ids can't be made before.",
            ));
        };
        self.take(ids, lease).await
    }

    /// Renews the lease if it is time.
    async fn renew(&mut self, ids: &SnowflakeIds) -> Result<()> {
        let now = (ids.clock)();
        let (has_lease, due, until) = {
            let held = ids.ids.lock();
            (held.has_lease(), held.due(&self.rules, now), held.until())
        };
        match due {
            _ if !has_lease => self.begin(ids).await,
            Some(next) => {
                let lease = Lease {
                    from: until,
                    until: next,
                };
                self.take(ids, lease).await
            }
            None => Ok(()),
        }
    }

    /// Stores the end of a lease, then makes ids in it.
    async fn take(&mut self, ids: &SnowflakeIds, lease: Lease) -> Result<()> {
        let granted = match self.store.raise(lease.until, self.rules.room_ms).await {
            Ok(stored) => Lease {
                from: stored.before.unwrap_or(lease.from).max(lease.from),
                until: stored.after,
            },
            Err(error) if self.store.is_required() => return Err(error),
            Err(error) => {
                ids.ids.lock().grant(lease);
                return Err(error);
            }
        };
        if ids.has_ended() {
            return Ok(());
        }
        if granted.from > lease.from {
            tracing::error!(
                "another process takes time for ids of this instance number; each gets its own"
            );
        }
        ids.ids.lock().grant(granted);
        Ok(())
    }

    /// Shows how far ids are from the clock, and alerts a drift that no restart explains.
    fn report(&mut self, ids: &SnowflakeIds) {
        let now = (ids.clock)();
        let (drift, state) = {
            let held = ids.ids.lock();
            (
                held.drift_ms(&self.rules, now),
                held.clock(&self.rules, now),
            )
        };
        metrics::gauge!("gochat_id_clock_drift_seconds").set(drift as f64 / 1_000.0);
        if drift.unsigned_abs() <= ALERT_DRIFT_MS {
            if self.reminded.take().is_some() {
                tracing::warn!("ids carry the time of the clock again");
            }
            return;
        }
        if self.reminded.is_some_and(|at| at.elapsed() < REMIND) {
            return;
        }
        self.reminded = Some(tokio::time::Instant::now());
        match state {
            ClockState::Implausible => tracing::error!(
                drift_ms = drift,
                "the clock is too far ahead of the newest id and is not followed; ids go on without it. Set the \
                 clock, or raise max_clock_jump_days if it is right"
            ),
            _ => tracing::error!(
                drift_ms = drift,
                "the clock is behind the newest id; ids go on from that id until the clock has caught up"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicU64};

    use gochat_core::snowflake::Parts;

    use super::*;
    use crate::embedded::coord::MemoryCoord;
    use crate::ids::{CenterFloor, IdSource};
    use crate::port::coord::ConfigCenter;

    const NOW: u64 = 1_720_000_000_000;

    /// A clock that a test sets.
    fn clock() -> (Arc<AtomicU64>, Clock) {
        let at = Arc::new(AtomicU64::new(NOW));
        let read = at.clone();
        (at, Arc::new(move || read.load(Ordering::SeqCst)))
    }

    async fn life(store: &Arc<dyn FloorStore>, clock: &Clock) -> Arc<SnowflakeIds> {
        let lost = CancellationToken::new();
        let rules = LeaseRules::default();
        let leased = SnowflakeIds::leased(3, lost, store.clone(), clock.clone(), rules);
        let (ids, keeper) = leased.await.unwrap();
        tokio::spawn(keeper.run());
        ids
    }

    fn center() -> Arc<dyn FloorStore> {
        let center: Arc<dyn ConfigCenter> = Arc::new(MemoryCoord::new());
        Arc::new(CenterFloor::new(center, "s", "3"))
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_same_minute_lived_many_times_gives_no_id_twice() {
        let (at, clock) = clock();
        let store = center();
        let mut newest = 0;
        for n in 0..20 {
            at.store(NOW, Ordering::SeqCst);
            let ids = life(&store, &clock).await;
            for _ in 0..200 {
                at.fetch_add(7, Ordering::SeqCst);
                let id = ids.next_id().unwrap();
                assert!(id > newest, "life {n}");
                newest = id;
            }
            if n % 2 == 0 {
                ids.end(&*store).await;
                assert!(ids.next_id().is_err());
            }
        }
        let ahead = Parts::of(newest).at - NOW;
        assert!(ahead < 60_000, "{ahead} ms: restarts make no time run away");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn two_processes_with_one_number_get_different_time() {
        let (_, clock) = clock();
        let store = center();
        let (one, two) = (life(&store, &clock).await, life(&store, &clock).await);
        let mut all = std::collections::HashSet::new();
        for _ in 0..20_000 {
            assert!(all.insert(one.next_id().unwrap()));
            assert!(all.insert(two.next_id().unwrap()));
        }
    }

    /// A floor that can be cut off.
    struct Away {
        inner: Arc<dyn FloorStore>,
        away: AtomicBool,
        required: bool,
    }

    #[async_trait::async_trait]
    impl FloorStore for Away {
        async fn load(&self) -> Result<Option<u64>> {
            self.inner.load().await
        }

        async fn raise(&self, until: u64, room: u64) -> Result<crate::ids::Stored> {
            match self.away.load(Ordering::SeqCst) {
                true => Err(ErrorCode::ServiceUnavailable.into()),
                false => self.inner.raise(until, room).await,
            }
        }

        async fn lower(&self, from: u64, to: u64) -> Result<()> {
            self.inner.lower(from, to).await
        }

        fn is_required(&self) -> bool {
            self.required
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn ids_wait_for_a_required_floor_only() {
        for required in [true, false] {
            let (at, clock) = clock();
            let away = Arc::new(Away {
                inner: center(),
                away: AtomicBool::new(false),
                required,
            });
            let store: Arc<dyn FloorStore> = away.clone();
            let ids = life(&store, &clock).await;
            away.away.store(true, Ordering::SeqCst);
            for _ in 0..60 {
                at.fetch_add(1_000, Ordering::SeqCst);
                // A clock beyond the lease is not followed: the rest of the lease comes first.
                let made = ids.next_id().unwrap();
                assert!(!required || Parts::of(made).at < NOW + 20_000);
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            if required {
                at.store(NOW + 19_999, Ordering::SeqCst);
                let refused = (0..10_000).find_map(|_| ids.next_id().err());
                assert!(refused.expect("the lease is used up").is_retryable());
            }
            away.away.store(false, Ordering::SeqCst);
            at.store(NOW + 100_000, Ordering::SeqCst);
            let followed = async {
                while !ids
                    .next_id()
                    .is_ok_and(|id| Parts::of(id).at == NOW + 100_000)
                {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            };
            let done = tokio::time::timeout(Duration::from_secs(10), followed).await;
            done.expect("the lease is renewed once the floor can be stored");
        }
    }
}
