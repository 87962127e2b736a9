//! What `/health` answers.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::clock;

/// Seconds the log may be away before the instance calls itself unhealthy.
const TOLERANCE_S: u32 = 10;

/// Readiness of the instance.
#[derive(Default)]
pub(crate) struct Health {
    /// What the process around the gateway knows of its dependencies.
    around: OnceLock<Box<dyn Fn() -> bool + Send + Sync>>,
    /// Whether new data is refused while reading goes on.
    read_only: OnceLock<Box<dyn Fn() -> bool + Send + Sync>>,
    draining: AtomicBool,
    /// Seconds since start at which the log went away, plus one; 0 = it is there.
    log_away_since: AtomicU32,
}

impl Health {
    /// Asks this as well from now on; only the first one counts.
    pub(crate) fn also(&self, ready: impl Fn() -> bool + Send + Sync + 'static) {
        let _ = self.around.set(Box::new(ready));
    }

    /// Asks this for [`is_read_only`](Self::is_read_only) from now on; only the first one counts.
    pub(crate) fn read_only_when(&self, read_only: impl Fn() -> bool + Send + Sync + 'static) {
        let _ = self.read_only.set(Box::new(read_only));
    }

    /// Whether new data is refused, because the disk is full, while reading goes on.
    pub(crate) fn is_read_only(&self) -> bool {
        self.read_only.get().is_some_and(|read_only| read_only())
    }

    /// The instance stops: nothing new is taken.
    pub(crate) fn set_draining(&self) {
        self.draining.store(true, Ordering::Release);
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Notes whether the log answers.
    pub(crate) fn set_log_ok(&self, ok: bool) {
        if ok {
            self.log_away_since.store(0, Ordering::Relaxed);
        } else {
            let now = clock::ticks_s() + 1;
            // The first failure counts; later ones must not move it.
            let _ =
                self.log_away_since
                    .compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// Whether the instance should get new clients; `loaded` = revocations are known.
    pub(crate) fn is_ready(&self, loaded: bool) -> bool {
        let since = self.log_away_since.load(Ordering::Relaxed);
        let log_ok = since == 0 || clock::ticks_s() + 1 - since <= TOLERANCE_S;
        let around_ok = self.around.get().is_none_or(|ready| ready());
        loaded && log_ok && around_ok && !self.is_draining()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draining_or_not_loaded_is_not_ready() {
        let health = Health::default();
        assert!(!health.is_ready(false));
        assert!(health.is_ready(true));
        health.set_log_ok(false);
        assert!(health.is_ready(true), "a short absence is tolerated");
        health.set_draining();
        assert!(!health.is_ready(true));
    }

    #[test]
    fn what_the_process_knows_counts_too() {
        let health = Health::default();
        health.also(|| false);
        assert!(!health.is_ready(true));
    }
}
