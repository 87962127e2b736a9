//! The clock, asked at the edge only; everything below gets the time passed in.

use std::time::{SystemTime, UNIX_EPOCH};

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
