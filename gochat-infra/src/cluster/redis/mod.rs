//! Cache, presence and counters on Redis 7.
//!
//! [`Redis`] is the connection: one, multiplexed, shared by all adapters; every call is bounded in time
//! and its failure is retryable. What must be atomic is a Lua script; what can be sent together is sent
//! together. Everything but `conv_seq:*` has a lifetime.
//!
//! Scripts touch several keys of one user, a gateway and the log at once, so the server is a single instance
//! or a primary with replicas behind one address (Sentinel with a proxy, a Kubernetes service): after a
//! failover the link leaves a server that refuses writes and looks for the one that takes them. Redis
//! Cluster, which wants all keys of a script in one slot, is not supported.

mod cache;
mod client;
mod config;
mod counters;
mod error;
mod limiter;
mod link;
mod once;
mod presence;
mod script;

pub use cache::RedisCache;
pub use client::Redis;
pub use config::RedisConfig;
pub use counters::RedisCounters;
pub use limiter::RedisLimiter;
pub use once::RedisOnce;
pub use presence::RedisPresence;
