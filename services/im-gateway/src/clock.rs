//! The clock: wall time for the contract, seconds since start for what must be small.

use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use gochat_core::ids::UnixMillis;

/// Unix time in milliseconds.
pub(crate) fn now_ms() -> UnixMillis {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Unix time in seconds, as the contract writes times.
pub(crate) fn now_s() -> i64 {
    i64::try_from(now_ms() / 1_000).unwrap_or(i64::MAX)
}

/// Milliseconds since the process asked first; never goes back.
pub(crate) fn ticks_ms() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    let start = START.get_or_init(Instant::now);
    u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Seconds since the process asked first: fits 32 bits for a lifetime.
pub(crate) fn ticks_s() -> u32 {
    u32::try_from(ticks_ms() / 1_000).unwrap_or(u32::MAX)
}
