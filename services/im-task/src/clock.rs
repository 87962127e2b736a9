//! The wall clock.

use std::time::{SystemTime, UNIX_EPOCH};

/// Unix seconds, as the contract writes times.
pub(crate) fn now_s() -> i64 {
    now_ms() / 1_000
}

/// Unix milliseconds.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
