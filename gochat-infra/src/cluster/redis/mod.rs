//! Cache, presence and counters on Redis.
