//! The adapters on a real Redis: the contract suites, and what happens when it dies, stalls or forgets.
//!
//! The suites use the server of `GOCHAT_TEST_REDIS` under prefixes of their own; whatever harms a
//! server is done to one started here.

#![cfg(feature = "redis")]

#[path = "redis/faults.rs"]
mod faults;
#[path = "redis/histories.rs"]
mod histories;
#[path = "redis/server.rs"]
mod server;

mod cache {
    use std::sync::Arc;

    use gochat_infra::cluster::redis::RedisCache;
    use gochat_infra::port::cache::Cache;

    async fn make() -> Arc<dyn Cache> {
        Arc::new(RedisCache::new(super::server::shared().await))
    }

    gochat_infra::cache_suite!(make());
}

mod presence {
    use std::sync::Arc;

    use gochat_infra::cluster::redis::RedisPresence;
    use gochat_infra::port::presence::PresenceStore;

    async fn make() -> Arc<dyn PresenceStore> {
        Arc::new(RedisPresence::new(super::server::shared().await))
    }

    gochat_infra::presence_suite!(make());
}

mod counter {
    use std::sync::Arc;

    use gochat_core::ratelimit::RuleTable;
    use gochat_infra::cluster::redis::{RedisCounters, RedisLimiter, RedisOnce};
    use gochat_infra::port::counter::{Counters, Once, RateLimiter};

    async fn limiter() -> Arc<dyn RateLimiter> {
        let redis = super::server::shared().await;
        let rules = RuleTable::default();
        Arc::new(RedisLimiter::new(redis, "test", rules, 1_000))
    }

    async fn once() -> Arc<dyn Once> {
        Arc::new(RedisOnce::new(super::server::shared().await))
    }

    async fn counters() -> Arc<dyn Counters> {
        Arc::new(RedisCounters::new(super::server::shared().await))
    }

    gochat_infra::counter_suite!(limiter(), once(), counters());
}
