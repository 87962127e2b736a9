//! The contract suites on the in-process adapters.

mod cache {
    use std::sync::Arc;

    use gochat_infra::embedded::cache::MemoryCache;
    use gochat_infra::port::cache::Cache;

    async fn make() -> Arc<dyn Cache> {
        Arc::new(MemoryCache::new(1024 * 1024))
    }

    gochat_infra::cache_suite!(make());
}

mod presence {
    use std::sync::Arc;

    use gochat_infra::embedded::presence::MemoryPresence;
    use gochat_infra::port::presence::PresenceStore;

    async fn make() -> Arc<dyn PresenceStore> {
        Arc::new(MemoryPresence::new())
    }

    gochat_infra::presence_suite!(make());
}

mod counter {
    use std::sync::Arc;

    use gochat_core::ratelimit::RuleTable;
    use gochat_infra::embedded::counter::{MemoryCounters, MemoryLimiter, MemoryOnce};
    use gochat_infra::port::counter::{Counters, Once, RateLimiter};

    async fn limiter() -> Arc<dyn RateLimiter> {
        Arc::new(MemoryLimiter::new(RuleTable::default(), 1_000))
    }

    async fn once() -> Arc<dyn Once> {
        Arc::new(MemoryOnce::new(1_000))
    }

    async fn counters() -> Arc<dyn Counters> {
        Arc::new(MemoryCounters::new(1_000))
    }

    gochat_infra::counter_suite!(limiter(), once(), counters());
}

mod coord {
    use std::sync::Arc;

    use gochat_infra::embedded::coord::MemoryCoord;
    use gochat_infra::testsuite::coord::Subject;

    async fn make() -> Subject {
        let coord = MemoryCoord::new();
        let shared = Arc::new(coord.clone());
        Subject {
            registry: shared.clone(),
            config: shared.clone(),
            locks: shared.clone(),
            ids: shared,
            lose_leases: Arc::new(move || coord.revoke_leases()),
        }
    }

    gochat_infra::coord_suite!(make());
}
